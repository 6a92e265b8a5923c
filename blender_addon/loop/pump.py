"""The only place that drives jobs: one persistent timer in Blender's main loop, or a loop in an operator without one.

Nothing here waits. While Blender renders, results are held back: changing data under a render can crash it.
"""

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import bpy

from ..material import content
from ..material.assignment import Assignment, NotAssigned, Wish
from ..tasks import state
from ..tasks.session import AnyTask
from ..tasks.style_tasks import SequenceTask, StyleTask
from ..tasks.tasks import Order, Task

BUSY_S: Final = 0.03  # from one step to the next
IDLE_S: Final = 0.3
NAP_S: Final = 0.003  # in a loop

_wishes: dict[int, Wish] = {}  # by the task's id, as long as it is in the list
_assignments: dict[int, Assignment] = {}  # of those that are not fulfilled yet
_made: dict[int, Any] = {}  # how a picture or sequence in a style was begun, as long as it is in the list
_finishes: dict[int, Callable[[Any], None]] = {}  # what is to be done with each when it is complete
rendered: set[str] = set()  # scenes of which a render was completed
_after_render: Callable[[str], bool] | None = None
_shown: object = None  # what the panels show


def start(after_render: Callable[[str], bool]) -> None:
    """When the extension is enabled. `after_render` gets a scene's name, again as long as it returns False."""
    global _after_render
    _after_render = after_render
    bpy.app.timers.register(_turn, first_interval=IDLE_S, persistent=True)


def wake() -> None:
    """Someone waits: the next turn comes at once."""
    if bpy.app.timers.is_registered(_turn):
        bpy.app.timers.unregister(_turn)
        bpy.app.timers.register(_turn, first_interval=0.0, persistent=True)


def stop() -> None:
    """When it is disabled: what is under way leaves no preview behind."""
    if bpy.app.timers.is_registered(_turn):
        bpy.app.timers.unregister(_turn)
    for id in list(_assignments):
        _take_back(id)
    _wishes.clear()
    _made.clear()
    _finishes.clear()
    rendered.clear()


def forget() -> None:
    """Another file was opened: what was for objects of the one before ends."""
    for id in list(_assignments):
        del _assignments[id]  # its objects went with the file
        if task := state.session().task(id):
            task.cancel("Cancelled, since another file was opened. Press Generate to paint it for this one.")
    for id in list(_finishes):
        del _finishes[id]
        if task := state.session().task(id):
            task.cancel("Cancelled, since another file was opened.")
    rendered.clear()
    _made.clear()


def withdraw() -> None:
    """Undo, redo or saving is about to happen, and previews belong into none of these: the next turn shows them again.

    Blender keeps what two steps of undo have in common, so it would keep what points to a preview, and free that.
    """
    for assignment in _assignments.values():
        assignment.withdraw()


def begin(order: Order, wish: Wish | None, folder: Path | None = None, suffix: str = ".tif") -> Task:
    """Order a texture, and say what is to be done with it. Goes on by itself where there is a main loop."""
    task = state.session().order(order, folder, suffix)
    if wish:
        _wishes[task.id] = wish
        _assignments[task.id] = Assignment(wish)
    wake()
    return task


def follow(task: StyleTask | SequenceTask, finish: Callable[[Any], None], made: Any) -> None:
    """A picture or sequence was ordered: `finish` is called with the task when it is done, `made` can begin it anew."""
    _finishes[task.id] = finish
    _made[task.id] = made
    wake()


def made_of(task: AnyTask) -> Any:
    """What a picture or sequence in a style was begun with, None of a texture."""
    return _made.get(task.id)


def wish_of(task: AnyTask) -> Wish | None:
    """What is to be done with a task's texture."""
    return _wishes.get(task.id)


def run(task: AnyTask) -> None:
    """To its end, in a loop: for scripts and for Blender without a window."""
    content.looping = True
    try:
        while not task.ended or task.id in _assignments or task.id in _finishes:
            step()
            time.sleep(NAP_S)
    finally:
        content.looping = False


def step() -> None:
    """Go on a little with everything."""
    session = state.session()
    session.tick()
    for id in [id for id in _wishes if session.task(id) is None]:
        del _wishes[id]
    for id in [id for id in _made if session.task(id) is None]:
        del _made[id]
    rendering: Any = bpy.app.is_job_running
    if rendering("RENDER"):
        return
    for id in list(_assignments):
        task = session.task(id)
        if task is None:
            _take_back(id)
        else:
            assert isinstance(task, Task)
            _follow(task, _assignments[id])
    for id in list(_finishes):
        styled = session.task(id)
        if styled is None or styled.ended:
            finish = _finishes.pop(id)
            if styled and styled.state == "done":
                _finish(styled, finish)
    content.put_back()
    for name in list(rendered):
        if _after_render is None or _after_render(name):
            rendered.discard(name)


def _finish(task: AnyTask, finish: Callable[[Any], None]) -> None:
    """Show what is complete."""
    try:
        finish(task)
        state.session().tidy([Path(bpy.path.abspath(image.filepath)) for image in bpy.data.images])
        _push_undo(task.order.title)
    except Exception as error:  # a defect, ours or Blender's: the timer must outlive it
        traceback.print_exc()
        task.fail(f"It is painted, but could not be shown: {error}. The system console says more.")


def _follow(task: Task, assignment: Assignment) -> None:
    """Show what a task has by now."""
    try:
        if not task.ended:
            if task.preview and _may_preview(assignment):
                assignment.show(task.preview, preview=True)
        elif task.state == "done" and task.result:
            if not assignment.load(task.result):
                return
            state.session().remember(task.result)  # also where it has no place any more: it can be had from there
            assignment.show(task.result)
            del _assignments[task.id]
            state.session().tidy([Path(bpy.path.abspath(image.filepath)) for image in bpy.data.images])
            _push_undo(f"Texture {task.order.title}")
        else:
            _take_back(task.id)
    except NotAssigned as error:
        _fail(task, str(error))
    except Exception as error:  # a defect, ours or Blender's: the timer must outlive it
        traceback.print_exc()
        _fail(task, f"It is painted, but could not be put on the object: {error}. The system console says more.")


def _may_preview(assignment: Assignment) -> bool:
    """Once, and not over another one, or neither could be taken back."""
    if assignment.preview_shown or not assignment.wish.previews:
        return False
    return not any(other.preview_shown and assignment.meets(other) for other in _assignments.values())


def _fail(task: Task, why: str) -> None:
    task.fail(why)
    with suppress(Exception):  # what was wrong may be wrong still
        _take_back(task.id)


def _take_back(id: int) -> None:
    if assignment := _assignments.pop(id, None):
        assignment.revert()


def _push_undo(message: str) -> None:
    if not bpy.app.background:
        bpy.ops.ed.undo_push(message=message)


def _turn() -> float:
    """Called by Blender's main loop."""
    global _shown
    if not state.is_open():
        return IDLE_S
    try:
        step()
        state.local_server().tick()
    except Exception:  # a timer that raises is never called again
        traceback.print_exc()
    shown = state.session().version, state.local_server().state
    if shown != _shown:
        _shown = shown
        redraw()
    waited_for = _assignments or _finishes or rendered or state.session().connecting
    return BUSY_S if state.session().busy or waited_for else IDLE_S


def redraw() -> None:
    """Every panel of ours, once."""
    manager: Any = bpy.context.window_manager
    for window in manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "NODE_EDITOR", "IMAGE_EDITOR", "PROPERTIES", "PREFERENCES"):
                for region in area.regions:
                    if region.type == "UI" or (region.type == "WINDOW" and area.type in ("PREFERENCES", "PROPERTIES")):
                        region.tag_redraw()
