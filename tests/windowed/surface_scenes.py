"""Scenes of the harness: two models in one texture, a plane that never repeats, and that plane as files."""

from pathlib import Path
from typing import Any

import bpy
from harness import (
    DRAWN_S,
    TASK,
    Desk,
    Steps,
    addon,
    cube,
    generate,
    image_of,
    is_assigned,
    new_file,
    open_from_the_start,
    running_operators,
    session,
    settings,
    take,
    until,
)

FINISHED_WITHIN_S = 400.0
SHADED_S = 20.0  # without a GPU it takes that long until there are shaders


def scene_blend() -> Steps:
    """Press Blend, with spots of a second model."""
    desk = yield from _roomy("blend")
    chosen = settings()
    first, second = _models()[:2]
    chosen.model, chosen.blending.second, chosen.size = first, second, "1024"
    bpy.ops.ed.undo_push(message="Settings")
    yield 2 * DRAWN_S
    yield from _scroll(desk)
    task = yield from _press(desk, "texserver.blend")
    told = _told(task) | {"blend": bool(image_of(cube())["texserver"].to_dict().get("blend"))}
    yield from _look(desk, "blend")
    _back("blend")
    return told


def scene_surface() -> Steps:
    """Press Never Repeat below a texture, and Bake Surface below that."""
    desk = yield from _roomy("material")
    settings().model = _models()[0]
    task, _ = yield from generate(desk, 512, 3)
    yield from until(lambda: is_assigned(task), "the texture")
    material = cube().active_material
    materials = addon("material.materials")
    yield 2 * DRAWN_S
    yield from _scroll(desk)
    task = yield from _press(desk, "texserver.never_repeat")
    told = _told(task) | {"repeats": materials.repeats(material), "kept": len(materials.kept_images_of(material))}
    yield from _look(desk, "never-repeat")

    folder = Path(TASK["pictures"]).parent / "baked"
    folder.mkdir(exist_ok=True)
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"
    yield from _scroll(desk)
    yield from desk.click("texserver.bake_surface")
    yield 4 * DRAWN_S
    browser = Desk("FILE_BROWSER")
    params = yield from until(lambda: browser.area.spaces.active.params, "a file browser", 10)
    params.directory = str(folder).encode()
    browser.area.spaces.active.active_operator.columns = 3
    browser.area.spaces.active.active_operator.rows = 2
    yield 2 * DRAWN_S
    yield from take("bake-dialog")
    before = session().tasks[-1]
    with browser.override():
        bpy.ops.file.execute()
    task = yield from until(lambda: session().tasks[-1] is not before and session().tasks[-1], "a job", 20)
    yield from until(lambda: task.ended, "the files", FINISHED_WITHIN_S)
    yield 2 * DRAWN_S
    told["bake"] = {"state": task.state, "message": task.message, "operators": running_operators()}
    told["files"] = {each.name: each.stat().st_size for each in sorted(folder.iterdir())}
    yield from take("baked")
    _back("material")
    return told


def _roomy(name: str) -> Steps:
    """A new file with this sub-panel alone open, and small pictures, or its buttons lie below the window."""
    open_from_the_start(name, close=tuple({"material", "variations", "jobs", "history"} - {name}))
    desk = yield from new_file()
    addon("panel.preferences").get().thumbnails = 3
    yield 2 * DRAWN_S
    return desk


def _scroll(desk: Desk) -> Steps:
    """To the end of the sidebar."""
    for _ in range(20):
        with desk.override("UI"):
            if bpy.ops.view2d.scroll_down.poll():
                bpy.ops.view2d.scroll_down(deltay=60)
    yield 2 * DRAWN_S


def _back(name: str) -> None:
    addon("panel.preferences").get().thumbnails = 6
    open_from_the_start("material", "jobs", close=tuple({name, "history"} - {"material"}))


def _models() -> list[str]:
    """Those with several maps first."""
    found = sorted(session().catalogue.ready("texture"), key=lambda each: -len(each.maps))
    return [each.name for each in found]


def _press(desk: Desk, command: str) -> Steps:
    """A button that begins a job, and wait for the end of that."""
    before = list(session().tasks)
    yield from desk.click(command)
    task = yield from until(lambda: next((each for each in session().tasks if each not in before), None), "a job", 20)
    yield from until(lambda: is_assigned(task), "the texture", FINISHED_WITHIN_S)
    yield 2 * DRAWN_S
    return task


def _told(task: Any) -> dict[str, Any]:
    images = addon("material.materials").images_of(cube().active_material)
    return {
        "state": task.state,
        "message": task.message,
        "images": {map: [image.name, *image.size] for map, image in images.items()},
        "operators": running_operators(),
    }


def _look(desk: Desk, name: str) -> Steps:
    """A picture of it as it is in the light."""
    shading = desk.area.spaces.active.shading
    shading.type = "MATERIAL"
    yield SHADED_S
    yield from take(name)
    shading.type = "SOLID"
    yield DRAWN_S
