"""The materials of the starter library with what draws them, and the recipe of each, a hash."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType

from server.model.starter import StarterMaterial
from trainer.starter import bricks, fabric, gravel, learning, leaves, planks, plaster, stone_wall, tiles
from trainer.starter.fields import Canvas
from trainer.starter.surface import Drawn, Surface, drawn

SIDE = 1024  # pixels of a drawing

DRAWN_BY: Mapping[str, Callable[[Canvas], Surface]] = MappingProxyType(
    {
        "bricks": bricks.draw,
        "stone_wall": stone_wall.draw,
        "tiles": tiles.draw,
        "plaster": plaster.draw,
        "planks": planks.draw,
        "gravel": gravel.draw,
        "fabric": fabric.draw,
        "leaves": leaves.draw,
    }
)


def draw(material: StarterMaterial, side: int = SIDE) -> Drawn:
    """Draw a material of the library on `side` x `side` pixels. It tiles, and is the same each time."""
    canvas = Canvas(side=side, metres=material.metres)
    return drawn(material.name, material.category, canvas, DRAWN_BY[material.name](canvas))


def recipe_of(material: StarterMaterial, side: int = SIDE) -> str:
    """The same if and only if what draws and learns this material is the same: a hash."""
    sources = [
        inspect.getsource(sys.modules[name]) for name in _used_by(DRAWN_BY[material.name].__module__, learning.__name__)
    ]
    return hashlib.sha256("\0".join((*sources, repr(material), str(side))).encode()).hexdigest()


def _used_by(*names: str) -> list[str]:
    """These modules and those of this room from which they take something, and so on; sorted."""
    found, left = set(names), list(names)
    while left:
        for value in tuple(vars(sys.modules[left.pop()]).values()):
            name = str(getattr(value, "__module__", ""))
            if name.startswith(f"{__package__}.") and name not in found:
                found.add(name)
                left.append(name)
    return sorted(found)
