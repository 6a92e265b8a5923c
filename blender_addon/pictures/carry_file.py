"""What a frame of a stylized sequence gives to the next one, kept for a task that goes on later. No bpy here.

A frame FOLDER/NAME has FOLDER/.carry/NAME.carry. They may be deleted once all frames are there. Where a server refuses
one, which another version made or which is damaged, the frame is painted without it: a new shot begins there.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..protocol.errors import Refused
from ..protocol.wire import MAX_CARRY
from .draft import ImageFileError

FOLDER: Final = ".carry"


def carry_path(frame: Path) -> Path:
    """Where what this frame gives to the next one is kept."""
    return frame.parent / FOLDER / f"{frame.name}.carry"


def read_carry(frame: Path | None) -> bytes:
    """What this frame gave to the next one, b"" where that is not known or there is no frame."""
    if frame is None:
        return b""
    try:
        with carry_path(frame).open("rb") as file:
            data = file.read(MAX_CARRY + 1)
    except OSError:
        return b""
    return data if len(data) <= MAX_CARRY else b""


def is_refused(carry: bytes, error: Exception | None) -> bool:
    """Whether this error of a frame that was given this can be that carry's fault: without it, it may be painted."""
    return bool(carry) and isinstance(error, Refused) and error.code == "bad_request"


def new_shot(frame: str) -> str:
    """A sentence for people: this frame was painted without what the one before gave to it."""
    return (
        f"At {frame} a new shot begins, because what the frame before gave to it, in the folder {FOLDER}, is damaged "
        "or of another version of texserver. Overwrite all frames to have one shot throughout."
    )


def write_carry(frame: Path, data: bytes) -> None:
    """Keep what this frame gives to the next one. Raises ImageFileError."""
    if not data:
        return
    path = carry_path(frame)
    draft = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        os.replace(draft, path)  # noqa: PTH105, of both
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ImageFileError(f"{path} was not written: {error.strerror or error}. Choose another folder.") from error
