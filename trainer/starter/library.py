"""The materials of the starter library with what draws them, and the recipe of each, a hash."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType

from server.model.starter import STARTER, StarterMaterial
from trainer.starter import bricks, fields, learning, plaster, stone_wall, surface, tiles
from trainer.starter.fields import Canvas
from trainer.starter.surface import Drawn, Surface, drawn

SIDE = 1024  # pixels of a drawing

DRAWN_BY: Mapping[str, Callable[[Canvas], Surface]] = MappingProxyType(
    {
        "bricks": bricks.draw,
        "stone_wall": stone_wall.draw,
        "tiles": tiles.draw,
        "plaster": plaster.draw,
    }
)


def draw(material: StarterMaterial, side: int = SIDE) -> Drawn:
    """Draw a material of the library on `side` x `side` pixels. It tiles, and is the same each time."""
    canvas = Canvas(side=side, metres=material.metres)
    return drawn(material.name, material.category, canvas, DRAWN_BY[material.name](canvas))


def recipe_of(material: StarterMaterial, side: int = SIDE) -> str:
    """The same if and only if what draws and learns this material is the same: a hash."""
    module = inspect.getmodule(DRAWN_BY[material.name])
    assert module
    sources = [inspect.getsource(each) for each in (module, fields, surface, learning)]
    return hashlib.sha256("\0".join((*sources, repr(material), str(side))).encode()).hexdigest()


def chosen(names: list[str]) -> list[StarterMaterial]:
    """The materials of these names, or all; in the library's order. Raises ValueError."""
    known = [each.name for each in STARTER]
    for name in names:
        if name not in known:
            raise ValueError(f"The starter library has no {name[:60]!r}. It has: {', '.join(known)}.")
    return [each for each in STARTER if not names or each.name in names]
