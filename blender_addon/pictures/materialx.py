"""Describes a texture set as a MaterialX document, which renderers and engines read. No bpy here.

The surface is a Standard Surface, the one that most programs know. Images repeat at their size in metres where it is
known (`tiledimage` with real-world sizes), on UV coordinates. Packed files are taken apart, and DirectX's normals are
turned back.

Source: MaterialX specification 1.38 and its standard library. Hue, value and the range of the
roughness are in the pictures (texture_sets.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from .map_names import BASE_COLOUR, HEIGHT, METALLIC, NORMAL, OCCLUSION, ROUGHNESS
from .texture_sets import WITHOUT, SetFile

_INPUTS: Final = {BASE_COLOUR: "base_color", ROUGHNESS: "specular_roughness", METALLIC: "metalness"}
_MIDDLE: Final = 0.5  # of a height map: the surface itself


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is known of a material beside its maps."""

    size_m: tuple[float, float] | None = None  # width and height of one repeat in metres
    unit_m: tuple[float, float] = (1.0, 1.0)  # how long a unit of the UV coordinates is in metres
    occlusion: float = 0.0  # how much occlusion darkens the colour, in [0, 1]
    normal_strength: float = 1.0
    displacement_m: float = 0.0  # from the lowest to the highest point


def document(name: str, files: Mapping[Path, SetFile], maps: Mapping[str, object], look: Look) -> str:
    """The document for files of texture_sets.files_of(), to be saved beside them. `maps` are those that are there."""
    root = Element("materialx", version="1.38", colorspace="lin_rec709")
    graph = _Graph(SubElement(root, "nodegraph", name=f"NG_{name}"), look)
    for path, file in files.items():
        graph.read(path, file, maps)
    surface = SubElement(root, "standard_surface", name=f"SR_{name}", type="surfaceshader")
    for map, kind, node in graph.results():
        SubElement(graph.element, "output", name=f"{map}_out", type=kind, nodename=node)
        if map != HEIGHT:
            _link(surface, _INPUTS.get(map, map), kind, nodegraph=graph.element.attrib["name"], output=f"{map}_out")
    for map in (ROUGHNESS, METALLIC):
        if map not in graph.nodes:
            _input(surface, _INPUTS[map], "float", f"{WITHOUT[map]:g}")
    material = SubElement(root, "surfacematerial", name=name, type="material")
    _link(material, "surfaceshader", "surfaceshader", nodename=surface.attrib["name"])
    if HEIGHT in graph.nodes and look.displacement_m > 0:
        moved = SubElement(root, "displacement", name=f"D_{name}", type="displacementshader")
        root.remove(material)
        root.append(material)  # nodes stand before what uses them
        _link(moved, "displacement", "float", nodegraph=graph.element.attrib["name"], output=f"{HEIGHT}_out")
        _input(moved, "scale", "float", f"{look.displacement_m:g}")
        _link(material, "displacementshader", "displacementshader", nodename=moved.attrib["name"])
    ElementTree.indent(root)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


class _Graph:
    """The nodes between the files and the surface."""

    def __init__(self, element: Element, look: Look) -> None:
        self.element, self.look = element, look
        self.nodes: dict[str, tuple[str, str]] = {}  # by map: type and name of the node that gives it

    def read(self, path: Path, file: SetFile, maps: Mapping[str, object]) -> None:
        """Add the nodes that read one file."""
        if not file.channels:
            kind = {BASE_COLOUR: "color3", NORMAL: "vector3"}.get(file.map, "float")
            self._image(f"{file.map}_image", kind, path, srgb=file.map == BASE_COLOUR)
            self.nodes[file.map] = kind, f"{file.map}_image"
            if file.flipped:
                self._flip(file.map)
            return
        kind = f"color{len(file.channels)}"
        self._image("packed_image", kind, path, srgb=False)
        self._node(f"separate{len(file.channels)}", "packed", "multioutput", {"in": (kind, "packed_image")})
        for letter, channel in zip("rgba", file.channels, strict=False):
            if channel.map is None or channel.map not in maps:
                continue
            taken = self._node(
                "invert" if channel.inverted else "dot", channel.map, "float", {"in": ("float", f"packed.out{letter}")}
            )
            self.nodes[channel.map] = "float", taken

    def results(self) -> list[tuple[str, str, str]]:
        """The maps that the surface takes, each with the type and the name of its last node."""
        self._colour()
        if NORMAL in self.nodes:
            kind, node = self.nodes[NORMAL]
            scale = {"scale": ("float", f"={self.look.normal_strength:g}")}
            self.nodes[NORMAL] = "vector3", self._node("normalmap", "tilted", "vector3", {"in": (kind, node)} | scale)
        if HEIGHT in self.nodes:
            inputs = {"in1": self.nodes[HEIGHT], "in2": ("float", f"={_MIDDLE:g}")}
            self.nodes[HEIGHT] = "float", self._node("subtract", "raised", "float", inputs)
        return [(map, *found) for map, found in self.nodes.items() if map != OCCLUSION]

    def _colour(self) -> None:
        if BASE_COLOUR not in self.nodes:
            return
        _, node = self.nodes[BASE_COLOUR]
        look = self.look
        if OCCLUSION in self.nodes and look.occlusion > 0:
            dark = {"in1": ("color3", node), "in2": self.nodes[OCCLUSION]}
            dark_node = self._node("multiply", "dark", "color3", dark)
            mixed = {"fg": ("color3", dark_node), "bg": ("color3", node), "mix": ("float", f"={look.occlusion:g}")}
            node = self._node("mix", "darkened", "color3", mixed)
        self.nodes[BASE_COLOUR] = "color3", node

    def _flip(self, map: str) -> None:
        kind, node = self.nodes[map]
        self._node("separate3", "directions", "multioutput", {"in": (kind, node)})
        self._node("invert", "up", "float", {"in": ("float", "directions.outy")})
        parts = {"in1": ("float", "directions.outx"), "in2": ("float", "up"), "in3": ("float", "directions.outz")}
        self.nodes[map] = "vector3", self._node("combine3", "opengl", "vector3", parts)

    def _image(self, name: str, kind: str, path: Path, *, srgb: bool) -> None:
        image = SubElement(self.element, "tiledimage", name=name, type=kind)
        file = _input(image, "file", "filename", path.as_posix())
        file.set("colorspace", "srgb_texture" if srgb else "lin_rec709")
        if self.look.size_m:
            for key, (x, y) in (("realworldimagesize", self.look.size_m), ("realworldtilesize", self.look.unit_m)):
                size = _input(image, key, "vector2", f"{x:g}, {y:g}")
                size.set("unittype", "distance")
                size.set("unit", "meter")

    def _node(self, category: str, name: str, kind: str, inputs: Mapping[str, tuple[str, str]]) -> str:
        """Each input is a type, and "=VALUE", "NODE" or "NODE.OUTPUT". Returns the name."""
        node = SubElement(self.element, category, name=name, type=kind)
        for key, (of, value) in inputs.items():
            if value.startswith("="):
                _input(node, key, of, value[1:])
            else:
                source, _, output = value.partition(".")
                _link(node, key, of, nodename=source, output=output)
        return name


def _input(node: Element, name: str, kind: str, value: str) -> Element:
    return SubElement(node, "input", name=name, type=kind, value=value)


def _link(node: Element, name: str, kind: str, **to: str) -> Element:
    """An input that takes what another node gives. Empty words are left out."""
    made = SubElement(node, "input", name=name, type=kind)
    for key, value in to.items():
        if value:
            made.set(key, value)
    return made
