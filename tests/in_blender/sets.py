"""A set of maps as one material: what each does to light and shape, what goes to glTF, and what becomes of changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import addon_utils
import bpy
import numpy as np
import pytest
from inside import LARGE, begin, connect, generate, turn, until_ended, until_previewed
from numpy.typing import NDArray
from pictures import Pixels, difference, of_image, of_render, truth
from scenery import everything, links_of, live, node, ours, plane, select, source, textures, unused_images, value

SMALL = {"width": 64, "height": 64}
MAPS = {"basecolor", "normal", "roughness", "metallic", "height", "ao"}
GLTF = "io_scene_gltf2"


def wanted(*maps: str) -> None:
    """These maps and no others are asked for."""
    bpy.context.scene.texserver.maps = set(maps)


def without_uv_map(thing: Any) -> Any:
    while thing.data.uv_layers:
        thing.data.uv_layers.remove(thing.data.uv_layers[0])
    return thing


def lit(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much brighter the active object is with the sun from the right than from the left; and from above."""

    def seen(x: float, y: float) -> NDArray[np.float64]:
        fine = of_render(256, folder, sun=(x, y), exact=False).astype(float)  # slopes are taken from pixel to pixel
        return fine.reshape(64, 4, 64, 4, 3).mean((1, 3, 4))

    return seen(1, 0) - seen(-1, 0), seen(0, 1) - seen(0, -1)


def alike(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The correlation of two pictures."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def slopes(height: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How steeply a height falls to the right, and upwards in the picture."""
    levels = height[:, :, 0].astype(float)
    return np.roll(levels, 1, 1) - np.roll(levels, -1, 1), np.roll(levels, -1, 0) - np.roll(levels, 1, 0)


# --------------------------------------------------------------------------------------------------------------- light


def test_light_falls_on_what_the_normal_map_turns_to_it(tmp_path: Path) -> None:
    """Red is to the right and green is up (OpenGL)."""
    plane()
    wanted("normal")
    normal = of_image(textures(generate("stone", seed=7, texels=64, **SMALL))["normal"].image).astype(float)
    rightwards, upwards = lit(tmp_path)
    assert alike(rightwards, normal[:, :, 0]) > 0.9
    assert alike(upwards, normal[:, :, 1]) > 0.9
    assert rightwards.std() > 10


@pytest.mark.parametrize("mapping", ["UV", "OBJECT", "BOX"])
def test_without_a_normal_map_the_height_shades(mapping: str, tmp_path: Path) -> None:
    thing = plane()
    if mapping != "UV":
        without_uv_map(thing)
    wanted("height")
    material = generate("stone", seed=7, texels=64, mapping=mapping, displacement=0.005, **SMALL)
    height = of_image(textures(material)["height"].image)
    shift = 0 if mapping == "UV" else 32  # object coordinates begin in the middle
    rightwards, upwards = lit(tmp_path)
    falls_right, falls_up = (np.roll(each, (shift, shift), (0, 1)) for each in slopes(height))
    assert alike(rightwards, falls_right) > 0.8
    assert alike(upwards, falls_up) > 0.8


def test_normal_map_and_height_together_shade_as_the_normal_map_alone(tmp_path: Path) -> None:
    plane()
    seen = []
    for maps in (("normal",), ("normal", "height")):
        wanted(*maps)
        generate("stone", seed=7, texels=64, **SMALL)
        seen.append(of_render(64, tmp_path, sun=(1, 0), exact=False))
    np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize("mapping", ["UV", "OBJECT", "BOX"])
@pytest.mark.parametrize("angle", [0, 90])
def test_light_falls_on_the_same_slopes_under_every_mapping(mapping: str, angle: int, tmp_path: Path) -> None:
    """Also where the texture, or the object, is turned."""
    thing = plane()
    wanted("normal")
    material = generate("stone", seed=7, texels=64, mapping=mapping, **SMALL)
    live(material).inputs["Rotation"].default_value = np.radians(angle)
    normal = of_image(textures(material)["normal"].image).astype(float)
    shift = 0 if mapping == "UV" else 32
    if angle:  # to the left, around the origin of the coordinates
        normal = np.rot90(normal, 1)
        right, up = 255 - normal[:, :, 1], normal[:, :, 0]
    else:
        right, up = normal[:, :, 0], normal[:, :, 1]
    rightwards, upwards = lit(tmp_path)
    assert alike(rightwards, np.roll(right, (shift, shift), (0, 1))) > 0.9
    assert alike(upwards, np.roll(up, (shift, shift), (0, 1))) > 0.9
    thing.rotation_euler.z = np.pi / 2
    rightwards, upwards = lit(tmp_path)
    if mapping != "UV":
        assert alike(upwards, np.rot90(np.roll(right, (shift, shift), (0, 1)), 1)) > 0.9


def test_ao_darkens_the_base_colour_by_its_factor(tmp_path: Path) -> None:
    plane()
    wanted("basecolor", "ao")
    material = generate("stone", seed=7, texels=64, **SMALL)
    painted = truth("stone-7-64x64").astype(float) / 255
    base, ao = painted[:, :, :3], painted[:, :, 8:9]
    light = np.where(base <= 0.04045, base / 12.92, ((base + 0.055) / 1.055) ** 2.4)
    for factor in (0.5, 1.0, 0.0):
        assert factor != 0.5 or value(material, "AO") == 0.5
        live(material).inputs["AO"].default_value = factor
        dark = light * (1 - factor + factor * ao)
        screen = np.where(dark <= 0.0031308, dark * 12.92, 1.055 * dark ** (1 / 2.4) - 0.055)
        assert difference(of_render(64, tmp_path), np.rint(screen * 255).astype(np.uint8)) < 1


# --------------------------------------------------------------------------------------------------------------- shape


def grid(side: int) -> Any:
    """A square of one metre around the origin with so many faces along each side, and no UV map."""
    steps = [each / side - 0.5 for each in range(side + 1)]
    corners = [(x, y, 0) for y in steps for x in steps]
    across = side + 1
    faces = [
        (first, first + 1, first + 1 + across, first + across)
        for first in (row * across + column for row in range(side) for column in range(side))
    ]
    thing = without_uv_map(plane())
    thing.data.clear_geometry()
    thing.data.from_pydata(corners, [], faces)
    thing.data.update()
    return thing


def extent(folder: Path) -> float:
    """How many metres of the square metre around the origin the active object takes in height, seen from the side."""
    seen = of_render(64, folder, upright=True)
    rows = np.flatnonzero((seen < 250).any((1, 2)))
    return (rows[-1] - rows[0] + 1) / 64 if rows.size else 0.0


def test_a_height_moves_the_surface_where_that_is_asked_for(tmp_path: Path) -> None:
    """By its depth, from the lowest to the highest point, around the surface as it was."""
    grid(64)
    bpy.context.scene.texserver.mapping = "OBJECT"
    material = generate("stone", seed=7, texels=64, displacement=0.05, **SMALL)
    bpy.context.object.data.polygons.foreach_set("use_smooth", [True] * 64 * 64)
    levels = of_image(textures(material)["height"].image)[:, :, 0] / 255
    assert material.displacement_method == "BUMP"
    assert extent(tmp_path) <= 1 / 64
    assert generate("stone", seed=7, texels=64, displacement=0.05, displace=True, **SMALL) == material
    assert material.displacement_method == "DISPLACEMENT"
    depth = 0.05 * 1024 / 64
    assert extent(tmp_path) == pytest.approx(float(np.ptp(levels)) * depth, abs=0.1)


@pytest.mark.parametrize(("texels", "depth"), [(1024, 0.05), (512, 0.1), (4096, 0.0125)])
def test_the_depth_goes_by_texels_and_not_by_size(texels: int, depth: float) -> None:
    for side in (64, 128):
        material = generate("stone", texels=texels, width=side, height=side)
        assert value(material, "Displacement") == pytest.approx(depth)


def test_displacing_can_be_asked_for_and_taken_back() -> None:
    material = generate("stone", **SMALL)
    output = node(material, "OUTPUT_MATERIAL")
    for displace, method in ((False, "BUMP"), (True, "DISPLACEMENT"), (False, "BUMP")):
        generate("stone", displace=displace, **SMALL)
        assert output.inputs["Displacement"].is_linked == displace
        assert links_of(material)["Normal"] == ["Normal"]
        assert material.displacement_method == method


# ----------------------------------------------------------------------------------------------- what an artist changed


def test_a_method_that_an_artist_chose_stays() -> None:
    material = generate("stone", **SMALL)
    material.displacement_method = "BOTH"
    for displace in (True, False):
        generate("stone", seed=1, displace=displace, **SMALL)
        assert material.displacement_method == "BOTH"


def test_a_height_that_an_artist_linked_stays_linked() -> None:
    material = generate("stone", **SMALL)
    into = node(material, "OUTPUT_MATERIAL").inputs["Displacement"]
    material.node_tree.links.new(live(material).outputs["Displacement"], into)
    generate("stone", seed=1, **SMALL)
    assert source(into) == live(material)


# ------------------------------------------------------------------------------------------------------------ in place


def test_a_larger_size_takes_the_place_of_a_smaller_one_for_two_objects() -> None:
    active, other = plane("Active"), plane("Other")
    select(active, other)
    material = generate("stone", all_selected=True, **SMALL)
    nodes = {each.name for each in material.node_tree.nodes}
    assert generate("stone", all_selected=True, width=256, height=256) == material
    assert active.active_material == other.active_material == material
    assert {each.name for each in material.node_tree.nodes} == nodes
    found = textures(material)
    assert set(found) == MAPS
    assert {tuple(each.image.size) for each in found.values()} == {(256, 256)}
    assert len(ours(bpy.data.images)) == 6
    assert unused_images() == []
    assert len(ours(bpy.data.node_groups)) == 4  # its own, for glTF, pieces, drift


def test_maps_that_a_model_does_not_have_take_all_of_theirs_with_them() -> None:
    material = generate("stone", displace=True, **SMALL)
    assert ours(bpy.data.node_groups)
    generate("tiny", **SMALL)
    assert links_of(material) == {"Base Color": ["Base Color"]}
    shared = {"Texserver Piece", "Texserver Drift"}
    assert {each.name for each in bpy.data.node_groups} == {live(material).node_tree.name, *shared}
    assert material.displacement_method == "BUMP"


def test_without_a_colour_ao_darkens_none() -> None:
    wanted("ao", "roughness")
    material = generate("stone", **SMALL)
    assert set(textures(material)) == {"ao", "roughness"}
    assert not node(material, "BSDF_PRINCIPLED").inputs["Base Color"].is_linked


@pytest.mark.parametrize("mapping", ["UV", "BOX"])
@pytest.mark.parametrize("displace", [False, True])
def test_cancel_takes_all_of_a_set_back(displace: bool, mapping: str) -> None:
    """To the same model as it lay before, to another, and to none."""
    connect()
    for model in ("stone", "tiny", None):
        thing = plane()
        if model:
            generate(model, texels=512, **SMALL)
        before = everything()
        task = begin("stone", seed=99, displace=displace, mapping=mapping, **LARGE)
        until_previewed(task)
        assert set(textures(thing.active_material)) == MAPS
        assert everything() != before
        assert bpy.ops.texserver.cancel(task_id=task.id) == {"FINISHED"}
        turn()
        assert everything() == before
        assert unused_images() == []


def test_what_was_cancelled_can_be_asked_for_again() -> None:
    material = generate("stone", texels=512, **SMALL)
    task = begin("stone", seed=99, displace=True, **LARGE)
    until_previewed(task)
    bpy.ops.texserver.cancel(task_id=task.id)
    turn()
    task = begin("stone", seed=99, displace=True, **LARGE)
    until_ended(task)
    assert task.state == "done", task.message
    assert value(material, "Displacement") == pytest.approx(0.1)
    assert material.displacement_method == "DISPLACEMENT"
    generate("stone", displace=False, **SMALL)
    assert not node(material, "OUTPUT_MATERIAL").inputs["Displacement"].is_linked
    assert material.displacement_method == "BUMP"


def test_a_set_that_is_opened_again_goes_on_in_place(tmp_path: Path) -> None:
    generate("stone", displace=True, **SMALL)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "set.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "set.blend"))
    material = bpy.context.object.active_material
    nodes = {each.name for each in material.node_tree.nodes}
    assert generate("stone", seed=1, texels=512, **SMALL) == material
    assert {each.name for each in material.node_tree.nodes} == nodes
    assert value(material, "Displacement") == pytest.approx(0.05)
    assert value(material, "Size") == pytest.approx(64 / 512)
    assert material.displacement_method == "DISPLACEMENT"
    assert len(ours(bpy.data.node_groups)) == 4  # its own, for glTF, pieces, drift


# ---------------------------------------------------------------------------------------------------------------- glTF


@pytest.fixture
def exporter() -> Iterator[None]:
    addon_utils.enable(GLTF)
    yield
    addon_utils.disable(GLTF)


@pytest.mark.filterwarnings("default")  # what Blender's own exporter is warned of
def test_gltf_gets_all_that_it_knows(exporter: None, tmp_path: Path) -> None:
    """Read back by Blender: base colour, normal, and occlusion, roughness and metallic in one image."""
    plane()
    generate("stone", seed=7, texels=64, displace=True, **SMALL)
    path = tmp_path / "stone.glb"
    assert bpy.ops.export_scene.gltf(filepath=str(path), export_format="GLB", use_selection=True) == {"FINISHED"}
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert bpy.ops.import_scene.gltf(filepath=str(path)) == {"FINISHED"}
    material = bpy.context.object.active_material
    shader, painted = node(material, "BSDF_PRINCIPLED"), truth("stone-7-64x64")
    np.testing.assert_array_equal(of_image(source(shader.inputs["Base Color"]).image), painted[:, :, :3])
    normal = source(source(shader.inputs["Normal"]).inputs["Color"])
    np.testing.assert_array_equal(of_image(normal.image), painted[:, :, 3:6])
    packed = source(source(shader.inputs["Roughness"]).inputs[0])
    assert packed == source(source(shader.inputs["Metallic"]).inputs[0])
    np.testing.assert_array_equal(of_image(packed.image), painted[:, :, [8, 6, 7]])
    (output,) = (each for each in material.node_tree.nodes if each.type == "GROUP")
    occlusion = source(output.inputs["Occlusion"])
    assert source(occlusion.inputs[0]).image == packed.image


def test_a_file_that_has_the_exporter_s_group_gets_no_second_one() -> None:
    group = bpy.data.node_groups.new("glTF Material Output", "ShaderNodeTree")
    group.interface.new_socket("Occlusion", in_out="INPUT", socket_type="NodeSocketFloat")
    material = generate("stone", **SMALL)
    piece = bpy.data.node_groups["Texserver Piece"]
    drift = bpy.data.node_groups["Texserver Drift"]
    assert {each.node_tree for each in live(material).node_tree.nodes if each.type == "GROUP"} == {group, piece, drift}
    generate("tiny", **SMALL)
    assert set(bpy.data.node_groups) == {group, piece, drift, live(material).node_tree}
