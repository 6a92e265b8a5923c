"""Blender's status bar: one sentence of ours, and nothing of it left in any workspace.

The text belongs to the workspace in which it was set. Whoever has changed to another one would leave it there for ever.
"""

from typing import Any

import bpy

_said_in: set[str] = set()  # names of workspaces


def say(workspace: Any, text: str) -> None:
    """Show a sentence."""
    workspace.status_text_set(text)
    _said_in.add(workspace.name)


def clear() -> None:
    """Remove it, wherever it was shown."""
    for workspace in bpy.data.workspaces:
        if workspace.name in _said_in:
            workspace.status_text_set(None)
    _said_in.clear()
