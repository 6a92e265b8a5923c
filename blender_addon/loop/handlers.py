"""What Blender tells us of: another file was opened, undo, redo or saving is about to happen, a render ended.

Not before a file is opened: one that cannot be leaves this one as it is. No preview is saved: who opens the file has no
job that would put the texture in its place.
"""

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..material import materials
from ..material.content import Renders
from . import pump


def register() -> None:
    """When the extension is enabled."""
    bpy.app.handlers.load_post.append(_file_came)
    bpy.app.handlers.save_pre.append(_saves)
    bpy.app.handlers.undo_pre.append(_step_comes)
    bpy.app.handlers.redo_pre.append(_step_comes)
    bpy.app.handlers.render_complete.append(_rendered)
    bpy.app.handlers.render_cancel.append(_not_rendered)


def unregister() -> None:
    """When it is disabled."""
    if _file_came in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_file_came)
    if _saves in bpy.app.handlers.save_pre:
        bpy.app.handlers.save_pre.remove(_saves)
    for steps in (bpy.app.handlers.undo_pre, bpy.app.handlers.redo_pre):
        if _step_comes in steps:
            steps.remove(_step_comes)
    if _rendered in bpy.app.handlers.render_complete:
        bpy.app.handlers.render_complete.remove(_rendered)
    if _not_rendered in bpy.app.handlers.render_cancel:
        bpy.app.handlers.render_cancel.remove(_not_rendered)


@persistent  # type: ignore[untyped-decorator]
def _file_came(*_: Any) -> None:
    pump.forget()


@persistent  # type: ignore[untyped-decorator]
def _step_comes(*_: Any) -> None:
    pump.withdraw()


@persistent  # type: ignore[untyped-decorator]
def _saves(*_: Any) -> None:
    pump.withdraw()
    materials.pack_waiting()


@persistent  # type: ignore[untyped-decorator]
def _rendered(scene: Any, *_: Any) -> None:
    """From the render's own thread: only says so. The pump does the rest."""
    if not Renders.ended("complete"):
        pump.rendered.add(scene.name)


@persistent  # type: ignore[untyped-decorator]
def _not_rendered(*_: Any) -> None:
    Renders.ended("cancelled")
