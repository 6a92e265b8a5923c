"""From a picture and a name to a style that is ready to be made; and why a server would not do it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy

from ..client.training import ServerTraining
from ..loop import pump
from ..loop.training_delivery import StyleTrainingDelivery
from ..material.map_pictures import MapPictures, MapSource
from ..material.references import Reference
from ..protocol.training import STYLE
from ..tasks import state
from ..tasks.training_task import TrainingOrder, TrainingTask
from .orders import NotOrdered
from .training_orders import Found, bounds, refusal

Part = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class PreparedStyle:
    """A style that is ready to be made, more than once for Retry. `token`: of one that the server makes already."""

    order: TrainingOrder
    scene: Reference
    sources: tuple[MapSource, ...] = ()
    token: str = ""

    def begin(self) -> TrainingTask:
        """Begin. The pump does the rest."""
        session = state.session()
        source = training = None
        if self.token:
            training = ServerTraining(session.connection, self.token)
        else:
            source = MapPictures(self.sources, self.scene.get() or bpy.context.scene, bounds(self.sources))
        task = session.learn(self.order, source=source, training=training)
        pump.deliver(StyleTrainingDelivery(task, self._select, self))
        return task

    def _select(self, task: TrainingTask) -> None:
        """The panels "Stylize" show the new style."""
        holder: Any = self.scene.get() or bpy.context.scene
        holder.texserver.style.model = task.order.name


def prepare(context: Any, found: Found, name: str, margins: Sequence[float], *, replace: bool) -> PreparedStyle:
    """A style of a picture. `margins`: what is left out of it at the left, right, top and bottom, as fractions of its
    sides. Raises NotOrdered.
    """
    if why := refusal(name, replace=replace, kind=STYLE):
        raise NotOrdered(why)
    left, right, top, bottom = margins
    if left + right >= 1 or top + bottom >= 1:
        raise NotOrdered("Nothing of the picture remains: leave out less at its sides.")
    order = TrainingOrder(name=name, kind=STYLE, leave_out=_parts(left, right, top, bottom), replace=replace)
    return PreparedStyle(order=order, scene=Reference.to("scenes", context.scene), sources=found.sources)


def follow(context: Any, token: str, name: str) -> PreparedStyle:
    """A style that the server makes, or has made."""
    order = TrainingOrder(name=name, kind=STYLE)
    return PreparedStyle(order=order, scene=Reference.to("scenes", context.scene), token=token)


def _parts(left: float, right: float, top: float, bottom: float) -> tuple[Part, ...]:
    """The margins as parts of the picture: top, left, height, width."""
    parts = (
        (0.0, 0.0, 1.0, left),
        (0.0, 1 - right, 1.0, right),
        (0.0, 0.0, top, 1.0),
        (1 - bottom, 0.0, bottom, 1.0),
    )
    return tuple(each for each in parts if each[2] and each[3])
