"""The nodes of one material, and how our node is linked among them."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from . import group_sockets, live
from .marks import MARK, is_ours

LINKED: Final = "texserver_linked"  # on our node: its displacement was linked here, so it may be unlinked
PRINCIPLED: Final = "BSDF_PRINCIPLED"
_LAID: Final = {
    group_sockets.SIZE,
    group_sockets.OFFSET_X,
    group_sockets.OFFSET_Y,
    group_sockets.ROTATION,
    group_sockets.VARY,
}  # how a texture is laid


class Graph:
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
        hide_unused(node)
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


def _are_linked(output: Any, input: Any) -> bool:
    return any(each.from_socket == output for each in input.links)


def hide_unused(node: Any) -> None:
    """Show the sockets of our node that change anything, and no others."""
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
