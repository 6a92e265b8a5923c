"""The errors people meet. Each is one sentence that says what to do; its class is for programs.

- TexserverError: anything the caller can mend
    - RequestError: a texture was asked for that cannot be made; `code` crosses the wire
        - BadRequest: a value out of range; names the field
        - UnknownModel: no model of that name (server/model/library.py)
            - UnusableModel: there is one, and it cannot be had (server/front/shelf.py)
        - WrongKind: a model of a style where one of a texture is needed, or the other way (server/model/header.py)
    - NoLibrary: there is no folder of models (server/model/library.py)
    - BrokenModel: a model file that must not be used (server/model/header.py)
    - UnusablePicture: a file is no picture of use (server/files/picture_file.py)
    - UnusableOutput: a file could not be written (server/replace_file.py)
    - NoSuchDevice: the device asked for is not in this machine (server/network/devices.py)
    - a client's (server/client/client.py): ServerUnreachable, RequestRefused with the server's `code`, TimedOut
    - the trainer's: UnusableSwatch, UnusableWeights, UnusableLattice, UnusableCheckpoint, TrainingFailed, NotMeasurable
"""


class TexserverError(Exception):
    """Base of all errors whose text is meant for people; command lines print it and leave with exit code 2."""


class RequestError(TexserverError):
    """A request that cannot be answered. `code` is stable and for programs, the text is for people."""

    code = "bad_request"


class BadRequest(RequestError):
    """A value out of range; the text names the field, the value and what is allowed."""

    code = "bad_request"
