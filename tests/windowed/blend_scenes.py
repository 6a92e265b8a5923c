"""A scene of the harness: several materials on one hill, by what its mesh says, and the panel that asked for them."""

import math

import bpy
from harness import (
    DRAWN_S,
    Desk,
    Steps,
    cube,
    is_assigned,
    new_file,
    open_from_the_start,
    session,
    settings,
    take,
    until,
)

CLOSED = ("variations", "material", "library", "recipes", "jobs", "history")


def scene_blend_picture() -> Steps:
    """Leaves where a wall of bricks is level, rust in spots over both; the panel with all its layers."""
    open_from_the_start("blend", close=CLOSED)
    desk = yield from new_file()
    _hill(desk)
    names = [model.name for model in session().catalogue.ready("texture")]
    below, level, spots = (_named(names, each) for each in ("castle", "leaves", "rust"))
    chosen = settings()
    chosen.model, chosen.size, chosen.seed, chosen.mapping = below, "1024", 3, "UV"
    blending = chosen.blending
    blending.second, blending.mask, blending.slope, blending.transition = level, "SLOPE", math.radians(20), 0.3
    bpy.ops.texserver.add_blend_layer()
    blending.more[0].second, blending.more[0].share = spots, 0.15
    yield DRAWN_S
    bpy.ops.texserver.blend("INVOKE_DEFAULT")
    task = yield from until(lambda: session().tasks and session().tasks[-1], "a job", 10)
    yield from until(lambda: is_assigned(task), "the blend", 300)
    yield 5.0  # the shaders
    yield from take("blend-panel")
    _scroll(desk, 900)
    yield 1.0
    yield from take("blend-panel-below")
    return {"state": task.state, "message": task.message, "models": [below, level, spots]}


def _named(names: list[str], beginning: str) -> str:
    """The model that begins like this, or the first that is not named yet."""
    return next((each for each in names if each.startswith(beginning)), names[0])


def _scroll(desk: Desk, pixels: int) -> None:
    """Show what lies further down in the sidebar."""
    with desk.override("UI"):
        bpy.ops.view2d.pan(deltay=-pixels)


def _hill(desk: Desk) -> None:
    """A grid with a hill whose flanks are steep and whose top is level."""
    bpy.data.objects.remove(cube())
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=96, y_subdivisions=96, size=4)
    hill = bpy.context.object
    hill.name = "Hill"
    for each in hill.data.vertices:
        distance = math.hypot(each.co.x, each.co.y + 0.2 * math.sin(2 * each.co.x))
        each.co.z = 1.1 / (1 + math.exp(7 * (distance - 1.1)))
    hill.data.polygons.foreach_set("use_smooth", [True] * len(hill.data.polygons))
    hill.data.update()
    space = desk.area.spaces.active
    space.shading.type = "MATERIAL"
    space.overlay.show_overlays = False
    space.show_gizmo = False
