"""Objects to paint, and all that a file holds, as something that can be compared."""

from typing import Any

import bpy


def plane(name: str = "Plane", *, upright: bool = False) -> Any:
    """A square of one metre around the origin, with a UV map from corner to corner, selected as the only one.

    It faces up, or towards negative y.
    """
    mesh = bpy.data.meshes.new(name)
    corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
    mesh.from_pydata([(x, 0, y) if upright else (x, y, 0) for x, y in corners], [], [(0, 1, 2, 3)])
    for loop, (x, y) in zip(mesh.uv_layers.new().data, corners, strict=True):
        loop.uv = (x + 0.5, y + 0.5)
    return add(name, mesh)


def add(name: str, data: Any) -> Any:
    """An object of this data, the active one and the only one selected."""
    thing = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(thing)
    select(thing)
    return thing


def select(*things: Any) -> None:
    """These and no others; the first is the active one."""
    bpy.context.view_layer.update()  # or objects that were deleted are None in there
    for each in bpy.context.view_layer.objects:
        each.select_set(each in things)
    bpy.context.view_layer.objects.active = things[0] if things else None


def foreign_material() -> Any:
    """As someone else makes it: brass with a noise in its colour and in its roughness."""
    material = bpy.data.materials.new("Brass")
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    tree = material.node_tree
    noise = tree.nodes.new("ShaderNodeTexNoise")
    shader = node(material, "BSDF_PRINCIPLED")
    shader.inputs["Metallic"].default_value = 0.9
    tree.links.new(noise.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(noise.outputs["Fac" if "Fac" in noise.outputs else "Factor"], shader.inputs["Roughness"])
    return material


def node(material: Any, kind: str) -> Any:
    """The one node of this type."""
    (found,) = (each for each in material.node_tree.nodes if each.type == kind)
    return found


def live(material: Any) -> Any:
    """The node of the extension's group, None without one."""
    found = [
        each for each in (material.node_tree.nodes if material.node_tree else ()) if each.get("texserver") == "material"
    ]
    assert len(found) < 2
    return found[0] if found else None


def value(material: Any, name: str) -> float:
    """Of an input of the extension's group."""
    return float(live(material).inputs[name].default_value)


def textures(material: Any) -> dict[str, Any]:
    """The extension's image nodes by map."""
    group = live(material)
    nodes = group.node_tree.nodes if group else material.node_tree.nodes
    return {each["texserver"]: each for each in nodes if each.type == "TEX_IMAGE" and "texserver" in each}


def links_of(material: Any) -> dict[str, list[str]]:
    """What each output of the extension's group is linked to: names of sockets."""
    return {each.name: [link.to_socket.name for link in each.links] for each in live(material).outputs if each.links}


def source(socket: Any) -> Any:
    """The node that an input is linked to, None where it is not."""
    return socket.links[0].from_node if socket.is_linked else None


def socket(node: Any, identifier: str) -> Any:
    """The input of that identifier: several may have one name."""
    return next(each for each in node.inputs if each.identifier == identifier)


def ours(collection: Any) -> list[Any]:
    """Images or materials that were made by the extension."""
    return [each for each in collection if "texserver" in each]


def unused_images() -> list[str]:
    return [each.name for each in ours(bpy.data.images) if each.users == 0]


def everything() -> dict[str, Any]:
    """All that a texture might change: equal as long as nothing was."""
    return {
        "objects": {each.name: _slots(each) for each in bpy.data.objects},
        "materials": {each.name: graph(each) for each in bpy.data.materials},
        "groups": sorted(each.name for each in bpy.data.node_groups),
        "images": {each.name: (tuple(each.size), _properties(each)) for each in bpy.data.images},
    }


def graph(material: Any) -> dict[str, Any]:
    """Nodes, what they are set to, and what connects them."""
    tree = material.node_tree
    if tree is None:
        return _properties(material)
    links = [
        (each.from_node.name, each.from_socket.name, each.to_node.name, each.to_socket.name) for each in tree.links
    ]
    return {
        "nodes": {each.name: _node(each) for each in tree.nodes},
        "links": sorted(links),
        "name": material.name,
        "displacement": material.displacement_method,
        **_properties(material),
    }


def _node(node: Any) -> dict[str, Any]:
    values = {each.identifier: _plain(each.default_value) for each in node.inputs if hasattr(each, "default_value")}
    image = getattr(node, "image", None)
    return {
        "type": node.type,
        "image": image and image.name,
        "group": node.node_tree.name if node.type == "GROUP" and node.node_tree else "",
        "projection": (getattr(node, "projection", ""), getattr(node, "projection_blend", 0)),
        "values": values,
        "linked": node.get("texserver_linked"),
        **_properties(node),
    }


def _slots(thing: Any) -> list[tuple[str, str | None]]:
    return [(slot.link, slot.material and slot.material.name) for slot in thing.material_slots]


def _properties(thing: Any) -> dict[str, Any]:
    mark = thing.get("texserver")
    return {} if mark is None else {"texserver": mark.to_dict() if hasattr(mark, "to_dict") else mark}


def _plain(value: Any) -> Any:
    return tuple(value) if hasattr(value, "__len__") and not isinstance(value, str) else value
