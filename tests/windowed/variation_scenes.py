"""Scenes of the harness: variations that are tried on an object, with clicks, Esc and undo."""

import random
import time
from pathlib import Path
from typing import Any

import bpy
from harness import (
    DRAWN_S,
    Steps,
    addon,
    cube,
    image_of,
    is_assigned,
    leftovers,
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


def scene_wander() -> Steps:
    """Whatever an artist does with variations and pieces, undo and redo among it: three walks of fifty steps."""
    desk = yield from new_file()
    maps = [each.name for each in session().catalogue.ready("texture") if len(each.maps) > 1]
    told: list[dict[str, Any]] = []
    for seed in range(3):
        walk = random.Random(seed)
        if seed:
            yield from new_file()
        chosen = settings()
        chosen.model, chosen.variations, chosen.size = (maps or [chosen.model])[0], 2, "512"
        bpy.ops.texserver.variations()
        yield from until(lambda: all(task.ended for task in session().variations), "variations")
        done, said = [], []
        for _ in range(50):
            name = walk.choice(WALK)
            done.append(name)
            try:
                yield from walk_step(desk, name, walk)
            except RuntimeError as error:
                said.append(str(error).strip())
            yield DRAWN_S / 3
        for task in session().tasks:
            task.cancel()
        yield from until(lambda: all(is_assigned(task) for task in session().tasks), "the end of all jobs")
        addon("loop.trial").take_off()
        path = str(Path(bpy.app.tempdir, f"walk-{seed}.blend"))
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        yield 3 * DRAWN_S
        unused = [each.name for each in bpy.data.images if "texserver" in each and each.users == 0]
        told.append({"done": done, "said": said, "unused": unused, "leftovers": leftovers()})
    return told


WALK = (
    *("try", "try", "step", "step", "keep", "take_off", "undo", "undo", "undo", "redo", "redo"),
    *("generate", "vary", "dice_piece", "duplicate", "move", "value", "save", "wait", "next"),
)


def walk_step(desk: Any, name: str, walk: random.Random) -> Steps:
    """One thing that an artist does."""
    ours = bpy.ops.texserver
    with desk.override():
        if name in ("undo", "redo"):
            operator = getattr(bpy.ops.ed, name)
            if operator.poll():
                operator()
        elif name == "try" and ours.try_variation.poll():
            seeds = [task.order.seed for task in session().variations]
            ours.try_variation("INVOKE_DEFAULT", True, seed=walk.choice(seeds or [0]))
        elif name == "step" and ours.step_variation.poll():
            ours.step_variation("INVOKE_DEFAULT", True)
        elif name == "keep" and ours.keep_variation.poll():
            ours.keep_variation("INVOKE_DEFAULT", True)
        elif name == "take_off" and ours.take_off_variation.poll():
            ours.take_off_variation("EXEC_DEFAULT", True)
        elif name == "generate" and ours.generate.poll():
            ours.generate("INVOKE_DEFAULT", True)
        elif name == "next" and ours.next_variations.poll():
            ours.next_variations("INVOKE_DEFAULT", True)
        elif name == "dice_piece" and ours.dice_piece.poll():
            ours.dice_piece("EXEC_DEFAULT", True)
        elif name == "vary" and (material := bpy.context.object and bpy.context.object.active_material):
            material.texserver_live.vary = not material.texserver_live.vary
            bpy.ops.ed.undo_push(message="Vary")
        elif name == "duplicate" and bpy.context.object and len(bpy.data.objects) < 6:
            bpy.ops.object.duplicate("EXEC_DEFAULT", True)
        elif name == "move" and bpy.context.object:
            bpy.ops.transform.translate("EXEC_DEFAULT", True, value=(0.1, 0, 0))
        elif name == "value" and bpy.context.object and (node := group_node(bpy.context.object)):
            node.inputs["Hue"].default_value = walk.random() - 0.5
            bpy.ops.ed.undo_push(message="Hue")
        elif name == "save":
            bpy.ops.wm.save_as_mainfile(filepath=str(Path(bpy.app.tempdir, "walk.blend")), copy=True)
    if name == "wait":
        yield from until(lambda: all(is_assigned(task) for task in session().tasks), "the end of all jobs")
    yield DRAWN_S / 3


def group_node(thing: Any) -> Any:
    """Our node in what an object shows."""
    material = thing.active_material
    return addon("material.live").node_of(material.node_tree) if material and material.node_tree else None
