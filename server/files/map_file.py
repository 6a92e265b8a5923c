"""The maps of a material, from picture files to what is sent to a server that learns them.

Colours are converted to sRGB as they are seen. A data map's stored numbers are taken as they are, whatever profile the
file claims; grey ones keep their 16 bits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blender_addon.pictures.map_files import FileMaterial
from blender_addon.protocol.training import BASE
from server.files.picture_file import UnusablePicture, guarded, picture_bytes, quoted, read_picture, stored_picture


def read_maps(material: FileMaterial) -> Mapping[str, NDArray[Any]]:
    """By part, the base colour first: (height, width, 1, 3 or 4) uint8 or uint16. Raises UnusablePicture."""
    return {BASE: read_picture(material.path).pixels} | {
        part: read_map(path) for part, path in material.parts.items() if part != BASE
    }


def read_map(path: Path) -> NDArray[Any]:
    """The stored numbers of a data map: (height, width, 1, 3 or 4) uint8 or uint16. Raises UnusablePicture."""
    data = picture_bytes(path)
    with guarded(path):
        image = stored_picture(path, data).upright()
        if image.mode in ("F", "LAB", "CMYK"):
            raise UnusablePicture(f"{quoted(path)} holds no plain numbers from black to white: save it as PNG.")
        if image.mode == "I" or image.mode.startswith("I;16"):
            values = np.asarray(image)
            if values.min() < 0 or values.max() > 65535:
                raise UnusablePicture(f"{quoted(path)} holds 32-bit integers of unknown range: save it as 16-bit PNG.")
            return values.astype("<u2")[..., None]
        if image.mode not in ("L", "RGB", "RGBA"):
            image = image.convert("RGBA" if image.has_transparency_data else "L" if image.mode == "1" else "RGB")
        pixels = np.array(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]
