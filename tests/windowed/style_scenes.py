"""Scenes of the harness: rendering, and stylizing what was rendered."""

from typing import Any

import bpy
from harness import (
    DRAWN_S,
    Desk,
    Heart,
    Steps,
    addon,
    beating,
    cube,
    generate,
    is_assigned,
    new_file,
    pause,
    session,
    settings,
    shown,
    stopwatch,
    until,
)


def scene_render() -> Steps:
    """F12 while a job runs: the texture waits for the end of the rendering."""
    desk = yield from new_file()
    bpy.context.preferences.view.render_display_type = "NONE"
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 400, 300, 100
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = 4096, False, False
    scene.cycles.time_limit = 30.0  # seconds: both share the cores, and the texture is to be done first
    task, _ = yield from generate(desk, 2048, 10)
    yield from desk.press("F12")
    yield from until(lambda: bpy.app.is_job_running("RENDER"), "a rendering", 20)
    began_with = shown(cube())
    yield from until(lambda: task.ended, "the texture's files")
    told: dict[str, Any] = {"files_while_rendering": bpy.app.is_job_running("RENDER"), "state": task.state}
    changed = 0
    with Heart() as heart:
        while bpy.app.is_job_running("RENDER"):
            changed += shown(cube()) != began_with
            yield 0.02
    told["changed_while_rendering"] = changed
    told["gap_ms"] = heart.longest_ms
    yield from until(lambda: is_assigned(task), "the texture on the cube", 10)
    return told | {"shown": shown(cube()), "began_with": began_with, "title": task.order.title}


def scene_stylize() -> Steps:
    """F12, then Stylize in the Image Editor: a picture beside the render, and how long the window did not react."""
    yield from new_file()
    bpy.context.preferences.view.render_display_type = "NONE"
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 1920, 1080, 100
    yield from Desk().press("F12")
    yield from until(lambda: bpy.app.is_job_running("RENDER"), "a rendering", 20)
    yield from until(lambda: not bpy.app.is_job_running("RENDER"), "the end of the rendering")
    Desk().area.type = "IMAGE_EDITOR"
    desk = Desk("IMAGE_EDITOR")
    yield DRAWN_S
    yield from desk.open_tab()
    settings().style.content = "RENDER"
    by_hand = bpy.data.images.new("By hand", 1920, 1080)
    for image in (bpy.data.images["Render Result"], by_hand):  # what Blender takes to show a picture of this size
        desk.area.spaces.active.image = image
        by_hand_ms = yield from beating(pause(1.0))
    desk.area.spaces.active.image = bpy.data.images["Render Result"]
    place = yield from desk.find("texserver.stylize_image")
    yield 0.5
    parts = {
        "turn": (addon("loop.pump"), "step"),
        "save": (addon("material.content"), "of_render"),
        "begin": (addon("tasks.session").AddonSession, "order_picture"),
        "panel": (addon("panel.style_panels")._StylizeHerePanel, "draw"),
    }
    told: dict[str, Any] = {"by_hand_ms": by_hand_ms}
    with stopwatch(**parts) as taken:
        told["gap_ms"] = yield from beating(stylizing(desk, place))
    told["ours_ms"] = {name: round(1000 * max(each, default=0.0), 1) for name, each in taken.items()}
    task = session().tasks[-1]
    image = desk.area.spaces.active.image
    return told | {"state": task.state, "title": task.order.title, "shown": image.name, "size": list(image.size)}


def stylizing(desk: Desk, place: tuple[int, int]) -> Steps:
    """From the click to the picture in the editor, and a little longer."""
    yield from desk.click("texserver.stylize_image", place)
    task = yield from until(lambda: session().tasks and session().tasks[-1], "a job", 10)
    yield from until(lambda: task.ended and desk.area.spaces.active.image.name != "Render Result", "the picture")
    yield 0.5
