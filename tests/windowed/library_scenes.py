"""Scenes of the harness: an asset library is published, and its materials are dragged onto objects and faces."""

from pathlib import Path
from typing import Any

import bpy
from bpy_extras import view3d_utils
from harness import (
    DRAWN_S,
    STEP_S,
    TASK,
    Desk,
    Steps,
    addon,
    cube,
    image_of,
    is_assigned,
    new_file,
    open_from_the_start,
    session,
    settings,
    stopwatch,
    take,
    until,
)
from mathutils import Vector

TILE = 48  # pixels from the corner of the browser to the middle of its first tile
NEXT = 112  # from there to the next one
PUBLISHED_S = 300.0


def scene_library() -> Steps:
    """Publish by a click, show it in an Asset Browser, drag onto an object and onto one of its faces."""
    open_from_the_start("library", close=("material", "jobs"))
    desk = yield from new_file()
    chosen = addon("panel.preferences").get()
    chosen.library_folder = str(Path(TASK["pictures"]).parent / "library")
    chosen.library_side = "512"
    yield 2 * DRAWN_S
    before = sorted(each.name for each in bpy.data.materials)
    with stopwatch(turn=(addon("loop.pump"), "step")) as taken:
        yield from desk.click("texserver.publish_library")
        task = yield from until(lambda: session().tasks and session().tasks[-1], "a job", 10)
        yield from until(lambda: task.ended, "a library", PUBLISHED_S)
    told: dict[str, Any] = {
        "state": task.state,
        "message": task.message + task.note,
        "ours_ms": round(1000 * max(taken["turn"])),
        "unchanged": before == sorted(each.name for each in bpy.data.materials),
        "published": task.made,
    }
    bpy.ops.texserver.register_library()
    yield DRAWN_S
    yield from take("library-panel")
    browser = yield from open_browser(desk)
    yield from take("library-browser")
    told["dropped"] = yield from drop(desk, browser, cube(), 0, (0, 0, 0))
    cube().data.materials.append(bpy.data.materials.new("Other"))
    top = next(each for each in cube().data.polygons if each.normal.z > 0.9)
    top.material_index = 1
    cube().data.update()
    yield 4 * DRAWN_S
    told["dropped_on_top"] = yield from drop(desk, browser, cube(), len(task.made) - 1, (0, 0, 1), slot=1)
    told["sides"] = cube().material_slots[0].material.name
    yield from take("library-dropped")
    bpy.ops.mesh.primitive_cube_add(location=(2.5, 2.5, 0))
    told["on_faces"] = yield from onto_faces(browser, bpy.context.object)
    told["other_seed"] = yield from another_seed(desk)
    bpy.ops.preferences.asset_library_remove(index=len(bpy.context.preferences.filepaths.asset_libraries) - 1)
    open_from_the_start("material", "jobs", close=("library", "history"))
    return told


def open_browser(desk: Desk) -> Steps:
    """An Asset Browser below the view, with our library."""
    with desk.override():
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.4)
    yield DRAWN_S
    areas = [area for area in desk.window.screen.areas if area.type == "VIEW_3D"]
    min(areas, key=lambda area: area.y).ui_type = "ASSETS"
    yield DRAWN_S
    browser = Desk("FILE_BROWSER")
    yield from until(lambda: browser.area.spaces.active.params, "an Asset Browser", 10)
    params = browser.area.spaces.active.params
    params.asset_library_reference = addon("panel.library_orders").registered().name
    browser.area.tag_redraw()
    yield 4.0  # it reads the files in a thread of its own
    return browser


def drop(
    desk: Desk, browser: Desk, thing: Any, index: int, point: tuple[float, float, float], *, slot: int = 0
) -> Steps:
    """Drag an asset onto a point of an object, as a hand does; what the object's slot shows then."""
    region, view = browser.region("WINDOW"), desk.region("WINDOW")
    start = (region.x + TILE + index * NEXT, region.y + region.height - TILE)
    space = desk.area.spaces.active
    at = view3d_utils.location_3d_to_region_2d(view, space.region_3d, thing.matrix_world @ Vector(point))
    end = (int(view.x + at.x), int(view.y + at.y))
    window = desk.window
    for dx in (2, 0):
        window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=start[0] + dx, y=start[1])
        yield DRAWN_S
    window.event_simulate(type="LEFTMOUSE", value="PRESS", x=start[0], y=start[1])
    yield DRAWN_S
    steps = 12
    for step in range(1, steps + 1):
        x, y = (int(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True))
        window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
        yield 8 * STEP_S
    yield DRAWN_S
    window.event_simulate(type="LEFTMOUSE", value="RELEASE", x=end[0], y=end[1])
    yield 3 * DRAWN_S
    material = thing.material_slots[slot].material
    images = addon("material.materials").images_of(material) if material else {}
    return {
        "material": material.name if material else "",
        "ours": addon("material.marks").is_ours(material),
        "local": material is not None and material.library is None and material.asset_data is None,
        "images": len(images),
    }


def onto_faces(browser: Desk, thing: Any) -> Steps:
    """Assign to Faces, with the asset that is selected in the browser."""
    thing.data.materials.clear()
    for each in (*thing.data.polygons, *thing.data.edges, *thing.data.vertices):
        each.select = False
    thing.data.polygons[4].select = True
    bpy.context.tool_settings.mesh_select_mode = (False, False, True)
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.mode_set(mode="EDIT")
    with browser.override():
        bpy.ops.texserver.assign_to_faces("INVOKE_DEFAULT")
    bpy.ops.object.mode_set(mode="OBJECT")
    yield DRAWN_S
    return {
        "slots": [each.material_index for each in thing.data.polygons],
        "ours": addon("material.marks").is_ours(thing.material_slots[-1].material),
    }


def another_seed(desk: Desk) -> Steps:
    """The dropped material is painted with another seed."""
    bpy.context.view_layer.objects.active = cube()
    bpy.ops.object.select_all(action="DESELECT")
    cube().select_set(True)
    bpy.ops.texserver.match_material()
    cube().active_material_index = 0
    chosen = settings()
    chosen.seed, chosen.size = 77, "512"
    with desk.override():
        bpy.ops.texserver.generate("INVOKE_DEFAULT")
    task = yield from until(lambda: session().tasks[-1] if not session().tasks[-1].ended else None, "a job", 10)
    yield from until(lambda: is_assigned(task), "the texture")
    yield DRAWN_S
    return {"seed": image_of(cube())["texserver"]["seed"], "model": chosen.model, "note": task.note}
