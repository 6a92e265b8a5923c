"""Scenes of the harness: variations that are tried on an object, with clicks, Esc and undo."""

import time
from typing import Any

import bpy
from harness import (
    DRAWN_S,
    Steps,
    addon,
    cube,
    image_of,
    is_assigned,
    new_file,
    of_ours,
    open_from_the_start,
    running_operators,
    session,
    settings,
    stopwatch,
    take,
    until,
)

FIRST = 31


def seed_shown() -> str:
    """Of what the cube shows, "" without a texture."""
    image = image_of(cube())
    return str(image["texserver"]["seed"]) if image else ""


def state() -> list[Any]:
    """What the cube shows, and which seed is tried on."""
    on = addon("loop.trial").current()
    return [seed_shown(), on.seed if on else None]


def scene_try_on() -> Steps:
    """Click a variation, another one, undo, redo, Esc over the view and over the panel, the cross, and Keep."""
    open_from_the_start("variations", close=("material", "jobs", "history"))
    desk = yield from new_file()
    addon("panel.preferences").get().thumbnails = 3  # or the variations lie below the window
    chosen = settings()
    maps = [each.name for each in session().catalogue.ready("texture") if len(each.maps) > 1]
    chosen.model = maps[0] if maps else chosen.model
    chosen.seed, chosen.variations, chosen.size = FIRST, 4, "1024"
    bpy.ops.ed.undo_push(message="Ready")
    yield 2 * DRAWN_S
    yield from desk.click("texserver.variations")
    yield from until(lambda: len(session().variations) == 4, "variations", 10)
    yield from until(lambda: all(task.ended for task in session().variations), "their pictures")
    yield 3 * DRAWN_S
    before = {"cube": cube().active_material.name, **of_ours()}
    left = desk.region("UI").width * 2 // 3
    jobs = len(session().tasks)
    place = yield from desk.find("texserver.try_variation", from_right=left)
    with stopwatch(ours=(addon("loop.trial"), "try_on")) as taken:
        at = yield from desk.click("texserver.try_variation", place)
        yield from until(lambda: seed_shown() == str(FIRST), "the variation on the cube", 10)
        seconds = time.monotonic() - at
        yield 0.5
    told: dict[str, Any] = {"seconds": round(seconds, 3), "ours_ms": round(1000 * max(taken["ours"])), "first": state()}
    yield from take("tried-on")
    yield from desk.click("texserver.try_variation", from_right=40)
    yield DRAWN_S
    told["second"] = state()
    for name, shift in (("undone", False), ("undone_twice", False), ("redone", True)):
        yield from desk.press("Z", ctrl=True, shift=shift)
        yield 2 * DRAWN_S
        told[name] = state()
    yield from desk.press("ESC")
    yield DRAWN_S
    told["escaped_elsewhere"] = state()
    yield from desk.press("ESC", over_panel=True)
    yield 2 * DRAWN_S
    told["escaped"] = state()
    told["unchanged"] = before == {"cube": cube().active_material.name, **of_ours()}
    yield from desk.click("texserver.try_variation", place)
    yield DRAWN_S
    yield from desk.click("texserver.take_off_variation", from_right=22)
    yield DRAWN_S
    told["crossed"] = state()
    told["unchanged_again"] = before == {"cube": cube().active_material.name, **of_ours()}
    told["jobs"] = len(session().tasks) - jobs
    yield from desk.click("texserver.try_variation", place)
    yield DRAWN_S
    yield from desk.click("texserver.keep_variation")
    yield from until(lambda: len(session().tasks) > jobs, "a job", 10)
    task = session().tasks[-1]
    told["while_painting"] = state()
    yield from until(lambda: is_assigned(task), "the texture")
    yield 2 * DRAWN_S
    told["kept"] = [*state(), list(image_of(cube()).size)]
    told["images"] = len(of_ours()["images"]) == len(task.order.maps)
    told["operators"] = running_operators()
    addon("panel.preferences").get().thumbnails = 6
    open_from_the_start("material", "jobs", close=("variations", "history"))
    return told
