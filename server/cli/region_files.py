"""The option --region MASK=STYLE of texget: masks from picture files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from server.client.regions import Region
from server.errors import BadRequest
from server.files.picture_file import quoted, read_picture


def regions_of(texts: Sequence[str]) -> list[Region]:
    """The regions that these options name. Raises BadRequest, UnusablePicture."""
    regions = []
    for text in texts:
        path, sign, style = text.rpartition("=")
        if not (path and sign and style):
            raise BadRequest(f"region: {text[:80]!r} is not MASK=STYLE, such as sky.png=starry or face.png=none.")
        pixels = read_picture(Path(path)).pixels
        light = pixels[..., : 3 if pixels.shape[2] >= 3 else 1].astype(np.uint32)
        mask = light.sum(2) // light.shape[2] * (1 if pixels.dtype.itemsize > 1 else 257)
        regions.append(Region(mask=mask.astype(np.uint16), style=style, name=quoted(Path(path))))
    return regions
