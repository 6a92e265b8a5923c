"""What a material showed at one time, so that it can be shown again."""

from dataclasses import dataclass, field
from typing import Any

from ..tasks.relief import Method
from . import live
from .graph import LINKED, hide_unused
from .marks import MARK, is_ours
from .materials import SET, UNIT
from .references import Reference

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
        hide_unused(node)
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
