"""A picture's statistics as text: a result contains it, and the client sends it back with other frames of the sequence.

So the server need not remember sequences. The text is base64 of the model file's SHA-256 (32 bytes) and the
statistics (server/model/style_architecture.py), which mean nothing to another model. No torch here.
"""

from base64 import b64decode, b64encode

from server.errors import BadRequest
from server.model.header import AnyStyleArchitecture
from server.model.style_architecture import check_statistics
from server.model.style_quilt import StyleQuiltArchitecture, check_lights

HASH_BYTES = 32


def statistics_text(sha256: str, statistics: bytes) -> str:
    """For a client. `sha256`: of the model file, in hexadecimal."""
    return b64encode(bytes.fromhex(sha256) + statistics).decode("ascii")


def parse_statistics(text: str, sha256: str, architecture: AnyStyleArchitecture) -> bytes:
    """The statistics in a client's text, for the model of this hash; empty for "". Raises BadRequest."""
    if not text:
        return b""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise BadRequest("statistics: they are not the text of a result; measure them anew.") from None
    if data[:HASH_BYTES] != bytes.fromhex(sha256):
        raise BadRequest("statistics: they were measured with another model; measure them anew with this one.")
    if isinstance(architecture, StyleQuiltArchitecture):
        check_lights(architecture, data[HASH_BYTES:])
    else:
        check_statistics(architecture, data[HASH_BYTES:])
    return data[HASH_BYTES:]
