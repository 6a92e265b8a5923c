"""A delivery: what happens in Blender with the result of one task, and how it is taken back.

A texture goes into a material, with a preview first (TextureDelivery). A stylized picture or sequence becomes an image
(StyleDelivery). An export leaves Blender as it is (ExportDelivery). The pump drives them all.
"""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import bpy

from ..material.assignment import Assignment, NotAssigned, Target
from ..tasks import state
from ..tasks.task import Task
from ..tasks.texture_task import TextureTask


class Prepared(Protocol):
    """Something ready to begin; it can begin more than once, for Retry."""

    def begin(self) -> Task:
        """Begin. Returns the new task."""


class Delivery(ABC):
    """What becomes of one task. `pending` until its result is shown, or nothing is left to show."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.pending = True

    @abstractmethod
    def advance(self, others: Iterable["Delivery"]) -> None:
        """Show what the task has by now. `others` are all pending deliveries. Raises nothing."""

    @abstractmethod
    def take_back(self) -> None:
        """End; Blender's data is as it was before."""

    @abstractmethod
    def file_closed(self) -> None:
        """Another file was opened: end, together with the task."""

    @abstractmethod
    def withdraw(self) -> None:
        """Take back what is shown so far; advance() shows it again."""


class SurfaceDelivery(Delivery):
    """Puts a texture onto objects by an assignment; None where there is no object."""

    def __init__(self, task: Task, assignment: Assignment | None) -> None:
        super().__init__(task)
        self.assignment = assignment

    @abstractmethod
    def _advance(self, others: Iterable[Delivery]) -> None:
        """Show what the task has by now. Raises NotAssigned."""

    def advance(self, others: Iterable[Delivery]) -> None:
        try:
            self._advance(others)
        except NotAssigned as error:
            self._fail(str(error))
        except Exception as error:  # a defect, ours or Blender's; the pump must go on
            traceback.print_exc()
            self._fail(
                f"The texture is painted but could not be put on the object: {error}. See the system console for more."
            )

    def _may_preview(self, assignment: Assignment, others: Iterable[Delivery]) -> bool:
        """Whether a preview can be taken back later. Not over another delivery's preview."""
        if not assignment.previews:
            return False
        assignments = (each.assignment for each in others if isinstance(each, SurfaceDelivery) and each is not self)
        return not any(each and each.preview_shown and assignment.meets(each) for each in assignments)

    def _fail(self, why: str) -> None:
        self.task.fail(why)
        with suppress(Exception):  # the defect may strike again
            self.take_back()

    def take_back(self) -> None:
        self.pending = False
        if self.assignment:
            self.assignment.revert()

    def withdraw(self) -> None:
        if self.pending and self.assignment:
            self.assignment.withdraw()


class TextureDelivery(SurfaceDelivery):
    """Puts the texture of one task onto the objects of its target."""

    assignment: Assignment

    def __init__(self, task: TextureTask, assignment: Assignment) -> None:
        super().__init__(task, assignment)
        self.texture_task = task

    @property
    def target(self) -> Target:
        """Where the texture goes."""
        return self.assignment.target

    def _advance(self, others: Iterable[Delivery]) -> None:
        task = self.texture_task
        if not task.ended:
            if task.preview and not self.assignment.preview_shown and self._may_preview(self.assignment, others):
                self.assignment.show(task.preview, preview=True)
        elif task.state == "done" and task.result:
            if not self.assignment.load(task.result):
                return
            if not (task.order.squares or task.order.wang):  # the history could not paint these again
                state.session().remember(task.result)  # first: the history has it even if the object is gone
            self.assignment.show(task.result)
            task.note = " ".join(self.assignment.notes)
            self.pending = False
            tidy()
            push_undo(f"Texture {task.title}")
        else:
            self.take_back()

    def file_closed(self) -> None:
        if self.pending:
            self.pending = False  # nothing to revert: the objects are gone
            self.task.cancel("Cancelled, because another file was opened. Press Generate to paint it for this file.")


class StyleDelivery(Delivery):
    """Shows a stylized picture or sequence: calls `show` with the finished task."""

    def __init__(self, task: Task, show: Callable[[Any], None], prepared: Prepared) -> None:
        super().__init__(task)
        self.prepared: Prepared | None = prepared  # to begin again; None once another file was opened
        self._show = show

    def advance(self, others: Iterable[Delivery]) -> None:
        if not self.task.ended:
            return
        self.pending = False
        if self.task.state != "done":
            return
        try:
            self._show(self.task)
            tidy()
            push_undo(self.task.title)
        except Exception as error:  # a defect, ours or Blender's; the pump must go on
            traceback.print_exc()
            self.task.fail(f"The picture is painted but could not be shown: {error}. See the system console for more.")

    def take_back(self) -> None:
        self.pending = False

    def withdraw(self) -> None:
        """Nothing is shown before the end."""

    def file_closed(self) -> None:
        self.prepared = None
        if self.pending:
            self.pending = False
            self.task.cancel("Cancelled, because another file was opened.")


class ExportDelivery(Delivery):
    """An export changes nothing in Blender: it only ends."""

    def __init__(self, task: Task, prepared: Prepared) -> None:
        super().__init__(task)
        self.prepared: Prepared | None = prepared  # to begin again; None once another file was opened

    def advance(self, others: Iterable[Delivery]) -> None:
        self.pending = not self.task.ended

    def take_back(self) -> None:
        self.pending = False

    def withdraw(self) -> None:
        """Nothing is shown."""

    def file_closed(self) -> None:
        self.prepared = None


class LibraryDelivery(StyleDelivery):
    """Shows a published library. It has nothing to do with the file that is open, so it goes on in another one."""

    def advance(self, others: Iterable[Delivery]) -> None:
        if not self.task.ended:
            return
        self.pending = False
        if self.task.state == "done":
            self._show(self.task)

    def file_closed(self) -> None:
        """It goes on."""


class RecipeDelivery(LibraryDelivery):
    """Lets Blender read what a recipe painted. Its files are wanted, whichever .blend file is open."""


def tidy() -> None:
    """Bring the cache below its limit, without the files that Blender shows."""
    state.session().tidy([Path(bpy.path.abspath(image.filepath)) for image in bpy.data.images])


def push_undo(message: str) -> None:
    """Make a step for undo of what was done outside of an operator that makes one itself."""
    if not bpy.app.background:
        bpy.ops.ed.undo_push(message=message)
