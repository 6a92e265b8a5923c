"""A scene of the harness: a style is made from a picture, a render is put into it, and a region stays as it was."""

from array import array
from pathlib import Path
from typing import Any

import bpy
from harness import (
    DRAWN_S,
    TASK,
    Desk,
    Steps,
    new_file,
    open_from_the_start,
    running_operators,
    session,
    settings,
    take,
    until,
)
from training_scenes import LEARNED_WITHIN_S, accept, picture

SIZE = (640, 400)


def scene_make_style() -> Steps:
    """The dialog, the job, the new style in the panel, the render in it; then with a region."""
    open_from_the_start("regions", close=("jobs",), of="panel.style_panels")
    yield from new_file()
    yield from _render()
    Desk().area.type = "IMAGE_EDITOR"
    desk = Desk("IMAGE_EDITOR")
    yield DRAWN_S
    yield from desk.open_tab()
    desk.area.spaces.active.image = bpy.data.images["Render Result"]
    settings().style.content = "RENDER"
    yield from desk.find("texserver.style_from_picture")
    yield from take("style-panel")
    path = Path(TASK["photograph"]) if TASK["photograph"] else picture()
    with desk.override():
        bpy.ops.texserver.learn_style("INVOKE_DEFAULT", filepath=str(path), bottom=0.05)
    yield 4 * DRAWN_S
    yield from take("style-dialog")
    task, _ = yield from accept(desk)
    yield from until(lambda: task.fraction > 0.05 or task.ended, "the server at work", LEARNED_WITHIN_S)
    yield from take("style-making")
    yield from until(lambda: task.ended, "the style", LEARNED_WITHIN_S)
    yield from until(lambda: settings().style.model == task.order.name or task.state != "done", "its selection", 10)
    told: dict[str, Any] = {"made": task.state, "message": task.message, "name": task.order.name}
    told["selected"] = settings().style.model
    yield 4 * DRAWN_S
    told["stylized"] = yield from _stylized(desk)
    yield from take("style-made")
    told["region"] = yield from _with_region(desk)
    return told | {"operators": running_operators()}


def _render() -> Steps:
    """The cube, in a moment."""
    bpy.context.preferences.view.render_display_type = "NONE"
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 16, False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *SIZE, 100
    yield from Desk().press("F12")
    yield from until(lambda: bpy.app.is_job_running("RENDER"), "a rendering", 20)
    yield from until(lambda: not bpy.app.is_job_running("RENDER"), "the end of the rendering")


def _stylized(desk: Desk) -> Steps:
    """Press Stylize: what came of it."""
    before = list(session().tasks)
    yield from desk.click("texserver.stylize_image")
    task = yield from until(lambda: next((each for each in session().tasks if each not in before), None), "a job", 10)
    yield from until(lambda: task.ended, "the picture", LEARNED_WITHIN_S)
    yield 4 * DRAWN_S
    image = desk.area.spaces.active.image
    return {"state": task.state, "message": task.message, "shown": image.name, "size": list(image.size)}


def _with_region(desk: Desk) -> Steps:
    """The left half stays as it was: the sub-panel, and what came of it."""
    with desk.override():
        bpy.ops.texserver.add_region()
        bpy.ops.texserver.region_mask(region=0)
    mask = settings().style.regions[0].mask
    told: dict[str, Any] = {"mask": list(mask.size), "painting": desk.area.spaces.active.ui_mode}
    width, height = mask.size
    row = array("f", [1.0, 1.0, 1.0, 1.0] * (width // 2) + [0.0, 0.0, 0.0, 1.0] * (width - width // 2))
    mask.pixels.foreach_set(row * height)
    mask.update()
    space = desk.area.spaces.active
    space.ui_mode = "VIEW"
    space.image = bpy.data.images["Render Result"]
    yield 4 * DRAWN_S
    told |= yield from _stylized(desk)
    yield from take("style-region")
    return told
