"""A sink for JPEG files: gathered in memory and written when complete, because Pillow cannot encode bands."""

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from blender_addon.client.sinks import MemorySink, Painting
from blender_addon.pictures.draft import Data
from blender_addon.protocol.rect import Rect
from server.errors import BadRequest
from server.replace_file import replace_file

JPEG_SUFFIXES = (".jpg", ".jpeg")
JPEG_SIDE = 65500  # libjpeg's own limit
JPEG_PIXELS = 64_000_000  # the whole picture is held in memory
JPEG_QUALITY = 95


class JpegSink:
    """Writes one JPEG for each map, as blender_addon.client.sinks.FileSink writes PNG and TIFF.

    Raises UnusableOutput, and BadRequest for 16 bits a sample.
    """

    def __init__(self, name_files: Callable[[Sequence[str]], Sequence[Path]]) -> None:
        self.paths: dict[str, Path] = {}  # by map
        self._name_files = name_files
        self._memory = MemorySink()

    def begin(self, painting: Painting) -> None:
        names = [each.name for each in painting.maps]
        if any(each.depth != 8 for each in painting.maps):
            raise BadRequest("output: a JPEG has 8 bits a sample; ask for a depth of 8, or for another format.")
        self.paths = dict(zip(names, self._name_files(names), strict=True))
        self._memory.begin(painting)

    def write(self, map: str, rect: Rect, data: Data) -> None:
        self._memory.write(map, rect, data)

    def finish(self) -> None:
        painting = self._memory.painting
        assert painting is not None
        _, _, height, width = painting.window
        for each in painting.maps:
            mode = "L" if each.channels == 1 else "RGB"
            image = Image.frombuffer(mode, (width, height), self._memory.pixels[each.name], "raw", mode, 0, 1)
            encoded = BytesIO()
            # 4:4:4, because textures consist of fine coloured grain
            comment = json.dumps(painting.provenance(each))
            image.save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0, comment=comment)
            replace_file(self.paths[each.name], encoded.getvalue())

    def abort(self) -> None:
        self._memory.abort()
