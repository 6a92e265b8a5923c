"""What Blender tells us of: another file is opened."""

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import pump


def register() -> None:
    """When the extension is enabled."""
    bpy.app.handlers.load_pre.append(_file_goes)


def unregister() -> None:
    """When it is disabled."""
    if _file_goes in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.remove(_file_goes)


@persistent  # type: ignore[untyped-decorator]
def _file_goes(*_: Any) -> None:
    pump.forget()
