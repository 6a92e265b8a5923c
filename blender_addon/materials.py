"""A painting in a material: images, nodes and what connects them.

What was made here is marked by an ID property `texserver`: on images the provenance, on materials the model, on nodes
their part. Only marked nodes are ever changed or removed; what others made is left as it is unless replacing it was
asked for.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import bpy

from .placement import mapping_scale
from .references import Reference
from .sinks import PaintedMap, Painting
from .tasks import Painted, size_text

MARK: Final = "texserver"
COORDINATES: Final = "coordinates"  # the parts that nodes are marked with, beside the names of maps
MAPPING: Final = "mapping"
RELIEF: Final = "normal map"
DISPLACEMENT: Final = "displacement"
MAP_OF: Final = {RELIEF: "normal", DISPLACEMENT: "height"}  # what is there for one map alone
PRINCIPLED: Final = "BSDF_PRINCIPLED"
INPUTS: Final = {"basecolor": "Base Color", "roughness": "Roughness", "metallic": "Metallic"}
PACKED_LATER_BYTES: Final = 64 * 2**20  # Blender reads files into itself at about this much in 0.1 s
COLUMN: Final = 300  # from node to node, in the editor's units
ROW: Final = 300


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a texture lies on an object."""

    mapping: Literal["UV", "BOX", "OBJECT"] = "UV"
    blend: float = 0.2  # of the six sides of a box
    texels: float = 1024.0  # pixels per metre, or per unit of the UV map


def is_ours(thing: Any) -> bool:
    """Whether an image, a material or a node was made here."""
    return thing is not None and MARK in thing


# -------------------------------------------------------------------------------------------------------------- images


def load_image(painted: Painted, map: PaintedMap, *, pack: bool) -> Any:
    """The image of one map. Blender reads the file itself, when it first needs the pixels."""
    painting, path = painted.painting, painted.files[map.name]
    image: Any = bpy.data.images.load(str(path), check_existing=False)
    name_image(image, painting, map)
    image.colorspace_settings.name = "sRGB" if map.colour_space == "srgb" else "Non-Color"
    image[MARK] = provenance_of(painting, map)
    if pack and path.stat().st_size > PACKED_LATER_BYTES:
        image[MARK]["pack"] = True
    elif pack:
        image.pack()
        image.filepath_raw = f"//textures/{path.name}"  # where unpacking puts it
    elif bpy.data.is_saved:
        with suppress(ValueError):  # another drive than the .blend file's
            image.filepath_raw = bpy.path.relpath(str(path))  # so that both can move together
    return image


def pack_waiting() -> None:
    """Pack what was too large to be packed at once: Blender is about to save, and the artist waits anyway."""
    for image in bpy.data.images:
        if is_ours(image) and image[MARK].get("pack"):
            del image[MARK]["pack"]
            path = Path(bpy.path.abspath(image.filepath))
            if not image.packed_file and path.exists():
                image.pack()
                image.filepath_raw = f"//textures/{path.name}"


def name_image(image: Any, painting: Painting, map: PaintedMap) -> None:
    """By what it shows. While another image has the name, Blender adds a number."""
    image.name = f"{painting.model} {map.name} {size_text(painting.size)} #{painting.seed}"


def provenance_of(painting: Painting, map: PaintedMap) -> dict[str, Any]:
    """All it takes to make the image again. ID properties hold no whole numbers over 2^31, so the seed is text."""
    height, width = painting.size
    return {
        "model": painting.model,
        "sha256": painting.sha256,
        "map": map.name,
        "seed": str(painting.seed),
        "width": width,
        "height": height,
        "depth": map.depth,
        "precision": painting.precision,
        "server": painting.server,
        "software": painting.software,
    }


def remove_unused(images: Iterable[Reference]) -> None:
    """Of these images, what was made here and nothing shows any more."""
    for reference in images:
        image = reference.get()
        if is_ours(image) and image.users == 0:
            bpy.data.images.remove(image)


# --------------------------------------------------------------------------------------------------------------- nodes


def new_material(name: str) -> Any:
    """An empty material of our own: Principled and output."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    return material


def images_of(material: Any) -> dict[str, Any]:
    """The images that our nodes of a material show, by map."""
    if material.node_tree is None:
        return {}
    return {node[MARK]: node.image for node in material.node_tree.nodes if is_ours(node) and node.type == "TEX_IMAGE"}


def show(
    material: Any, painting: Painting, images: Mapping[str, Any], look: Look, *, replace_links: bool, tidy: bool
) -> None:
    """Images by map into the material: in our nodes where they are there, else in new ones.

    `tidy` removes our nodes of maps that this painting does not have.
    """
    if material.node_tree is None and bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    graph = _Graph(material.node_tree, replace_links)
    graph.show(painting, images, look)
    if tidy:
        graph.remove_others(images)
    material[MARK] = {"model": painting.model, "seed": str(painting.seed)}


Link = tuple[str, str, str, str]  # node and socket from which, node and socket to which


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What our nodes of a material show at one time; made by `by`, brought back by `restore`."""

    mark: dict[str, Any]
    nodes: frozenset[str]  # all of ours, by name
    images: dict[str, Reference | None]  # by the name of the node
    projections: dict[str, tuple[str, float]]
    scale: tuple[float, ...]
    links: tuple[Link, ...]  # of all nodes: those that were replaced, too

    @classmethod
    def by(cls, material: Any) -> "Shown":
        """What this material shows now."""
        tree = material.node_tree
        textures = [node for node in tree.nodes if is_ours(node) and node.type == "TEX_IMAGE"]
        mapping = _node(tree, MAPPING)
        return cls(
            mark=material[MARK].to_dict() if is_ours(material) else {},
            nodes=frozenset(node.name for node in tree.nodes if is_ours(node)),
            images={each.name: Reference.to("images", each.image) if each.image else None for each in textures},
            projections={each.name: (each.projection, each.projection_blend) for each in textures},
            scale=tuple(mapping.inputs["Scale"].default_value) if mapping else (),
            links=tuple(_link_of(each) for each in tree.links),
        )


def restore(material: Any, shown: Shown) -> None:
    """Back to what was shown before, as far as its nodes and images are still there."""
    tree = material.node_tree
    for node in [each for each in tree.nodes if is_ours(each) and each.name not in shown.nodes]:
        tree.nodes.remove(node)
    for node in [each for each in tree.nodes if is_ours(each) and each.name in shown.images]:
        image = shown.images[node.name]
        node.image = image.get() if image else None
        node.projection, node.projection_blend = shown.projections[node.name]
    mapping = _node(tree, MAPPING)
    if mapping and shown.scale:
        mapping.inputs["Scale"].default_value = shown.scale
    there = {_link_of(each) for each in tree.links}
    for from_node, from_socket, to_node, to_socket in [each for each in shown.links if each not in there]:
        if from_node in tree.nodes and to_node in tree.nodes:
            output = _socket(tree.nodes[from_node].outputs, from_socket)
            input = _socket(tree.nodes[to_node].inputs, to_socket)
            if output is not None and input is not None:
                tree.links.new(output, input)
    if shown.mark:
        material[MARK] = shown.mark


def _link_of(link: Any) -> Link:
    return link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier


def _socket(sockets: Any, identifier: str) -> Any:
    return next((each for each in sockets if each.identifier == identifier), None)


def _node(tree: Any, part: str) -> Any:
    return next((node for node in tree.nodes if node.get(MARK) == part), None)


class _Graph:
    """The nodes of one material."""

    def __init__(self, tree: Any, replace_links: bool) -> None:
        self.tree, self.replace_links = tree, replace_links
        self.output = self._find("OUTPUT_MATERIAL") or self._new("ShaderNodeOutputMaterial", (600, 0))
        self.shader = self._seen() or self._find(PRINCIPLED)
        if self.shader is None:
            self.shader = self._new("ShaderNodeBsdfPrincipled", (300, 0))
            self._link(self.shader.outputs["BSDF"], self.output.inputs["Surface"])

    def show(self, painting: Painting, images: Mapping[str, Any], look: Look) -> None:
        left, top = self.shader.location.x, self.shader.location.y
        coordinates = self._ours(COORDINATES, "ShaderNodeTexCoord", (left - 4 * COLUMN, top))
        mapping = self._ours(MAPPING, "ShaderNodeMapping", (left - 3 * COLUMN, top))
        self._place(coordinates, mapping, painting, look)
        for row, (map, image) in enumerate(images.items()):
            texture = self._ours(map, "ShaderNodeTexImage", (left - 2 * COLUMN, top - row * ROW))
            texture.image = image
            texture.projection = "BOX" if look.mapping == "BOX" else "FLAT"
            texture.projection_blend = look.blend
            self._link(mapping.outputs["Vector"], texture.inputs["Vector"])
            self._connect(map, texture)

    def remove_others(self, images: Mapping[str, Any]) -> None:
        wanted = {COORDINATES, MAPPING, *images}
        for node in list(self.tree.nodes):
            if is_ours(node) and MAP_OF.get(node[MARK], node[MARK]) not in wanted:
                self.tree.nodes.remove(node)

    def _place(self, coordinates: Any, mapping: Any, painting: Painting, look: Look) -> None:
        output = coordinates.outputs["UV" if look.mapping == "UV" else "Object"]
        self._link(output, mapping.inputs["Vector"])
        across, down = mapping_scale(painting.size, look.texels)
        upright = look.mapping == "BOX"  # its four walls take their height from z
        mapping.inputs["Scale"].default_value = (across, across if upright else down, down if upright else 1.0)

    def _connect(self, map: str, texture: Any) -> None:
        colour = texture.outputs["Color"]
        if map in INPUTS:
            self._link(colour, self.shader.inputs[INPUTS[map]])
        elif map == "normal":
            x, y = texture.location.x + COLUMN, texture.location.y
            relief = self._ours(RELIEF, "ShaderNodeNormalMap", (x, y))
            self._join(colour, relief.inputs["Color"])
            self._link(relief.outputs["Normal"], self.shader.inputs["Normal"])
        elif map == "height":
            x, y = texture.location.x + COLUMN, texture.location.y
            displacement = self._ours(DISPLACEMENT, "ShaderNodeDisplacement", (x, y))
            self._join(colour, displacement.inputs["Height"])
            self._link(displacement.outputs["Displacement"], self.output.inputs["Displacement"])

    def _link(self, output: Any, input: Any) -> None:
        """To an input that may be another's: left alone where it is taken, unless replacing was asked for."""
        taken = input.is_linked and not is_ours(input.links[0].from_node)
        if not taken or self.replace_links:
            self._join(output, input)

    def _join(self, output: Any, input: Any) -> None:
        """To an input of our own nodes."""
        if not (input.is_linked and input.links[0].from_socket == output):
            self.tree.links.new(output, input)

    def _seen(self) -> Any:
        """The Principled that the surface shows, where it shows one."""
        links = self.output.inputs["Surface"].links
        return next((each.from_node for each in links if each.from_node.type == PRINCIPLED), None)

    def _find(self, kind: str) -> Any:
        found = [node for node in self.tree.nodes if node.type == kind]
        return next((node for node in found if getattr(node, "is_active_output", False)), found[0] if found else None)

    def _ours(self, part: str, kind: str, location: tuple[float, float]) -> Any:
        """Our node for this part, which keeps its place and its other settings; or a new one."""
        for node in self.tree.nodes:
            if node.bl_idname == kind and node.get(MARK) == part:
                return node
        node = self._new(kind, location)
        node[MARK] = part
        node.label = part.capitalize()
        return node

    def _new(self, kind: str, location: tuple[float, float]) -> Any:
        node = self.tree.nodes.new(kind)
        node.location = location
        return node
