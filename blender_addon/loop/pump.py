"""The only place that drives tasks: a persistent timer in Blender's main loop, or a loop in an operator without one.

Nothing here waits. While Blender renders, results are held back: changing data during a render can crash it.
"""

import time
import traceback
from collections.abc import Callable
from typing import Any, Final

import bpy

from ..material import content, measure
from ..tasks import state
from ..tasks.task import Task
from . import status_bar, trial
from .delivery import Delivery

BUSY_S: Final = 0.03  # from one step to the next
IDLE_S: Final = 0.3
NAP_S: Final = 0.003  # between the steps of a loop
DELIVERING_S: Final = 0.02  # in one step, beside the one delivery that it makes at least

changed: set[int] = set()  # meshes, by session identifiers, whose UV maps may be others now
rendered: set[str] = set()  # scenes with a completed render that after_render has not handled yet
_deliveries: dict[int, Delivery] = {}  # by the task's id, for every task in the list
_after_render: Callable[[str], bool] | None = None
_shown: object = None  # what the panels show


def start(after_render: Callable[[str], bool]) -> None:
    """When the extension is enabled. `after_render` gets a scene's name, again and again until it returns True."""
    global _after_render
    _after_render = after_render
    bpy.app.timers.register(_turn, first_interval=IDLE_S, persistent=True)


def wake() -> None:
    """Make the next step at once, because somebody waits for it."""
    if bpy.app.timers.is_registered(_turn):
        bpy.app.timers.unregister(_turn)
        bpy.app.timers.register(_turn, first_interval=0.0, persistent=True)


def stop() -> None:
    """When the extension is disabled. No preview is left behind."""
    if bpy.app.timers.is_registered(_turn):
        bpy.app.timers.unregister(_turn)
    trial.take_off()
    for delivery in pending():
        delivery.take_back()
    status_bar.clear()
    _deliveries.clear()
    rendered.clear()
    changed.clear()


def file_opened() -> None:
    """Another file was opened: everything for the earlier file ends."""
    trial.forget()
    for delivery in _deliveries.values():
        delivery.file_closed()
    rendered.clear()


def withdraw() -> None:
    """Undo, redo or saving is about to happen. Take all previews back; the next step shows them again.

    Blender keeps what two undo steps have in common. It would keep what points to a preview, but free the preview.
    """
    for delivery in pending():
        delivery.withdraw()


def deliver(delivery: Delivery) -> None:
    """Drive a new task's delivery to its end."""
    _deliveries[delivery.task.id] = delivery
    wake()


def delivery_of(task: Task) -> Delivery | None:
    """The delivery of a task in the list."""
    return _deliveries.get(task.id)


def pending() -> list[Delivery]:
    """All deliveries that have not ended."""
    return [each for each in _deliveries.values() if each.pending]


def run(task: Task) -> None:
    """Drive a task and its delivery to the end in a loop: for scripts, and for Blender without a window."""
    content.looping = True
    try:
        while not task.ended or any(each.task is task for each in pending()):
            step()
            time.sleep(NAP_S)
    finally:
        content.looping = False


def step() -> None:
    """Advance everything a little. What arrives is delivered by the next step, so that neither takes long."""
    rendering: Any = bpy.app.is_job_running
    if not rendering("RENDER"):
        advance_deliveries()
        content.put_back()
        trial.tick()
        if changed:
            measure.measure_again(changed)
            changed.clear()
        for name in list(rendered):
            if _after_render is None or _after_render(name):
                rendered.discard(name)
    state.session().tick()


def advance_deliveries() -> None:
    """Those that there is time for; the next step goes on."""
    session, until = state.session(), time.perf_counter() + DELIVERING_S
    for delivery in pending():
        if session.task(delivery.task.id) is None:
            delivery.take_back()
        else:
            delivery.advance(pending())
        if time.perf_counter() > until:
            break
    for id in [id for id, each in _deliveries.items() if session.task(id) is None and not each.pending]:
        del _deliveries[id]


def _turn() -> float:
    """Called by Blender's main loop."""
    global _shown
    if not state.is_open():
        return IDLE_S
    try:
        step()
        state.local_server().tick()
        state.installation().tick()
    except Exception:  # a timer that raises is never called again
        traceback.print_exc()
    shown = state.session().version, state.local_server().state, state.installation().version
    if shown != _shown:
        _shown = shown
        redraw()
    waiting = pending() or rendered or state.session().connecting
    return BUSY_S if state.session().busy or waiting else IDLE_S


def redraw() -> None:
    """Draw all panels of the extension again."""
    manager: Any = bpy.context.window_manager
    for window in manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "NODE_EDITOR", "IMAGE_EDITOR", "PROPERTIES", "PREFERENCES"):
                for region in area.regions:
                    if region.type == "UI" or (region.type == "WINDOW" and area.type in ("PREFERENCES", "PROPERTIES")):
                        region.tag_redraw()
