"""Material from Picture: from scripts, as the button does, cancelled, left alone and fetched."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import addon_utils
import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.panel import (
    style_panels,
    style_training_orders,
    training_operators,
    training_orders,
    training_panels,
)
from bl_ext.user_default.texserver.pictures.image_file import open_image
from bl_ext.user_default.texserver.protocol import wire
from bl_ext.user_default.texserver.tasks import state
from bl_ext.user_default.texserver.tasks.training_task import TrainingOrder, TrainingTask
from inside import EXTENSION, connect, generate, refusal, turn, until
from scenery import everything, ours, plane, select, textures, unused_images, value
from strict_layout import draw, names, texts

LEARNED_WITHIN_S = 60.0
SIDE = 128
_numbers = itertools.count(random.randrange(10**6))


@pytest.fixture(autouse=True)
def small() -> None:
    bpy.context.scene.texserver.size = "512"


def new_name(kind: str = "pebbles") -> str:
    """One that no test has used: the server lives on. Its trainer is slow with what is named so (quick_trainer.py)."""
    return f"{kind}_{next(_numbers)}"


def picture(folder: Path, name: str = "pebbles") -> Path:
    """Noise."""
    pixels = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    path = folder / f"{name}.png"
    with open_image(path, width=SIDE, height=SIDE, channels=3, srgb=True) as file:
        file.write_rows(pixels.tobytes())
    return path


def begin(path: Path, name: str, **given: Any) -> TrainingTask:
    """As the dialog does when it is accepted."""
    if not state.session().catalogue.models:
        connect()
    (found,) = training_orders.in_files([path])
    order = TrainingOrder(name=name, metres=0.5, **given)
    return training_orders.prepare(bpy.context, found, order, bpy.context.object).begin()


def trainings_sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose training is asked for from now on. (The server's list of trainings may change at any time.)"""
    connection = state.session().connection
    sent, ask = [], connection.ask

    def noted(make: Callable[..., wire.Request], then: Callable[[wire.Reply], None]) -> int:
        message = make(id=0)
        if isinstance(message, wire.Train):
            sent.append(message.name)
        return ask(make, then)

    monkeypatch.setattr(connection, "ask", noted)
    return sent


def until_shown(task: TrainingTask) -> None:
    """The growing texture has come, and is on the object."""
    until(lambda: task.picture and bpy.context.object.active_material, "a picture of the growing texture", 60)
    turn()


# -------------------------------------------------------------------------------------------------------- from scripts


def test_a_script_makes_a_material_of_true_size(tmp_path: Path) -> None:
    thing, name = plane(), new_name()
    done = bpy.ops.texserver.train(filepath=str(picture(tmp_path)), name=name, metres=0.25, category="Ground")
    assert done == {"FINISHED"}
    material = thing.active_material
    assert material.name == name
    assert set(textures(material)) == {"basecolor", "normal", "height", "roughness"}
    model = state.session().catalogue.get(name)
    assert model
    assert model.swatch
    assert (model.texels_per_metre, model.category) == (model.swatch[1] / 0.25, "Ground")
    assert value(material, "Size") == pytest.approx(0.25 * 512 / model.swatch[1])
    assert bpy.context.scene.texserver.model == name
    assert unused_images() == []
    assert "already" in refusal(lambda: bpy.ops.texserver.train(filepath=str(tmp_path / "pebbles.png"), name=name))
    assert f"{name}_2" in refusal(lambda: bpy.ops.texserver.train(filepath=str(tmp_path / "pebbles.png"), name=name))


def test_the_present_textures_of_an_object_are_learned_with_all_their_maps(tmp_path: Path) -> None:
    """Here those of a material that was made here, so that they have something to show."""
    thing, name = plane(), new_name()
    generate("stone", seed=7, width=128, height=128)
    assert bpy.ops.texserver.train(source="OBJECT", name=name, metres=1) == {"FINISHED"}
    assert state.session().catalogue.get(name).maps == (  # type: ignore[union-attr]
        "basecolor",
        "normal",
        "roughness",
        "metallic",
        "ao",
        "height",
    )
    assert thing.active_material.name == name


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"filepath": "/nowhere/wall.jpg"}, "does not exist"),
        ({"filepath": "", "directory": ""}, "There is no picture"),
        ({"source": "IMAGE", "image": "Nothing"}, "There is no image 'Nothing'"),
        ({"source": "OBJECT"}, "no image linked to Base Color"),
        ({"source": "CLIPBOARD"}, "Image Editor"),
        ({"name": "Wall!"}, "such as wall"),
        ({"corners": (0, 0, 1, 1, 1, 0, 0, 1)}, "without a dent"),
    ],
)
def test_what_cannot_be_learned_is_said_before_anything_is_sent(
    given: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connect()
    sent = trainings_sent(monkeypatch)
    path = {} if given.keys() & {"filepath", "source"} else {"filepath": str(picture(tmp_path))}
    assert why in refusal(lambda: bpy.ops.texserver.train(**path, **given))
    assert state.session().tasks == []
    assert sent == []


def test_an_object_without_materials_gets_none_and_the_model_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    select(bpy.data.objects["Camera"])
    name = new_name()
    connect()
    sent = trainings_sent(monkeypatch)
    assert bpy.ops.texserver.train(filepath=str(picture(tmp_path)), name=name, guess=False) == {"FINISHED"}
    assert state.session().catalogue.get(name)
    assert sent == [name]
    assert ours(bpy.data.images) == []


# ------------------------------------------------------------------------------------------------------- as the button


def test_the_picture_is_on_the_object_then_the_growing_texture_and_cancel_restores_all(tmp_path: Path) -> None:
    thing = plane()
    generate("tiny", seed=3, width=64, height=64)
    before, slots = everything(), len(thing.material_slots)
    task = begin(picture(tmp_path), new_name("endless"))
    until(lambda: task.preview and thing.active_material.name == task.order.name, "the picture on the object")
    assert value(thing.active_material, "Size") == pytest.approx(0.5)
    until_shown(task)
    (image,) = [each for each in ours(bpy.data.images) if each.users and each.name.startswith(task.order.name)]
    assert image.packed_file
    assert {"texserver.cancel"} <= names(draw(training_panels_of("Jobs"), bpy.context))
    assert bpy.ops.texserver.cancel(task_id=task.id) == {"FINISHED"}
    turn()
    assert everything() == before
    assert len(thing.material_slots) == slots
    jobs = state.session().server_jobs
    until(lambda: jobs.refresh() or _job(task.order.name) == "cancelled", "the end on the server")


def test_a_file_that_is_saved_meanwhile_holds_no_preview(tmp_path: Path) -> None:
    thing = plane()
    task = begin(picture(tmp_path), new_name("endless"))
    until_shown(task)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"), copy=True)
    until(lambda: thing.active_material, "the preview again")
    task.cancel()
    turn()
    with bpy.data.libraries.load(str(tmp_path / "saved.blend")) as (there, _):
        assert not any(name.startswith("endless") for name in (*there.images, *there.materials))


def test_without_the_add_on_the_server_goes_on_and_the_material_can_be_fetched(tmp_path: Path) -> None:
    """Disabled mid-training: nothing is left behind. Enabled again: the server's trainings are listed."""
    thing = plane()
    before = everything()
    name = new_name("slow")
    until_shown(begin(picture(tmp_path), name))
    addon_utils.disable(EXTENSION)
    assert everything() == before
    addon_utils.enable(EXTENSION)
    connect()
    until(lambda: _job(name), "the list of the server's trainings")
    panel = draw(training_panels_of("Jobs"), bpy.context)
    assert "Learned on the server:" in texts(panel)
    assert "texserver.fetch" in names(panel)
    (job,) = [each for each in state.session().server_jobs.jobs if each.name == name]
    bpy.context.scene.texserver.size = "512"
    assert bpy.ops.texserver.fetch(token=job.token, name=name) == {"FINISHED"}
    assert thing.active_material.name == name
    swatch = state.session().catalogue.get(name).swatch  # type: ignore[union-attr]
    assert swatch
    assert value(thing.active_material, "Size") == pytest.approx(0.5 * 512 / swatch[1])
    assert unused_images() == []


def test_another_file_leaves_the_server_to_it(tmp_path: Path) -> None:
    plane()
    name = new_name("slow")
    task = begin(picture(tmp_path), name)
    until_shown(task)
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert task.ended
    assert "The server goes on learning" in task.message
    assert ours(bpy.data.images) == ours(bpy.data.materials) == []
    until(lambda: state.session().server_jobs.refresh() or _job(name) == "done", "the model", LEARNED_WITHIN_S)


def test_a_job_can_be_retried(tmp_path: Path) -> None:
    thing = plane()
    task = begin(picture(tmp_path), new_name())
    task.cancel()
    turn()
    (found,) = [task for task in state.session().tasks if task.state == "cancelled"]
    assert bpy.ops.texserver.retry(task_id=found.id) == {"FINISHED"}
    assert thing.active_material.name == task.order.name


# --------------------------------------------------------------------------------------------------------------- styles


def painted_image(side: int = 160) -> Any:
    """An image of this Blender that is no file: soft blots."""
    coarse = np.random.default_rng(7).random((side // 8, side // 8, 3))
    pixels = np.ones((side, side, 4), np.float32)
    pixels[..., :3] = coarse.repeat(8, 0).repeat(8, 1)
    image = bpy.data.images.new("Oil Painting", side, side)
    image.pixels.foreach_set(pixels.ravel())
    return image


def test_a_script_makes_a_style_of_an_image_which_is_selected_and_stylizes() -> None:
    image, name = painted_image(), new_name("oil")
    assert bpy.ops.texserver.learn_style(image=image.name, name=name, bottom=0.25) == {"FINISHED"}
    style = bpy.context.scene.texserver.style
    assert style.model == name
    model = state.session().catalogue.get(name)
    assert model
    assert (model.kind, model.swatch) == ("style", (160, 160))
    assert bpy.ops.texserver.stylize_image(image=image.name) == {"FINISHED"}
    stylized = bpy.data.images[f"Oil Painting in {name}"]
    assert tuple(stylized.size) == (160, 160)
    panel = draw(style_panel(), bpy.context)
    assert {"texserver.style_from_picture", "texserver.stylize_image"} <= names(panel)
    assert "already" in refusal(lambda: bpy.ops.texserver.learn_style(image=image.name, name=name))
    style.model = "tiny"
    (token,) = [task.token for task in state.session().tasks if isinstance(task, TrainingTask)]
    assert bpy.ops.texserver.fetch_style(token=token, name=name) == {"FINISHED"}
    assert style.model == name


def test_a_style_that_is_being_made_is_cancelled_on_the_server_and_fetched_after_the_end() -> None:
    connect()
    image = painted_image()
    name = new_name("endless")
    found = training_orders.in_image(image)
    task = style_training_orders.prepare(bpy.context, found, name, (0, 0, 0, 0), replace=False).begin()
    until(lambda: task.picture and task.fraction > 0.05, "the server at work")
    panel = draw(training_panels_of("Jobs"), bpy.context)
    assert "texserver.cancel" in names(panel)
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert "The server goes on" in task.message
    jobs = state.session().server_jobs
    until(lambda: jobs.refresh() or _job(name) == "running", "the list of the server's trainings")
    assert "texserver.fetch_style" in names(draw(training_panels_of("Jobs"), bpy.context))
    (job,) = [each for each in jobs.jobs if each.name == name]
    followed = style_training_orders.follow(bpy.context, job.token, name).begin()
    until(lambda: followed.fraction > 0.05, "its progress")
    followed.cancel()
    until(lambda: jobs.refresh() or _job(name) == "cancelled", "the end on the server")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"filepath": "/nowhere/oil.jpg"}, "does not exist"),
        ({"filepath": "/"}, "is a folder"),
        ({}, "There is no picture"),
        ({"image": "Nothing"}, "There is no image 'Nothing'"),
        ({"image": "Oil Painting", "name": "Oil!"}, "such as oil"),
        ({"image": "Oil Painting", "left": 0.5, "right": 0.5}, "Nothing of the picture remains"),
    ],
)
def test_what_no_style_can_be_made_of_is_said_before_anything_is_sent(given: dict[str, Any], why: str) -> None:
    connect()
    painted_image(16)
    assert why in refusal(lambda: bpy.ops.texserver.learn_style(**given))
    assert state.session().tasks == []


def test_a_server_that_makes_no_styles_makes_the_button_grey_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    connect()
    monkeypatch.setattr(training_orders, "STYLE_FEATURE", "unknown")
    for call in (bpy.ops.texserver.style_from_picture, bpy.ops.texserver.learn_style):
        with pytest.raises(RuntimeError, match="is older and cannot make styles"):
            call()
    monkeypatch.setattr(training_orders, "FEATURE", "unknown")
    with pytest.raises(RuntimeError, match="does not let you make styles"):
        bpy.ops.texserver.style_from_picture()


# ----------------------------------------------------------------------------------------------------------- the panels


def test_a_server_that_does_not_train_makes_the_button_grey_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    connect()
    assert "texserver.material_from_picture" in names(draw(training_panels_of("Texserver"), bpy.context))
    monkeypatch.setattr(training_orders, "FEATURE", "unknown")
    with pytest.raises(RuntimeError, match="does not let you make materials"):
        bpy.ops.texserver.train(filepath="wall.png")
    with pytest.raises(RuntimeError, match="does not let you make materials"):
        bpy.ops.texserver.material_from_picture()


def test_the_menus_and_the_file_handler_are_there() -> None:
    assert {"texserver.material_from_picture", "texserver.train"} <= names(
        draw(training_panels.TEXSERVER_MT_picture, bpy.context)
    )
    handler = training_operators.TEXSERVER_FH_picture
    assert ".jpg" in handler.bl_file_extensions
    assert handler.bl_import_operator == "texserver.train"
    window = bpy.context.window_manager.windows[0]
    area = max(window.screen.areas, key=lambda each: each.width * each.height)
    for kind, takes in (("VIEW_3D", True), ("ShaderNodeTree", True), ("IMAGE_EDITOR", False), ("OUTLINER", False)):
        before, area.ui_type = area.ui_type, kind
        with bpy.context.temp_override(window=window, area=area, region=area.regions[-1]):
            assert handler.poll_drop(bpy.context) == takes
        area.ui_type = before


def training_panels_of(label: str) -> Any:
    from bl_ext.user_default.texserver.panel import panels

    return next(each for each in panels.CLASSES if each.bl_label == label and each.bl_space_type == "VIEW_3D")


def style_panel() -> Any:
    return style_panels.CLASSES[0]


def _job(name: str) -> str:
    """The state of a training on the server, "" while it is not listed."""
    turn(5)
    return next((each.state for each in state.session().server_jobs.jobs if each.name == name), "")
