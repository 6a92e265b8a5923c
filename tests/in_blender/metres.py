"""Sizes are real: on every object, under every mapping, whether its scale was applied or not; and changed at once."""

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.material import live as groups
from bl_ext.user_default.texserver.material import measure
from bl_ext.user_default.texserver.tasks import state
from inside import Paused, begin, fresh_seed, generate, turn, until_previewed
from numpy.typing import NDArray
from pictures import of_image, of_render
from scenery import add, graph, links_of, live, node, ours, plane, textures, unused_images, value

SMALL = {"width": 64, "height": 64}


def cube() -> Any:
    bpy.ops.mesh.primitive_cube_add(size=2)
    return bpy.context.object


def sphere() -> Any:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=64, ring_count=32, radius=3)
    return bpy.context.object


def hundred_metres() -> Any:
    bpy.ops.mesh.primitive_plane_add(size=100)
    return bpy.context.object


def bricks(material: Any, metres: float) -> None:
    """In place of the texture: its left half is red, its lower half green. It repeats after so many metres."""
    for texture in textures(material).values():
        image = texture.image
        width, height = image.size
        pixels = np.zeros((height, width, 4), np.float32)
        pixels[:, : width // 2, 0] = 1
        pixels[: height // 2, :, 1] = 1
        pixels[:, :, 3] = 1
        image.colorspace_settings.name = "Non-Color"
        image.pixels.foreach_set(pixels.ravel())
    live(material).inputs["Size"].default_value = metres


def looked_at(thing: Any, side: str, metres: float, folder: Path) -> NDArray[np.bool_]:
    """A square of so many metres of the middle of this side, straight on: whether each pixel is red, and green."""
    camera = bpy.context.scene.camera
    bpy.context.view_layer.objects.active = thing
    x, y, z = {"front": (0, -50, 0), "right": (50, 0, 0), "top": (0, 0, 50), "left": (-50, 0, 0)}[side]
    turned = {"front": (90, 0, 0), "right": (90, 0, 90), "top": (0, 0, 0), "left": (90, 0, -90)}[side]

    def place() -> None:
        camera.data.ortho_scale = metres
        camera.location, camera.rotation_euler = (x, y, z), [math.radians(each) for each in turned]

    return of_render(256, folder, place=place)[:, :, :2] > 127


def lengths(red: NDArray[np.bool_], metres: float) -> list[float]:
    """From edge to edge along the rows (or columns), twice: the repeats in metres."""
    found = []
    for row in red:
        edges = np.flatnonzero(row[1:] & ~row[:-1])
        found += list(np.diff(edges) * metres / len(row))
    return found


def check(thing: Any, sides: tuple[str, ...], folder: Path, *, metres: float = 2, within: float = 8) -> None:
    for side in sides:
        seen = looked_at(thing, side, within, folder)
        for across in (lengths(seen[:, :, 0], within), lengths(seen[:, :, 1].T, within)):
            assert across, f"no whole repeat on {side}"
            assert across == pytest.approx([metres] * len(across), abs=3 * within / 256), side


# --------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("scale", [(1, 1, 1), (4, 1, 0.4), (4, 4, 4)])
def test_box_mapping_is_in_metres_whatever_the_scale(scale: tuple[float, float, float], tmp_path: Path) -> None:
    thing = cube()
    thing.scale = [3 * each for each in scale]
    material = generate(mapping="BOX", blend=0.1, **SMALL)
    bricks(material, 1)
    check(thing, ("front", "right", "top", "left"), tmp_path, metres=1, within=2.4)


@pytest.mark.parametrize("scale", [(1, 1, 1), (4, 1, 0.4)])
def test_object_mapping_is_in_metres_whatever_the_scale(scale: tuple[float, float, float], tmp_path: Path) -> None:
    thing = cube()
    thing.scale = [3 * each for each in scale]
    bricks(generate(mapping="OBJECT", **SMALL), 1)
    check(thing, ("top",), tmp_path, metres=1, within=4)


def test_a_plane_of_a_hundred_metres_has_bricks_of_two_metres_along_its_uv_map(tmp_path: Path) -> None:
    thing = hundred_metres()
    bricks(generate(mapping="UV", **SMALL), 2)
    check(thing, ("top",), tmp_path)


def test_a_uv_map_that_is_scaled_with_its_object_stays_in_metres(tmp_path: Path) -> None:
    """More along one axis than along the other, and scaled again afterwards."""
    thing = hundred_metres()
    thing.scale = (4, 0.5, 1)
    bricks(generate(mapping="UV", **SMALL), 2)
    check(thing, ("top",), tmp_path)
    thing.scale = (1, 2, 1)
    check(thing, ("top",), tmp_path)


def test_a_sphere_has_bricks_of_two_metres_in_the_middle_of_every_side(tmp_path: Path) -> None:
    """Box mapping, since no UV map of a sphere is even."""
    thing = sphere()
    thing.scale = (2, 1, 1)
    bricks(generate(mapping="BOX", blend=0.05, **SMALL), 1)
    check(thing, ("front", "top"), tmp_path, metres=1, within=2.4)


def test_unwrap_makes_a_uv_map_in_metres_of_a_cube_that_was_never_applied(tmp_path: Path) -> None:
    thing = cube()
    thing.scale = (12, 3, 1.2)
    material = generate(mapping="UV", **SMALL)
    assert bpy.ops.texserver.unwrap() == {"FINISHED"}
    assert material.texserver_live.mapping == "UV"
    bricks(material, 1)
    check(thing, ("front", "right", "top", "left"), tmp_path, metres=1, within=2.4)
    assert [each.name for each in thing.data.uv_layers] == ["UVMap", "Texserver"]
    assert thing.data.uv_layers["Texserver"].active_render


def test_an_instance_has_its_own_metres(tmp_path: Path) -> None:
    """Two objects with one mesh and one material, of different scales."""
    thing = hundred_metres()
    twin = thing.copy()
    bpy.context.scene.collection.objects.link(twin)
    bricks(generate(mapping="UV", **SMALL), 2)
    twin.active_material = thing.active_material
    twin.scale = (3, 0.2, 1)
    for each in (thing, twin):
        check(each, ("top",), tmp_path)


def test_a_texture_that_is_not_square_keeps_its_shape(tmp_path: Path) -> None:
    thing = cube()
    thing.scale = (3, 3, 3)
    bricks(generate(mapping="BOX", blend=0, width=64, height=32), 1)
    for side in ("front", "right", "top"):
        seen = looked_at(thing, side, 2.4, tmp_path)
        across, down = lengths(seen[:, :, 0], 2.4), lengths(seen[:, :, 1].T, 2.4)
        assert across == pytest.approx([1] * len(across), abs=0.03), side
        assert down == pytest.approx([0.5] * len(down), abs=0.03), side


def test_a_scene_in_other_units_has_metres_too() -> None:
    bpy.context.scene.unit_settings.scale_length = 0.01
    plane()
    assert value(generate(texels=64, **SMALL), "Size") == pytest.approx(100)  # centimetres


def test_a_texture_of_more_pixels_covers_more_metres() -> None:
    material = generate(texels=64, **SMALL)
    live(material).inputs["Size"].default_value = 3
    assert value(generate(width=256, height=128), "Size") == pytest.approx(12)


@pytest.mark.parametrize("mapping", ["BOX", "OBJECT", "UV"])
def test_displacement_is_in_metres_whatever_the_scale(mapping: str) -> None:
    material = generate("stone", mapping=mapping, displace=True, **SMALL)
    (displacement,) = (each for each in live(material).node_tree.nodes if each.type == "DISPLACEMENT")
    assert displacement.space == "WORLD"


# ------------------------------------------------------------------------------------------------------------- measures


def test_a_uv_map_is_measured_along_both_ways() -> None:
    thing = hundred_metres()
    thing.scale = (4, 0.5, 1)
    bpy.context.view_layer.update()
    density = measure.measure(thing)
    assert density is not None
    assert density.per_unit == pytest.approx((400, 50))
    assert density.spread == pytest.approx(1)


@pytest.mark.parametrize("make", [sphere, cube])
def test_an_uneven_uv_map_is_told_of(make: Callable[[], Any]) -> None:
    thing = make()
    thing.scale = (4, 1, 0.4)
    bpy.context.view_layer.update()
    density = measure.measure(thing)
    assert density is not None
    assert density.spread > 1.5
    generate(mapping="UV", **SMALL)
    assert "is uneven: sizes on it differ by a factor of" in state.session().tasks[-1].note


def test_a_uv_map_that_has_changed_is_measured_again_by_itself() -> None:
    thing = hundred_metres()
    generate(mapping="UV", **SMALL)
    other = plane("Never measured")
    for each in (thing, other):
        halved = [value / 2 for loop in each.data.uv_layers[0].uv for value in loop.vector]
        each.data.uv_layers[0].uv.foreach_set("vector", halved)
        each.data.update()
    bpy.context.view_layer.update()
    turn()
    assert tuple(thing.data["texserver_u"]) == pytest.approx((200, 0, 0))
    assert "texserver_u" not in other.data


def test_a_mesh_is_measured_in_edit_mode_too() -> None:
    hundred_metres()
    bpy.ops.object.mode_set(mode="EDIT")
    assert generate(mapping="UV", **SMALL).texserver_live.mapping == "UV"
    bpy.ops.object.mode_set(mode="OBJECT")
    assert tuple(bpy.context.object.data["texserver_u"]) == pytest.approx((100, 0, 0))


def test_a_large_mesh_is_measured_fast() -> None:
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=400, y_subdivisions=400, size=10)
    started = time.thread_time()
    density = measure.measure(bpy.context.object)
    assert time.thread_time() - started < 0.5
    assert density is not None
    assert density.per_unit == pytest.approx((10, 10), rel=1e-3)


@pytest.mark.parametrize("kind", ["no UV map", "UV map without area", "text"])
def test_without_a_usable_uv_map_box_mapping_is_used_and_told(kind: str, tmp_path: Path) -> None:
    if kind == "text":
        thing = add("Text", bpy.data.curves.new("Text", "FONT"))
    else:
        thing = cube()
        if kind == "no UV map":
            thing.data.uv_layers.remove(thing.data.uv_layers[0])
        else:
            for each in thing.data.uv_layers[0].uv:
                each.vector = (0.5, 0.5)
    material = generate(mapping="UV", **SMALL)
    assert material.texserver_live.mapping == "BOX"
    note = state.session().tasks[-1].note
    assert note == f"{thing.name} has no usable UV map, so box mapping is used. Unwrap makes one."
    if kind == "no UV map":
        assert bpy.ops.texserver.unwrap() == {"FINISHED"}
        assert material.texserver_live.mapping == "UV"
        assert [each.name for each in thing.data.uv_layers] == ["UVMap"]


# ---------------------------------------------------------------------------------------------------------------- live


def test_another_mapping_is_seen_at_once_and_keeps_all_values() -> None:
    material = generate("stone", texels=64, **SMALL)
    wanted = {"Size": 3.5, "Hue": 0.25, "Normal Strength": 0.5, "Rotation": 0.3}
    groups.set_values(live(material), wanted)
    links, images = links_of(material), {map: each.image for map, each in textures(material).items()}
    for mapping in ("BOX", "OBJECT", "UV"):
        material.texserver_live.mapping = mapping
        assert material.texserver_live.mapping == mapping
        assert {name: value(material, name) for name in wanted} == pytest.approx(wanted)
        assert links_of(material) == links
        assert {map: each.image for map, each in textures(material).items()} == images
        assert len(ours(bpy.data.node_groups)) == (6 if mapping == "BOX" else 4)  # its own, glTF, pieces, drift, boxes
    assert unused_images() == []


def test_the_surface_is_displaced_at_once() -> None:
    material = generate("stone", **SMALL)
    for displace, method in ((True, "DISPLACEMENT"), (False, "BUMP")):
        material.texserver_live.displace = displace
        assert material.displacement_method == method
        assert node(material, "OUTPUT_MATERIAL").inputs["Displacement"].is_linked == displace


@pytest.mark.parametrize("mapping", ["UV", "BOX", "OBJECT"])
def test_offset_and_rotation_move_the_texture(mapping: str, tmp_path: Path) -> None:
    """To the right, up, and to the left around the place where it lies."""
    plane()
    material = generate(seed=7, texels=64, mapping=mapping, **SMALL)
    first = of_render(64, tmp_path)
    live(material).inputs["Offset X"].default_value = 0.25
    live(material).inputs["Offset Y"].default_value = 0.5
    np.testing.assert_allclose(of_render(64, tmp_path), np.roll(first, (-32, 16), (0, 1)), atol=2)
    live(material).inputs["Offset X"].default_value = live(material).inputs["Offset Y"].default_value = 0
    live(material).inputs["Rotation"].default_value = math.pi / 2
    turned = np.rot90(first) if mapping != "UV" else np.rot90(np.roll(first, (32, 32), (0, 1)))
    if mapping == "UV":  # around the lower left corner, which is where four of them meet
        turned = np.roll(turned, (32, 32), (0, 1))
    np.testing.assert_allclose(of_render(64, tmp_path), turned, atol=2)


def test_colours_and_roughness_are_changed(tmp_path: Path) -> None:
    plane()
    material = generate(seed=7, texels=64, **SMALL)
    first = of_render(64, tmp_path).astype(float)
    groups.set_values(live(material), {"Hue": 1 / 3})
    np.testing.assert_allclose(of_render(64, tmp_path), first[:, :, [2, 0, 1]], atol=6)
    groups.set_values(live(material), {"Hue": 0, "Value": 0})
    assert of_render(64, tmp_path).max() < 3
    material = generate("stone", **SMALL)
    (limits,) = (each for each in live(material).node_tree.nodes if each.type == "MAP_RANGE")
    assert [limits.inputs[name].links[0].from_socket.name for name in ("To Min", "To Max")] == [
        "Roughness Min",
        "Roughness Max",
    ]


def test_what_a_copy_changes_does_not_change_the_original() -> None:
    original = generate("stone", **SMALL)
    copy = original.copy()
    plane().data.materials.append(copy)
    copy.texserver_live.mapping = "BOX"
    live(copy).inputs["Size"].default_value = 9
    assert original.texserver_live.mapping == "UV"
    assert value(original, "Size") != 9


def test_gltf_is_told_where_the_texture_lies() -> None:
    thing = hundred_metres()
    material = generate(texels=32, **SMALL)
    (mapping,) = (each for each in live(material).node_tree.nodes if each.type == "MAPPING")
    assert tuple(mapping.inputs["Scale"].default_value)[:2] == pytest.approx((50, 50))
    assert thing.type == "MESH"


# ------------------------------------------------------------------------------------------------------------ upgrading


@pytest.fixture
def old(tmp_path: Path) -> Any:
    """A material of version 0.1 on the active object."""
    path = shutil.copy(Path(__file__).parents[1] / "fixtures" / "v0_1" / "stone.blend", tmp_path)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    scene = bpy.context.scene
    if scene.camera is None:
        scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        scene.collection.objects.link(scene.camera)
    if scene.world is None:
        scene.world = bpy.data.worlds.new("World")
        scene.world.use_nodes = True
    return bpy.context.object.active_material


def test_an_old_material_looks_the_same_when_it_is_upgraded(old: Any, tmp_path: Path) -> None:
    before = of_render(64, tmp_path, exact=False)
    images = {each.image for each in textures(old).values()}
    assert live(old) is None
    assert bpy.ops.texserver.upgrade() == {"FINISHED"}
    assert {each.image for each in textures(old).values()} == images
    types = sorted(each.type for each in old.node_tree.nodes)
    assert types == ["BSDF_PRINCIPLED", "GROUP", "OUTPUT_MATERIAL"]
    np.testing.assert_allclose(of_render(64, tmp_path, exact=False), before, atol=2)


def test_upgrading_keeps_what_an_artist_set(old: Any) -> None:
    tree = old.node_tree
    node(old, "NORMAL_MAP").inputs["Strength"].default_value = 0.25
    node(old, "MAPPING").inputs["Rotation"].default_value[2] = 0.5
    across = node(old, "MAPPING").inputs["Scale"].default_value[0]
    bright = tree.nodes.new("ShaderNodeBrightContrast")
    into = node(old, "BSDF_PRINCIPLED").inputs["Roughness"]
    tree.links.new(into.links[0].from_socket, bright.inputs["Color"])
    tree.links.new(bright.outputs["Color"], into)
    density = measure.measure(bpy.context.object)
    assert density is not None
    bpy.ops.texserver.upgrade()
    assert value(old, "Normal Strength") == pytest.approx(0.25)
    assert value(old, "Rotation") == pytest.approx(-0.5)
    assert value(old, "Size") == pytest.approx(density.per_unit[0] / across)
    assert links_of(old)["Roughness"] == ["Color"]
    assert into.links[0].from_node == bright


def test_only_an_old_material_is_upgraded(old: Any) -> None:
    assert bpy.ops.texserver.upgrade() == {"FINISHED"}
    assert not bpy.ops.texserver.upgrade.poll()


def test_other_maps_upgrade_an_old_material(old: Any) -> None:
    assert generate("tiny", **SMALL) == old
    assert live(old)
    assert set(textures(old)) == {"basecolor"}
    assert len(ours(bpy.data.images)) == 1


def test_a_job_for_an_old_material_shows_no_preview_and_leaves_no_trace_when_it_is_cancelled(old: Any) -> None:
    before = graph(old)
    task = begin("stone", seed=fresh_seed(), width=528, height=48)
    until_previewed(task)
    with Paused():
        turn()
        assert graph(old) == before
        task.cancel()
        turn()
    assert graph(old) == before
    assert of_image(next(iter(textures(old).values())).image).size
