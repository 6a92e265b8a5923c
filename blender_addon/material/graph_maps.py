"""The maps of a material that somebody else made: which images its shader shows, whatever tool has linked them.

Followed are the links of the Principled shader that is seen (base colour, metallic, roughness, normal), the height
behind the displacement, and occlusion: what is multiplied with the base colour and is named or stored like an AO map,
or what is linked to the group from which Blender's glTF exporter takes it. Between an image and the shader may stand
reroutes, groups, channels taken apart (ORM), inversions, and nodes that adjust values. Adjustments are not learned; the
notes say so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ..pictures.channels import Taking
from ..pictures.map_names import BASE_COLOUR, HEIGHT, METALLIC, NORMAL, OCCLUSION, ROUGHNESS, named
from ..protocol.errors import TexserverError
from . import live, materials
from .graph import PRINCIPLED
from .map_pictures import MapSource
from .references import Reference

MOST_NODES: Final = 200  # on the way to one image
_CHANNELS: Final = {"Red": 0, "Green": 1, "Blue": 2, "R": 0, "G": 1, "B": 2, "X": 0, "Y": 1, "Z": 2}
_TAKES_APART: Final = frozenset({"SEPARATE_COLOR", "SEPRGB", "SEPXYZ"})
_PUTS_TOGETHER: Final = frozenset({"COMBINE_COLOR", "COMBRGB", "COMBXYZ"})
_HARMLESS: Final = frozenset({"REROUTE", "NORMAL_MAP", "DISPLACEMENT", "BUMP", "CLAMP", "MIX", "MIX_RGB"})
_FACTORS: Final = frozenset({"Fac", "Factor"})
_GLTF: Final = ("glTF Material", "glTF Setting")  # groups of Blender's exporter, by their names of all versions


class NoImages(TexserverError):
    """The material shows no picture. The text says what to do."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """An image at the end of a way, and what the way made of it."""

    image: Any
    channel: int | None = None
    inverted: bool = False
    down: bool = False
    adjusted: frozenset[str] = frozenset()  # labels of nodes that change values


@dataclass
class FoundMaps:
    """The maps of a material. `notes`: sentences for people."""

    sources: list[MapSource] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def maps_of(material: Any) -> FoundMaps:
    """The maps that a material shows. Raises NoImages if there is no base colour among them."""
    if live.showing(live.node_of(material.node_tree)):
        return _of_ours(material)
    shader, output = _seen(material)
    if shader is None:
        raise NoImages(f"{material.name} has no Principled shader whose images could be found.")
    found: dict[str, _Found] = {}
    base = shader.inputs["Base Color"]
    colours = list(_images_behind(base))
    occlusion = next((each for each in colours if len(colours) > 1 and _is_occlusion(each)), None)
    colour = next((each for each in colours if each is not occlusion), None)
    if colour is None:
        raise NoImages(f"{material.name} has no image linked to Base Color. Choose a picture instead.")
    found[BASE_COLOUR] = colour
    for map, socket in ((METALLIC, "Metallic"), (ROUGHNESS, "Roughness")):
        _keep(found, map, next(_images_behind(shader.inputs[socket]), None))
    _find_relief(found, shader.inputs["Normal"])
    if output:
        _keep(found, HEIGHT, next(_images_behind(output.inputs["Displacement"]), None))
    _keep(found, OCCLUSION, occlusion or _exported_occlusion(material))
    maps = FoundMaps()
    for map, each in found.items():
        whole = map in (BASE_COLOUR, NORMAL)
        taking = Taking(map=map, channel=None if whole else each.channel, inverted=each.inverted, down=each.down)
        maps.sources.append(MapSource(taking=taking, image=Reference.to("images", each.image)))
    if adjusted := sorted(frozenset().union(*(each.adjusted for each in found.values()))):
        maps.notes.append(f"The images are learned as they are, without {', '.join(adjusted)}.")
    return maps


def _of_ours(material: Any) -> FoundMaps:
    images = materials.images_of(material)
    if BASE_COLOUR not in images:
        raise NoImages(f"{material.name} has no base colour. Choose a picture instead.")
    takings = {map: MapSource(taking=Taking(map=map), image=Reference.to("images", images[map])) for map in images}
    return FoundMaps(sources=list(takings.values()))


def _seen(material: Any) -> tuple[Any, Any]:
    """The Principled shader that is seen, and the output. The first behind mixes of shaders."""
    nodes = material.node_tree.nodes if material.node_tree else ()
    outputs = [each for each in nodes if each.type == "OUTPUT_MATERIAL"]
    output = next((each for each in outputs if each.is_active_output), outputs[0] if outputs else None)
    ahead = [output.inputs["Surface"]] if output else []
    for _ in range(MOST_NODES):
        if not ahead:
            break
        for link in ahead.pop(0).links:
            if link.from_node.type == PRINCIPLED:
                return link.from_node, output
            ahead += link.from_node.inputs
    return next((each for each in nodes if each.type == PRINCIPLED), None), output


def _keep(found: dict[str, _Found], map: str, image: _Found | None) -> None:
    if image is not None:
        found.setdefault(map, image)


def _find_relief(found: dict[str, _Found], socket: Any) -> None:
    """The normal map, and the height behind a Bump node, where there is one."""
    for link in socket.links:
        if link.from_node.type == "BUMP":
            _keep(found, HEIGHT, next(_images_behind(link.from_node.inputs["Height"]), None))
            _find_relief(found, link.from_node.inputs["Normal"])
        else:
            image = next(_images_behind(socket), None)
            _keep(found, NORMAL, image)


def _exported_occlusion(material: Any) -> _Found | None:
    for node in material.node_tree.nodes:
        if (
            node.type == "GROUP"
            and node.node_tree
            and node.node_tree.name.startswith(("glTF Material", "glTF Setting"))
        ):
            socket = node.inputs.get(live.GLTF_OCCLUSION)
            if socket is not None and (image := next(_images_behind(socket), None)):
                return image
    return None


def _is_occlusion(found: _Found) -> bool:
    """Whether an image that is multiplied with the base colour is an AO map: by its name, or because it is data."""
    image = found.image
    names = (Path(image.filepath).stem if image.filepath else "", Path(image.name).stem)
    if any(named(each).part in (OCCLUSION, "arm", "orm", "rma", "mra", "ord") for each in names if each):
        return True
    return found.channel is not None or bool(image.colorspace_settings.is_data)


# ------------------------------------------------------------------------------------------------------ following links


def _images_behind(socket: Any) -> Iterator[_Found]:
    """The images behind an input, the nearest first where a node has several inputs."""
    yield from _Way().behind(socket)


class _Way:
    """One search, which ends after MOST_NODES. `groups`: the nodes of the groups that it is in."""

    def __init__(self) -> None:
        self._left = MOST_NODES

    def behind(self, socket: Any, groups: tuple[Any, ...] = ()) -> Iterator[_Found]:
        """What is behind an input."""
        for link in socket.links:
            if self._left > 0 and not link.is_muted:
                self._left -= 1
                yield from self._from(link.from_node, link.from_socket, groups)

    def _from(self, node: Any, output: Any, groups: tuple[Any, ...]) -> Iterator[_Found]:
        """What comes out of a node by this output."""
        if node.type == "TEX_IMAGE":
            if node.image:
                yield _Found(image=node.image, channel=3 if output.name == "Alpha" else None)
        elif node.type in _TAKES_APART:
            for each in self.behind(node.inputs[0], groups):
                yield replace(each, channel=_CHANNELS.get(output.name, each.channel))
        elif node.type in _PUTS_TOGETHER:
            yield from self._together(node, groups)
        elif node.type == "INVERT" or _subtracts_from_one(node):
            for each in self.behind(node.inputs[1], groups):
                yield replace(each, inverted=not each.inverted)
        elif node.type == "GROUP":
            nodes = node.node_tree.nodes if node.node_tree else ()
            end = next((each for each in nodes if each.type == "GROUP_OUTPUT" and each.is_active_output), None)
            if end and (socket := _same(end.inputs, output)):
                yield from self.behind(socket, (*groups, node))
        elif node.type == "GROUP_INPUT":
            if groups and (socket := _same(groups[-1].inputs, output)):
                yield from self.behind(socket, groups[:-1])
        elif not node.type.startswith("TEX_"):  # what is drawn by a formula is no image
            changes = frozenset() if node.type in _HARMLESS else frozenset({_label(node)})
            for socket in node.inputs:
                if socket.is_linked and socket.name not in _FACTORS:
                    for each in self.behind(socket, groups):
                        yield replace(each, adjusted=each.adjusted | changes)

    def _together(self, node: Any, groups: tuple[Any, ...]) -> Iterator[_Found]:
        """Channels put together again: those of one image, perhaps with the green one turned (normals of DirectX)."""
        channels = [next(self.behind(each, groups), None) for each in list(node.inputs)[:3]]
        first = next((each for each in channels if each), None)
        if first:
            green = channels[1]
            down = bool(green and green.inverted and not first.inverted)
            yield replace(first, channel=None, inverted=False, down=down)


def _same(sockets: Any, wanted: Any) -> Any:
    return next((each for each in sockets if each.identifier == wanted.identifier), None)


def _subtracts_from_one(node: Any) -> bool:
    if node.type != "MATH" or node.operation != "SUBTRACT":
        return False
    return not node.inputs[0].is_linked and abs(node.inputs[0].default_value - 1) < 1e-6


def _label(node: Any) -> str:
    return str(node.label or node.bl_label)
