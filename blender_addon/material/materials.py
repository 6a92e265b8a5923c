"""A painting in a material: images, nodes and their links.

Everything made here is marked with an ID property `texserver`: provenance on images, the model on materials, the part
on nodes. Only marked nodes are ever changed or removed. Other people's work stays, unless the user asked to replace it.
Values and links that an artist may want to change are marked, too, so that such a change stays.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy

from ..client.sinks import PaintedMap, Painting
from ..tasks.placement import mapping_scale, size_text
from ..tasks.relief import Method, Projection, Relief, depth, relief_of
from ..tasks.task import Painted
from .references import Reference

MARK: Final = "texserver"
COORDINATES: Final = "coordinates"  # parts that nodes are marked with; the others are the names of maps
MAPPING: Final = "mapping"
RELIEF: Final = "normal map"
DISPLACEMENT: Final = "surface displacement"  # with a space, which no map's name has
OCCLUSION: Final = "occluded colour"
EXPORTED: Final = "occlusion in glTF"
NEEDS: Final = {  # the maps that each of these parts is for
    RELIEF: {"normal"},
    DISPLACEMENT: {"height"},
    OCCLUSION: {"basecolor", "ao"},
    EXPORTED: {"ao"},
}
SET: Final = "texserver_set"  # the value that was set here, on a node or a material
LINKED: Final = "texserver_linked"  # on a node whose output was linked here, so it may be unlinked
SETTLED: Final = {OCCLUSION: "Factor_Float", DISPLACEMENT: "Scale"}  # the inputs with such a value
PRINCIPLED: Final = "BSDF_PRINCIPLED"
INPUTS: Final = {"basecolor": "Base Color", "roughness": "Roughness", "metallic": "Metallic"}
OCCLUDED: Final = 0.5  # of the base colour: ray tracing computes most of the shadows itself
GLTF_OUTPUT: Final = "glTF Material Output"  # Blender's glTF exporter looks for these two names
GLTF_OCCLUSION: Final = "Occlusion"
PACKED_LATER_BYTES: Final = 64 * 2**20  # Blender packs about this much in 0.1 s
COLUMN: Final = 300  # from node to node, in the editor's units
ROW: Final = 300


@dataclass(frozen=True, kw_only=True)
class TextureMapping:
    """How a texture lies on an object."""

    projection: Projection = "UV"
    blend: float = 0.2  # between the six sides of a box
    texels: float = 1024.0  # pixels per metre, or per unit of the UV map
    displacement: float = 0.05  # the depth of the relief, as a share of 1024 texels
    displace: bool = False  # move the surface itself


def is_ours(thing: Any) -> bool:
    """Whether an image, a material or a node was made here."""
    return thing is not None and MARK in thing


# -------------------------------------------------------------------------------------------------------------- images


def load_image(painted: Painted, map: PaintedMap, *, pack: bool) -> Any:
    """Load the image of one map. Blender reads the file when it first needs the pixels."""
    painting, path = painted.painting, painted.files[map.name]
    image: Any = bpy.data.images.load(str(path), check_existing=False)
    name_image(image, painting, map)
    image.colorspace_settings.name = "sRGB" if map.colour_space == "srgb" else "Non-Color"
    image[MARK] = provenance_of(painting, map)
    keep(image, path, pack=pack, folder="textures")
    return image


def keep(image: Any, path: Path, *, pack: bool, folder: str = "") -> None:
    """Pack an image of ours into the .blend file, or else make its path relative to that file.

    `folder`, beside the .blend file, is where unpacking puts the image.
    """
    if pack and path.stat().st_size > PACKED_LATER_BYTES:
        image[MARK]["pack"] = True
    elif pack:
        image.pack()
        image.filepath_raw = f"//{folder}/{path.name}"
    elif bpy.data.is_saved:
        with suppress(ValueError):  # it is on another drive than the .blend file
            image.filepath_raw = bpy.path.relpath(str(path))  # so that both can move together


def pack_waiting() -> None:
    """Pack the images that were too large to pack at once: Blender is about to save, and the artist waits anyway."""
    for image in bpy.data.images:
        if is_ours(image) and image[MARK].get("pack"):
            del image[MARK]["pack"]
            path = Path(bpy.path.abspath(image.filepath))
            if not image.packed_file and path.exists():
                image.pack()
                image.filepath_raw = f"//textures/{path.name}"


def name_image(image: Any, painting: Painting, map: PaintedMap) -> None:
    """Name an image after what it shows. Blender adds a number while another image has the name."""
    image.name = f"{painting.model} {map.name} {size_text(painting.size)} #{painting.seed}"


def provenance_of(painting: Painting, map: PaintedMap) -> dict[str, Any]:
    """Everything needed to make the image again. The seed is text, since ID properties hold no number over 2^31."""
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
    """Remove those of these images, and of all node groups, that were made here and have no users."""
    for reference in images:
        image = reference.get()
        if is_ours(image) and image.users == 0:
            bpy.data.images.remove(image)
    for group in [each for each in bpy.data.node_groups if is_ours(each) and each.users == 0]:
        bpy.data.node_groups.remove(group)


# --------------------------------------------------------------------------------------------------------------- nodes


def new_material(name: str) -> Any:
    """A new material with a Principled shader and an output."""
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
    material: Any,
    painting: Painting,
    images: Mapping[str, Any],
    mapping: TextureMapping,
    *,
    replace_links: bool,
    tidy: bool,
) -> None:
    """Show images, by map, in a material: in our nodes where there are any, else in new ones.

    `tidy` removes our nodes for maps that this painting does not have.
    """
    if material.node_tree is None and bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    graph = _Graph(material.node_tree, replace_links)
    relief = relief_of(images, mapping.projection, displace=mapping.displace)
    graph.show(painting, images, mapping, relief)
    _settle_method(material, relief.method)
    if tidy:
        graph.remove_others(images)
    material[MARK] = {"model": painting.model, "seed": str(painting.seed)}


def _settle(node: Any, value: float) -> None:
    """Set a value, unless an artist has changed it since it was last set here."""
    input = _socket(node.inputs, SETTLED[node[MARK]])
    if node.get(SET) in (None, input.default_value):
        input.default_value = value
        node[SET] = input.default_value


def _settle_method(material: Any, method: Method) -> None:
    """Set what the material does with displacement, unless an artist has changed it since it was last set here."""
    current = material.displacement_method
    if method != current == material.get(SET, "BUMP"):
        material.displacement_method = material[SET] = method


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


Link = tuple[str, str, str, str]  # from node, from socket, to node, to socket


@dataclass(frozen=True, kw_only=True)
class ShownBefore:
    """What our nodes of a material show at one time. Made by `by`, restored by `restore`."""

    mark: dict[str, Any]
    nodes: frozenset[str]  # all of ours, by name
    images: dict[str, Reference | None]  # by the name of the node
    projections: dict[str, tuple[str, float]]
    scale: tuple[float, ...]
    values: dict[str, float]  # by the name of the node; only those that nobody has changed
    linked: frozenset[str]  # names of the nodes marked LINKED
    method: Method  # of displacement
    links: tuple[Link, ...]  # of all nodes, so that replaced links can come back

    @classmethod
    def by(cls, material: Any) -> "ShownBefore":
        """What a material shows now."""
        tree = material.node_tree
        own = [node for node in tree.nodes if is_ours(node)]
        textures = [node for node in own if node.type == "TEX_IMAGE"]
        settled = {each.name: _socket(each.inputs, SETTLED[each[MARK]]) for each in own if each[MARK] in SETTLED}
        mapping = _node(tree, MAPPING)
        return cls(
            mark=material[MARK].to_dict() if is_ours(material) else {},
            nodes=frozenset(each.name for each in own),
            images={each.name: Reference.to("images", each.image) if each.image else None for each in textures},
            projections={each.name: (each.projection, each.projection_blend) for each in textures},
            scale=tuple(mapping.inputs["Scale"].default_value) if mapping else (),
            values={
                name: input.default_value
                for name, input in settled.items()
                if input.default_value == input.node.get(SET)
            },
            linked=frozenset(each.name for each in own if each.get(LINKED)),
            method=material.displacement_method,
            links=tuple(_link_of(each) for each in tree.links),
        )


def restore(material: Any, shown: ShownBefore) -> None:
    """Restore what a material showed, as far as the nodes and images still exist."""
    tree = material.node_tree
    for node in [each for each in tree.nodes if is_ours(each) and each.name not in shown.nodes]:
        tree.nodes.remove(node)
    ours = [each for each in tree.nodes if is_ours(each)]
    for node in [each for each in ours if each.name in shown.images]:
        image = shown.images[node.name]
        node.image = image.get() if image else None
        node.projection, node.projection_blend = shown.projections[node.name]
    mapping = _node(tree, MAPPING)
    if mapping and shown.scale:
        mapping.inputs["Scale"].default_value = shown.scale
    for node in ours:
        if node.name in shown.values:
            _settle(node, shown.values[node.name])
        if node.name in shown.linked:
            node[LINKED] = True
        elif LINKED in node:
            del node[LINKED]
    _settle_method(material, shown.method)
    for link in [each for each in tree.links if is_ours(each.from_node) and _link_of(each) not in shown.links]:
        tree.links.remove(link)
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


def _are_linked(output: Any, input: Any) -> bool:
    return any(each.from_socket == output for each in input.links)


def _beside(texture: Any) -> tuple[float, float]:
    return texture.location.x + COLUMN, texture.location.y


class _Graph:
    """The nodes of one material."""

    def __init__(self, tree: Any, replace_links: bool) -> None:
        self.tree, self.replace_links = tree, replace_links
        self.output = self._find("OUTPUT_MATERIAL") or self._new("ShaderNodeOutputMaterial", (600, 0))
        self.shader = self._seen() or self._find(PRINCIPLED)
        if self.shader is None:
            self.shader = self._new("ShaderNodeBsdfPrincipled", (300, 0))
            self._link(self.shader.outputs["BSDF"], self.output.inputs["Surface"])

    def show(self, painting: Painting, images: Mapping[str, Any], mapping: TextureMapping, relief: Relief) -> None:
        left, top = self.shader.location.x, self.shader.location.y
        coordinates = self._ours(COORDINATES, "ShaderNodeTexCoord", (left - 4 * COLUMN, top))
        scaled = self._ours(MAPPING, "ShaderNodeMapping", (left - 3 * COLUMN, top))
        self._place(coordinates, scaled, painting, mapping)
        textures = {}
        for row, (map, image) in enumerate(images.items()):
            texture = self._ours(map, "ShaderNodeTexImage", (left - 2 * COLUMN, top - row * ROW))
            texture.image = image
            texture.projection = "BOX" if mapping.projection == "BOX" else "FLAT"
            texture.projection_blend = mapping.blend
            self._link(scaled.outputs["Vector"], texture.inputs["Vector"])
            textures[map] = texture
        self._connect(textures)
        self._raise(textures, relief, depth(mapping.displacement, mapping.texels))

    def remove_others(self, images: Mapping[str, Any]) -> None:
        wanted = {COORDINATES, MAPPING, *images, *(part for part, maps in NEEDS.items() if maps <= images.keys())}
        others = [node for node in self.tree.nodes if is_ours(node) and node[MARK] not in wanted]
        for node in [each for each in others if each[MARK] == OCCLUSION]:
            self._bypass(node)
        for node in others:
            self.tree.nodes.remove(node)

    def _place(self, coordinates: Any, scaled: Any, painting: Painting, mapping: TextureMapping) -> None:
        output = coordinates.outputs["UV" if mapping.projection == "UV" else "Object"]
        self._link(output, scaled.inputs["Vector"])
        across, down = mapping_scale(painting.size, mapping.texels)
        upright = mapping.projection == "BOX"  # the four sides of the box take their height from z
        scaled.inputs["Scale"].default_value = (across, across if upright else down, down if upright else 1.0)

    def _connect(self, textures: Mapping[str, Any]) -> None:
        """Link each map to its input. The relief comes later."""
        colours = {map: each.outputs["Color"] for map, each in textures.items()}
        if "ao" in textures:
            exported = self._ours(EXPORTED, "ShaderNodeGroup", _beside(textures["ao"]))
            if GLTF_OCCLUSION not in exported.inputs:
                exported.node_tree = gltf_output()
            self._link(colours["ao"], exported.inputs[GLTF_OCCLUSION])
        if NEEDS[OCCLUSION] <= textures.keys():
            colours["basecolor"] = self._occluded(textures["basecolor"], colours["ao"])
        for map, input in INPUTS.items():
            if map in colours:
                self._link(colours[map], self.shader.inputs[input])

    def _occluded(self, texture: Any, occlusion: Any) -> Any:
        """The colour, darker where little light comes. The glTF exporter takes the texture at input A as the colour."""
        mix = self._ours(OCCLUSION, "ShaderNodeMix", _beside(texture), data_type="RGBA", blend_type="MULTIPLY")
        _settle(mix, OCCLUDED)
        self._link(texture.outputs["Color"], _socket(mix.inputs, "A_Color"))
        self._link(occlusion, _socket(mix.inputs, "B_Color"))
        return _socket(mix.outputs, "Result_Color")

    def _bypass(self, mix: Any) -> None:
        """Link whatever used the mix node to the colour itself."""
        for colour in [each.from_socket for each in _socket(mix.inputs, "A_Color").links]:
            for link in list(_socket(mix.outputs, "Result_Color").links):
                self.tree.links.new(colour, link.to_socket)

    def _raise(self, textures: Mapping[str, Any], relief: Relief, depth: float) -> None:
        if texture := textures.get("normal"):
            normal = self._ours(RELIEF, "ShaderNodeNormalMap", _beside(texture))
            self._link(texture.outputs["Color"], normal.inputs["Color"])
            self._link_where(relief.normal, normal.outputs["Normal"], self.shader.inputs["Normal"])
        if texture := textures.get("height"):
            displacement = self._ours(DISPLACEMENT, "ShaderNodeDisplacement", _beside(texture))
            _settle(displacement, depth)
            self._link(texture.outputs["Color"], displacement.inputs["Height"])
            self._link_where(relief.height, displacement.outputs["Displacement"], self.output.inputs["Displacement"])

    def _link_where(self, wanted: bool, output: Any, input: Any) -> None:
        """Link if wanted; else unlink, unless an artist made the link."""
        node = output.node
        if wanted:
            if not (linked := _are_linked(output, input)):
                self._link(output, input)
            if not linked and _are_linked(output, input):
                node[LINKED] = True
        elif node.get(LINKED):
            del node[LINKED]
            for link in [each for each in input.links if each.from_socket == output]:
                self.tree.links.remove(link)

    def _link(self, output: Any, input: Any) -> None:
        """Link, unless the input has a link that was not made here and may not be replaced."""
        taken = input.is_linked and not is_ours(input.links[0].from_node)
        if not _are_linked(output, input) and (not taken or self.replace_links):
            self.tree.links.new(output, input)

    def _seen(self) -> Any:
        """The Principled shader linked to the surface, if there is one."""
        links = self.output.inputs["Surface"].links
        return next((each.from_node for each in links if each.from_node.type == PRINCIPLED), None)

    def _find(self, kind: str) -> Any:
        found = [node for node in self.tree.nodes if node.type == kind]
        return next((node for node in found if getattr(node, "is_active_output", False)), found[0] if found else None)

    def _ours(self, part: str, kind: str, location: tuple[float, float], **settings: str) -> Any:
        """Our node for this part, unchanged; or a new one at `location`, with `settings`."""
        for node in self.tree.nodes:
            if node.bl_idname == kind and node.get(MARK) == part:
                return node
        node = self._new(kind, location)
        node[MARK] = part
        node.label = part[0].upper() + part[1:]
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def _new(self, kind: str, location: tuple[float, float]) -> Any:
        node = self.tree.nodes.new(kind)
        node.location = location
        return node
