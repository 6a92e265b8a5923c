"""The picture files that texget writes: their formats, the limits of these, and the sinks that write them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from blender_addon.client.sinks import FileSink, Sink
from blender_addon.pictures.draft import ImageFileError
from blender_addon.pictures.image_file import format_of
from server.errors import BadRequest
from server.files.jpeg_sink import JPEG_PIXELS, JPEG_SIDE, JPEG_SUFFIXES, JpegSink
from server.replace_file import unwritten


def is_jpeg(path: Path) -> bool:
    """Whether its name ends like a JPEG's."""
    return path.suffix.lower() in JPEG_SUFFIXES


def check_format(path: Path) -> None:
    """Raise BadRequest for a name without the suffix of a format."""
    if not is_jpeg(path):
        try:
            format_of(path)
        except ImageFileError as error:
            raise BadRequest(
                f"output: {str(path)!r} names no format; end it in .png, .tif, .tiff, .jpg or .jpeg."
            ) from error


def check_raster(path: Path, height: int, width: int, channels: int, depth: int) -> None:
    """Raise BadRequest for pixels that the format cannot hold."""
    if not is_jpeg(path):
        return
    if depth != 8:
        raise BadRequest("output: a JPEG has 8 bits a sample; end the name in .png or .tif.")
    if channels == 4:
        raise BadRequest("output: a JPEG has no alpha, and this picture does; end the name in .png or .tif.")
    if max(height, width) > JPEG_SIDE:
        raise BadRequest(f"output: a JPEG is at most {JPEG_SIDE} pixels a side; end the name in .png or .tif.")
    if height * width > JPEG_PIXELS:
        raise BadRequest(
            f"output: a JPEG is held in memory, so at most {JPEG_PIXELS // 10**6} megapixels; "
            "end the name in .png or .tif."
        )


def check_folder(folder: Path) -> None:
    """Raise BadRequest if this folder is neither there nor can be made."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path())
    if not there.is_dir():
        raise BadRequest(f"output: {str(there)!r} is no folder; choose another.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadRequest(f"output: you may not write to the folder {str(there)!r}; choose another.")


def make_folder(folder: Path) -> None:
    """Make it, with those above it, if it is not there. Raises UnusableOutput."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritten(folder, error) from error


def sink_for(path: Path, name_files: Callable[[Sequence[str]], Sequence[Path]]) -> Sink:
    """A sink that writes files of that format. `name_files` gives a file for each map."""
    return JpegSink(name_files) if is_jpeg(path) else FileSink(name_files)
