"""Scenes of the harness: a picture is dropped and becomes a material, by mouse and keyboard, with a real trainer."""

import random
import time
from pathlib import Path
from typing import Any

import bpy
from harness import (
    DRAWN_S,
    STEP_S,
    TASK,
    Desk,
    Steps,
    addon,
    beating,
    cube,
    image_of,
    is_assigned,
    new_file,
    of_ours,
    running_operators,
    session,
    settings,
    stopwatch,
    take,
    until,
)

SIDE = 256
METRES = 1.6
LEARNED_WITHIN_S = 300.0


def picture() -> Path:
    """Drawn bricks, each in a red of its own."""
    rng = random.Random(4)
    rows = []
    for row in range(8):
        reds = [rng.randrange(90, 220) for _ in range(5)]
        for line in range(SIDE // 8):
            joint = line < 3
            pixels = bytearray()
            for x in range(SIDE):
                place = (x + (row % 2) * 32) % SIDE
                red = 190 if joint or place % 64 < 3 else reds[place // 64] + rng.randrange(-12, 12)
                pixels += bytes((red, 190, 185) if red == 190 else (red, red // 2, red // 3))
            rows.append(bytes(pixels))
    path = Path(TASK["pictures"], "drawn_bricks.png")
    with addon("pictures.image_file").open_image(path, width=SIDE, height=SIDE, channels=3, srgb=True) as file:
        file.write_rows(b"".join(rows))
    return path


def open_dialog(desk: Desk, path: Path, **given: Any) -> Steps:
    """As Blender does for a file that is dropped onto the middle of the view."""
    x, y = desk.middle
    desk.window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    yield DRAWN_S
    with desk.override():
        bpy.ops.texserver.train(
            "INVOKE_DEFAULT", directory=f"{path.parent}/", files=[{"name": path.name}], metres=METRES, **given
        )
    yield 4 * DRAWN_S


def accept(desk: Desk) -> Steps:
    """Press Return in the dialog: the task, and when."""
    before = list(session().tasks)
    at = time.monotonic()
    yield from desk.press("RET")
    task = yield from until(lambda: next((each for each in session().tasks if each not in before), None), "a job", 20)
    return task, at


def drag(desk: Desk, start: tuple[float, float], end: tuple[float, float]) -> Steps:
    """With the left button; places in the region."""
    region = desk.region("WINDOW")
    (x, y), (to_x, to_y) = ((int(region.x + px), int(region.y + py)) for px, py in (start, end))
    desk.window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    yield 4 * STEP_S
    desk.window.event_simulate(type="LEFTMOUSE", value="PRESS", x=x, y=y)
    yield 4 * STEP_S
    for step in (0.5, 1.0):
        place = {"x": int(x + step * (to_x - x)), "y": int(y + step * (to_y - y))}
        desk.window.event_simulate(type="MOUSEMOVE", value="NOTHING", **place)
        yield 4 * STEP_S
    desk.window.event_simulate(type="LEFTMOUSE", value="RELEASE", x=to_x, y=to_y)
    yield DRAWN_S


def scene_drop() -> Steps:
    """Drop a picture, press Learn: the picture, the growing texture, the finished one; undo and redo."""
    desk = yield from new_file()
    settings().size = "512"
    before = of_ours()
    path = picture()
    with desk.override():
        offered = [each.bl_label for each in bpy.types.FileHandler.__subclasses__() if each.poll_drop(bpy.context)]
    yield from open_dialog(desk, path)
    yield from take("picture-dialog")
    parts = {"turn": (addon("loop.pump"), "step")}
    told: dict[str, Any] = {"offered": offered, "sizes": []}
    with stopwatch(**parts) as taken:
        task, at = yield from accept(desk)
        yield from until(lambda: image_of(cube()), "the picture on the cube")
        told["picture_s"] = round(time.monotonic() - at, 2)
        told["sizes"].append(size_of(cube()))
        told["gap_ms"] = yield from beating(until(lambda: task.ended, "the end", LEARNED_WITHIN_S))
        yield from until(lambda: is_assigned(task), "the texture")
    told["texture_s"] = round(time.monotonic() - at, 2)
    told["ours_ms"] = round(1000 * max(taken["turn"]), 1)
    told |= {"state": task.state, "message": task.message, "name": task.order.name, "model": settings().model}
    told["sizes"].append(size_of(cube()))
    told["maps"] = sorted(addon("material.materials").images_of(cube().active_material))
    told["images"] = of_ours()["images"]
    told["before"] = before
    yield 2 * DRAWN_S
    bpy.ops.ed.undo()
    yield 2 * DRAWN_S
    told["undone"] = of_ours()["materials"]
    bpy.ops.ed.redo()
    yield 2 * DRAWN_S
    told["redone"] = cube().active_material.name
    told["operators"] = running_operators()
    return told


def scene_refused() -> Steps:
    """OK is refused once: the dialog is there again with what was typed, and the next OK begins."""
    desk = yield from new_file()
    orders = addon("panel.training_orders")
    allowed = orders.refusal
    before = list(session().tasks)
    orders.refusal = lambda name, *, replace: "The server is having its tea. Wait a moment."
    yield from open_dialog(desk, picture(), name="kept_name", category="Walls")
    yield from desk.press("RET")
    yield 4 * DRAWN_S
    yield from take("picture-refused")
    told: dict[str, Any] = {"begun": len(session().tasks) - len(before)}
    orders.refusal = allowed
    task, _ = yield from accept(desk)
    told |= {"name": task.order.name, "metres": round(task.order.metres, 3), "category": task.order.category}
    bpy.ops.texserver.cancel(task_id=task.id)
    yield from until(lambda: task.ended, "the end", LEARNED_WITHIN_S)
    return told


def scene_film() -> Steps:
    """What docs/BLENDER.md shows moving: a photograph is dropped onto a wall, and is its material in the end."""
    desk = yield from new_file()
    bpy.data.objects.remove(cube())
    bpy.ops.mesh.primitive_cube_add(size=1, scale=(4.2, 0.3, 2.6), location=(0, 0, 1.3))
    bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
    wall = bpy.context.object
    space = desk.area.spaces.active
    space.shading.type = "MATERIAL"
    space.overlay.show_overlays = space.show_gizmo = False
    view = space.region_3d
    view.view_location, view.view_distance = (0.7, 0.0, 1.2), 5.6
    view.view_rotation = (0.75, 0.62, 0.12, 0.14)
    settings().size, settings().mapping = "1024", "BOX"
    path = Path(TASK["photograph"]) if TASK["photograph"] else picture()
    Path(TASK["pictures"], "film.begins").touch()
    yield 1.0
    yield from open_dialog(desk, path)
    yield 4.0
    task, at = yield from accept(desk)
    yield from until(lambda: image_of(wall), "the picture on the wall", LEARNED_WITHIN_S)
    told: dict[str, Any] = {"picture_s": round(time.monotonic() - at, 2)}
    yield from until(lambda: task.picture or task.ended, "the growing texture", LEARNED_WITHIN_S)
    told["growing_s"] = round(time.monotonic() - at, 2)
    yield from until(lambda: task.ended and is_assigned(task), "the texture", LEARNED_WITHIN_S)
    told |= {"texture_s": round(time.monotonic() - at, 2), "state": task.state, "message": task.message}
    yield 4.0
    Path(TASK["pictures"], "film.ends").touch()
    yield 1.0
    return told


def scene_corners() -> Steps:
    """Crop and straighten: drag two corners, Whole Picture, drag one, Esc; then again, Enter, and cancel the job."""
    desk = yield from new_file()
    path = picture()
    before = of_ours(), len(bpy.data.images)
    module = addon("panel.corners")
    told: dict[str, Any] = {}
    for attempt in ("escaped", "learned"):
        yield from open_dialog(desk, path, straighten=True)
        yield from desk.press("RET")
        view = yield from until(lambda: module._view, "the corners", 20)
        yield 3 * DRAWN_S
        frame, _ = view.frames()
        width, height = frame.width, frame.height
        for corner, (x, y) in enumerate(((0.2, -0.1), (-0.15, -0.2))):
            start = frame.at(view.corners[corner])
            yield from drag(desk, start, (start[0] + x * width, start[1] + y * height))
        yield from take(f"corners-{attempt}")
        told[f"{attempt}_corners"] = [[round(each, 2) for each in point] for point in view.corners]
        if attempt == "escaped":
            yield from desk.press("ESC")
            yield 2 * DRAWN_S
            told["left_by_escape"] = module._view is None, (of_ours(), len(bpy.data.images)) == before
    tasks = len(session().tasks)
    yield from desk.press("RET")
    yield from until(lambda: len(session().tasks) > tasks, "a job", 20)
    task = session().tasks[-1]
    told["sent"] = [[round(each, 2) for each in point] for point in task.order.corners]
    yield from until(lambda: task.picture and image_of(cube()), "the growing texture", LEARNED_WITHIN_S)
    yield from desk.press("ESC", over_panel=True)
    yield 4 * DRAWN_S
    told |= {"state": task.state, "after": (of_ours(), len(bpy.data.images)) == before}
    told["operators"] = running_operators()
    return told


def scene_disabled() -> Steps:
    """The add-on is disabled while the server learns: nothing of it is left in Blender. Enabled again, it is listed."""
    desk = yield from new_file()
    before = of_ours()
    yield from open_dialog(desk, picture())
    task, _ = yield from accept(desk)
    yield from until(lambda: image_of(cube()), "the picture on the cube")
    is_ours, name = addon("material.marks").is_ours, task.order.name
    bpy.ops.preferences.addon_disable(module="bl_ext.user_default.texserver")
    yield 2 * DRAWN_S
    left = [each.name for each in (*bpy.data.images, *bpy.data.node_groups) if is_ours(each)]
    materials = sorted(each.name for each in bpy.data.materials)
    bpy.ops.preferences.addon_enable(module="bl_ext.user_default.texserver")
    yield from desk.open_panel()
    yield from until(lambda: any(each.name == name for each in session().server_jobs.jobs), "the list", 30)
    return {"left": left, "materials": materials, "before": before["materials"], "operators": running_operators()}


def size_of(thing: Any) -> float:
    """Metres of one repeat on an object."""
    live = addon("material.live")
    return round(live.value(live.node_of(thing.active_material.node_tree), addon("material.group_sockets").SIZE), 4)
