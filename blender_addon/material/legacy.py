"""Materials of version 0.1: loose nodes for coordinates, maps and relief, each marked with its part.

Such a material keeps its nodes while only its pixels change. upgrade() turns the nodes into our node group, with every
value and link that an artist may have set, so that the object looks as before.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from ..tasks.relief import Projection
from . import group_sockets, live, shared_groups
from .marks import MARK, is_ours

MAPPING: Final = "mapping"
RELIEF: Final = "normal map"
DISPLACEMENT: Final = "surface displacement"
OCCLUSION: Final = "occluded colour"
_PARTS: Final = {"coordinates", MAPPING, RELIEF, DISPLACEMENT, OCCLUSION, shared_groups.EXPORTED}
_BECOMES: Final = {  # outputs of the group that take the place of these nodes; the first that is there
    "Base Color": (OCCLUSION, "basecolor"),
    "Metallic": ("metallic",),
    "Roughness": ("roughness",),
    "Normal": (RELIEF,),
    "Displacement": (DISPLACEMENT,),
}


def images_of(material: Any) -> dict[str, Any]:
    """The images of the loose nodes, by map."""
    return {map: node.image for map, node in _textures(material.node_tree).items()}


def is_legacy(material: Any) -> bool:
    """Whether our nodes in a material are loose ones."""
    tree = material.node_tree if material else None
    return bool(tree and live.node_of(tree) is None and _textures(tree))


def can_swap(material: Any, maps: Collection[str]) -> bool:
    """Whether these maps are exactly those that the loose nodes show."""
    return _textures(material.node_tree).keys() == set(maps)


def swap(material: Any, images: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Show other images of the same maps, at as many pixels per metre as before. `size`: height, width in pixels."""
    textures = _textures(material.node_tree)
    height, width = size
    mapping = _node(material.node_tree, MAPPING)
    before = next((each.image.size for each in textures.values() if each.image), None)
    if mapping and before:
        across, down = before[0] / width, before[1] / height
        upright = any(each.projection == "BOX" for each in textures.values())
        x, y, z = mapping.inputs["Scale"].default_value
        wanted = (x * across, y * across, z * down) if upright else (x * across, y * down, z)
        mapping.inputs["Scale"].default_value = wanted
    for map, image in images.items():
        textures[map].image = image


def upgrade(material: Any, lengths: tuple[float, float], scale: float) -> None:
    """Turn the loose nodes into our node group.

    `lengths`: of a unit of the UV map along u and v; `scale`: of the object on which it shall look as before.
    """
    tree = material.node_tree
    textures = _textures(tree)
    shown = {map: node.image for map, node in textures.items() if node.image}
    first = next(iter(textures.values()))
    size = next(((image.size[1], image.size[0]) for image in shown.values() if image.size[0]), (1, 1))
    targets = {name: _targets(tree, parts) for name, parts in _BECOMES.items()}
    values = _values(tree, lengths, scale)
    projection = _projection(tree, first)
    node = tree.nodes.new("ShaderNodeGroup")
    node[MARK], node.label, node.width = live.PART, live.NAME, 220
    node.location = _location(tree)
    node.node_tree = live.build(live.Showing(images=shown, projection=projection, size=size))
    live.set_values(node, values)
    linked = _node(tree, DISPLACEMENT)
    if linked and linked.get("texserver_linked"):
        node["texserver_linked"] = True
    node["texserver_unit"] = lengths
    for name, inputs in targets.items():
        for input in inputs:
            tree.links.new(node.outputs[name], input)
    for each in [each for each in tree.nodes if is_ours(each) and each != node]:
        if each[MARK] in _PARTS or each.type == "TEX_IMAGE":
            tree.nodes.remove(each)
    live.describe_to_gltf(node)


def _values(tree: Any, lengths: tuple[float, float], scale: float) -> dict[str, float]:
    values: dict[str, float] = {}
    textures = _textures(tree)
    projection = _projection(tree, next(iter(textures.values())))
    values[group_sockets.BLEND] = next(iter(textures.values())).projection_blend
    if mapping := _node(tree, MAPPING):
        across = mapping.inputs["Scale"].default_value[0] or 1.0
        size = (lengths[0] if projection == "UV" else scale) / across
        angle, location = mapping.inputs["Rotation"].default_value[2], mapping.inputs["Location"].default_value
        x, y = -location[0] * size, -location[1] * size
        values[group_sockets.SIZE], values[group_sockets.ROTATION] = size, -angle
        values[group_sockets.OFFSET_X] = x * math.cos(-angle) - y * math.sin(-angle)
        values[group_sockets.OFFSET_Y] = x * math.sin(-angle) + y * math.cos(-angle)
    if relief := _node(tree, RELIEF):
        values[group_sockets.STRENGTH] = relief.inputs["Strength"].default_value
    if displacement := _node(tree, DISPLACEMENT):
        values[group_sockets.DISPLACEMENT] = (
            displacement.inputs["Scale"].default_value * scale
        )  # it was in the object's space
    if mix := _node(tree, OCCLUSION):
        values[group_sockets.AO] = next(each for each in mix.inputs if each.identifier == "Factor_Float").default_value
    return values


def _targets(tree: Any, parts: tuple[str, ...]) -> list[Any]:
    """Inputs of other nodes than ours that are linked from the first of these parts that is there."""
    for part in parts:
        if node := _node(tree, part):
            links = [link for output in node.outputs for link in output.links]
            return [link.to_socket for link in links if not is_ours(link.to_node)]
    return []


def _projection(tree: Any, texture: Any) -> Projection:
    if texture.projection == "BOX":
        return "BOX"
    mapping = _node(tree, MAPPING)
    links = mapping.inputs["Vector"].links if mapping else ()
    return "OBJECT" if links and links[0].from_socket.name == "Object" else "UV"


def _location(tree: Any) -> tuple[float, float]:
    shader = next((each for each in tree.nodes if each.type == "BSDF_PRINCIPLED"), None)
    return (shader.location.x - 300, shader.location.y) if shader else (0.0, 0.0)


def _textures(tree: Any) -> dict[str, Any]:
    nodes = tree.nodes if tree else ()
    return {each[MARK]: each for each in nodes if is_ours(each) and each.type == "TEX_IMAGE"}


def _node(tree: Any, part: str) -> Any:
    return next((node for node in tree.nodes if node.get(MARK) == part), None)
