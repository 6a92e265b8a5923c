"""An operator that writes files of the active material into a folder."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from ..loop import pump
from ..loop.delivery import Prepared
from ..pictures.export_set import plain_name
from .operator import FINISHED, Operator, Outcome
from .orders import NotOrdered


class FolderOperator(Operator):
    """From a button it asks for the folder, and then returns at once; from a script it runs to the end."""

    bl_options = {"REGISTER"}

    name: StringProperty(name="Name", description="Name within those of the files. Empty: that of the material")
    directory: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    asked = False

    @abstractmethod
    def prepared(self, material: Any, name: str, folder: Path) -> Prepared:
        """What to begin, for the active material. `name` is one of plain_name()."""

    def invoke(self, context: Any, event: Any) -> Any:
        self.name = plain_name(context.object.active_material.name)
        self.asked = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Outcome:
        if not self.directory:
            return self.fail("Name the folder for the files: directory='PATH'.")
        material = context.object.active_material
        folder = Path(bpy.path.abspath(self.directory))
        try:
            task = self.prepared(material, plain_name(self.name or material.name), folder).begin()
        except NotOrdered as error:
            return self.fail(error)
        if self.asked and not bpy.app.background:
            pump.redraw()
            return FINISHED
        pump.run(task)
        return FINISHED if task.state == "done" else self.fail(task.message)
