"""The one key of ours: Esc over a panel takes a variation off that is tried on. Elsewhere Esc stays Blender's."""

from typing import Any

import bpy

_added: list[tuple[Any, Any]] = []


def register() -> None:
    """When the extension is enabled. Without a window there are no keys."""
    manager: Any = bpy.context.window_manager
    keys = manager.keyconfigs.addon if manager else None
    if keys is None:
        return
    keymap = keys.keymaps.new(name="User Interface", space_type="EMPTY")
    _added.append((keymap, keymap.keymap_items.new("texserver.take_off_variation", "ESC", "PRESS")))


def unregister() -> None:
    """When it is disabled."""
    for keymap, item in _added:
        keymap.keymap_items.remove(item)
    _added.clear()
