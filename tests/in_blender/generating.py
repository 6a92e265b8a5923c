"""A texture on an object: its pixels, how it lies there, what becomes of materials that were there before."""

import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.loop import pump
from bl_ext.user_default.texserver.tasks import state
from inside import LARGE, LARGE_PREVIEW, begin, generate, pending, turn, until, until_ended, until_previewed
from pictures import difference, of_image, of_render, truth
from scenery import (
    add,
    everything,
    foreign_material,
    graph,
    links_of,
    live,
    node,
    ours,
    plane,
    select,
    source,
    textures,
    unused_images,
    value,
)

SMALL = {"width": 64, "height": 64}
SAME = 1.0  # step of 255: what a render may differ from the texture on average


# ------------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize(("width", "height"), [(64, 64), (64, 32)])
def test_the_image_holds_the_pixels_that_the_model_paints(width: int, height: int) -> None:
    (texture,) = textures(generate(seed=7, width=width, height=height)).values()
    np.testing.assert_array_equal(of_image(texture.image), truth(f"tiny-7-{width}x{height}"))


def test_each_map_holds_its_own_channels() -> None:
    images = {map: each.image for map, each in textures(generate("stone", seed=7, **SMALL)).items()}
    pixels = truth("stone-7-64x64")
    first = 0
    for map, channels in (("basecolor", 3), ("normal", 3), ("roughness", 1), ("metallic", 1), ("ao", 1), ("height", 1)):
        expected = np.broadcast_to(pixels[:, :, first : first + channels], (64, 64, 3))
        np.testing.assert_array_equal(of_image(images[map]), expected, map)
        first += channels
    assert first == pixels.shape[2]


def test_another_seed_is_another_piece_and_the_same_seed_the_same() -> None:
    first, again, other = (of_image(textures(generate(seed=seed, **SMALL))["basecolor"].image) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert difference(first, other) > 10


def test_a_seed_that_is_not_given_is_the_scene_s() -> None:
    bpy.context.scene.texserver.seed = 7
    (texture,) = textures(generate(**SMALL)).values()
    assert texture.image["texserver"]["seed"] == "7"
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))


def test_colours_are_srgb_and_data_is_not() -> None:
    images = {map: each.image for map, each in textures(generate("stone", **SMALL)).items()}
    spaces = {map: image.colorspace_settings.name for map, image in images.items()}
    assert spaces.pop("basecolor") == "sRGB"
    assert set(spaces) == {"normal", "roughness", "metallic", "height", "ao"}
    assert set(spaces.values()) == {"Non-Color"}


def test_an_image_says_all_it_takes_to_make_it_again() -> None:
    material = generate("stone", seed=2**31 - 1, width=96, height=64)
    for map, texture in textures(material).items():
        told = texture.image["texserver"].to_dict()
        assert told.pop("server").startswith("127.0.0.1:")
        assert told.pop("software")
        assert told.pop("stamp")
        assert len(told.pop("sha256")) == 64
        assert told == {
            "model": "stone",
            "map": map,
            "seed": str(2**31 - 1),
            "width": 96,
            "height": 64,
            "depth": 16 if map == "height" else 8,
            "precision": "exact",
        }
    assert material["texserver"].to_dict() == {"model": "stone", "seed": str(2**31 - 1), "name": "stone"}


# ------------------------------------------------------------------------------------------------------------- renders


def test_a_render_shows_the_texture(tmp_path: Path) -> None:
    plane()
    without = of_render(64, tmp_path)
    assert without.std() < 5
    generate(seed=7, texels=64, **SMALL)
    painted = truth("tiny-7-64x64")
    assert difference(of_render(64, tmp_path), painted) < SAME
    assert difference(without, painted) > 10 * SAME


def test_twice_the_size_is_twice_the_area_and_not_twice_the_detail(tmp_path: Path) -> None:
    """A plane of one metre shows 64 texels of both; the larger texture's other texels have no place on it."""
    plane()
    bpy.context.scene.texserver.texels = 64
    shown = []
    for side in (64, 128):
        (texture,) = textures(generate(seed=7, width=side, height=side)).values()
        pixels = of_image(texture.image)
        shown.append(of_render(64, tmp_path))
        assert difference(shown[-1], pixels[side - 64 :, :64]) < SAME
    assert difference(*shown) > 10 * SAME


def test_object_coordinates_need_no_uv_map_and_lie_around_the_origin(tmp_path: Path) -> None:
    thing = plane()
    thing.data.uv_layers.remove(thing.data.uv_layers[0])
    generate(seed=7, texels=64, mapping="OBJECT", **SMALL)
    assert difference(of_render(64, tmp_path), np.roll(truth("tiny-7-64x64"), (32, 32), (0, 1))) < SAME


def test_a_box_puts_a_texture_upright_on_a_wall(tmp_path: Path) -> None:
    """One that is wide and low, which is seen twice above itself."""
    thing = plane(upright=True)
    thing.data.uv_layers.remove(thing.data.uv_layers[0])
    generate(seed=7, texels=64, mapping="BOX", blend=0, width=64, height=32)
    expected = np.roll(np.tile(truth("tiny-7-64x32"), (2, 1, 1)), 32, 1)
    assert difference(of_render(64, tmp_path, upright=True), expected) < SAME


# ------------------------------------------------------------------------------------------------------ nodes and links


@pytest.mark.parametrize("mapping", ["UV", "BOX", "OBJECT"])
def test_a_material_is_one_node_with_values_to_change(mapping: str) -> None:
    material = generate("stone", mapping=mapping, blend=0.35, **SMALL)
    types = sorted(each.type for each in material.node_tree.nodes)
    assert types == ["BSDF_PRINCIPLED", "GROUP", "OUTPUT_MATERIAL"]
    group = live(material).node_tree
    assert group.name.startswith("Texserver Material")
    assert group["texserver"]["version"] == 3
    assert group["texserver"]["projection"] == mapping
    assert value(material, "Blend") == pytest.approx(0.35)
    assert live(material).inputs["Blend"].hide == (mapping != "BOX")


@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 128), (96, 64)])
@pytest.mark.parametrize("mapping", ["UV", "BOX"])
def test_size_is_how_wide_one_repeat_is(width: int, height: int, mapping: str) -> None:
    assert value(generate(texels=256, mapping=mapping, width=width, height=height), "Size") == width / 256


def test_a_new_material_has_the_scale_of_its_model_until_one_is_set_by_hand() -> None:
    settings = bpy.context.scene.texserver
    tiles = {"model": "tiles", "whole_periods": False, "target": "NEW", **SMALL}
    assert value(generate(**tiles), "Size") == 64 / 512
    settings.model = "tiles"
    assert settings.texels == 512
    settings.model = "tiny"
    assert settings.texels == 1024
    settings.texels = 128
    assert value(generate(**tiles), "Size") == 64 / 128
    assert value(generate(texels=256, **tiles), "Size") == 64 / 256
    bpy.ops.texserver.model_texels()
    assert value(generate(**tiles), "Size") == 64 / 512


def test_every_map_is_connected_to_what_it_is_for() -> None:
    material = generate("stone", displace=True, **SMALL)
    assert set(textures(material)) == {"basecolor", "normal", "roughness", "metallic", "height", "ao"}
    assert links_of(material) == {
        each: [each] for each in ("Base Color", "Metallic", "Roughness", "Normal", "Displacement")
    }
    shader, output = node(material, "BSDF_PRINCIPLED"), node(material, "OUTPUT_MATERIAL")
    assert source(shader.inputs["Base Color"]) == source(output.inputs["Displacement"]) == live(material)
    assert source(output.inputs["Surface"]) == shader


def test_maps_that_are_not_wanted_are_not_asked_for() -> None:
    bpy.context.scene.texserver.maps = {"basecolor", "roughness"}
    assert set(textures(generate("stone", **SMALL))) == {"basecolor", "roughness"}
    assert len(ours(bpy.data.images)) == 2


def test_a_regular_material_gets_whole_periods() -> None:
    """Of 16 pixels across and 24 down."""
    for whole, expected in ((True, (0, 0)), (False, (100 % 16, 100 % 24))):
        (texture,) = textures(generate("tiles", width=100, height=100, whole_periods=whole)).values()
        width, height = texture.image.size
        assert (width % 16, height % 24) == expected
        assert abs(width - 100) <= 16
        assert abs(height - 100) <= 24


# ------------------------------------------------------------------------------------------------------- many objects


def test_all_selected_objects_share_one_material() -> None:
    active, other, bystander = plane("Active"), plane("Other"), plane("Bystander")
    select(active, other, bpy.data.objects["Camera"])
    material = generate(all_selected=True, **SMALL)
    assert active.active_material == other.active_material == material
    assert bystander.active_material is None


def test_without_that_only_the_active_one_is_painted() -> None:
    active, other = plane("Active"), plane("Other")
    select(active, other)
    generate(**SMALL)
    assert active.active_material is not None
    assert other.active_material is None


@pytest.mark.parametrize("kind", ["CURVE", "FONT", "META", "SURFACE"])
def test_other_kinds_of_objects_are_painted_too(kind: str) -> None:
    made: Any = {
        "CURVE": lambda: bpy.data.curves.new("Curve", "CURVE"),
        "FONT": lambda: bpy.data.curves.new("Text", "FONT"),
        "META": lambda: bpy.data.metaballs.new("Meta"),
        "SURFACE": lambda: bpy.data.curves.new("Surface", "SURFACE"),
    }[kind]()
    thing = add(kind, made)
    assert thing.type == kind
    assert generate(mapping="OBJECT", **SMALL) == thing.active_material is not None


def test_only_the_active_slot_is_painted() -> None:
    thing = plane()
    for name in ("First", "Second", "Third"):
        thing.data.materials.append(bpy.data.materials.new(name))
    thing.active_material_index = 1
    generate(**SMALL)
    assert [slot.material.name for slot in thing.material_slots][::2] == ["First", "Third"]
    assert ours([thing.material_slots[1].material])


# ------------------------------------------------------------------------------------------------------ what was there


def test_our_own_material_is_updated_in_place_and_nothing_is_left_over() -> None:
    first = generate("stone", seed=1, **SMALL)
    nodes, count = {each.name for each in first.node_tree.nodes}, len(bpy.data.materials)
    for seed in (2, 3):
        assert generate("stone", seed=seed, **SMALL) == first
        assert {each.name for each in first.node_tree.nodes} == nodes
        assert len(bpy.data.materials) == count
        assert {each["texserver"]["seed"] for each in ours(bpy.data.images)} == {str(seed)}
        assert len(ours(bpy.data.images)) == 6


def test_what_an_artist_changed_in_our_node_stays() -> None:
    material = generate("stone", **SMALL)
    wanted = {"Normal Strength": 0.25, "Rotation": 0.5, "Offset X": 0.3, "Hue": 0.1, "Value": 1.5, "AO": 0.8, "Size": 3}
    for name, given in wanted.items():
        live(material).inputs[name].default_value = given
    live(material).location = (123, 45)
    bpy.context.scene.texserver.texels = 77
    generate("stone", seed=1, **SMALL)
    assert {name: value(material, name) for name in wanted} == pytest.approx(wanted)
    assert tuple(live(material).location) == (123, 45)


def test_a_node_between_ours_and_the_shader_stays_there() -> None:
    material = generate(**SMALL)
    tree, shader = material.node_tree, node(material, "BSDF_PRINCIPLED")
    bright = tree.nodes.new("ShaderNodeBrightContrast")
    tree.links.new(live(material).outputs["Base Color"], bright.inputs["Color"])
    tree.links.new(bright.outputs["Color"], shader.inputs["Base Color"])
    generate(seed=1, **SMALL)
    assert source(shader.inputs["Base Color"]) == bright
    assert source(bright.inputs["Color"]) == live(material)


def test_maps_that_a_model_does_not_have_leave_nothing_behind() -> None:
    """A displacement without a picture would move the whole surface."""
    material = generate("stone", displace=True, **SMALL)
    generate("tiny", **SMALL)
    assert set(textures(material)) == {"basecolor"}
    assert links_of(material) == {"Base Color": ["Base Color"]}
    assert material.displacement_method == "BUMP"
    assert len(ours(bpy.data.images)) == 1
    assert len(ours(bpy.data.node_groups)) == 3  # the material's, for pieces, for drift


def test_update_leaves_another_s_material_alone() -> None:
    thing = plane()
    brass = foreign_material()
    thing.data.materials.append(brass)
    before = graph(brass)
    material = generate(**SMALL)
    assert material != brass
    assert thing.active_material == material
    assert graph(brass) == before


def test_new_is_new_every_time() -> None:
    first = generate(target="NEW", **SMALL)
    before = graph(first)
    second = generate(target="NEW", seed=1, **SMALL)
    assert first != second
    assert graph(first) == before


def test_add_leaves_links_that_are_there() -> None:
    thing = plane()
    brass = foreign_material()
    thing.data.materials.append(brass)
    before = graph(brass)
    assert generate("stone", target="ADD", **SMALL) == brass
    after = graph(brass)
    assert set(map(tuple, before["links"])) < set(map(tuple, after["links"]))
    assert {name: after["nodes"][name] for name in before["nodes"]} == before["nodes"]
    shader = node(brass, "BSDF_PRINCIPLED")
    assert source(shader.inputs["Base Color"]).type == source(shader.inputs["Roughness"]).type == "TEX_NOISE"
    assert links_of(brass) == {"Metallic": ["Metallic"], "Normal": ["Normal"]}


def test_add_replaces_links_where_that_is_asked_for() -> None:
    thing = plane()
    brass = foreign_material()
    thing.data.materials.append(brass)
    generate("stone", target="ADD", replace_links=True, **SMALL)
    shader = node(brass, "BSDF_PRINCIPLED")
    assert source(shader.inputs["Base Color"]) == source(shader.inputs["Roughness"]) == live(brass)
    assert node(brass, "TEX_NOISE")  # stays, for whoever wants it back


def test_add_finds_the_shader_that_is_seen() -> None:
    """And not the first that lies around."""
    thing = plane()
    brass = foreign_material()
    thing.data.materials.append(brass)
    seen, output = node(brass, "BSDF_PRINCIPLED"), node(brass, "OUTPUT_MATERIAL")
    other = brass.node_tree.nodes.new("ShaderNodeBsdfPrincipled")
    brass.node_tree.links.new(other.outputs["BSDF"], output.inputs["Surface"])
    generate("stone", target="ADD", **SMALL)
    assert source(other.inputs["Base Color"]) == live(brass)
    assert source(seen.inputs["Metallic"]) is None


def test_a_copy_of_our_material_keeps_its_texture() -> None:
    """When the one that it was copied from gets another."""
    original = generate(seed=7, **SMALL)
    copy = original.copy()
    plane().data.materials.append(copy)
    assert generate(seed=8, **SMALL) == copy
    np.testing.assert_array_equal(of_image(textures(original)["basecolor"].image), truth("tiny-7-64x64"))
    assert {each["texserver"]["seed"] for each in ours(bpy.data.images)} == {"7", "8"}


def test_add_to_an_object_without_a_material_makes_one() -> None:
    plane()
    assert ours([generate(target="ADD", **SMALL)])


# ------------------------------------------------------------------------------------------------------------ previews


def test_a_large_texture_is_shown_small_first_and_the_small_one_goes() -> None:
    task = begin(seed=5, **LARGE)
    until_previewed(task)
    material = bpy.context.object.active_material
    (texture,) = textures(material).values()
    assert tuple(texture.image.size) == LARGE_PREVIEW
    assert value(material, "Size") == pytest.approx(512 / 1024)
    until_ended(task)
    assert value(material, "Size") == pytest.approx(528 / 1024)
    (texture,) = textures(material).values()
    assert task.state == "done", task.message
    assert bpy.context.object.active_material == material
    assert tuple(texture.image.size) == (LARGE["width"], LARGE["height"])
    assert [each.name for each in ours(bpy.data.images)] == [texture.image.name]


def test_another_s_material_gets_no_preview() -> None:
    thing = plane()
    thing.data.materials.append(foreign_material())
    task = begin(target="ADD", **LARGE)
    before = everything()
    until_previewed(task)
    assert everything() == before
    until_ended(task)
    assert textures(thing.active_material)


def test_several_jobs_at_once_each_reach_their_object() -> None:
    tasks = {}
    for seed in range(5):
        thing = plane(f"Plane {seed}")
        tasks[thing.name] = begin(seed=seed, **SMALL)
    until_ended(*tasks.values())
    for seed, name in enumerate(tasks):
        (texture,) = textures(bpy.data.objects[name].active_material).values()
        assert texture.image["texserver"]["seed"] == str(seed)


def test_an_object_that_was_renamed_meanwhile_is_found() -> None:
    thing = plane("Before")
    task = begin(**LARGE)
    until_previewed(task)
    thing.name = "After"
    plane("Before")  # another one
    until_ended(task)
    assert textures(thing.active_material)
    assert bpy.data.objects["Before"].active_material is None


def test_blender_is_never_kept_waiting_long() -> None:
    """In processor time, since this machine may be busy with others."""
    plane()
    task = begin("stone", width=1024, height=1024)
    longest = 0.0
    while pending(task):
        started = time.thread_time()
        pump.step()
        longest = max(longest, time.thread_time() - started)
        time.sleep(pump.NAP_S)
    assert task.state == "done", task.message
    assert longest < 0.1


def test_a_turn_loads_one_map_or_shows_all_of_them_but_no_map_that_came_in_it() -> None:
    thing = plane()
    task = begin("stone", width=64, height=64)
    turns = []
    while pending(task):
        before, ended = len(ours(bpy.data.images)), task.ended
        assert thing.active_material is None
        pump.step()
        loaded = len(ours(bpy.data.images)) - before
        assert ended or not loaded
        turns.append((loaded, thing.active_material is not None))
        time.sleep(pump.NAP_S)
    assert task.state == "done", task.message
    assert turns[-7:] == [(1, False)] * 6 + [(0, True)]
    assert len(textures(thing.active_material)) == 6


def test_what_is_loaded_and_not_shown_yet_goes_with_its_object() -> None:
    thing = plane()
    task = begin("stone", width=64, height=64)
    until(lambda: len(ours(bpy.data.images)) == 2, "two maps are loaded")
    bpy.data.objects.remove(thing)
    until(lambda: not pending(task), "the job ends")
    assert task.state == "failed"
    assert "no longer exists" in task.message
    assert ours(bpy.data.images) == []


def test_what_is_loaded_and_not_shown_yet_is_in_no_file_and_comes_again(tmp_path: Path) -> None:
    thing = plane()
    task = begin("stone", width=64, height=64)
    until(lambda: len(ours(bpy.data.images)) == 2, "two maps are loaded")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"), copy=True)
    assert ours(bpy.data.images) == []
    until(lambda: not pending(task), "the job ends")
    assert (task.state, len(textures(thing.active_material))) == ("done", 6)


def test_what_was_made_is_in_the_history_once() -> None:
    for seed in (1, 2, 1):
        generate(seed=seed, **SMALL)
    entries = state.session().history.entries
    assert [(each.model, each.seed, each.size) for each in entries] == [("tiny", 1, (64, 64)), ("tiny", 2, (64, 64))]
    turn()
    assert unused_images() == []
