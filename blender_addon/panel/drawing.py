"""What several panels draw: a long sentence, the server, a task under way, a task that failed. No bpy here."""

from typing import Any, Final

from ..tasks import state
from ..tasks.task import Task

MOST_BROKEN: Final = 3  # models that are reported


def draw_text(layout: Any, text: str, *, icon: str = "NONE", width: int = 46) -> None:
    """A sentence, in lines of at most `width` characters."""
    column = layout.column(align=True)
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            column.label(text=line, icon=icon)
            line, icon = "", "BLANK1" if icon != "NONE" else "NONE"
        line = f"{line} {word}".strip()
    if line:
        column.label(text=line, icon=icon)


def draw_server(layout: Any) -> None:
    """One line about the server; more if something is wrong."""
    session, server = state.session(), state.local_server()
    row = layout.row(align=True)
    ready = session.connection.state == "ready"
    if ready:  # always one line: the buttons below must not move while a task runs
        row.label(text=session.state_line, icon="LINKED")
    else:
        draw_text(row.column(), session.state_line, icon="UNLINKED", width=34)
    row.operator("texserver.refresh", text="", icon="FILE_REFRESH")
    row.operator("texserver.preferences", text="", icon="PREFERENCES")
    if not ready and server.state in ("stopped", "failed"):
        if server.state == "failed":
            draw_text(layout, server.message, icon="ERROR")
        layout.operator("texserver.start_server", icon="PLAY")
    if ready and not session.catalogue.models:
        draw_text(layout, "It has no models yet. Put .safetensors models into its folder.", icon="INFO")
    for model in [each for each in session.catalogue.models if each.state == "broken"][:MOST_BROKEN]:
        draw_text(layout, f"{model.name} cannot be used: {model.reason}", icon="ERROR")
    if session.catalogue.message:
        draw_text(layout, session.catalogue.message, icon="ERROR")


def draw_progress(layout: Any, task: Task) -> None:
    """A task that has not ended, with a cross to cancel it."""
    row = layout.row(align=True)
    row.progress(text=f"{task.title}  {100 * task.fraction:.0f} %", factor=task.fraction)
    row.operator("texserver.cancel", text="", icon="X").task_id = task.id


def draw_failure(layout: Any) -> None:
    """The latest task, if it failed: why, Retry and Copy."""
    tasks = state.session().tasks
    if not tasks or tasks[-1].state != "failed":
        return
    failed = tasks[-1]
    box = layout.box()
    draw_text(box, failed.message, icon="ERROR")
    row = box.row()
    row.operator_context = "INVOKE_DEFAULT"
    row.operator("texserver.retry", icon="LOOP_BACK").task_id = failed.id
    row.operator("texserver.copy_error", icon="COPYDOWN").text = failed.message
