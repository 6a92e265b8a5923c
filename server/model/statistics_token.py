"""A picture's statistics as text: a result contains it, and the client sends it back with other frames of the sequence.
What a frame carries to the next one goes likewise, as bytes behind that hash.

So the server need not remember sequences. The text is base64 of the model file's SHA-256 (32 bytes) and the
statistics (server/model/style_architecture.py), which mean nothing to another model. No torch here.
"""

from base64 import b64decode, b64encode

from blender_addon.protocol.wire import Data
from server.errors import BadRequest
from server.model.header import AnyStyleArchitecture
from server.model.style_architecture import check_statistics
from server.model.style_quilt import StyleQuiltArchitecture, check_lights

HASH_BYTES = 32


def statistics_text(sha256: str, statistics: bytes) -> str:
    """For a client. `sha256`: of the model file, in hexadecimal."""
    return b64encode(bytes.fromhex(sha256) + statistics).decode("ascii")


def carry_bytes(sha256: str, carry: Data) -> bytes:
    """What the next frame of a sequence takes from a frame, for a client; empty where there is nothing."""
    return bytes.fromhex(sha256) + bytes(carry) if len(carry) else b""


def parse_carry(data: Data, sha256: str) -> memoryview:
    """What is for the model of this hash in a client's bytes; empty for those of another: a new shot begins."""
    view = memoryview(data).cast("B")
    return view[HASH_BYTES if view[:HASH_BYTES] == bytes.fromhex(sha256) else len(view) :]


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
