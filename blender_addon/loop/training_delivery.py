"""What becomes of a material that is made from a picture: on the object are the picture itself, then the growing
texture, then the finished one; each as large as it is in reality.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..material.assignment import Assignment, Target
from ..tasks import state
from ..tasks.painted import Painted
from ..tasks.training_task import TrainingTask
from .delivery import Delivery, Prepared, StyleDelivery, SurfaceDelivery, push_undo, tidy

_CLOSED: Final = "Another file was opened. The server goes on learning; the model will be in the gallery."


class TrainingDelivery(SurfaceDelivery):
    """`target` None: only the model is made."""

    def __init__(self, task: TrainingTask, target: Target | None, prepared: Prepared | None) -> None:
        super().__init__(task, Assignment(target) if target else None)
        self.training = task
        self.prepared = prepared  # to begin again; None where that cannot be
        self._shown: Painted | None = None

    def _advance(self, others: Iterable[Delivery]) -> None:
        task, assignment = self.training, self.assignment
        if assignment is None:
            self.pending = not task.ended
        elif not task.ended:
            if task.preview and task.preview is not self._shown and self._may_preview(assignment, others):
                self._show(assignment, task.preview, preview=True)
        elif task.state == "done" and task.result:
            if not assignment.load(task.result):
                return
            state.session().remember(task.result)
            self._show(assignment, task.result)
            task.note = " ".join(assignment.notes)
            self.pending = False
            tidy()
            push_undo(f"Material {task.order.name}")
        else:
            self.take_back()

    def _show(self, assignment: Assignment, painted: Painted, *, preview: bool = False) -> None:
        """At the scale of this picture: each has another number of pixels per metre."""
        mapping = assignment.target.mapping
        mapping = replace(mapping, texels=self.training.texels, asked=mapping.asked | {"texels"})
        assignment.target = replace(assignment.target, mapping=mapping)
        assignment.show(painted, preview=preview)
        self._shown = painted

    def withdraw(self) -> None:
        super().withdraw()
        self._shown = None

    def file_closed(self) -> None:
        """The server goes on, and the model will be in the gallery."""
        self.prepared = None
        if self.pending:
            self.pending = False
            self.task.leave(_CLOSED)


class StyleTrainingDelivery(StyleDelivery):
    """Selects a style that was made from a picture. The server goes on with it whichever file is open."""

    def file_closed(self) -> None:
        self.prepared = None
        if self.pending:
            self.pending = False
            self.task.leave(_CLOSED)
