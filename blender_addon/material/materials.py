"""Materials and images that were made here.

Everything made here is marked (marks.py): provenance on images, the model on materials, the part on nodes. A texture is
shown by our node group (live.py), one node in the material's tree. Only marked nodes and their links are ever changed.
Other people's work stays, unless the user asked to replace it. The group's inputs are the artist's once they are set.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..client.blending import BlendedPainting, Blending
from ..client.sinks import PaintedMap, Painting
from ..pictures.udim import UdimSet
from ..pictures.udim import file_of as udim_file
from ..protocol.blending import hash_of_all
from ..protocol.edges import ACROSS
from ..tasks.file_stamp import stamp_of
from ..tasks.painted import Painted
from ..tasks.placement import Lattice, Size, size_text, tile_width
from ..tasks.relief import Method, Projection, depth, relief_of
from . import group_sockets, legacy, live, shared_groups
from . import squares as udim
from .marks import MARK, is_ours
from .references import Reference

SET: Final = "texserver_set"  # the displacement method that was set here, on a material
LINKED: Final = "texserver_linked"  # on our node: its displacement was linked here, so it may be unlinked
UNIT: Final = "texserver_unit"  # on our node: how long a unit of the UV map is, for glTF
_LAID: Final = {
    group_sockets.SIZE,
    group_sockets.OFFSET_X,
    group_sockets.OFFSET_Y,
    group_sockets.ROTATION,
    group_sockets.VARY,
}  # how a texture is laid
PRINCIPLED: Final = "BSDF_PRINCIPLED"
PACKED_LATER_BYTES: Final = 64 * 2**20  # Blender packs about this much in 0.1 s


@dataclass(frozen=True, kw_only=True)
class TextureMapping:
    """How a texture lies on an object."""

    projection: Projection = "UV"
    blend: float = 0.2  # between the six sides of a box
    texels: float = 1024.0  # pixels per metre
    displacement: float = 0.05  # the depth of the relief, as a share of 1024 texels
    displace: bool = False  # move the surface itself
    asked: frozenset[str] = frozenset()  # which of these also count for a material that has values already


# -------------------------------------------------------------------------------------------------------------- images


def load_image(painted: Painted, map: PaintedMap, *, pack: bool) -> Any:
    """Load the image of one map. Blender reads the file when it first needs the pixels."""
    painting, path = painted.painting, painted.files[map.name]
    if painted.squares:
        pack = False  # they lie beside the .blend file
        image: Any = udim.load(path, painted.squares)
    else:
        image = bpy.data.images.load(str(path), check_existing=False)
    name_image(image, painting, map)
    image.colorspace_settings.name = "sRGB" if map.colour_space == "srgb" else "Non-Color"
    image[MARK] = {**provenance_of(painting, map), **_stamps(path, painted.squares)}
    keep(image, path, pack=pack, folder="textures")
    return image


def _stamps(path: Path, squares: UdimSet | None) -> dict[str, Any]:
    """What the files of an image were like when they were painted; and which squares they are."""
    if squares is None:
        return {"stamp": stamp_of(path)}
    return {
        "udim": {"numbers": list(squares.numbers), "side": list(squares.side)},
        "stamps": {str(each): stamp_of(udim_file(path, each)) for each in squares.numbers},
    }


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
    image.name = image_name(painting.model, map.name, painting.size, painting.seed, painting.wang)


def image_name(model: str, map: str, size: Size, seed: int, wang: int = 0) -> str:
    """What an image is called. `size`: height, width; of an atlas, if `wang` says that it is one."""
    several = f"{ACROSS**2} x " if wang else ""
    return f"{model} {map} {several}{size_text(tile_of(size, wang))} #{seed}"


def tile_of(size: Size, wang: int) -> Size:
    """Height and width of what repeats in an image, in pixels: the texture, or a tile of its atlas."""
    across = ACROSS if wang else 1
    height, width = size
    return height // across, width // across


def provenance_of(painting: Painting, map: PaintedMap) -> dict[str, Any]:
    """Everything needed to make the image again. The seed is text, since ID properties hold no number over 2^31."""
    height, width = painting.size
    blend = painting.blend if isinstance(painting, BlendedPainting) else None
    known = blend is None or hash_of_all(blend.hashes) == painting.sha256
    return {
        "model": painting.model,
        "sha256": painting.sha256 if known else "",  # no recipe: nobody knows of which models
        **({"blend": _blend_of(blend)} if blend else {}),
        "map": map.name,
        "seed": str(painting.seed),
        "width": width,
        "height": height,
        "depth": map.depth,
        "precision": painting.precision,
        "server": painting.server,
        "software": painting.software,
        **({"wang": painting.wang} if painting.wang else {}),
    }


def _blend_of(blend: Blending) -> dict[str, Any]:
    """What blends the same again: the models, and the samples of the mask, compressed."""
    return {**blend.parameters, "hashes": list(blend.hashes), "packed": zlib.compress(blend.mask)}


def remove_unused(things: Iterable[Reference]) -> None:
    """Remove those of these images and node groups that were made here and have no users."""
    things = list(things)
    note_replaced(things)
    things = sorted(things, key=lambda each: each.collection != "node_groups")  # groups use images
    for reference in things:
        thing = reference.get()
        if is_ours(thing) and thing.users == 0:
            getattr(bpy.data, reference.collection).remove(thing)
    groups: Any = bpy.data.node_groups
    for group in [each for each in groups if shared_groups.is_shared(each) and each.users == 0]:
        groups.remove(group)


_replaced: set[int] = set()  # session identifiers of images and groups that gave way to others here


def note_replaced(things: Iterable[Reference]) -> None:
    """Other images and groups are shown in place of these, at least for now."""
    _replaced.update(each.uid for each in things)


def remove_replaced() -> None:
    """Remove what gave way and has no users: undo may bring back what nobody restores any more.

    Blender does not save a group without users, but it would save the images in it.
    """
    data: Any = bpy.data
    for things in (data.node_groups, data.images):  # groups use images
        for each in [each for each in things if each.session_uid in _replaced and is_ours(each) and each.users == 0]:
            things.remove(each)


# ----------------------------------------------------------------------------------------------------------- materials


def new_material(name: str) -> Any:
    """A new material with a Principled shader and an output."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    return material


def images_of(material: Any) -> dict[str, Any]:
    """The images that our nodes of a material show, by map."""
    shown = live.showing(live.node_of(material.node_tree))
    return dict(shown.images) if shown else legacy.images_of(material)


def kept_images_of(material: Any) -> list[Any]:
    """The images that our nodes of a material only keep."""
    shown = live.showing(live.node_of(material.node_tree))
    return list(shown.plain.values()) if shown else []


def groups_of(material: Any) -> list[Any]:
    """Our node group in a material, if there is one."""
    node = live.node_of(material.node_tree)
    return [node.node_tree] if node and node.node_tree else []


def displaces(material: Any) -> bool:
    """Whether the height map moves the surface itself."""
    return bool(material.displacement_method != "BUMP")


@dataclass(frozen=True, kw_only=True)
class Linked:
    """Which inputs of a shader got our texture, and which kept another link."""

    linked: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    without_uv: bool = False  # box mapping is used, because there is no UV map


def show(
    material: Any,
    painting: Painting,
    images: Mapping[str, Any],
    mapping: TextureMapping,
    *,
    unit: tuple[float, float] | None,
    lattice: Lattice | None,
    squares: UdimSet | None = None,
    replace_links: bool,
    ours: bool = True,
) -> Linked:
    """Show images, by map, in a material: in our node if it has one, else in a new one.

    `unit`: how long a unit of the UV map is along u and v, None where there is no usable one. `lattice`: of the model's
    pattern. `squares`: UDIM squares that the images have files for. `ours`: the material was made here, so it is
    marked.
    """
    if material.node_tree is None and bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    graph = _Graph(material.node_tree, replace_links)
    node = live.node_of(material.node_tree)
    before = live.showing(node)
    scene: Any = bpy.context.scene
    length = scene.unit_settings.scale_length or 1.0
    tile, texels = tile_of(painting.size, painting.wang), mapping.texels
    if squares and unit:
        texels = squares.side[1] / (unit[0] * length)
    wanted = {
        group_sockets.SIZE: tile_width(tile, texels) / length,
        group_sockets.BLEND: mapping.blend,
        group_sockets.DISPLACEMENT: depth(mapping.displacement, texels) / length,
    }
    projection, displace = mapping.projection, mapping.displace
    if before:
        fields = {
            group_sockets.SIZE: "texels",
            group_sockets.BLEND: "blend",
            group_sockets.DISPLACEMENT: "displacement",
        }
        wanted = {name: value for name, value in wanted.items() if fields[name] in mapping.asked}
        if squares or before.has_squares:  # as their UV maps say
            wanted[group_sockets.SIZE] = tile_width(tile, texels) / length
        elif group_sockets.SIZE not in wanted:  # as many pixels per metre as before
            wanted[group_sockets.SIZE] = live.value(node, group_sockets.SIZE) * tile[1] / before.size[1]
        projection = projection if "projection" in mapping.asked else before.projection
        displace = displace if "displace" in mapping.asked else displaces(material)
    without_uv = unit is None and projection == "UV" and not squares
    projection = "BOX" if without_uv else "UV" if squares else projection
    shown = live.Showing(
        images=images,
        projection=projection,
        size=tile,
        lattice=lattice,
        across=ACROSS if painting.wang else 1,
        plain=(before.plain if before.across > 1 else before.images) if before and painting.wang else {},
    )
    node = graph.show(shown)
    live.set_values(node, wanted)
    node[UNIT] = unit or (1.0, 1.0)
    live.describe_to_gltf(node)
    linked, kept = graph.connect(node, images)
    _relieve(material, displace)
    if ours:
        _name_after(material, painting.model)
        material[MARK] = {"model": painting.model, "seed": str(painting.seed), "name": material.name}
    return Linked(linked=linked, kept=kept, without_uv=without_uv)


def projection_of(material: Any) -> Projection | None:
    """How our node lays the texture onto an object, None without our node."""
    shown = live.showing(live.node_of(material.node_tree))
    return shown.projection if shown else None


def resize(material: Any, images: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Show images of another size, height and width in pixels, in our node: as many pixels per metre as before."""
    node = live.node_of(material.node_tree)
    shown = live.showing(node)
    if shown is None:
        return
    tile = (size[0] // shown.across, size[1] // shown.across)
    width = live.value(node, group_sockets.SIZE) * tile[1] / shown.size[1]
    squares = shown.has_squares
    _rebuild(material, replace(shown, images=images, size=tile))
    if not squares:  # they lie as their UV map says
        live.set_values(node, {group_sockets.SIZE: width})


def set_projection(material: Any, projection: Projection) -> None:
    """Lay the texture onto the object in another way."""
    shown = live.showing(live.node_of(material.node_tree))
    if shown and shown.projection != projection and not shown.has_squares:
        _rebuild(material, replace(shown, projection=projection))


def _rebuild(material: Any, shown: live.Showing) -> None:
    """Give our node another group. Its values and links stay."""
    node = live.node_of(material.node_tree)
    before = Reference.to("node_groups", node.node_tree)
    _Graph(material.node_tree, False).show(shown, node)
    live.describe_to_gltf(node)
    remove_unused([before])


def renew(material: Any) -> None:
    """Give a material made by an earlier version a group with all inputs of this one."""
    if shown := live.showing(live.node_of(material.node_tree)):
        _rebuild(material, shown)


def repeats(material: Any) -> bool:
    """Whether a material shows one texture again and again, and not the tiles of an atlas."""
    shown = live.showing(live.node_of(material.node_tree))
    return shown is None or shown.across == 1


def repeat(material: Any) -> None:
    """Show the texture that repeats again. The atlas goes, unless somebody else shows it."""
    node = live.node_of(material.node_tree)
    shown = live.showing(node)
    if shown and shown.across > 1 and shown.plain:
        atlas = [Reference.to("images", each) for each in shown.images.values()]
        wide, high = next(iter(shown.plain.values())).size
        size = (high, wide) if high and wide else shown.size  # 0 x 0 where the file is missing
        width = live.value(node, group_sockets.SIZE) * size[1] / shown.size[1]
        _rebuild(material, replace(shown, images=shown.plain, size=size, across=1, plain={}))
        live.set_values(node, {group_sockets.SIZE: width})
        remove_unused(atlas)


def varies(material: Any) -> bool:
    """Whether each object shows another piece of the texture."""
    node = live.node_of(material.node_tree)
    return bool(live.showing(node) and group_sockets.VARY in node.inputs and live.value(node, group_sockets.VARY) > 0.5)


def set_varies(material: Any, vary: bool) -> None:
    """Let each object show another piece of the texture, or all the same. A group of an earlier version is rebuilt."""
    node = live.node_of(material.node_tree)
    if shown := live.showing(node):
        if not live.is_current(node):
            _rebuild(material, shown)
        live.set_values(node, {group_sockets.VARY: float(vary)})


def set_displace(material: Any, displace: bool) -> None:
    """Let the height map move the surface, or only shade it."""
    _relieve(material, displace)


def _relieve(material: Any, displace: bool) -> None:
    tree = material.node_tree
    node = live.node_of(tree)
    shown = live.showing(node)
    if not shown:
        return
    relief = relief_of(shown.images, displace=displace)
    _Graph(tree, False).link_where(node, relief.height)
    current = material.displacement_method
    if relief.method != current == material.get(SET, "BUMP"):  # or else an artist has chosen it
        material.displacement_method = material[SET] = relief.method


def _name_after(material: Any, model: str) -> None:
    """Name a material after its model, unless somebody has given it another name."""
    mark = material.get(MARK)
    if mark is not None and mark["model"] != model and mark.get("name", mark["model"]) == material.name:
        material.name = model


Link = tuple[str, str, str, str]  # from node, from socket, to node, to socket


@dataclass(frozen=True, kw_only=True)
class ShownBefore:
    """What our node of a material shows at one time. Made by `by`, restored by `restore`."""

    name: str
    mark: dict[str, Any]
    nodes: frozenset[str]  # all of ours, by name
    group: Reference | None
    values: dict[str, float]
    linked: bool  # LINKED
    unit: tuple[float, ...]
    method: Method  # of displacement
    links: tuple[Link, ...] = field(default=())  # of all nodes, so that replaced links can come back

    @classmethod
    def by(cls, material: Any) -> "ShownBefore":
        """What a material shows now."""
        tree = material.node_tree
        node = live.node_of(tree)
        shown = live.showing(node)
        return cls(
            name=material.name,
            mark=material[MARK].to_dict() if is_ours(material) else {},
            nodes=frozenset(each.name for each in tree.nodes if is_ours(each)),
            group=Reference.to("node_groups", node.node_tree) if shown else None,
            values={each.name: live.value(node, each.name) for each in live.inputs_of(node)} if shown else {},
            linked=bool(node and node.get(LINKED)),
            unit=tuple(node.get(UNIT, ())) if node else (),
            method=material.displacement_method,
            links=tuple(_link_of(each) for each in tree.links),
        )


def restore(material: Any, shown: ShownBefore) -> None:
    """Restore what a material showed, as far as the nodes and images still exist."""
    tree = material.node_tree
    for node in [each for each in tree.nodes if is_ours(each) and each.name not in shown.nodes]:
        tree.nodes.remove(node)
    node = live.node_of(tree)
    group = shown.group.get() if shown.group else None
    if node and group:
        node.node_tree = group
        live.set_values(node, shown.values)
        _hide_unused(node)
    if node:
        _put(node, LINKED, shown.linked or None)
        _put(node, UNIT, shown.unit or None)
    if shown.method != material.displacement_method == material.get(SET, "BUMP"):
        material.displacement_method = material[SET] = shown.method
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
        if shown.mark.get("name") == shown.name and material.name == material[MARK].get("name"):
            material.name = shown.name
        material[MARK] = shown.mark


def _put(node: Any, name: str, value: Any) -> None:
    if value is not None:
        node[name] = value
    elif name in node:
        del node[name]


def _link_of(link: Any) -> Link:
    return link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier


def _socket(sockets: Any, identifier: str) -> Any:
    return next((each for each in sockets if each.identifier == identifier), None)


def _are_linked(output: Any, input: Any) -> bool:
    return any(each.from_socket == output for each in input.links)


def _hide_unused(node: Any) -> None:
    shown = live.showing(node)
    maps: Collection[str] = shown.images if shown else ()
    for name, (map, _) in group_sockets.OUTPUTS.items():
        node.outputs[name].hide = map not in maps
    for each in live.inputs_of(node):
        node.inputs[each.name].hide = not applies(each, shown)


def applies(input: group_sockets.Input, shown: live.Showing | None) -> bool:
    """Whether an input of our node changes anything that is seen."""
    if shown is None or (input.name == group_sockets.BLEND and shown.projection != "BOX"):
        return False
    if shown.has_squares and input.name in _LAID:
        return False
    if input.name == group_sockets.AO and "basecolor" not in shown.images:
        return False
    return not input.maps or any(map in shown.images for map in input.maps)


class _Graph:
    """The nodes of one material."""

    def __init__(self, tree: Any, replace_links: bool) -> None:
        self.tree, self.replace_links = tree, replace_links
        self.output = self._find("OUTPUT_MATERIAL") or self._new("ShaderNodeOutputMaterial", (600, 0))
        self.shader = self._seen() or self._find(PRINCIPLED)
        if self.shader is None:
            self.shader = self._new("ShaderNodeBsdfPrincipled", (300, 0))
            self._link(self.shader.outputs["BSDF"], self.output.inputs["Surface"])

    def show(self, shown: live.Showing, node: Any = None) -> Any:
        """Give our node a group that shows this; a new node, if there is none. Returns the node."""
        node = node or live.node_of(self.tree)
        if node is None:
            node = self._new("ShaderNodeGroup", (self.shader.location.x - 300, self.shader.location.y))
            node[MARK] = live.PART
            node.width = 220
        node.node_tree = live.build(shown)
        node.label = live.NAME
        _hide_unused(node)
        return node

    def connect(self, node: Any, images: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Link each map to its input, and remove the links of maps that are not there. Not the displacement.

        Returns the names of the inputs that are linked here now, and of those that kept another link.
        """
        linked: list[str] = []
        kept: list[str] = []
        for name, (map, _) in group_sockets.OUTPUTS.items():
            output = node.outputs[name]
            if map not in images:
                for link in list(output.links):
                    self.tree.links.remove(link)
            elif name in self.shader.inputs:
                self._link(output, self.shader.inputs[name])
                (linked if _are_linked(output, self.shader.inputs[name]) else kept).append(name)
        return tuple(linked), tuple(kept)

    def link_where(self, node: Any, wanted: bool) -> None:
        """Link the displacement if wanted; else unlink it, unless an artist made the link."""
        output, input = node.outputs["Displacement"], self.output.inputs["Displacement"]
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

    def _new(self, kind: str, location: tuple[float, float]) -> Any:
        node = self.tree.nodes.new(kind)
        node.location = location
        return node
