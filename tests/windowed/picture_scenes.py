"""Scenes of the harness: the pictures of the README, with trained models."""

from typing import Final

import bpy
from harness import (
    DRAWN_S,
    MODULE,
    TASK,
    Desk,
    Steps,
    addon,
    ask_for,
    begin,
    cube,
    generate,
    is_assigned,
    new_file,
    open_from_the_start,
    session,
    settings,
    take,
    until,
)

MATERIAL_BELOW: Final = 64  # pixels from the large button to the header
VARIATIONS_BELOW: Final = 90  # the same while Material is closed


def scene_pictures() -> Steps:
    """The pictures of the README, with trained models: a small still life, and what the add-on shows beside it."""
    open_from_the_start("jobs", "history")
    desk = yield from new_file()
    yield from still_life(desk)
    yield from _toggle(desk, MATERIAL_BELOW)
    yield from take("panel")

    _active("Wall")
    settings().model = _model("castle")
    settings().variations = 4
    bpy.ops.texserver.variations()
    yield from until(lambda: all(task.ended for task in session().variations), "the variations")
    yield from _toggle(desk, VARIATIONS_BELOW)
    yield from take("variations")

    _active("Floor")
    settings().model = _model("tiles")
    ask_for(4096, 77, whole_periods=True)
    place = yield from desk.find("texserver.generate")
    task, _ = yield from begin(desk, place)
    yield from until(lambda: task.fraction > 0.4 or task.ended, "a good part")
    yield from take("job")
    task.cancel()
    yield from until(lambda: is_assigned(task), "the end", 10)

    desk.area.ui_type = "ShaderNodeTree"
    yield DRAWN_S
    nodes = Desk("NODE_EDITOR")
    yield from nodes.open_tab()
    _active("Wall")
    for node in bpy.context.object.active_material.node_tree.nodes:
        node.select = False
    yield DRAWN_S
    with nodes.override():
        bpy.ops.node.view_all()
    yield 1.5
    with nodes.override():
        bpy.ops.view2d.zoom_out()
        bpy.ops.view2d.zoom_out()
        bpy.ops.view2d.zoom_out()
        bpy.ops.view2d.pan(deltax=150)
    yield 1.0
    yield from take("nodes")
    return {}


def scene_preferences_picture() -> Steps:
    """The add-on's preferences with the log of a local server, where no other runs."""
    chosen = addon("panel.preferences").get()
    chosen.models_folder, chosen.server_command = TASK["models"], TASK["server_command"]
    bpy.ops.texserver.start_server()
    server = addon("tasks.state").local_server()
    yield from until(lambda: server.state in ("running", "failed"), "the local server")
    yield 2.0
    Desk().area.ui_type = "PREFERENCES"
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Texserver"
    bpy.ops.preferences.addon_expand(module=MODULE)
    yield 4.0
    yield from take("preferences")
    bpy.ops.texserver.stop_server()
    return {"server": server.state}


def still_life(desk: Desk) -> Steps:
    """A floor, a wall and a block, each with a texture of its own."""
    bpy.data.objects.remove(cube())
    for name, size, location, turned in (
        ("Floor", (9, 9, 0.2), (0, 0, -0.1), 0.0),
        ("Wall", (9, 0.4, 5), (0, 3, 2.5), 0.0),
        ("Block", (1.5, 1.5, 1.5), (0.3, 0.9, 0.75), 0.5),
    ):
        bpy.ops.mesh.primitive_cube_add(size=1, location=location, rotation=(0, 0, turned), scale=size)
        bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
        bpy.context.object.name = name
    space = desk.area.spaces.active
    space.shading.type = "MATERIAL"
    space.shading.studiolight_intensity = 0.6
    space.overlay.show_overlays = False
    space.show_gizmo = False
    space.lens = 32
    view = space.region_3d
    view.view_perspective = "PERSP"
    view.view_location, view.view_distance = (1.2, 0.9, 1.0), 3.9
    view.view_rotation = (0.8, 0.58, 0.09, 0.12)
    bpy.context.scene.view_settings.view_transform = "Standard"
    settings().mapping, settings().texels = "BOX", 150
    for name, model, seed in (("Wall", "castle", 21), ("Block", "rusty", 5), ("Floor", "tiles", 3)):
        _active(name)
        settings().model = _model(model)
        task, _ = yield from generate(desk, 2048, seed, whole_periods=True)
        yield from until(lambda task=task: is_assigned(task), "a texture")
    yield 5.0


def _toggle(desk: Desk, below: int) -> Steps:
    """A sub-panel, by its header, which lies so many pixels below the large button."""
    x, y = yield from desk.find("texserver.generate")
    yield from desk.press_at(x, y - below)
    for _ in range(10):  # it unfolds little by little, whenever it is drawn
        desk.area.tag_redraw()
        yield DRAWN_S


def _model(beginning: str) -> str:
    """The name of the model that begins like this, or of the first."""
    names = [model.name for model in session().catalogue.models]
    return next((name for name in names if name.startswith(beginning)), names[0])


def _active(name: str) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    bpy.context.view_layer.objects.active = bpy.data.objects[name]
    bpy.data.objects[name].select_set(True)
