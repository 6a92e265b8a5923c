"""Variations that are tried on an object, and another piece of one texture for each object."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.loop import pump, trial
from bl_ext.user_default.texserver.material import live as live_group
from bl_ext.user_default.texserver.material import pieces
from bl_ext.user_default.texserver.panel import orders
from bl_ext.user_default.texserver.tasks import state
from inside import LARGE, Paused, begin, fresh_seed, generate, refusal, turn, until_ended, until_previewed
from pictures import difference, of_render, truth
from scenery import everything, live, ours, plane, select, textures, value

SMALL = {"width": 64, "height": 64}


@pytest.fixture(autouse=True)
def quickly_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variations that the server paints in a moment."""
    monkeypatch.setattr(orders, "VARIATION_SIDE", 128)


def vary(model: str = "stone", *, seed: int = 20, count: int = 3, side: int = 96) -> list[int]:
    """Show variations; their seeds."""
    chosen = bpy.context.scene.texserver
    chosen.model, chosen.seed, chosen.variations = model, seed, count
    chosen.size, chosen.width, chosen.height = "CUSTOM", side, side
    assert bpy.ops.texserver.variations() == {"FINISHED"}
    return [task.order.seed for task in state.session().variations]


def shown(thing: Any) -> tuple[str, int]:
    """The seed and the width of what an object shows."""
    told = textures(thing.active_material)["basecolor"].image["texserver"]
    return told["seed"], told["width"]


# --------------------------------------------------------------------------------------------------------------- trials


@pytest.mark.parametrize("before", ["none", "own"])
def test_a_variation_is_on_the_object_at_once_and_comes_off_without_a_trace(before: str) -> None:
    thing = plane()
    if before == "own":
        generate("stone", seed=1, texels=300, **SMALL)
        live(thing.active_material).inputs["Hue"].default_value = 0.3
    was = everything()
    seeds = vary()
    assert everything() == was
    jobs = len(state.session().tasks)
    for seed in seeds:
        assert bpy.ops.texserver.try_variation(seed=seed) == {"FINISHED"}
        assert shown(thing) == (str(seed), orders.VARIATION_SIDE)
        assert set(textures(thing.active_material)) >= {"basecolor", "normal", "roughness", "height"}
        seen = {each.image for each in textures(thing.active_material).values()}
        earlier = 6 if before == "own" else 0
        assert len(ours(bpy.data.images)) == len(seen) + earlier, "the variation before stays behind"
    assert len(state.session().tasks) == jobs, "nothing had to be painted"
    assert bpy.ops.texserver.take_off_variation() == {"FINISHED"}
    assert everything() == was
    assert trial.current() is None


def test_values_and_texels_are_those_of_the_material_while_a_variation_is_tried_on() -> None:
    material = generate("stone", seed=1, texels=256, **SMALL)
    live(material).inputs["Hue"].default_value = 0.3
    (seed, *_) = vary()
    bpy.ops.texserver.try_variation(seed=seed)
    assert value(material, "Hue") == pytest.approx(0.3)
    assert value(material, "Size") == orders.VARIATION_SIDE / 256


def test_the_arrows_go_round_the_variations() -> None:
    thing = plane()
    seeds = vary(count=3)
    went = []
    for step in (1, 1, 1, 1, -1, -1):
        bpy.ops.texserver.step_variation(step=step)
        went.append(int(shown(thing)[0]))
    first, second, third = seeds
    assert went == [first, second, third, first, third, second]


def test_a_variation_that_is_kept_is_painted_large_and_nothing_else_is_left() -> None:
    thing = plane()
    generate("stone", seed=1, **SMALL)
    seed = vary()[1]
    bpy.ops.texserver.try_variation(seed=seed)
    assert bpy.ops.texserver.keep_variation() == {"FINISHED"}
    assert shown(thing) == (str(seed), 96)
    assert bpy.context.scene.texserver.seed == seed
    assert len(ours(bpy.data.images)) == 6
    assert trial.current() is None
    assert "No variation is tried on" in refused("take_off_variation")


def test_a_kept_variation_that_is_cancelled_restores_what_was_there_before_it_was_tried_on() -> None:
    generate("stone", seed=1, **SMALL)
    was = everything()
    (seed, *_) = vary(seed=fresh_seed())
    bpy.ops.texserver.try_variation(seed=seed)
    on = trial.current()
    assert on
    with Paused():
        task = orders.kept(bpy.context, on).begin()
        turn()
        assert shown(bpy.context.object) == (str(seed), orders.VARIATION_SIDE), "it stays on until the texture is there"
        task.cancel()
        turn()
    assert everything() == was


def test_the_next_variations_are_the_next_seeds_and_take_off_what_was_tried_on() -> None:
    was = everything()
    seeds = vary(seed=20, count=4)
    bpy.ops.texserver.try_variation(seed=seeds[0])
    assert bpy.ops.texserver.next_variations() == {"FINISHED"}
    assert [task.order.seed for task in state.session().variations] == [24, 25, 26, 27]
    assert bpy.context.scene.texserver.seed == 20
    assert everything() == was


@pytest.mark.parametrize("end", ["generate", "model", "disable", "save", "new file"])
def test_a_trial_ends_with_what_makes_it_pointless(end: str, tmp_path: Path) -> None:
    thing = plane()
    generate("stone", seed=1, **SMALL)
    was = everything()
    (seed, *_) = vary()
    bpy.ops.texserver.try_variation(seed=seed)
    assert everything() != was
    if end == "generate":
        generate("stone", seed=5, **SMALL)
        assert shown(thing) == ("5", 64)
        assert len(ours(bpy.data.images)) == 6
    elif end == "model":
        bpy.context.scene.texserver.model = "tiny"
        assert everything() == was
    elif end == "disable":
        pump.stop()
        assert everything() == was
    elif end == "save":
        path = tmp_path / "saved.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
        assert everything() == was
        with bpy.data.libraries.load(str(path)) as (there, _):
            assert len([each for each in there.images if each.startswith("stone")]) == 6
    else:
        bpy.ops.wm.read_homefile(use_factory_startup=True)
        turn()
    assert trial.current() is None


def test_faces_that_are_selected_get_the_variation_and_the_others_keep_theirs() -> None:
    bpy.ops.mesh.primitive_cube_add()
    thing = bpy.context.object
    vary()
    for each in thing.data.polygons:
        each.select = each.index == 2
    bpy.context.tool_settings.mesh_select_mode = (False, False, True)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.texserver.try_variation(seed=21)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert [each.material_index for each in thing.data.polygons] == [0, 0, 1, 0, 0, 0]
    bpy.ops.texserver.take_off_variation()
    assert [each.material_index for each in thing.data.polygons] == [0] * 6


def refused(name: str, **given: Any) -> str:
    """Why an operator cannot be called, or what it says instead."""
    with pytest.raises(RuntimeError) as told:
        getattr(bpy.ops.texserver, name)(**given)
    return str(told.value)


def test_what_cannot_be_tried_on_is_said_and_changes_nothing() -> None:
    thing = plane()
    (seed, *_) = vary()
    was = everything()
    assert "not painted yet" in refusal(lambda: bpy.ops.texserver.try_variation(seed=9))
    bpy.context.scene.texserver.target = "ADD"
    assert "could not be taken off" in refusal(lambda: bpy.ops.texserver.try_variation(seed=seed))
    bpy.context.scene.texserver.target = "UPDATE"
    with Paused():
        task = begin("stone", seed=fresh_seed(), **LARGE)
        assert "is being painted" in refusal(lambda: bpy.ops.texserver.try_variation(seed=seed))
        task.cancel()
        turn()
    assert everything() == was
    select()
    assert "Select the object for the texture" in refused("try_variation", seed=seed)
    assert thing.active_material is None


def test_a_trial_on_another_object_takes_the_first_one_off() -> None:
    first, second = plane("First"), plane("Second")
    seeds = vary()
    select(first)
    bpy.ops.texserver.try_variation(seed=seeds[0])
    select(second)
    bpy.ops.texserver.try_variation(seed=seeds[1])
    assert first.active_material is None
    assert shown(second)[0] == str(seeds[1])


# --------------------------------------------------------------------------------------------------------------- pieces


def both(name: str) -> list[Any]:
    """Two planes with one material, one above the other."""
    things = [plane("One"), plane("Two")]
    select(*things)
    material = generate(name, seed=7, texels=64, all_selected=True, **SMALL)
    assert things[1].active_material == material
    return things


def seen(thing: Any, folder: Path) -> Any:
    select(thing)
    return of_render(64, folder)


@pytest.mark.parametrize("mapping", ["UV", "BOX", "OBJECT"])
def test_two_objects_with_one_material_differ_where_it_varies_and_are_equal_where_not(
    mapping: str, tmp_path: Path
) -> None:
    one, two = both("tiny")
    material = one.active_material
    material.texserver_live.mapping = mapping
    assert difference(seen(one, tmp_path), seen(two, tmp_path)) < 0.1
    images = len(bpy.data.images)
    material.texserver_live.vary = True
    first, second = seen(one, tmp_path), seen(two, tmp_path)
    assert difference(first, second) > 10
    for each in (first, second):
        assert is_moved(each, truth("tiny-7-64x64"), any_step()), "not a piece of the same texture"
    assert len(bpy.data.images) == images
    material.texserver_live.vary = False
    assert difference(seen(one, tmp_path), seen(two, tmp_path)) < 0.1


def any_step() -> list[tuple[int, int]]:
    return [(down, across) for down in range(64) for across in range(64)]


def is_moved(one: Any, other: Any, steps: list[tuple[int, int]]) -> bool:
    """Whether one picture is the other, moved round by one of these steps."""
    return any(difference(one, np.roll(other, step, (0, 1))) < 1 for step in steps)


def test_objects_with_the_same_number_show_the_same_piece_and_the_dice_gives_others(tmp_path: Path) -> None:
    one, two = both("tiny")
    one.active_material.texserver_live.vary = True
    usual = seen(one, tmp_path)
    select(one)
    assert bpy.ops.texserver.dice_piece() == {"FINISHED"}
    rolled = seen(one, tmp_path)
    assert difference(usual, rolled) > 10
    two[pieces.PROPERTY] = one[pieces.PROPERTY]
    assert difference(seen(two, tmp_path), rolled) < 0.1
    select(one)
    assert bpy.ops.texserver.clear_piece() == {"FINISHED"}
    assert difference(seen(one, tmp_path), usual) < 0.1


def test_a_regular_material_moves_by_whole_periods() -> None:
    """The pattern of "tiles" repeats after 16 pixels across and 24 down."""
    material = generate("tiles", seed=7, width=64, height=96)
    shown = live_group.showing(live(material))
    assert shown
    assert shown.lattice
    one, other, counts = pieces.steps_of(shown.size, shown.lattice)
    for u, v, _ in (one, other):
        assert (u * 64 / 16) % 1 == pytest.approx(0, abs=1e-6)
        assert (v * 96 / 24) % 1 == pytest.approx(0, abs=1e-6)
    places = {
        (round((m * one[0] + n * other[0]) * 64) % 64, round((m * one[1] + n * other[1]) * 96) % 96)
        for m in range(int(counts[0]))
        for n in range(int(counts[1]))
    }
    assert len(places) == (64 // 16) * (96 // 24)


def test_a_group_of_the_first_version_varies_once_it_is_asked_to() -> None:
    """And keeps its values and what an artist has linked."""
    thing = plane()
    material = generate("stone", seed=7, **SMALL)
    node = live(material)
    tree = node.node_tree
    tree.interface.remove(next(each for each in tree.interface.items_tree if each.name == "Vary per Object"))
    tree["texserver"]["version"] = 1
    node.inputs["Hue"].default_value = 0.25
    number = material.node_tree.nodes.new("ShaderNodeValue")
    material.node_tree.links.new(number.outputs[0], node.inputs["Rotation"])
    assert "Vary per Object" not in node.inputs
    assert not material.texserver_live.vary
    links = sorted((each.from_socket.name, each.to_socket.name) for each in material.node_tree.links)
    material.texserver_live.vary = True
    assert material.texserver_live.vary
    assert live(material).node_tree["texserver"]["version"] == 3
    assert value(material, "Hue") == 0.25
    assert sorted((each.from_socket.name, each.to_socket.name) for each in material.node_tree.links) == links
    assert thing.active_material == material


def test_a_preview_over_a_group_of_the_first_version_comes_off_without_a_trace() -> None:
    material = generate("stone", seed=7, **SMALL)
    tree = live(material).node_tree
    tree.interface.remove(next(each for each in tree.interface.items_tree if each.name == "Vary per Object"))
    tree["texserver"]["version"] = 1
    was = everything()
    task = begin("stone", seed=fresh_seed(), **LARGE)
    until_previewed(task)
    task.cancel()
    until_ended(task)
    assert everything() == was
