"""Every operator from Python, as scripts call them: they run to the end, and raise a sentence where they cannot."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import addon_utils
import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.panel import operator, preferences
from bl_ext.user_default.texserver.panel.orders import MOST_SEED
from bl_ext.user_default.texserver.tasks import child_process, state
from bl_ext.user_default.texserver.tasks.texture_task import TextureOrder
from inside import (
    EXTENSION,
    LARGE,
    MODELS,
    PYTHON,
    Paused,
    begin,
    begin_order,
    connect,
    fresh_seed,
    generate,
    refusal,
    turn,
    until,
    until_ended,
)
from pictures import difference, of_image, truth
from scenery import everything, foreign_material, plane, textures, value
from strict_layout import draw, names, texts

SMALL = {"width": 64, "height": 64}


def shown() -> dict[str, object]:
    """What the image of the active object's material says of itself."""
    (texture,) = textures(bpy.context.object.active_material).values()
    found: dict[str, object] = texture.image["texserver"].to_dict()
    return found


# ------------------------------------------------------------------------------------------------------------ painting


def test_generate_takes_what_is_not_given_from_the_scene() -> None:
    settings = bpy.context.scene.texserver
    settings.model, settings.seed, settings.size, settings.width, settings.height = "tiny", 7, "CUSTOM", 64, 32
    settings.mapping, settings.texels = "OBJECT", 100
    assert bpy.ops.texserver.generate() == {"FINISHED"}
    (texture,) = textures(bpy.context.object.active_material).values()
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x32"))
    assert value(bpy.context.object.active_material, "Size") == pytest.approx(64 / 100)


def test_generate_takes_what_is_given_and_leaves_the_scene_alone() -> None:
    settings = bpy.context.scene.texserver
    connect()  # with the models come those of the gallery
    names = [each.identifier for each in settings.bl_rna.properties]
    before = {name: getattr(settings, name) for name in names}
    generate("tiny", seed=7, width=64, height=32, mapping="BOX", blend=0.5, texels=99, target="NEW")
    assert (shown()["seed"], shown()["width"], shown()["height"]) == ("7", 64, 32)
    assert {name: getattr(settings, name) for name in names} == before
    generate("tiny", **SMALL)  # and what was given is not taken for given the next time
    assert shown()["seed"] == "0"


def test_one_side_is_enough_for_a_square() -> None:
    generate(width=48)
    assert (shown()["width"], shown()["height"]) == (48, 48)
    generate(height=80)
    assert (shown()["width"], shown()["height"]) == (80, 80)


def test_without_a_name_the_first_model_is_taken() -> None:
    assert bpy.ops.texserver.generate(width=64, height=64) == {"FINISHED"}
    assert len(textures(bpy.context.object.active_material)) == 6  # of stone


def test_a_button_works_without_a_window_too() -> None:
    assert bpy.ops.texserver.generate("INVOKE_DEFAULT", model="tiny", seed=7, **SMALL) == {"FINISHED"}
    assert shown()["seed"] == "7"


def test_generate_paints_a_whole_series() -> None:
    """As a script that fills a scene."""
    for seed in range(12):
        plane(f"Plane {seed}")
        generate(seed=seed, **SMALL)
    seeds = {textures(bpy.data.objects[f"Plane {each}"].active_material)["basecolor"] for each in range(12)}
    assert len(seeds) == 12
    assert len(state.session().history.entries) == 12


# ---------------------------------------------------------------------------------------------------------- variations


MAPS = ("basecolor", "normal", "roughness", "metallic", "ao", "height")


def test_variations_are_small_textures_of_the_next_seeds() -> None:
    settings = bpy.context.scene.texserver
    settings.model, settings.seed, settings.variations = "stone", 7, 3
    before = everything()
    assert bpy.ops.texserver.variations() == {"FINISHED"}
    tasks = state.session().variations
    assert [(task.state, task.order.seed, task.order.maps) for task in tasks] == [
        ("done", seed, MAPS) for seed in (7, 8, 9)
    ]
    assert all(path.is_file() for task in tasks if task.result for path in task.result.files.values())
    assert everything() == before


def test_variations_go_round_at_the_largest_seed() -> None:
    settings = bpy.context.scene.texserver
    settings.model, settings.seed, settings.variations = "tiny", MOST_SEED, 2
    bpy.ops.texserver.variations()
    assert [task.order.seed for task in state.session().variations] == [MOST_SEED, 0]


def test_a_variation_that_is_picked_is_painted_large() -> None:
    settings = bpy.context.scene.texserver
    settings.model, settings.seed, settings.size, settings.width, settings.height = "tiny", 7, "CUSTOM", 96, 96
    bpy.ops.texserver.variations()
    third = state.session().variations[2].order
    assert bpy.ops.texserver.use_variation(model=third.model, seed=third.seed) == {"FINISHED"}
    assert (shown()["seed"], shown()["width"]) == ("9", 96)
    assert settings.seed == 9


def test_variations_without_a_server_are_refused(no_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "FAILED_WAIT_S", 0.3)
    assert "No texserver runs here" in refusal(bpy.ops.texserver.variations)


# ------------------------------------------------------------------------------------------------- history and retrying


def test_again_makes_the_same_texture_for_another_object() -> None:
    generate(seed=7, width=64, height=32)
    generate(seed=8, **SMALL)
    plane()
    assert bpy.ops.texserver.again(index=1) == {"FINISHED"}
    (texture,) = textures(bpy.context.object.active_material).values()
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x32"))


def test_again_can_be_larger() -> None:
    generate(seed=7, width=64, height=32)
    assert bpy.ops.texserver.again(index=0, side=128) == {"FINISHED"}
    assert (shown()["width"], shown()["height"], shown()["seed"]) == (128, 64, "7")


def test_again_keeps_whole_periods_when_it_is_larger() -> None:
    generate("tiles", seed=7, width=96, height=96)
    bpy.ops.texserver.again(index=0, side=200)
    for side, step in ((shown()["width"], 16), (shown()["height"], 24)):
        periods = int(str(side)) / step
        assert abs(round(periods) / periods - 1) <= 0.005  # nobody sees more than that
        assert abs(int(str(side)) - 200) <= step


def test_again_of_what_is_not_there_is_refused() -> None:
    assert (
        refusal(lambda: bpy.ops.texserver.again(index=3)) == "The history no longer has this entry. Choose another one."
    )


def test_retry_does_for_the_same_object_what_had_failed() -> None:
    connect()
    task = begin_order(TextureOrder(model="late", seed=7, size=(64, 64)))
    until_ended(task)
    assert task.state == "failed"
    cube = bpy.context.object
    plane()
    try:
        shutil.copy(MODELS / "tiny.safetensors", MODELS / "late.safetensors")
        until(lambda: bpy.ops.texserver.refresh() and state.session().catalogue.get("late"), "the model")
        assert bpy.ops.texserver.retry(task_id=task.id) == {"FINISHED"}
    finally:
        (MODELS / "late.safetensors").unlink()
        until(lambda: bpy.ops.texserver.refresh() and not state.session().catalogue.get("late"), "that it is gone")
    (texture,) = textures(cube.active_material).values()
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))
    assert bpy.context.object.active_material is None
    assert [each.state for each in state.session().tasks] == ["done"]


def test_retry_of_what_is_not_there_is_refused() -> None:
    assert refusal(lambda: bpy.ops.texserver.retry(task_id=77)) == "That job is gone. Press Generate instead."


def test_jobs_can_be_cancelled_one_by_one_or_all_and_cleared() -> None:
    connect()
    with Paused():
        first, second, third = (begin(seed=fresh_seed(), **LARGE) for _ in range(3))
        turn()
        assert bpy.ops.texserver.cancel(task_id=second.id) == {"FINISHED"}
        assert [task.state for task in (first, second, third)] == ["waiting", "cancelled", "waiting"]
        assert bpy.ops.texserver.clear_jobs() == {"FINISHED"}
        assert state.session().tasks == [first, third]
        assert bpy.ops.texserver.cancel() == {"FINISHED"}
    assert bpy.ops.texserver.clear_jobs() == {"FINISHED"}
    assert state.session().tasks == []


def test_the_history_can_be_forgotten_while_what_was_made_stays() -> None:
    generate(**SMALL)
    before = everything()
    assert bpy.ops.texserver.clear_history() == {"FINISHED"}
    assert state.session().history.entries == ()
    assert everything() == before


def test_only_the_last_jobs_are_kept_in_the_list() -> None:
    for seed in range(25):
        generate(seed=seed, width=16, height=16)
    assert [task.order.seed for task in state.session().tasks] == list(range(5, 25))


# ------------------------------------------------------------------------------------------------------- small things


def test_the_dice_gives_other_seeds_that_can_be_painted() -> None:
    seeds = set()
    for _ in range(5):
        assert bpy.ops.texserver.dice() == {"FINISHED"}
        seeds.add(bpy.context.scene.texserver.seed)
    assert len(seeds) > 1
    assert all(0 <= seed <= MOST_SEED for seed in seeds)
    generate(width=16)
    assert shown()["seed"] == str(bpy.context.scene.texserver.seed)


def test_the_largest_seed_can_be_painted() -> None:
    generate(seed=MOST_SEED, width=16)
    assert shown()["seed"] == str(MOST_SEED)


def test_refresh_lists_the_models() -> None:
    assert bpy.ops.texserver.refresh() == {"FINISHED"}
    assert [model.name for model in state.session().catalogue.models] == [
        "ink",
        "oil",
        "stone",
        "tiles",
        "tiny",
        "wash",
    ]


def test_refresh_without_a_server_is_refused(no_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "FAILED_WAIT_S", 0.3)
    assert "No texserver runs here" in refusal(bpy.ops.texserver.refresh)


def test_an_asset_has_picture_tags_and_description() -> None:
    material = generate("stone", seed=7, **SMALL)
    until(lambda: state.session().catalogue.thumbnail("stone"), "a thumbnail")
    assert bpy.ops.texserver.mark_asset() == {"FINISHED"}
    assert sorted(tag.name for tag in material.asset_data.tags) == ["stone", "texserver"]
    assert material.asset_data.description == "stone, seed 7"
    picture = material.preview
    assert tuple(picture.image_size) == (48, 32)
    assert np.array(picture.image_pixels_float[:]).reshape(-1, 4)[:, :3].std() > 0.01
    assert bpy.ops.texserver.mark_asset() == {"FINISHED"}  # once more
    assert len(material.asset_data.tags) == 2


def test_an_asset_says_what_it_shows_after_a_cancelled_job() -> None:
    material = generate(seed=7, **SMALL)
    task = begin("stone", seed=8, **LARGE)
    until(lambda: task.preview, "a preview")
    task.cancel()
    turn()
    bpy.ops.texserver.mark_asset()
    assert material.asset_data.description == "tiny, seed 7"


def test_another_s_material_is_not_marked_as_an_asset_of_ours() -> None:
    bpy.context.object.active_material = foreign_material()
    assert not bpy.ops.texserver.mark_asset.poll()
    with pytest.raises(RuntimeError, match="The active material was not made by Texserver"):
        bpy.ops.texserver.mark_asset()
    plane()
    assert not bpy.ops.texserver.mark_asset.poll()


def test_a_uv_map_is_measured_again_when_somebody_asks() -> None:
    thing = plane()
    thing.data.uv_layers[0].uv.foreach_set("vector", [0, 0, 0.5, 0, 0.5, 0.5, 0, 0.5])
    assert bpy.ops.texserver.measure() == {"FINISHED"}
    assert tuple(thing.data["texserver_u"]) == pytest.approx((2, 0, 0))
    thing.data.uv_layers.remove(thing.data.uv_layers[0])
    assert refusal(bpy.ops.texserver.measure) == "Plane has no usable UV map. Unwrap makes one."


def test_a_message_can_be_copied() -> None:
    assert bpy.ops.texserver.copy_error(text="No texserver runs here.") == {"FINISHED"}
    # Without a window there is no clipboard to look into.


def test_no_operator_is_left_out_here() -> None:
    """But for those that open a window, or only lead to one that does not."""
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    called = set(re.findall(r"bpy\.ops\.texserver\.(\w+)", text)) | {"generate"}
    there = {name for name in dir(bpy.ops.texserver) if not name.startswith("_")}
    assert there - called == {"preferences", "corners", "train_begin", "material_from_image", "style_from_image"}


# -------------------------------------------------------------------------------------------------------- local server


def test_without_any_server_the_way_to_one_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    preferences.get().setup_folder = str(tmp_path)
    assert "no program texserver on the PATH. Set a server up" in refusal(bpy.ops.texserver.start_server)


def test_a_local_server_that_cannot_be_started_is_explained(tmp_path: Path) -> None:
    chosen = preferences.get()
    chosen.models_folder, chosen.server_command = str(tmp_path), str(tmp_path / "nothing")
    assert "cannot be started" in refusal(bpy.ops.texserver.start_server)
    assert state.local_server().state == "failed"


def test_a_local_server_is_found_serves_and_stops(no_server: Path, tmp_path: Path) -> None:
    """From an empty folder, into which a model is put; its connection file is in the user's runtime folder."""
    models = tmp_path / "models of mine"
    models.mkdir()
    chosen = preferences.get()
    chosen.models_folder, chosen.server_command = str(models), PYTHON
    assert bpy.ops.texserver.start_server() == {"FINISHED"}
    server = state.local_server()
    assert server.state == "starting"
    until(lambda: server.tick() or server.state != "starting", "its start")
    assert server.state == "running", server.message
    assert {"texserver.stop_server"} <= names(draw(chosen, bpy.context))
    assert "texserver --pairing" in texts(draw(chosen, bpy.context))
    assert not re.search(r"texserver://\S+/[\w-]{43}", texts(draw(chosen, bpy.context)))
    assert "has no models" in refusal(lambda: bpy.ops.texserver.generate(**SMALL))

    shutil.copy(MODELS / "tiny.safetensors", models)
    until(lambda: bpy.ops.texserver.refresh() and state.session().catalogue.models, "the model")
    generate(seed=7, **SMALL)
    (texture,) = textures(bpy.context.object.active_material).values()
    assert difference(of_image(texture.image), truth("tiny-7-64x64")) < 1  # perhaps of less precision

    assert bpy.ops.texserver.stop_server() == {"FINISHED"}
    assert server.state == "stopped"
    until(lambda: server.tick() or not server.message, "its end")
    assert not no_server.exists()
    assert "No texserver runs" in refusal(bpy.ops.texserver.refresh)


def test_a_local_server_ends_with_the_extension(no_server: Path, tmp_path: Path) -> None:
    chosen = preferences.get()
    chosen.models_folder, chosen.server_command = str(tmp_path), PYTHON
    bpy.ops.texserver.start_server()
    process = state.local_server()._process
    assert process is not None
    started = time.monotonic()
    addon_utils.disable(EXTENSION)
    assert time.monotonic() - started < 2 * child_process.LAST_WAIT_S + 0.5
    try:
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    finally:
        addon_utils.enable(EXTENSION)
