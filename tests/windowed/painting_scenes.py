"""Scenes of the harness: Generate, Esc, the values of a material, and how long Blender's own loop is held."""

import time
from typing import Any

import bpy
from bpy_extras import view3d_utils
from harness import (
    DRAWN_S,
    LARGE,
    ROUNDS,
    Desk,
    Heart,
    Steps,
    addon,
    ask_for,
    ask_status,
    beating,
    begin,
    cube,
    generate,
    image_of,
    is_assigned,
    leftovers,
    new_file,
    of_ours,
    our_parts,
    pause,
    report_of_cancelling,
    running_operators,
    session,
    show_textures,
    shown,
    stopwatch,
    take,
    until,
)


def scene_panel() -> Steps:
    """Open the tab, and look at what is in it."""
    desk = yield from new_file()
    place = yield from desk.find("texserver.generate")
    return {
        "tab": desk.region("UI").active_panel_category,
        "generate": place,
        "server": session().state_line,
        "models": [model.name for model in session().catalogue.models],
    }


def scene_click() -> Steps:
    """Generate, by a click: the preview, then the texture itself."""
    rounds = []
    for number in range(ROUNDS):
        desk = yield from new_file()
        task, at = yield from generate(desk, 2048, 100 + number)
        name = yield from until(lambda: shown(cube()), "a preview on the cube")
        preview_s = time.monotonic() - at
        ended_before = task.ended
        yield from until(lambda task=task: is_assigned(task), "the texture")
        rounds.append(
            {
                "preview": name,
                "preview_s": round(preview_s, 3),
                "preview_first": not ended_before,
                "texture_s": round(time.monotonic() - at, 3),
                "state": task.state,
                "texture": shown(cube()),
                "size": list(image_of(cube()).size),
                "packed": image_of(cube()).packed_file is not None,
                **of_ours(),
            }
        )
        yield 2 * DRAWN_S
        rounds[-1]["operators"] = running_operators()
    return rounds


def scene_alive() -> Steps:
    """Gaps of the main loop while a texture of 4096 x 4096 arrives and is assigned, and without the add-on at work.

    `_busy_ms` is in processor time of the main thread, which is ours and Blender's, but not the software renderer's.
    """
    rounds = []
    for number in range(ROUNDS):
        told: dict[str, Any] = {}
        desk = yield from new_file()
        ask_for(4096, 200 + number)
        place = yield from desk.find("texserver.generate")
        yield 0.5
        told["idle_ms"] = yield from beating(pause(2.0))
        with Heart() as heart:
            yield from redrawing(2.0)
        told |= {"redrawing_ms": heart.longest_ms, "redrawing_busy_ms": heart.busiest_ms}
        with stopwatch(**our_parts()) as taken, stopwatch(time.thread_time, **our_parts()) as busy, Heart() as heart:
            yield from arriving(desk, place)
        told |= {"arriving_ms": heart.longest_ms, "arriving_busy_ms": heart.busiest_ms}
        told["ours_ms"] = {name: round(1000 * max(each, default=0.0), 1) for name, each in taken.items()}
        told["ours_busy_ms"] = {name: round(1000 * max(each, default=0.0), 1) for name, each in busy.items()}
        task = session().tasks[-1]
        told["state"] = task.state

        # Blender reads the file when it first shows it: what it takes after the add-on, and after nobody
        show_textures(desk)
        told["shown_ms"] = yield from beating(pause(2.0))
        path = next(iter(task.result.files.values()))
        bpy.ops.wm.read_homefile()
        yield DRAWN_S
        material = bpy.data.materials.new("By hand")
        if bpy.app.version < (5, 0, 0):
            material.use_nodes = True
        node = material.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(str(path))
        cube().active_material = material
        yield 1.0
        show_textures(Desk())
        told["by_hand_ms"] = yield from beating(pause(2.0))
        rounds.append(told)
    return rounds


def redrawing(seconds: float) -> Steps:
    """The panels drawn as often as while a job runs, and the view as when a material comes."""
    materials = [cube().active_material, bpy.data.materials.new("Another")]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        materials.reverse()
        cube().active_material = materials[0]
        addon("loop.pump").redraw()
        yield 0.03


def arriving(desk: Desk, place: tuple[int, int]) -> Steps:
    """From the click to the texture on the object, and a little longer."""
    task, _ = yield from begin(desk, place)
    yield from until(lambda: is_assigned(task), "the texture")
    yield 0.5


def scene_share() -> Steps:
    """The add-on's own share of the time that a texture of 2048 x 2048 takes."""
    rounds = []
    for number in range(ROUNDS):
        desk = yield from new_file()
        with stopwatch(**our_parts()) as taken:
            task, at = yield from generate(desk, 2048, 300 + number)
            yield from until(lambda task=task: is_assigned(task), "the texture")
            whole_s = time.monotonic() - at
        spent = {f"{name}_s": round(sum(each), 4) for name, each in taken.items()}
        rounds.append({"whole_s": round(whole_s, 3), "state": task.state, "turns": len(taken["turn"]), **spent})
    return rounds


def scene_escape() -> Steps:
    """Esc while a second texture is under way: the first is shown as before, and the server has been told."""
    desk = yield from new_file()
    first, _ = yield from generate(desk, 1024, 1)
    yield from until(lambda: is_assigned(first), "the first texture")
    before, showed = of_ours(), shown(cube())
    counted = yield from ask_status()
    task, _ = yield from generate(desk, LARGE, 2)
    preview = yield from until(lambda: (name := shown(cube())) != showed and name, "the preview")
    yield from until(lambda: task.state == "running", "pixels")
    yield from desk.press("ESC")  # over the view, where it is for something else
    yield 0.5
    ended_elsewhere = task.ended
    at = time.monotonic()
    yield from desk.press("ESC", over_panel=True)
    yield from until(lambda: task.ended and shown(cube()) == showed, "what was there before", 10)
    escaped_s = time.monotonic() - at
    yield DRAWN_S
    told = {
        "preview": preview,
        "escaped_s": round(escaped_s, 3),
        "ended_elsewhere": ended_elsewhere,
        "state": task.state,
        "before": [before, showed],
        "after": [of_ours(), shown(cube())],
        "leftovers": leftovers(),
        "operators": running_operators(),
    }
    report = yield from report_of_cancelling(counted)
    return {**told, "cancelled": report["cancelled"], "queue": report["queue"]}


def scene_escape_foreign() -> Steps:
    """Esc where the object had a material of the artist's own, and where it had none."""
    desk = yield from new_file()
    own = cube().active_material.name
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object.name
    told = {}
    for name in ("Cube", plane):
        bpy.context.view_layer.objects.active = bpy.data.objects[name]
        before = of_ours()
        task, _ = yield from generate(desk, LARGE, 3)
        yield from until(lambda name=name: shown(bpy.data.objects[name]), "the preview")
        yield from desk.press("ESC", over_panel=True)
        yield from until(lambda task=task: is_assigned(task), "the end", 10)
        material = bpy.data.objects[name].active_material
        told["own" if name == "Cube" else "none"] = {
            "material": material.name if material else None,
            "expected": own if name == "Cube" else None,
            "unchanged": of_ours() == before,
        }
    return told


def scene_cross() -> Steps:
    """The cross beside a job in the panel cancels it."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, LARGE, 4)
    yield from until(lambda: task.state == "running", "pixels")
    yield from desk.click("texserver.cancel", from_right=22)
    yield from until(lambda: is_assigned(task), "the end", 10)
    yield 0.6
    return {"state": task.state, "shown": shown(cube()), "leftovers": leftovers(), "operators": running_operators()}


def scene_live() -> Steps:
    """Values of the material are changed: how soon the view is drawn again, a picture of each, and what was painted."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, 512, 14)
    yield from until(lambda: is_assigned(task), "the texture")
    desk.area.spaces.active.shading.type = "MATERIAL"
    region, drawn = desk.region("WINDOW"), [time.monotonic()]
    handle = bpy.types.SpaceView3D.draw_handler_add(lambda: drawn.append(time.monotonic()), (), "WINDOW", "POST_PIXEL")
    told: dict[str, Any] = {}
    try:
        yield 10.0  # without a GPU it takes half a minute until there are shaders
        yield from until(lambda: time.monotonic() - drawn[-1] > 4, "a view that has settled")
        node = addon("material.live").node_of(cube().active_material.node_tree)
        for name, value in (("Value", 1.0), ("Value", 0.0), ("Hue", 0.5)):
            node.inputs["Value"].default_value = 1.0
            yield 3.0
            count, at = len(drawn), time.monotonic()
            node.inputs[name].default_value = value
            if value != 1.0:
                yield from until(lambda count=count: len(drawn) > count, "a redraw", 30)
                told[f"{name} {value}"] = round(drawn[count] - at, 3)
            yield 5.0
            yield from take(f"live-{name}-{value}")
    finally:
        bpy.types.SpaceView3D.draw_handler_remove(handle, "WINDOW")
    middle = view3d_utils.location_3d_to_region_2d(region, desk.area.spaces.active.region_3d, (0.0, 0.0, 0.0))
    place = [region.x + int(middle.x), desk.window.height - region.y - int(middle.y)]
    return {"redrawn_s": told, "jobs": len(session().tasks), "place": place}
