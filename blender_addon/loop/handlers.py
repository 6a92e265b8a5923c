"""What Blender reports: a file was opened, undo, redo or saving is about to happen, a mesh changed, a render ended.

Nothing is done before a file is opened: if opening fails, the present file stays. No preview is saved, nor a variation
that is tried on: whoever opens the file has no task that would replace it by the texture.
"""

from typing import Any, Final

import bpy
from bpy.app.handlers import persistent

from ..material import images
from ..material.content import Renders
from . import pump, trial


def register() -> None:
    """When the extension is enabled."""
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).append(function)


def unregister() -> None:
    """When the extension is disabled."""
    for name, function in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if function in handlers:
            handlers.remove(function)


@persistent  # type: ignore[untyped-decorator]
def _file_opened(*_: Any) -> None:
    pump.file_opened()


@persistent  # type: ignore[untyped-decorator]
def _before_undo_or_redo(*_: Any) -> None:
    pump.withdraw()


@persistent  # type: ignore[untyped-decorator]
def _before_saving(*_: Any) -> None:
    pump.withdraw()
    trial.take_off(push=False)
    images.remove_replaced()
    images.pack_waiting()


@persistent  # type: ignore[untyped-decorator]
def _changed(scene: Any, depsgraph: Any, *_: Any) -> None:
    """Runs after every change of anything, so it only takes a note. The pump does the rest."""
    for update in depsgraph.updates:
        if update.is_updated_geometry and update.id.id_type == "MESH":
            pump.changed.add(update.id.original.session_uid)


@persistent  # type: ignore[untyped-decorator]
def _render_complete(scene: Any, *_: Any) -> None:
    """Runs in the render's own thread, so it only takes a note. The pump does the rest."""
    if not Renders.ended("complete"):
        pump.rendered.add(scene.name)


@persistent  # type: ignore[untyped-decorator]
def _render_cancelled(*_: Any) -> None:
    Renders.ended("cancelled")


_HANDLERS: Final = (
    ("load_post", _file_opened),
    ("save_pre", _before_saving),
    ("undo_pre", _before_undo_or_redo),
    ("redo_pre", _before_undo_or_redo),
    ("depsgraph_update_post", _changed),
    ("render_complete", _render_complete),
    ("render_cancel", _render_cancelled),
)
