"""The starter library: which materials it has, and which of them are there.

trainer/starter draws and learns them; nothing here needs that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server import __version__
from server.errors import TexserverError
from server.model.header import SUFFIX, BrokenModel, read_facts

State = Literal["ready", "outdated", "missing", "another"]  # made by an earlier version; a model of somebody's own

FACT = "starter"  # among the training facts of such a model: the name of its material
RELIEF = "relief"  # another: metres between heights of 0 and 1


class UnknownStarter(TexserverError):
    """A name that the library does not have."""

    def __init__(self, name: str) -> None:
        known = ", ".join(each.name for each in STARTER)
        super().__init__(f"The starter library has no {name[:60]!a}. It has: {known}.")


@dataclass(frozen=True, kw_only=True)
class StarterMaterial:
    """A material of the library: the name of its model, its kind, what is drawn, and how wide that is in metres."""

    name: str
    category: str
    about: str
    metres: float

    def path(self, folder: Path) -> Path:
        """The file of its model in this folder."""
        return folder / f"{self.name}{SUFFIX}"


STARTER = (
    StarterMaterial(name="bricks", category="Masonry", about="old red bricks in running bond", metres=1.35),
    StarterMaterial(name="stone_wall", category="Masonry", about="rough sandstone in lime mortar", metres=2.0),
    StarterMaterial(name="tiles", category="Tiles", about="glazed tiles, made by hand", metres=0.9),
    StarterMaterial(name="plaster", category="Plaster", about="lime plaster, laid on with a trowel", metres=2.0),
    StarterMaterial(name="planks", category="Wood", about="weathered boards of larch, nailed", metres=1.2),
    StarterMaterial(name="gravel", category="Ground", about="gravel of many rocks, 4 to 40 mm", metres=0.8),
    StarterMaterial(name="fabric", category="Fabric", about="woollen tweed, a herringbone twill", metres=0.16),
    StarterMaterial(name="leaves", category="Ground", about="fallen leaves on the soil of a wood", metres=1.0),
)


def chosen(names: Sequence[str]) -> list[StarterMaterial]:
    """The materials of these names, or all; in the library's order. Raises UnknownStarter."""
    for name in names:
        if all(name != each.name for each in STARTER):
            raise UnknownStarter(name)
    return [each for each in STARTER if not names or each.name in names]


def state_of(material: StarterMaterial, folder: Path) -> State:
    """Whether its model is in the folder. A file that cannot be read counts as another's: it is left as it is."""
    path = material.path(folder)
    if not path.exists():
        return "missing"
    try:
        training = read_facts(path).training
    except BrokenModel:
        return "another"
    if training.get(FACT) != material.name:
        return "another"
    return "ready" if training.get("trainer") == __version__ else "outdated"
