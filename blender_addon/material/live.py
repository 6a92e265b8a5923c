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
from .cells import INTERPOLATION, bilinear
from .group_sockets import (
    AO,
    DISPLACEMENT,
    HUE,
    INPUTS,
    OFFSET_X,
    OFFSET_Y,
    OUTPUTS,
    ROTATION,
    ROUGH_MAX,
    ROUGH_MIN,
    SIZE,
    STRENGTH,
    VALUE,
    VARY,
    VERSION,
    Input,
)
from .marks import MARK, is_ours
from .measure import ALONG_U, ALONG_V
from .pieces import steps_of
from .shared_groups import (
    BOX,
    BOX_NORMAL,
    CELL,
    CORNER,
    DRIFT,
    EXPORTED,
    FACTOR,
    FIRST,
    MAPPED,
    NUMBER_OF,
    PIECE,
    PLACE,
    PLACES,
    SHARES,
    STEPS,
    TEXELS,
    TILE,
    WEIGHTS,
    Side,
    direction,
    lay,
    mapped,
    object_scale,
    shared_group,
    tilt,
)
from .wiring import Wiring

NAME: Final = "Texserver Material"
PART: Final = "material"  # what the group's node in a material is marked with
GLTF_OUTPUT: Final = "glTF Material Output"  # Blender's glTF exporter looks for these two names
GLTF_OCCLUSION: Final = "Occlusion"
PLAIN: Final = "texserver_plain"  # on the nodes that only keep an image


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
    mapping = next((each for each in node.node_tree.nodes if each.get(MARK) == MAPPED), None) if shown else None
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


class _Group:
    """Makes the nodes of one group."""

    def __init__(self, tree: Any, shown: Showing) -> None:
        self.wiring = wiring = Wiring(tree)
        self.shown = shown
        self.given = {each.name: each for each in wiring.node("NodeGroupInput").outputs if each.name}
        height, width = shown.size
        size = self.given[SIZE]
        self.given[TILE] = wiring.combine(size, wiring.math("MULTIPLY", size, height / width), 1.0)
        steps = steps_of(shown.size, shown.lattice) if shown.across == 1 else ((0.0, 0.0, 0.0),) * len(STEPS)
        piece = self._use(PIECE, {VARY: self.given[VARY], **dict(zip(STEPS, steps, strict=True))})
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

    def _outputs(self, colours: Mapping[str, Sequence[Any]], sides: Sequence[Side]) -> dict[str, Any]:
        wiring, given = self.wiring, self.given
        blended = {map: self._blended(each, sides) for map, each in colours.items() if map != "normal"}
        found: dict[str, Any] = {}
        if "basecolor" in blended:
            wandering = self._use(DRIFT, given).outputs
            hue = wiring.math("ADD", wiring.math("ADD", given[HUE], 0.5), wandering[HUE])
            brightness = wiring.math("MULTIPLY", given[VALUE], wandering[FACTOR])
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

    def _sides(self) -> list[Side]:
        wiring = self.wiring
        if self.shown.projection == "BOX":
            self.box = self._use(BOX, self.given)
            sideways, forwards, upwards = wiring.separate(self.box.outputs[WEIGHTS])
            weights = (upwards, sideways, forwards)
            return [Side(place=self.box.outputs[name], weight=each) for name, each in zip(PLACES, weights, strict=True)]
        coordinates = wiring.node("ShaderNodeTexCoord").outputs
        if self.shown.has_squares:
            # Cycles leaves squares out in which no corner of a face lies, but not behind a node that changes the place
            place = wiring.vector("MULTIPLY_ADD", coordinates["UV"], (1, 1, 1), (0, 0, 0))
            return [Side(place=place, weight=1.0)]
        if self.shown.projection == "UV":
            along = wiring.combine(self._unit(ALONG_U), self._unit(ALONG_V), 1.0)
            lengths = wiring.vector("MULTIPLY", coordinates["UV"], along)
            return [Side(place=lay(wiring, lengths, self.given), weight=1.0)]
        self.scale = object_scale(wiring)
        x, y, _ = wiring.separate(wiring.vector("MULTIPLY", coordinates["Object"], self.scale))
        place = lay(wiring, wiring.combine(x, y), self.given)
        return [Side(place=place, weight=1.0, slope=lambda x, y: wiring.combine(x, y))]

    def _in_atlas(self, side: Side) -> Side:
        """The same projection, of the tiles of an atlas."""
        height, width = self.shown.size
        given = {PLACE: side.place, TEXELS: (width, height, 1.0), NUMBER_OF: self.given[NUMBER_OF]}
        found = self._use(CELL, given).outputs
        texel = (1 / (width * self.shown.across), 1 / (height * self.shown.across), 0.0)
        first = mapped(self.wiring, found[FIRST], found[CORNER], self.wiring.combine(*texel))
        steps = [(texel[0], 0.0, 0.0), (0.0, texel[1], 0.0), (texel[0], texel[1], 0.0)]
        others = [self.wiring.vector("ADD", first, each) for each in steps]
        return replace(side, place=first, others=tuple(others), shares=found[SHARES])

    def _use(self, part: str, given: Mapping[str, Any]) -> Any:
        """A node of a shared group, with those of its inputs that are given."""
        node = self.wiring.node("ShaderNodeGroup", node_tree=shared_group(part))
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

    def _sample(self, map: str, image: Any, sides: Sequence[Side]) -> list[Any]:
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

    def _blended(self, colours: Sequence[Any], sides: Sequence[Side]) -> Any:
        if len(colours) == 1:
            return colours[0]
        wiring = self.wiring
        top, side = sides[0].weight, sides[1].weight
        share = wiring.math("DIVIDE", side, wiring.math("ADD", top, side))
        return wiring.mix(sides[2].weight, wiring.mix(share, colours[0], colours[1]), colours[2])

    def _normal(self, colours: Sequence[Any], sides: Sequence[Side]) -> Any:
        wiring = self.wiring
        if self.box:
            outputs = {each.name: each for each in self.box.outputs}
            return self._use(BOX_NORMAL, self.given | outputs | dict(zip(PLACES, colours, strict=True))).outputs[0]
        if self.shown.projection == "OBJECT":
            return tilt(wiring, colours, sides, self.scale, self.given)
        turned = wiring.turn(direction(wiring, colours[0]), self.given[ROTATION])  # as the texture is
        encoded = wiring.vector("MULTIPLY_ADD", turned, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        node = wiring.node("ShaderNodeNormalMap")
        wiring.set(node.inputs["Strength"], self.given[STRENGTH])
        wiring.set(node.inputs["Color"], encoded)
        return node.outputs[0]
