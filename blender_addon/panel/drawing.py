"""What several panels draw: a long sentence, a task under way, a task that failed."""

from math import inf
from typing import Any, Final

import blf
import bpy

from ..tasks import state
from ..tasks.task import Task

ICONS: Final = {"done": "CHECKMARK", "failed": "ERROR", "cancelled": "PANEL_CLOSE"}
MARGIN: Final = 3.6  # heights of a button: the tabs, and the edges of the panel and of a box in it


def draw_text(layout: Any, text: str, *, icon: str = "NONE", width: int = 0, beside: int = 0) -> None:
    """A sentence, in lines that fit into the region, or of at most `width` characters.

    `beside`: how many buttons with an icon stand beside it.
    """
    column = layout.column(align=True)
    most, length = (width, len) if width else (_room(beside + (icon != "NONE")), _length)
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and length(longer) > most:
            column.label(text=line, icon=icon)
            line, icon, longer = "", "BLANK1" if icon != "NONE" else "NONE", word
        line = longer
    if line:
        column.label(text=line, icon=icon)


def fitting(text: str, icons: int) -> str:
    """The text in one line that fits beside so many icons: its first word, the name of a model, is cut if need be.

    Blender itself would cut the end, where the seed and the progress stand.
    """
    room = _room(icons)
    name, space, rest = text.partition(" ")
    for kept in range(len(name) - 1, 2, -1):
        if _length(text) <= room:
            break
        text = f"{name[:kept]}…{space}{rest}"
    return text


def _length(text: str) -> float:
    """The width of a text on the screen, in pixels."""
    preferences: Any = bpy.context.preferences
    blf.size(0, preferences.ui_styles[0].widget.points * preferences.system.ui_scale)
    measured: Any = blf
    return float(measured.dimensions(0, text)[0])


def _room(icons: int) -> float:
    """Pixels for a line of text in the region that is being drawn, beside so many icons. No limit without a window."""
    preferences: Any = bpy.context.preferences
    region: Any = bpy.context.region
    if not preferences.system.ui_scale:
        return inf
    unit = 20 * preferences.system.ui_scale  # the height of a button, and the width of an icon
    width = region.width if region and region.width > 1 else 13 * unit
    return float(max(width - MARGIN * unit - icons * unit, 4 * unit))


def draw_progress(layout: Any, task: Task) -> None:
    """A task that has not ended, with a cross to cancel it."""
    row = layout.row(align=True)
    row.progress(text=fitting(f"{task.title}  {100 * task.fraction:.0f} %", 1), factor=task.fraction)
    row.operator("texserver.cancel", text="", icon="X").task_id = task.id


def draw_latest(layout: Any) -> None:
    """One line that is always there, so that nothing below moves under the mouse: the task under way, or the last."""
    tasks = state.session().tasks
    if task := next((task for task in tasks if not task.ended), None):
        draw_progress(layout, task)
    elif tasks:
        layout.row().label(text=fitting(tasks[-1].title, 1), icon=ICONS[tasks[-1].state])
    else:
        layout.row().label(text="Nothing painted yet", icon="BLANK1")


def draw_messages(layout: Any) -> None:
    """What is to be said of the latest task: why it failed, or what was done with it that is not expected."""
    tasks = state.session().tasks
    latest = tasks[-1] if tasks else None
    if latest is None or latest.seen or not (latest.note or latest.state == "failed"):
        return
    failed = latest.state == "failed"
    message = latest.message if failed else latest.note
    box = layout.box()
    draw_text(box, message, icon="ERROR" if failed else "INFO")
    row = box.row(align=True)
    row.operator_context = "INVOKE_DEFAULT"
    if failed:
        row.operator("texserver.retry", icon="LOOP_BACK").task_id = latest.id
    row.operator("texserver.copy_error", icon="COPYDOWN").text = message
    row.operator("texserver.dismiss", icon="X").task_id = latest.id
