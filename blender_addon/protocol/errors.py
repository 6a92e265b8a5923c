"""The errors that people meet, on both sides of the wire. Each text is one sentence that says what to do.

    Exception
    └── TexserverError        anything the user can put right
        ├── Refused           the request cannot be answered; `code` says why to programs
        │   └── BadRequest    a value is out of range; the text names the field
        └── NoServer          no server was found (pairing.py)

The rooms that raise errors of their own derive them from these two: `TexserverError`, or `Refused` where the error can
cross the wire. The add-on's are described in client/ and pictures/draft.py, the server's in server/errors.py. No bpy
here.
"""


class TexserverError(Exception):
    """Base of all errors whose text is meant for people. Command lines print it and exit with code 2."""


class Refused(TexserverError):
    """A request that cannot be answered, or a message that breaks a rule.

    `code` is one of wire.ERROR_CODES, or whatever a newer server sends, or "" where the server sent an answer that
    cannot be used. `retry_ms` is given where trying again helps. `id` is the request's, where it could be read.
    """

    def __init__(self, code: str, text: str, *, retry_ms: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.retry_ms = retry_ms
        self.id: int | None = None


class BadRequest(Refused):
    """A value is out of range. The text names the field, the value and what is allowed."""

    def __init__(self, text: str) -> None:
        super().__init__("bad_request", text)
