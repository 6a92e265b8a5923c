"""The panel "Variations": pictures of several seeds, and the one that is tried on the object."""

from typing import Any, Final

from ..loop import trial
from ..tasks import state
from ..tasks.texture_task import TextureTask
from . import gallery
from .drawing import draw_text
from .panel import Panel, hides_textures

FEW: Final = 4  # variations, in two columns


class VariationsPanel(Panel):
    """Pictures with their seeds as buttons."""

    bl_label = "Variations"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, settings, tasks = self.layout, context.scene.texserver, state.session().variations  # type: ignore[attr-defined]
        row = layout.row(align=True)
        row.prop(settings, "variations", text="Seeds")
        row.operator("texserver.variations", text="Show")
        row.operator("texserver.next_variations", text="Next")
        if not tasks:
            return
        on = trial.current()
        _draw_trial(layout, on)
        if hides_textures(context):
            layout.operator("texserver.show_material", icon="SHADING_TEXTURE")
        columns, scale = (2, 5.3) if len(tasks) <= FEW else (3, 3.5)  # to fill the sidebar's width
        grid = layout.grid_flow(columns=columns, even_columns=True, row_major=True)
        for task in tasks:
            _draw_variation(grid.column(align=True), task, on, scale)
        if failed := next((task for task in tasks if task.state == "failed"), None):
            draw_text(layout, failed.message, icon="ERROR")


def _draw_trial(layout: Any, on: trial.Trial | None) -> None:
    """Two lines that are always there, so that nothing moves under the mouse."""
    layout.label(text=f"#{on.seed} on {on.names}" if on else "Click a seed to try it on the object")
    row = layout.row(align=True)
    row.operator("texserver.step_variation", text="", icon="TRIA_LEFT").step = -1
    row.operator("texserver.step_variation", text="", icon="TRIA_RIGHT").step = 1
    keep = row.row(align=True)
    keep.operator_context = "INVOKE_DEFAULT"
    keep.operator("texserver.keep_variation", icon="CHECKMARK")
    row.operator("texserver.take_off_variation", text="", icon="X")


def _draw_variation(cell: Any, task: TextureTask, on: trial.Trial | None, scale: float) -> None:
    if task.result:
        cell.template_icon(gallery.icon(gallery.picture(task.result)), scale=scale)
    else:
        cell.label(text="" if task.state == "waiting" else task.state.capitalize())
    seed = task.order.seed
    row = cell.row()
    row.enabled = task.result is not None
    tried = on is not None and (on.model, on.seed) == (task.order.model, seed)
    row.operator("texserver.try_variation", text=str(seed), depress=tried).seed = seed
