"""The starter library: what materials it has. trainer/starter draws and learns them; nothing here needs that."""

from dataclasses import dataclass

FOLDER = "starter"  # within the user's folder of programs' data


@dataclass(frozen=True, kw_only=True)
class StarterMaterial:
    """A material of the library: the name of its model, its kind, what is drawn, and how wide that is in metres."""

    name: str
    category: str
    about: str
    metres: float


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
