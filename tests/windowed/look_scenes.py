"""Scenes of the harness: every panel, menu and dialog is drawn in the states that it has, and a picture taken of each.

The pictures are for eyes; what fails to draw stands in Blender's own output. The sidebar has its default width.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import bpy
from harness import (
    DRAWN_S,
    LARGE,
    MODULE,
    TASK,
    Desk,
    Steps,
    addon,
    ask_for,
    cube,
    is_assigned,
    new_file,
    open_from_the_start,
    session,
    settings,
    shown,
    until,
)

PANELS: Final = ("material", "variations", "blend", "library", "recipes", "jobs", "history")
LIGHT: Final = "Blender_Light"
LATE_S: Final = 0.6  # until what opens on the screen is drawn


def scene_looks() -> Steps:
    """Dark, at 100 %."""
    return (yield from looks("dark", 1.0))


def scene_looks_light() -> Steps:
    """Light, at 160 %."""
    path = bpy.utils.preset_find(LIGHT, "interface_theme", ext=".xml")
    bpy.ops.script.execute_preset(filepath=path, menu_idname="USERPREF_MT_interface_theme_presets")
    return (yield from looks("light", 1.6))


def looks(name: str, scale: float) -> Steps:
    """All of them, one after the other."""
    view = bpy.context.preferences.view
    view.ui_scale, before = scale, view.ui_scale
    camera = Camera(name)
    for part in (view_looks, texture_looks, trouble_looks, dialog_looks, editor_looks):
        yield from part(camera)
    view.ui_scale = before
    open_from_the_start("material", "jobs", close=("variations", "blend", "library", "recipes", "history"))
    return {"pictures": camera.taken}


class Camera:
    """Takes pictures of the screen, named after the look."""

    def __init__(self, look: str) -> None:
        self.look = look
        self.taken: list[str] = []

    def take(self, name: str) -> Steps:
        """A picture of the screen as it is; the mouse stays where it is, since a menu closes when the mouse leaves."""
        yield LATE_S
        wanted = Path(TASK["pictures"], f"{self.look}-{name}.wanted")
        wanted.touch()
        yield from until(lambda: not wanted.exists(), "a picture")
        self.taken.append(name)

    def take_sidebar(self, desk: Desk, name: str) -> Steps:
        """A picture of the top of the sidebar and, if there is more, one of its end."""
        yield from scrolled(desk, "up")
        desk.area.tag_redraw()
        yield from self.take(name)
        top = lowest(desk)
        yield from scrolled(desk, "down")
        if lowest(desk) != top:
            yield from self.take(f"{name}-end")
            yield from scrolled(desk, "up")

    def take_open(self, desk: Desk, name: str, opens: Callable[[], Any]) -> Steps:
        """A picture of a menu or dialog, which Esc closes again."""
        x, y = desk.middle
        desk.window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
        yield DRAWN_S
        with desk.override():
            opens()
        yield from self.take(name)
        yield from desk.press("ESC")
        yield LATE_S


def lowest(desk: Desk) -> float:
    """Which part of the sidebar is seen at its lower edge."""
    return float(desk.region("UI").view2d.region_to_view(0, 0)[1])


def scrolled(desk: Desk, way: str, kind: str = "UI") -> Steps:
    """The sidebar at its top or at its end."""
    operator = getattr(bpy.ops.view2d, f"scroll_{way}")
    for _ in range(60):
        with desk.override(kind):
            if not operator.poll():
                break
            operator(deltay=60)
    yield DRAWN_S


def only(*names: str) -> None:
    """These sub-panels are open, and no others."""
    open_from_the_start(*names, close=tuple(each for each in PANELS if each not in names))


def open_animation() -> None:
    """The sub-panel, which is closed until someone opens it."""
    kinds = [each for each in addon("panel.style_panels").CLASSES if hasattr(each, "bl_parent_id")]
    for each in kinds:
        bpy.utils.unregister_class(each)
    for each in kinds:
        each.bl_options = set()
        bpy.utils.register_class(each)


def view_looks(camera: Camera) -> Steps:
    """The sidebar of the 3D View before anything is painted, one sub-panel open at a time."""
    only()
    desk = yield from new_file()
    yield from camera.take_sidebar(desk, "main")
    settings().size = "CUSTOM"
    settings().model = richest()
    settings().target = "ADD"
    yield from camera.take_sidebar(desk, "main-custom")
    for name in PANELS:
        only(name)
        desk = yield from new_file()
        settings().model = richest()
        settings().mapping, settings().displace = "BOX", True
        if name == "blend":
            settings().blending.second = next(iter(others(richest())))
        yield 2 * DRAWN_S
        yield from camera.take_sidebar(desk, f"empty-{name}")
        if name == "blend":
            settings().blending.mask = "IMAGE"
            settings().mapping = "UV"
            yield from camera.take_sidebar(desk, f"empty-{name}-image")


def texture_looks(camera: Camera) -> Steps:
    """The same with a set of maps on the cube, as UV and as box, and with variations tried on."""
    only("material")
    desk = yield from new_file()
    settings().model = richest()
    settings().displace = True
    yield from painted(desk)
    yield from camera.take_sidebar(desk, "material-uv")
    material = cube().active_material
    material.texserver_live.mapping = "BOX"
    material.texserver_live.vary = True
    with desk.override():
        bpy.ops.texserver.dice_piece()
    yield from camera.take_sidebar(desk, "material-box")
    only("variations")
    desk = yield from new_file()
    settings().model = richest()
    settings().size, settings().variations = "512", 4
    bpy.ops.texserver.variations()
    yield from until(lambda: all(task.ended for task in session().variations), "the variations")
    with desk.override():
        bpy.ops.texserver.try_variation("INVOKE_DEFAULT", seed=session().variations[0].order.seed)
    yield from camera.take_sidebar(desk, "variations")
    only("recipes", "history")
    desk = yield from new_file()
    yield from painted(desk)
    yield from camera.take_sidebar(desk, "recipes-history")


def trouble_looks(camera: Camera) -> Steps:
    """Jobs that wait, run, have failed or were cancelled; what a texture with a note looks like; and no server."""
    only("jobs")
    desk = yield from new_file()
    ask_for(LARGE, 41)
    with desk.override():
        for _ in range(3):
            settings().seed += 1
            bpy.ops.texserver.generate("INVOKE_DEFAULT")
    yield from until(lambda: any(task.state == "running" for task in session().tasks), "pixels")
    yield from camera.take_sidebar(desk, "jobs")
    for task in session().tasks:
        task.cancel()
    yield from until(lambda: all(is_assigned(task) for task in session().tasks), "the end")
    session().tasks[-1].fail("The server accepts requests but does not answer them. Look at its log, then press Retry.")
    addon("loop.pump").redraw()
    yield from camera.take_sidebar(desk, "jobs-failed")
    desk = yield from new_file()
    for layer in list(cube().data.uv_layers):
        cube().data.uv_layers.remove(layer)
    yield from painted(desk)
    yield from camera.take_sidebar(desk, "noted")


def dialog_looks(camera: Camera) -> Steps:
    """Menus, confirmations and dialogs; those that choose a file are Blender's own."""
    only()
    desk = yield from new_file()
    yield from painted(desk)
    ours = bpy.ops.texserver
    wm = bpy.ops.wm
    opening = {
        "menu": lambda: wm.call_menu(name="TEXSERVER_MT_object"),
        "menu-picture": lambda: wm.call_menu(name="TEXSERVER_MT_picture"),
        "menu-slot": lambda: wm.call_menu(name="MATERIAL_MT_context_menu"),
        "presets": lambda: wm.call_panel(name="TEXSERVER_PT_presets", keep_open=True),
        "clear-history": lambda: ours.clear_history("INVOKE_DEFAULT"),
    }
    for name, opens in opening.items():
        yield from camera.take_open(desk, name, opens)


def editor_looks(camera: Camera) -> Steps:
    """The other places: the Shader Editor, the Image Editor, the render properties and the preferences."""
    only("material")
    open_animation()
    desk = yield from new_file()
    yield from painted(desk)
    desk.area.ui_type = "ShaderNodeTree"
    yield DRAWN_S
    nodes = Desk("NODE_EDITOR")
    yield from nodes.open_tab()
    yield from camera.take_sidebar(nodes, "shader")
    desk = yield from new_file()
    desk.area.type = "IMAGE_EDITOR"
    yield DRAWN_S
    editor = Desk("IMAGE_EDITOR")
    yield from editor.open_tab()
    settings().style.content = "IMAGE"
    settings().style.frames = "FILES"
    settings().style.after_render = True
    yield from camera.take_sidebar(editor, "stylize")
    desk = yield from new_file()
    desk.area.type = "PROPERTIES"
    yield from until(shows_render, "the render properties", 20)
    yield from scrolled(Desk("PROPERTIES"), "down", "WINDOW")
    yield from camera.take("render-properties")
    desk = yield from new_file()
    desk.area.ui_type = "PREFERENCES"
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Texserver"
    bpy.ops.preferences.addon_expand(module=MODULE)
    yield 2.0
    yield from camera.take("preferences")


def shows_render() -> bool:
    """Choose the tab, which can be done once the area has been drawn."""
    area = Desk("PROPERTIES").area
    area.tag_redraw()
    with suppress(TypeError):
        area.spaces.active.context = "RENDER"
    return bool(area.spaces.active.context == "RENDER")


def painted(desk: Desk) -> Steps:
    """A texture on the cube."""
    settings().size = "512"
    before = len(session().tasks)
    with desk.override():
        bpy.ops.texserver.generate("INVOKE_DEFAULT")
    yield from until(lambda: len(session().tasks) > before and is_assigned(session().tasks[-1]), "the texture")
    assert shown(cube()), session().tasks[-1].message
    yield 3 * DRAWN_S


def richest() -> str:
    """The model with the most maps."""
    return str(max(session().catalogue.ready("texture"), key=lambda each: len(each.maps)).name)


def others(name: str) -> list[str]:
    """The models of textures but for this one."""
    return [each.name for each in session().catalogue.ready("texture") if each.name != name]
