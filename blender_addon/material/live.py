"""The node group "Texserver Material": a whole set of maps as one node, whose inputs are what an artist changes.

Lengths are real. `Size` is how wide one repeat of the texture is on the object, `Offset` moves the texture over it, and
`Displacement` is the depth of the relief, all in Blender's units of length (metres, unless the scene has others).
Object and box mapping multiply object coordinates by the object's own scale, which the Vector Transform node knows for
every object and instance. UV mapping multiplies UV coordinates by the lengths of a UV unit, which measure.py writes
onto the mesh.

Under box and object mapping a normal map has no tangents of a UV map. There each slope of the map is laid along the
axes of its projection, and the surface's normal is tilted by their sum (surface gradients: Mikkelsen, "Surface
Gradient-Based Bump Mapping Framework", JCGT 2020). So every map works under every mapping.

A group is never changed: another mapping, size or image makes another group, which takes the place of the earlier one.
Its sockets are the same for every set of maps, so links and values stay. Blender's glTF exporter looks for the first
image texture behind an input, and for a Mapping node before it: links are made in that order, and the Mapping node's
own values, which its links override, say what the exporter shall write.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import bpy

from ..tasks.placement import Lattice
from ..tasks.relief import Projection
from .cells import INTERPOLATION, bilinear, cell
from .drift import drift
from .marks import MARK, is_ours
from .measure import ALONG_U, ALONG_V
from .pieces import number_of_object, piece, steps_of
from .wiring import Wiring

NAME: Final = "Texserver Material"
VERSION: Final = 3  # 1 had no VARY, 2 no drift
PART: Final = "material"  # what the group's node in a material is marked with

SIZE, OFFSET_X, OFFSET_Y, ROTATION, BLEND = "Size", "Offset X", "Offset Y", "Rotation", "Blend"
HUE, VALUE, AO, ROUGH_MIN, ROUGH_MAX = "Hue", "Value", "AO", "Roughness Min", "Roughness Max"
STRENGTH, DISPLACEMENT = "Normal Strength", "Displacement"
VARY: Final = "Vary per Object"
HUE_DRIFT, VALUE_DRIFT, DRIFT_SIZE = "Hue Drift", "Value Drift", "Drift Size"
OUTPUTS: Final = {  # with the maps that each is for
    "Base Color": ("basecolor", "NodeSocketColor"),
    "Metallic": ("metallic", "NodeSocketFloat"),
    "Roughness": ("roughness", "NodeSocketFloat"),
    "Normal": ("normal", "NodeSocketVector"),
    "Displacement": ("height", "NodeSocketVector"),
}
GLTF_OUTPUT: Final = "glTF Material Output"  # Blender's glTF exporter looks for these two names
GLTF_OCCLUSION: Final = "Occlusion"
EXPORTED: Final = "occlusion in glTF"
PLAIN: Final = "texserver_plain"  # on the nodes that only keep an image
_MAPPING: Final = "mapping"
_STEEPEST: Final = 0.05  # the z of a normal; below it a slope has no end
_HARD: Final = 0.001  # a blend that is seen as none


@dataclass(frozen=True, kw_only=True)
class Input:
    """A value that an artist changes."""

    name: str
    default: float
    low: float
    high: float
    subtype: str = "NONE"
    maps: tuple[str, ...] = ()  # it has a meaning where one of these is shown; always, if there are none
    about: str = ""
    since: int = 1  # the first version of the group that has it


_FAR: Final = 1e4
INPUTS: Final = (
    Input(name=SIZE, default=1, low=1e-4, high=1e6, subtype="DISTANCE", about="Width of one repeat of the texture"),
    Input(name=OFFSET_X, default=0, low=-_FAR, high=_FAR, subtype="DISTANCE", about="Move the texture to the right"),
    Input(name=OFFSET_Y, default=0, low=-_FAR, high=_FAR, subtype="DISTANCE", about="Move the texture up"),
    Input(name=ROTATION, default=0, low=-_FAR, high=_FAR, subtype="ANGLE", about="Turn the texture to the left"),
    Input(name=BLEND, default=0.2, low=0, high=1, subtype="FACTOR", about="How softly the sides of the box blend"),
    Input(name=HUE, default=0, low=-0.5, high=0.5, maps=("basecolor",), about="Turn the colours; 0.5 is the opposite"),
    Input(name=VALUE, default=1, low=0, high=10, maps=("basecolor",), about="Brightness of the colours"),
    Input(name=AO, default=0.5, low=0, high=1, subtype="FACTOR", maps=("ao",), about="How much AO darkens the colour"),
    Input(
        name=ROUGH_MIN, default=0, low=0, high=1, subtype="FACTOR", maps=("roughness",), about="Where it is smoothest"
    ),
    Input(
        name=ROUGH_MAX, default=1, low=0, high=1, subtype="FACTOR", maps=("roughness",), about="Where it is roughest"
    ),
    Input(name=STRENGTH, default=1, low=0, high=10, maps=("normal",), about="Strength of the normal map"),
    Input(
        name=DISPLACEMENT,
        default=0.05,
        low=0,
        high=100,
        subtype="DISTANCE",
        maps=("height",),
        about="Depth of the relief, from its lowest to its highest point",
    ),
    Input(
        name=VARY, default=0, low=0, high=1, subtype="FACTOR", since=2, about="1: each object shows another piece of it"
    ),
    Input(
        name=HUE_DRIFT,
        default=0,
        low=0,
        high=0.5,
        maps=("basecolor",),
        since=3,
        about="How far the hue wanders over metres of the world",
    ),
    Input(
        name=VALUE_DRIFT,
        default=0,
        low=0,
        high=1,
        subtype="FACTOR",
        maps=("basecolor",),
        since=3,
        about="How far the brightness wanders over metres of the world",
    ),
    Input(
        name=DRIFT_SIZE,
        default=3,
        low=1e-3,
        high=1e6,
        subtype="DISTANCE",
        maps=("basecolor",),
        since=3,
        about="How wide the patches are in which the colours wander",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Showing:
    """What a group shows."""

    images: Mapping[str, Any]  # by map
    projection: Projection
    size: tuple[int, int]  # height, width in pixels of the texture, or of one tile of an atlas
    lattice: Lattice | None = None  # the two steps (y, x) in pixels by which the model's pattern repeats
    across: int = 1  # how many tiles lie side by side in the images: more than one makes a plane that never repeats
    plain: Mapping[str, Any] = field(default_factory=dict)  # the texture that repeats, kept beside an atlas

    @property
    def has_squares(self) -> bool:
        """Whether the images have a file for each UDIM square, which lie where the UV map says."""
        return any(each.source == "TILED" for each in self.images.values())


def node_of(tree: Any) -> Any:
    """The node of our group in a material's tree, None where there is none."""
    nodes = tree.nodes if tree else ()
    return next((each for each in nodes if each.get(MARK) == PART and each.type == "GROUP"), None)


def showing(node: Any) -> Showing | None:
    """What the group of a node shows; None if somebody has replaced or emptied it."""
    group: Any = node.node_tree if node else None
    if not is_ours(group) or "projection" not in group[MARK]:
        return None
    images = {
        each[MARK]: each.image for each in group.nodes if each.type == "TEX_IMAGE" and MARK in each and each.image
    }
    plain = {each[PLAIN]: each.image for each in group.nodes if PLAIN in each and each.image}
    told = group[MARK]
    steps = told.get("lattice")
    return Showing(
        images=images,
        projection=told["projection"],
        size=tuple(told["size"]),
        lattice=(tuple(steps[:2]), tuple(steps[2:])) if steps else None,
        across=told.get("across", 1),
        plain=plain,
    )


def is_current(node: Any) -> bool:
    """Whether the group of a node has all inputs of this version."""
    return bool(node.node_tree[MARK]["version"] >= VERSION)


def inputs_of(node: Any) -> list[Input]:
    """The inputs that our group's node has; one of an earlier version has fewer."""
    return [each for each in INPUTS if each.name in node.inputs]


def value(node: Any, name: str) -> float:
    """The value of an input of our group's node."""
    return float(node.inputs[name].default_value)


def set_values(node: Any, values: Mapping[str, float]) -> None:
    """Set inputs of our group's node, by name, within their limits."""
    limits = {each.name: each for each in INPUTS}
    for name, given in values.items():
        node.inputs[name].default_value = min(max(given, limits[name].low), limits[name].high)


def build(shown: Showing) -> Any:
    """A new group that shows this. Whoever uses it gives it to a node."""
    group: Any = bpy.data.node_groups.new(NAME, "ShaderNodeTree")  # type: ignore[arg-type]
    for version in range(1, VERSION + 1):  # Blender keeps values and links by the order in which sockets were made
        for each in [each for each in INPUTS if each.since == version]:
            _add_input(group, each)
        for name, (_, kind) in OUTPUTS.items() if version == 1 else ():
            group.interface.new_socket(name, in_out="OUTPUT", socket_type=kind)
    group[MARK] = {"version": VERSION, "projection": shown.projection, "size": list(shown.size)}
    if shown.lattice:
        group[MARK]["lattice"] = [float(each) for step in shown.lattice for each in step]
    if shown.across > 1:
        group[MARK]["across"] = shown.across
    _Group(group, shown)
    return group


def _add_input(group: Any, input: Input) -> None:
    socket = group.interface.new_socket(input.name, in_out="INPUT", socket_type="NodeSocketFloat")
    socket.subtype = input.subtype
    socket.default_value, socket.min_value, socket.max_value = input.default, input.low, input.high
    socket.description = input.about


def describe_to_gltf(node: Any) -> None:
    """Tell the glTF exporter where the texture lies. It reads the Mapping node's own values, not what is linked."""
    shown = showing(node)
    mapping = next((each for each in node.node_tree.nodes if each.get(MARK) == _MAPPING), None) if shown else None
    if shown is None or mapping is None:
        return
    per_unit = (1.0, 1.0)
    size, angle = max(value(node, SIZE), 1e-4), -value(node, ROTATION)
    if shown.projection == "UV":
        per_unit = tuple(node.get("texserver_unit", per_unit))
    size *= shown.across  # an atlas is a texture that repeats, too, and larger than its tiles
    tile = (size, size * shown.size[0] / shown.size[1])
    x, y = -value(node, OFFSET_X), -value(node, OFFSET_Y)
    moved = (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle))
    wanted = {
        "Location": (moved[0] / tile[0], moved[1] / tile[1], 0.0),
        "Rotation": (0.0, 0.0, angle),
        "Scale": (per_unit[0] / tile[0], per_unit[1] / tile[1], 1.0),
    }
    for name, vector in wanted.items():
        now = mapping.inputs[name].default_value
        if any(abs(a - b) > 1e-6 * max(1.0, abs(b)) for a, b in zip(now, vector, strict=True)):
            mapping.inputs[name].default_value = vector


def gltf_output() -> Any:
    """The node group where Blender's glTF exporter looks for occlusion: the one in the file, or else a new one."""
    for each in bpy.data.node_groups:
        if each.bl_idname == "ShaderNodeTree" and each.name.startswith(GLTF_OUTPUT) and _has_occlusion(each):
            return each
    group: Any = bpy.data.node_groups.new(GLTF_OUTPUT, "ShaderNodeTree")  # type: ignore[arg-type]
    group.interface.new_socket(GLTF_OCCLUSION, in_out="INPUT", socket_type="NodeSocketFloat")
    group.nodes.new("NodeGroupInput")
    group[MARK] = EXPORTED
    return group


def _has_occlusion(group: Any) -> bool:
    return any(
        each.item_type == "SOCKET" and each.in_out == "INPUT" and each.name == GLTF_OCCLUSION
        for each in group.interface.items_tree
    )


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One projection of the texture: where its pixels lie, and the axes (in real lengths) along which they lie."""

    place: Any  # texture coordinates
    weight: Any  # how much it is seen
    slope: Any = None  # a function from a slope (x, y) in the texture to a vector in the object's own directions
    others: tuple[Any, ...] = ()  # in an atlas: where the texels to the right and above lie
    shares: Any = None  # and how much they are seen


def _lay(wiring: Wiring, metres: Any, given: Mapping[str, Any]) -> Any:
    """From lengths on the object to coordinates in the texture."""
    moved = wiring.vector("SUBTRACT", metres, wiring.combine(given[OFFSET_X], given[OFFSET_Y]))
    turned = wiring.turn(moved, wiring.math("MULTIPLY", given[ROTATION], -1.0))
    return _map(wiring, turned, given[_PIECE], wiring.vector("DIVIDE", (1, 1, 1), given[_TILE]))


def _map(wiring: Wiring, place: Any, moved: Any, scale: Any) -> Any:
    """Scaled and moved coordinates, by a node whose own values say to glTF's exporter where the texture lies."""
    none = wiring.combine(0.0, 0.0)  # the exporter's values are not for the renderer
    node = wiring.node("ShaderNodeMapping", place, moved, none, scale)
    for each in [each for each in wiring.tree.nodes if each.get(MARK) == _MAPPING]:
        del each[MARK]  # the exporter reads the last one before the image
    node[MARK] = _MAPPING
    return node.outputs[0]


def _direction(wiring: Wiring, colour: Any) -> Any:
    """The direction that a normal map's colour means."""
    return wiring.vector("MULTIPLY_ADD", colour, (2, 2, 2), (-1, -1, -1))


def _object_scale(wiring: Wiring) -> Any:
    axes = [wiring.transform(axis, "OBJECT", "WORLD") for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    return wiring.combine(*(wiring.vector("LENGTH", each) for each in axes))


def _tilt(wiring: Wiring, colours: Sequence[Any], sides: Sequence[_Side], scale: Any, given: Mapping[str, Any]) -> Any:
    """The surface's normal, tilted by the slopes of a normal map from all sides."""
    gradient: Any = None
    for colour, side in zip(colours, sides, strict=True):
        x, y, z = wiring.separate(wiring.turn(_direction(wiring, colour), given[ROTATION]))
        steepness = wiring.math("DIVIDE", given[STRENGTH], wiring.math("MAXIMUM", z, _STEEPEST))
        slope = side.slope(wiring.math("MULTIPLY", x, steepness), wiring.math("MULTIPLY", y, steepness))
        seen = wiring.scale(slope, side.weight)
        gradient = seen if gradient is None else wiring.vector("ADD", gradient, seen)
    normal = wiring.node("ShaderNodeNewGeometry").outputs["Normal"]
    world = wiring.transform(wiring.vector("DIVIDE", gradient, scale), "OBJECT", "WORLD")
    along = wiring.scale(normal, wiring.vector("DOT_PRODUCT", normal, world))
    return wiring.vector("NORMALIZE", wiring.vector("SUBTRACT", wiring.vector("ADD", normal, world), along))


# ------------------------------------------------------------------------------------------------------------- shared
#
# What box mapping computes is the same for all materials, and so is the choice of a piece. They stand in groups that
# all share: Blender takes a tenth of a second to make so many nodes in one tree, and the artist's window would wait.

_BOX: Final = "Box"
_BOX_NORMAL: Final = "Box Normal"
_PIECE: Final = "Piece"  # the shared group, and what it gives: how far the texture is moved, in repeats of it
_STEPS: Final = ("Step 1", "Step 2", "Counts")
_NUMBER_OF: Final = "Number"  # of the object that is shaded, 0 where all show the same
_CELL, _DRIFT = "Cell", "Drift"
_PLACE, _TEXELS, _CORNER, _FIRST, _SHARES = "Place", "Texels", "Corner", "First Texel", "Shares"
_FACTOR: Final = "Factor"
_DRIFTS: Final = (HUE_DRIFT, VALUE_DRIFT, DRIFT_SIZE)
_TILE: Final = "Tile"  # width and height of the texture, in units of length
_PLACES: Final = ("Top", "Right", "Front")  # in the order of the sides
_WEIGHTS, _SIGNS, _SCALE = "Weights", "Signs", "Scale"
_NUMBER, _VECTOR, _COLOUR = "NodeSocketFloat", "NodeSocketVector", "NodeSocketColor"


def is_shared(group: Any) -> bool:
    """Whether a node group is one that our groups share; it goes when none uses it."""
    mark = group.get(MARK)
    return mark == EXPORTED or (hasattr(mark, "get") and "shared" in mark)


def _box(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Coordinates from above, from the right and from the front, and how much each is seen.

    Seen from outside, no side is mirrored, and walls stand upright.
    """
    scale = _object_scale(wiring)
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
        **{name: _lay(wiring, place, given) for name, place in zip(_PLACES, places, strict=True)},
        _WEIGHTS: wiring.scale(near, wiring.math("DIVIDE", 1.0, whole)),
        _SIGNS: wiring.combine(right, front, up),
        _SCALE: scale,
    }


def _box_normal(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """The surface's normal, tilted by a normal map that is seen from three sides."""
    right, front, up = wiring.separate(given[_SIGNS])
    sideways, forwards, upwards = wiring.separate(given[_WEIGHTS])

    def times(a: Any, b: Any) -> Any:
        return wiring.math("MULTIPLY", a, b)

    sides = (
        _Side(place=None, weight=upwards, slope=lambda u, v: wiring.combine(u, times(v, up), 0.0)),
        _Side(place=None, weight=sideways, slope=lambda u, v: wiring.combine(0.0, times(u, right), v)),
        _Side(place=None, weight=forwards, slope=lambda u, v: wiring.combine(times(u, front), 0.0, v)),
    )
    return {"Normal": _tilt(wiring, [given[name] for name in _PLACES], sides, given[_SCALE], given)}


def _piece(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Where this object's piece of the texture lies, and the object's number."""
    number = number_of_object(wiring, given[VARY])
    return {_PIECE: piece(wiring, number, *(given[name] for name in _STEPS)), _NUMBER_OF: number}


def _cell(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Which tile of an atlas stands at a place, and which texels of it are seen."""
    found = cell(wiring, given[_PLACE], given[_NUMBER_OF], given[_TEXELS])
    return dict(zip((_CORNER, _FIRST, _SHARES), found, strict=True))


def _drift(wiring: Wiring, given: Mapping[str, Any]) -> dict[str, Any]:
    """How the colours wander."""
    return dict(zip((HUE, _FACTOR), drift(wiring, *(given[each] for each in _DRIFTS)), strict=True))


_SHARED: Final[dict[str, tuple[Any, dict[str, str], dict[str, str]]]] = {  # what makes it, its inputs, its outputs
    _BOX: (
        _box,
        {OFFSET_X: _NUMBER, OFFSET_Y: _NUMBER, ROTATION: _NUMBER, BLEND: _NUMBER, _TILE: _VECTOR, _PIECE: _VECTOR},
        {**dict.fromkeys(_PLACES, _VECTOR), _WEIGHTS: _VECTOR, _SIGNS: _VECTOR, _SCALE: _VECTOR},
    ),
    _BOX_NORMAL: (
        _box_normal,
        {
            **dict.fromkeys(_PLACES, _COLOUR),
            **dict.fromkeys((_WEIGHTS, _SIGNS, _SCALE), _VECTOR),
            STRENGTH: _NUMBER,
            ROTATION: _NUMBER,
        },
        {"Normal": _VECTOR},
    ),
    _PIECE: (
        _piece,
        {VARY: _NUMBER, **dict.fromkeys(_STEPS, _VECTOR)},
        {_PIECE: _VECTOR, _NUMBER_OF: _NUMBER},
    ),
    _CELL: (
        _cell,
        {_PLACE: _VECTOR, _NUMBER_OF: _NUMBER, _TEXELS: _VECTOR},
        dict.fromkeys((_CORNER, _FIRST, _SHARES), _VECTOR),
    ),
    _DRIFT: (_drift, dict.fromkeys(_DRIFTS, _NUMBER), {HUE: _NUMBER, _FACTOR: _NUMBER}),
}


def _shared(part: str) -> Any:
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


# -------------------------------------------------------------------------------------------------------------- group


class _Group:
    """Makes the nodes of one group."""

    def __init__(self, tree: Any, shown: Showing) -> None:
        self.wiring = wiring = Wiring(tree)
        self.shown = shown
        self.given = {each.name: each for each in wiring.node("NodeGroupInput").outputs if each.name}
        height, width = shown.size
        size = self.given[SIZE]
        self.given[_TILE] = wiring.combine(size, wiring.math("MULTIPLY", size, height / width), 1.0)
        steps = steps_of(shown.size, shown.lattice) if shown.across == 1 else ((0.0, 0.0, 0.0),) * len(_STEPS)
        piece = self._use(_PIECE, {VARY: self.given[VARY], **dict(zip(_STEPS, steps, strict=True))})
        self.given |= {each.name: each for each in piece.outputs}
        if shown.has_squares:
            self.given[ROTATION] = 0.0
        self.scale: Any = None
        self.sampled: set[str] = set()
        self.box: Any = None
        sides = [self._in_atlas(each) for each in self._sides()] if shown.across > 1 else self._sides()
        colours = {map: self._sample(map, image, sides) for map, image in shown.images.items()}
        wiring.end(self._outputs(colours, sides))
        for map, image in shown.plain.items():
            wiring.node("ShaderNodeTexImage", image=image, label="Kept, not seen")[PLAIN] = map

    def _outputs(self, colours: Mapping[str, Sequence[Any]], sides: Sequence[_Side]) -> dict[str, Any]:
        wiring, given = self.wiring, self.given
        blended = {map: self._blended(each, sides) for map, each in colours.items() if map != "normal"}
        found: dict[str, Any] = {}
        if "basecolor" in blended:
            wandering = self._use(_DRIFT, given).outputs
            hue = wiring.math("ADD", wiring.math("ADD", given[HUE], 0.5), wandering[HUE])
            brightness = wiring.math("MULTIPLY", given[VALUE], wandering[_FACTOR])
            turned = wiring.node("ShaderNodeHueSaturation", hue, 1.0, brightness, 1.0, blended["basecolor"])
            found["Base Color"] = turned.outputs[0]
            if "ao" in blended:
                found["Base Color"] = wiring.mix(given[AO], turned.outputs[0], blended["ao"], "MULTIPLY")
        if "ao" in blended:
            exported = wiring.node("ShaderNodeGroup", node_tree=gltf_output(), label="For glTF")
            exported[MARK] = EXPORTED
            wiring.set(exported.inputs[GLTF_OCCLUSION], blended["ao"])
        if "metallic" in blended:
            found["Metallic"] = blended["metallic"]
        if "roughness" in blended:
            limits = given[ROUGH_MIN], given[ROUGH_MAX]
            found["Roughness"] = wiring.node("ShaderNodeMapRange", blended["roughness"], 0.0, 1.0, *limits).outputs[0]
        if "normal" in colours:
            found["Normal"] = self._normal(colours["normal"], sides)
        if "height" in blended:
            node = wiring.node("ShaderNodeDisplacement", blended["height"], 0.5, given[DISPLACEMENT], space="WORLD")
            found["Displacement"] = node.outputs[0]
        return found

    # ------------------------------------------------------------------------------------------------- coordinates

    def _sides(self) -> list[_Side]:
        wiring = self.wiring
        if self.shown.projection == "BOX":
            self.box = self._use(_BOX, self.given)
            sideways, forwards, upwards = wiring.separate(self.box.outputs[_WEIGHTS])
            weights = (upwards, sideways, forwards)
            return [
                _Side(place=self.box.outputs[name], weight=each) for name, each in zip(_PLACES, weights, strict=True)
            ]
        coordinates = wiring.node("ShaderNodeTexCoord").outputs
        if self.shown.has_squares:
            # Cycles leaves squares out in which no corner of a face lies, but not behind a node that changes the place
            place = wiring.vector("MULTIPLY_ADD", coordinates["UV"], (1, 1, 1), (0, 0, 0))
            return [_Side(place=place, weight=1.0)]
        if self.shown.projection == "UV":
            along = wiring.combine(self._unit(ALONG_U), self._unit(ALONG_V), 1.0)
            lengths = wiring.vector("MULTIPLY", coordinates["UV"], along)
            return [_Side(place=_lay(wiring, lengths, self.given), weight=1.0)]
        self.scale = _object_scale(wiring)
        x, y, _ = wiring.separate(wiring.vector("MULTIPLY", coordinates["Object"], self.scale))
        place = _lay(wiring, wiring.combine(x, y), self.given)
        return [_Side(place=place, weight=1.0, slope=lambda x, y: wiring.combine(x, y))]

    def _in_atlas(self, side: _Side) -> _Side:
        """The same projection, of the tiles of an atlas."""
        height, width = self.shown.size
        given = {_PLACE: side.place, _TEXELS: (width, height, 1.0), _NUMBER_OF: self.given[_NUMBER_OF]}
        found = self._use(_CELL, given).outputs
        texel = (1 / (width * self.shown.across), 1 / (height * self.shown.across), 0.0)
        first = _map(self.wiring, found[_FIRST], found[_CORNER], texel)
        steps = [(texel[0], 0.0, 0.0), (0.0, texel[1], 0.0), (texel[0], texel[1], 0.0)]
        others = [self.wiring.vector("ADD", first, each) for each in steps]
        return replace(side, place=first, others=tuple(others), shares=found[_SHARES])

    def _use(self, part: str, given: Mapping[str, Any]) -> Any:
        """A node of a shared group, with those of its inputs that are given."""
        node = self.wiring.node("ShaderNodeGroup", node_tree=_shared(part))
        for socket in node.inputs:
            if socket.name in given:
                self.wiring.set(socket, given[socket.name])
        return node

    def _unit(self, name: str) -> Any:
        """How long one unit of the UV map is on this object; 1 where nobody has measured it."""
        wiring = self.wiring
        measured = wiring.node("ShaderNodeAttribute", attribute_type="OBJECT", attribute_name=name).outputs["Vector"]
        length = wiring.vector("LENGTH", wiring.transform(measured, "OBJECT", "WORLD"))
        return wiring.math("ADD", length, wiring.math("LESS_THAN", length, 1e-9))

    # -------------------------------------------------------------------------------------------------------- maps

    def _sample(self, map: str, image: Any, sides: Sequence[_Side]) -> list[Any]:
        """The colours of a map from each side."""
        found: list[Any] = []
        for side in sides:
            colours = [self._look_up(map, image, each) for each in (side.place, *side.others)]
            found.append(bilinear(self.wiring, colours, side.shares) if side.others else colours[0])
        return found

    def _look_up(self, map: str, image: Any, place: Any) -> Any:
        node = self.wiring.node("ShaderNodeTexImage", place, image=image, label=map[0].upper() + map[1:])
        if map not in self.sampled:
            self.sampled.add(map)
            node[MARK] = map
        if self.shown.across > 1:
            node.interpolation = INTERPOLATION
        return node.outputs["Color"]

    def _blended(self, colours: Sequence[Any], sides: Sequence[_Side]) -> Any:
        if len(colours) == 1:
            return colours[0]
        wiring = self.wiring
        top, side = sides[0].weight, sides[1].weight
        share = wiring.math("DIVIDE", side, wiring.math("ADD", top, side))
        return wiring.mix(sides[2].weight, wiring.mix(share, colours[0], colours[1]), colours[2])

    def _normal(self, colours: Sequence[Any], sides: Sequence[_Side]) -> Any:
        wiring = self.wiring
        if self.box:
            outputs = {each.name: each for each in self.box.outputs}
            return self._use(_BOX_NORMAL, self.given | outputs | dict(zip(_PLACES, colours, strict=True))).outputs[0]
        if self.shown.projection == "OBJECT":
            return _tilt(wiring, colours, sides, self.scale, self.given)
        turned = wiring.turn(_direction(wiring, colours[0]), self.given[ROTATION])  # as the texture is
        encoded = wiring.vector("MULTIPLY_ADD", turned, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        node = wiring.node("ShaderNodeNormalMap")
        wiring.set(node.inputs["Strength"], self.given[STRENGTH])
        wiring.set(node.inputs["Color"], encoded)
        return node.outputs[0]
