"""The operators for a file without pixels: paint what is missing, and take the pixels out of the .blend file."""

from dataclasses import dataclass
from typing import Any, Final

import bpy
from bpy.props import BoolProperty

from ..loop import pump
from ..loop.delivery import RecipeDelivery
from ..material import recipes
from ..tasks import state
from ..tasks.recipes import Recipe, RecipeTask, without_model
from .operator import FINISHED, Operator, Outcome, connect
from .orders import NotOrdered

NOT_SAVED: Final = "Save the .blend file first: the textures belong beside it"


@dataclass(frozen=True, kw_only=True)
class PreparedRecipe:
    """A recipe that is ready to begin."""

    recipe: Recipe

    def begin(self) -> RecipeTask:
        """Begin. Raises NotOrdered."""
        session = state.session()
        models = session.catalogue.with_hashes(self.recipe.hashes)
        if models is None:
            raise NotOrdered(without_model(self.recipe))
        task = session.repaint(self.recipe, models)
        pump.deliver(RecipeDelivery(task, lambda _: recipes.show_painted(self.recipe), self))
        return task


class TEXSERVER_OT_paint_missing(Operator):
    """Paint the textures of this file whose pictures are missing, as they were painted before"""

    bl_idname = "texserver.paint_missing"
    bl_label = "Paint Missing"
    bl_options = {"REGISTER"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        if not bpy.data.is_saved:
            return NOT_SAVED
        return "" if recipes.glance().missing else "No texture is missing"

    def invoke(self, context: Any, event: Any) -> Outcome:
        if bpy.app.background:
            return self.execute(context)
        return self._begin()[0]

    def execute(self, context: Any) -> Outcome:
        if why := connect():
            return self.fail(why)
        outcome, tasks = self._begin()
        for task in tasks:
            pump.run(task)
        if failed := next((each for each in tasks if each.state != "done"), None):
            return self.fail(failed.message)
        return outcome

    def _begin(self) -> tuple[Outcome, list[RecipeTask]]:
        """Begin all that the server has the models for. The others are told, and make it fail."""
        tasks, refused = [], []
        for recipe in recipes.find().missing:
            try:
                tasks.append(PreparedRecipe(recipe=recipe).begin())
            except NotOrdered as error:
                refused.append(str(error))
        pump.redraw()
        if refused:
            more = f" The same is true of {len(refused) - 1} others." if len(refused) > 1 else ""
            return self.fail(refused[0] + more), tasks
        return FINISHED, tasks


class TEXSERVER_OT_recipes_only(Operator):
    """Take the pixels of our textures out of the .blend file. It keeps how to paint them, and gets small"""

    bl_idname = "texserver.recipes_only"
    bl_label = "Recipes Only"
    bl_options = {"REGISTER"}

    keep_files: BoolProperty(
        name="Keep Pictures",
        description="Write the pictures beside the .blend file, so that they still show here. Otherwise they are "
        "missing until they are painted again",
        default=True,
    )

    @classmethod
    def refusal(cls, context: Any) -> str:
        if not bpy.data.is_saved:
            return NOT_SAVED
        return "" if recipes.glance().packed else "No texture of ours is packed into this file"

    def execute(self, context: Any) -> Outcome:
        try:
            unpacked = recipes.unpack_all(keep_files=self.keep_files)
        except OSError as error:
            why = error.strerror or error
            return self.fail(f"The pictures cannot be written beside the .blend file: {why}. Make room there.")
        if unpacked.kept:
            names = ", ".join(unpacked.kept[:3]) + (" and others" if len(unpacked.kept) > 3 else "")
            self.report(
                {"WARNING"},
                f"{names} stay packed: they were changed after they were painted, or an earlier version painted them.",
            )
        megabytes = unpacked.bytes / 1e6
        self.report({"INFO"}, f"{unpacked.count} images gave up {megabytes:.1f} MB. Save the file to make it small.")
        return FINISHED


CLASSES = (TEXSERVER_OT_paint_missing, TEXSERVER_OT_recipes_only)
