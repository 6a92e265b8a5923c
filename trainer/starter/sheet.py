"""The sheet of the starter library: a piece of each material, painted by its quilt and lit by a low sun."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from server.model.starter import RELIEF, StarterMaterial
from server.model.torus import Size, Window
from server.network.model_file import read_model
from server.network.texture import texture_bytes
from trainer.judge.pictures import Picture, laid_out
from trainer.starter.light import developed, lit, unit

SHOWN_M = 1.0  # of each material
WIDEST = 1.5  # times the width of its swatch
CELL = 400  # pixels
ROW = 4  # cells
PAINTED = 2048  # pixels, side of the texture of which a piece is shown


def starter_sheet(folder: Path, materials: Sequence[StarterMaterial]) -> Picture:
    """Of those whose model is in the folder. Raises BrokenModel."""
    cells = [
        (f"{each.name}, {min(SHOWN_M, WIDEST * each.metres):g} m", piece(each.path(folder), each.metres))
        for each in materials
        if each.path(folder).exists()
    ]
    rows = [cells[first : first + ROW] for first in range(0, len(cells), ROW)]
    return laid_out(rows, "The starter library: a piece of each material, painted by its model and lit by a low sun")


def piece(path: Path, metres: float, seed: int = 1) -> Picture:
    """Of a texture of this model, whose swatch is so many metres wide: (CELL, CELL, 3). Raises BrokenModel."""
    model = read_model(path)
    generator = model.texture_generator()
    pixel = metres / model.swatch.width
    side = round(min(SHOWN_M, WIDEST * metres) / pixel)
    planes = texture_bytes(generator, seed, Size(PAINTED, PAINTED), Window(0, 0, side, side))
    maps = {each.name: unit(plane.numpy()) for each, plane in zip(generator.maps, planes, strict=True)}
    relief = model.training.get(RELIEF, 0.0)
    seen = lit(maps, float(relief) if isinstance(relief, int | float) else 0.0, pixel)
    small = [
        np.asarray(Image.fromarray(channel).resize((CELL, CELL), Image.Resampling.BOX))
        for channel in np.moveaxis(seen.astype(np.float32), 2, 0)
    ]
    return developed(np.stack(small, 2))
