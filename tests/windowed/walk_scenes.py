"""Scenes of the harness: three walks of whatever an artist does, undo and redo among it; also without a server."""

import os
import random
import signal
from collections.abc import Callable, Mapping
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
    is_assigned,
    leftovers,
    new_file,
    running_operators,
    session,
    settings,
    shown,
    until,
)

SEEDS, STEPS = 3, 50
KILLED_AT, BACK_AT = 20, 32  # steps of a walk

Event = Callable[[], Steps]


def scene_wander() -> Steps:
    """Three walks of fifty steps."""
    return (yield from walks({}))


def scene_wander_killed() -> Steps:
    """The same with a local server that is killed while it paints, and started again."""
    chosen = addon("panel.preferences").get()
    chosen.server_command, chosen.models_folder = TASK["server_command"], TASK["models"]
    bpy.ops.texserver.start_server()
    server = addon("tasks.state").local_server()
    yield from until(lambda: server.state == "running", "the local server")
    killed: list[int] = []

    def kill() -> Steps:
        if bpy.ops.texserver.generate.poll():
            with Desk().override():
                bpy.ops.texserver.generate("INVOKE_DEFAULT")
        yield DRAWN_S
        process = server._process
        family = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        killed.extend((process.pid, *map(int, family)))
        os.kill(process.pid, signal.SIGKILL)

    def start() -> Steps:
        yield from until(lambda: server.state == "failed", "word of its end", 30)
        bpy.ops.texserver.start_server()
        yield from until(lambda: server.state == "running", "the local server")

    told = yield from walks({KILLED_AT: kill, BACK_AT: start})
    desk = yield from new_file()
    task, _ = yield from generate(desk, 512, 9)
    yield from until(lambda: is_assigned(task), "a texture")
    last = {"state": task.state, "shown": shown(cube()), "operators": running_operators()}
    process = server._process.pid
    bpy.ops.texserver.stop_server()
    return {"walks": told, "killed": killed, "last": last, "stopped": process}


def walks(events: Mapping[int, Event]) -> Steps:
    """What came of each. `events` happen before the step of that number."""
    desk = yield from new_file()
    maps = [each.name for each in session().catalogue.ready("texture") if len(each.maps) > 1]
    told: list[dict[str, Any]] = []
    for seed in range(SEEDS):
        walk = random.Random(seed)
        if seed:
            yield from new_file()
        chosen = settings()
        chosen.model, chosen.variations, chosen.size = (maps or [chosen.model])[0], 2, "512"
        bpy.ops.texserver.variations()
        yield from until(lambda: all(task.ended for task in session().variations), "variations")
        done, said = [], []
        for number in range(STEPS):
            if number in events:
                yield from events[number]()
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
