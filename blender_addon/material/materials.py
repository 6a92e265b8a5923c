"""Materials and images that were made here.

Everything made here is marked (marks.py): provenance on images, the model on materials, the part on nodes. A texture is
shown by our node group (live.py), one node in the material's tree. Only marked nodes and their links are ever changed.
Other people's work stays, unless the user asked to replace it. The group's inputs are the artist's once they are set.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import bpy

from ..client.sinks import Painting
from ..pictures.udim import UdimSet
from ..protocol.edges import ACROSS
from ..tasks.placement import Lattice, tile_width
from ..tasks.relief import Projection, depth, relief_of
from . import group_sockets, legacy, live
from .graph import Graph
from .images import remove_unused, tile_of
from .marks import MARK
from .references import Reference

SET: Final = "texserver_set"  # the displacement method that was set here, on a material
UNIT: Final = "texserver_unit"  # on our node: how long a unit of the UV map is, for glTF


@dataclass(frozen=True, kw_only=True)
class TextureMapping:
    """How a texture lies on an object."""

    projection: Projection = "UV"
    blend: float = 0.2  # between the six sides of a box
    texels: float = 1024.0  # pixels per metre
    displacement: float = 0.05  # the depth of the relief, as a share of 1024 texels
    displace: bool = False  # move the surface itself
    asked: frozenset[str] = frozenset()  # which of these also count for a material that has values already


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
    graph = Graph(material.node_tree, replace_links)
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
    Graph(material.node_tree, False).show(shown, node)
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
    Graph(tree, False).link_where(node, relief.height)
    current = material.displacement_method
    if relief.method != current == material.get(SET, "BUMP"):  # or else an artist has chosen it
        material.displacement_method = material[SET] = relief.method


def _name_after(material: Any, model: str) -> None:
    """Name a material after its model, unless somebody has given it another name."""
    mark = material.get(MARK)
    if mark is not None and mark["model"] != model and mark.get("name", mark["model"]) == material.name:
        material.name = model
