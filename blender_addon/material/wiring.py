"""Nodes of a tree, made as expressions."""

from collections.abc import Mapping
from typing import Any, Final

import bpy

_COLUMN: Final = 200  # from node to node, in the editor's units
_ROW: Final = 170

Value = Any  # a socket, a number, or three numbers


class Wiring:
    """Nodes made as expressions; each stands right of what it depends on."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self._depths: dict[str, int] = {}
        self._rows: dict[int, int] = {}

    def end(self, outputs: Mapping[str, Value]) -> None:
        """The tree's own outputs, right of all nodes."""
        output = self.node("NodeGroupOutput")
        for name, given in outputs.items():
            self.set(output.inputs[name], given)
        output.location.x = max(each.location.x for each in self.tree.nodes) + 2 * _COLUMN

    def node(self, kind: str, *inputs: Value, **settings: Any) -> Any:
        """A node with these settings; `inputs` from the first on, None leaves one as it is."""
        node = self.tree.nodes.new(kind)
        for name, setting in settings.items():
            setattr(node, name, setting)
        for socket, given in zip(node.inputs, inputs, strict=False):
            self.set(socket, given)
        self._place(node)
        return node

    def set(self, socket: Any, given: Value) -> None:
        """Give an input a value, or link it to an output."""
        if isinstance(given, bpy.types.NodeSocket):
            self.tree.links.new(given, socket)
        elif given is not None:
            socket.default_value = given

    def math(self, operation: str, *inputs: Value) -> Any:
        """The number that a Math node gives."""
        return self.node("ShaderNodeMath", *inputs, operation=operation).outputs[0]

    def vector(self, operation: str, *inputs: Value) -> Any:
        """The vector that a Vector Math node gives; its number for DOT_PRODUCT and LENGTH."""
        outputs = self.node("ShaderNodeVectorMath", *inputs, operation=operation).outputs
        return outputs["Value" if operation in ("DOT_PRODUCT", "LENGTH") else "Vector"]

    def scale(self, vector: Value, by: Value) -> Any:
        node = self.node("ShaderNodeVectorMath", vector, operation="SCALE")
        self.set(node.inputs["Scale"], by)
        self._place(node)
        return node.outputs["Vector"]

    def combine(self, x: Value, y: Value, z: Value = 0.0) -> Any:
        return self.node("ShaderNodeCombineXYZ", x, y, z).outputs[0]

    def separate(self, vector: Value) -> tuple[Any, Any, Any]:
        x, y, z = self.node("ShaderNodeSeparateXYZ", vector).outputs
        return x, y, z

    def transform(self, vector: Value, source: str, target: str) -> Any:
        node = self.node("ShaderNodeVectorTransform", vector, vector_type="VECTOR")
        node.convert_from, node.convert_to = source, target
        return node.outputs[0]

    def turn(self, vector: Value, angle: Value) -> Any:
        """Around z, to the left."""
        node = self.node("ShaderNodeVectorRotate", vector, rotation_type="Z_AXIS")
        self.set(node.inputs["Angle"], angle)
        self._place(node)
        return node.outputs[0]

    def mix(self, factor: Value, first: Value, second: Value, blend: str = "MIX") -> Any:
        node = self.node("ShaderNodeMix", data_type="RGBA", blend_type=blend)
        for identifier, given in (("Factor_Float", factor), ("A_Color", first), ("B_Color", second)):
            self.set(next(each for each in node.inputs if each.identifier == identifier), given)
        self._place(node)
        return next(each for each in node.outputs if each.identifier == "Result_Color")

    def _place(self, node: Any) -> None:
        before = [self._depths.get(link.from_node.name, 0) for socket in node.inputs for link in socket.links]
        depth = 1 + max(before, default=0)
        if self._depths.get(node.name) != depth:
            self._depths[node.name] = depth
            row = self._rows[depth] = self._rows.get(depth, -1) + 1
            node.location = (depth * _COLUMN, -row * _ROW)
