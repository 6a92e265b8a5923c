"""What the extension registers with Blender when it is enabled, and removes when it is disabled."""

from typing import Any

import bpy

from .loop import handlers, pump
from .panel import (
    blend_operators,
    command,
    corners,
    export_operators,
    gallery,
    keys,
    library_operators,
    material_operators,
    menus,
    operators,
    panels,
    preferences,
    presets,
    recipe_operators,
    server_operators,
    settings,
    style_operators,
    style_orders,
    style_panels,
    style_regions,
    style_training_operators,
    surface_operators,
    training_operators,
    training_panels,
    translations,
    variation_operators,
)
from .tasks import state
from .tasks.installation import Installation
from .tasks.local_server import LocalServer
from .tasks.session import AddonSession

_MODULES = (
    preferences,
    settings,
    operators,
    variation_operators,
    blend_operators,
    material_operators,
    export_operators,
    library_operators,
    recipe_operators,
    surface_operators,
    style_operators,
    style_regions,
    server_operators,
    training_operators,
    style_training_operators,
    corners,
    training_panels,
    presets,
    panels,
    style_panels,
    menus,
)


def register() -> None:
    """Register classes, settings, handlers and the timer."""
    for module in _MODULES:
        for each in module.CLASSES:
            bpy.utils.register_class(each)
    scene: Any = bpy.types.Scene
    properties: Any = bpy.props
    scene.texserver = properties.PointerProperty(type=settings.TEXSERVER_PG_settings)
    material: Any = bpy.types.Material
    material.texserver_live = properties.PointerProperty(type=settings.TEXSERVER_PG_live)
    folder = preferences.folder()
    session = AddonSession(folder, preferences.find, client=f"Blender {bpy.app.version_string}")
    setup = Installation(folder / "setup.log", installed=server_operators.start_new_server)
    state.open_state(session, LocalServer(folder / "server.log"), setup)
    preferences.apply_limits()
    gallery.open_icons()
    menus.extend()
    keys.register()
    translations.register()
    pump.start(style_orders.after_render)
    handlers.register()
    command.register()


def unregister() -> None:
    """Undo register() in reverse order. All tasks end."""
    command.unregister()
    handlers.unregister()
    corners.close_view()
    translations.unregister()
    keys.unregister()
    menus.restore()
    pump.stop()
    gallery.close_icons()
    state.close_state()
    scene: Any = bpy.types.Scene
    del scene.texserver
    material: Any = bpy.types.Material
    del material.texserver_live
    for module in reversed(_MODULES):
        for each in reversed(module.CLASSES):
            bpy.utils.unregister_class(each)
