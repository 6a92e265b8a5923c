"""What all groups "Texserver Material" share: where a texture lies under each mapping, and parts that are groups too.

What box mapping computes is the same for all materials, and so is the choice of a piece, of a tile, and of the drift of
colours. They stand in groups that all share: Blender takes a tenth of a second to make so many nodes in one tree, and
the artist's window would wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import bpy

from .cells import cell
from .drift import drift
from .group_sockets import (
    BLEND,
    DRIFT_SIZE,
    HUE,
    HUE_DRIFT,
    OFFSET_X,
    OFFSET_Y,
    ROTATION,
    STRENGTH,
    VALUE_DRIFT,
    VARY,
    VERSION,
)
from .marks import MARK
from .pieces import number_of_object, piece
from .wiring import Wiring

MAPPED: Final = "mapping"
_STEEPEST: Final = 0.05  # the z of a normal; below it a slope has no end
_HARD: Final = 0.001  # a blend that is seen as none
EXPORTED: Final = "occlusion in glTF"  # marks the group that Blender's glTF exporter looks for
BOX: Final = "Box"
BOX_NORMAL: Final = "Box Normal"
PIECE: Final = "Piece"  # the shared group, and what it gives: how far the texture is moved, in repeats of it
STEPS: Final = ("Step 1", "Step 2", "Counts")
NUMBER_OF: Final = "Number"  # of the object that is shaded, 0 where all show the same
CELL, DRIFT = "Cell", "Drift"
PLACE, TEXELS, CORNER, FIRST, SHARES = "Place", "Texels", "Corner", "First Texel", "Shares"
FACTOR: Final = "Factor"
DRIFTS: Final = (HUE_DRIFT, VALUE_DRIFT, DRIFT_SIZE)
TILE: Final = "Tile"  # width and height of the texture, in units of length
PLACES: Final = ("Top", "Right", "Front")  # in the order of the sides
WEIGHTS, SIGNS, SCALE = "Weights", "Signs", "Scale"
_NUMBER, _VECTOR, _COLOUR = "NodeSocketFloat", "NodeSocketVector", "NodeSocketColor"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One projection of the texture: where its pixels lie, and the axes (in real lengths) along which they lie."""

    place: Any  # texture coordinates
    weight: Any  # how much it is seen
    slope: Any = None  # a function from a slope (x, y) in the texture to a vector in the object's own directions
    others: tuple[Any, ...] = ()  # in an atlas: where the texels to the right and above lie
    shares: Any = None  # and how much they are seen


def lay(wiring: Wiring, metres: Any, given: Mapping[str, Any]) -> Any:
    """From lengths on the object to coordinates in the texture."""
    moved = wiring.vector("SUBTRACT", metres, wiring.combine(given[OFFSET_X], given[OFFSET_Y]))
    turned = wiring.turn(moved, wiring.math("MULTIPLY", given[ROTATION], -1.0))
    return mapped(wiring, turned, given[PIECE], wiring.vector("DIVIDE", (1, 1, 1), given[TILE]))


def mapped(wiring: Wiring, place: Any, moved: Any, scale: Any) -> Any:
    """Scaled and moved coordinates, by a node whose own values say to glTF's exporter where the texture lies."""
    none = wiring.combine(0.0, 0.0)  # the exporter's values are not for the renderer
    node = wiring.node("ShaderNodeMapping", place, moved, none, scale)
    for each in [each for each in wiring.tree.nodes if each.get(MARK) == MAPPED]:
        del each[MARK]  # the exporter reads the last one before the image
    node[MARK] = MAPPED
    return node.outputs[0]


def direction(wiring: Wiring, colour: Any) -> Any:
    """The direction that a normal map's colour means."""
    return wiring.vector("MULTIPLY_ADD", colour, (2, 2, 2), (-1, -1, -1))


def object_scale(wiring: Wiring) -> Any:
    """How long a unit of the object is along its axes, x, y and z."""
    axes = [wiring.transform(axis, "OBJECT", "WORLD") for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    return wiring.combine(*(wiring.vector("LENGTH", each) for each in axes))


def tilt(wiring: Wiring, colours: Sequence[Any], sides: Sequence[Side], scale: Any, given: Mapping[str, Any]) -> Any:
    """The surface's normal, tilted by the slopes of a normal map from all sides."""
    gradient: Any = None
    for colour, side in zip(colours, sides, strict=True):
        x, y, z = wiring.separate(wiring.turn(direction(wiring, colour), given[ROTATION]))
        steepness = wiring.math("DIVIDE", given[STRENGTH], wiring.math("MAXIMUM", z, _STEEPEST))
        slope = side.slope(wiring.math("MULTIPLY", x, steepness), wiring.math("MULTIPLY", y, steepness))
        seen = wiring.scale(slope, side.weight)
        gradient = seen if gradient is None else wiring.vector("ADD", gradient, seen)
    normal = wiring.node("ShaderNodeNewGeometry").outputs["Normal"]
    world = wiring.transform(wiring.vector("DIVIDE", gradient, scale), "OBJECT", "WORLD")
    along = wiring.scale(normal, wiring.vector("DOT_PRODUCT", normal, world))
    return wiring.vector("NORMALIZE", wiring.vector("SUBTRACT", wiring.vector("ADD", normal, world), along))


def is_shared(group: Any) -> bool:
    """Whether a node group is one that our groups share; it goes when none uses it."""
    mark = group.get(MARK)
    return mark == EXPORTED or (hasattr(mark, "get") and "shared" in mark)


def _box(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Coordinates from above, from the right and from the front, and how much each is seen.

    Seen from outside, no side is mirrored, and walls stand upright.
    """
    scale = object_scale(wiring)
    coordinates = wiring.node("ShaderNodeTexCoord").outputs["Object"]
    x, y, z = wiring.separate(wiring.vector("MULTIPLY", coordinates, scale))
    outwards = wiring.transform(wiring.node("ShaderNodeNewGeometry").outputs["Normal"], "WORLD", "OBJECT")
    normal = wiring.vector("MULTIPLY", outwards, scale)
    facing = wiring.vector("ABSOLUTE", normal)
    sideways, forwards, upwards = wiring.separate(facing)
    most = wiring.math("MAXIMUM", wiring.math("MAXIMUM", sideways, forwards), upwards)
    softness = wiring.math("MAXIMUM", given[BLEND], _HARD)
    near = wiring.vector("SUBTRACT", wiring.scale(facing, wiring.math("DIVIDE", 1.0, most)), (1, 1, 1))
    near = wiring.vector("ADD", wiring.scale(near, wiring.math("DIVIDE", 1.0, softness)), (1, 1, 1))
    near = wiring.vector("MAXIMUM", near, (0, 0, 0))
    whole = wiring.vector("DOT_PRODUCT", near, (1, 1, 1))
    right, back, up = (wiring.math("SIGN", each) for each in wiring.separate(normal))
    front = wiring.math("MULTIPLY", back, -1.0)
    places = (
        wiring.combine(x, wiring.math("MULTIPLY", y, up)),
        wiring.combine(wiring.math("MULTIPLY", y, right), z),
        wiring.combine(wiring.math("MULTIPLY", x, front), z),
    )
    return {
        **{name: lay(wiring, place, given) for name, place in zip(PLACES, places, strict=True)},
        WEIGHTS: wiring.scale(near, wiring.math("DIVIDE", 1.0, whole)),
        SIGNS: wiring.combine(right, front, up),
        SCALE: scale,
    }


def _box_normal(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """The surface's normal, tilted by a normal map that is seen from three sides."""
    right, front, up = wiring.separate(given[SIGNS])
    sideways, forwards, upwards = wiring.separate(given[WEIGHTS])

    def times(a: Any, b: Any) -> Any:
        return wiring.math("MULTIPLY", a, b)

    sides = (
        Side(place=None, weight=upwards, slope=lambda u, v: wiring.combine(u, times(v, up), 0.0)),
        Side(place=None, weight=sideways, slope=lambda u, v: wiring.combine(0.0, times(u, right), v)),
        Side(place=None, weight=forwards, slope=lambda u, v: wiring.combine(times(u, front), 0.0, v)),
    )
    return {"Normal": tilt(wiring, [given[name] for name in PLACES], sides, given[SCALE], given)}


def _piece(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Where this object's piece of the texture lies, and the object's number."""
    number = number_of_object(wiring, given[VARY])
    return {PIECE: piece(wiring, number, *(given[name] for name in STEPS)), NUMBER_OF: number}


def _cell(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Which tile of an atlas stands at a place, and which texels of it are seen."""
    found = cell(wiring, given[PLACE], given[NUMBER_OF], given[TEXELS])
    return dict(zip((CORNER, FIRST, SHARES), found, strict=True))


def _drift(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """How the colours wander."""
    return dict(zip((HUE, FACTOR), drift(wiring, *(given[each] for each in DRIFTS)), strict=True))


_SHARED: Final[dict[str, tuple[Any, dict[str, str], dict[str, str]]]] = {  # what makes it, its inputs, its outputs
    BOX: (
        _box,
        {OFFSET_X: _NUMBER, OFFSET_Y: _NUMBER, ROTATION: _NUMBER, BLEND: _NUMBER, TILE: _VECTOR, PIECE: _VECTOR},
        {**dict.fromkeys(PLACES, _VECTOR), WEIGHTS: _VECTOR, SIGNS: _VECTOR, SCALE: _VECTOR},
    ),
    BOX_NORMAL: (
        _box_normal,
        {
            **dict.fromkeys(PLACES, _COLOUR),
            **dict.fromkeys((WEIGHTS, SIGNS, SCALE), _VECTOR),
            STRENGTH: _NUMBER,
            ROTATION: _NUMBER,
        },
        {"Normal": _VECTOR},
    ),
    PIECE: (
        _piece,
        {VARY: _NUMBER, **dict.fromkeys(STEPS, _VECTOR)},
        {PIECE: _VECTOR, NUMBER_OF: _NUMBER},
    ),
    CELL: (
        _cell,
        {PLACE: _VECTOR, NUMBER_OF: _NUMBER, TEXELS: _VECTOR},
        dict.fromkeys((CORNER, FIRST, SHARES), _VECTOR),
    ),
    DRIFT: (_drift, dict.fromkeys(DRIFTS, _NUMBER), {HUE: _NUMBER, FACTOR: _NUMBER}),
}


def shared_group(part: str) -> Any:
    """A group that all materials share: the one in the file, or else a new one."""
    mark = {"shared": part, "version": VERSION}
    groups: Any = bpy.data.node_groups
    for each in groups:
        if is_shared(each) and each.library is None and each[MARK] != EXPORTED and each[MARK].to_dict() == mark:
            return each
    make, inputs, outputs = _SHARED[part]
    group = groups.new(f"Texserver {part}", "ShaderNodeTree")
    for way, sockets in (("INPUT", inputs), ("OUTPUT", outputs)):
        for name, kind in sockets.items():
            group.interface.new_socket(name, in_out=way, socket_type=kind)
    group[MARK] = mark
    wiring = Wiring(group)
    given = {each.name: each for each in wiring.node("NodeGroupInput").outputs if each.name}
    found = make(wiring, given)
    wiring.end(found)
    return group
