"""Material from Picture: one dialog for pictures from wherever they come, and then a material on the object.

A dropped file, a file browser, an image of this Blender, the clipboard and the present textures of an object all lead
to the operator `texserver.train`. From a button it shows the dialog, and OK begins the job. From a script it runs to
the end.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, FloatProperty, FloatVectorProperty, StringProperty

from ..loop.delivery import Prepared
from ..material.assignment import NotAssigned
from ..material.slots import WITH_MATERIALS
from ..pictures.straighten import WHOLE, Corners
from ..tasks import state
from ..tasks.training_task import TrainingOrder
from . import corners, gallery, training_orders
from .drawing import draw_text
from .operator import CANCELLED, FINISHED, Operator, Outcome, PaintingOperator
from .orders import NotOrdered
from .training_orders import PICTURES, Found, PreparedTraining, cannot_learn, refusal, unused

SOURCES: Final = (
    ("FILES", "Files", "Picture files, or a folder with the maps of a material"),
    ("IMAGE", "Image", "An image of this Blender"),
    ("OBJECT", "Object's Textures", "The images that the active material of the object shows, whatever has made it"),
    ("CLIPBOARD", "Clipboard", "The picture in the clipboard, or the one whose path is there"),
)
DIALOG: Final = 340  # pixels wide, at the interface's normal scale
CHARACTERS: Final = 46  # of a line in it
_operators: Any = bpy.ops
DETAILS: Final = (
    ("1024", "1K", "The usual: learned in half a minute, models of about 10 MB"),
    ("2048", "2K", "A minute, models of about 50 MB"),
    (
        "4096",
        "4K",
        "For things seen from near, and textures of 8K. Some minutes and 2 GB of the server's memory, models "
        "of about 160 MB",
    ),
    ("8192", "8K", "Several minutes and 5 GB of the server's memory, models of about 600 MB"),
)
GUESSED: Final = ("normal", "height", "roughness")

_pending: Prepared | None = None  # what the dialog has prepared, until it is begun
_materials: list[tuple[str, str, str]] = []  # of the open dialog; Blender keeps references to them


def _listed(self: Any, context: Any) -> list[tuple[str, str, str]]:
    return _materials or [("NONE", "", "")]


def _categories(self: Any, context: Any, text: str) -> list[str]:
    known = {model.category for model in state.session().catalogue.models if model.category}
    return sorted(each for each in known if text.lower() in each.lower())


class TEXSERVER_OT_train(PaintingOperator):
    """Learn a material from a picture, or from the maps of a material, and put it on the object"""

    bl_idname = "texserver.train"
    bl_label = "Material from Picture"
    bl_options = {"REGISTER"}
    doing = ""

    source: EnumProperty(name="Source", items=SOURCES, options={"SKIP_SAVE", "HIDDEN"})
    filepath: StringProperty(name="File", subtype="FILE_PATH", options={"SKIP_SAVE", "HIDDEN"})
    directory: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE", "HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE", "HIDDEN"})
    image: StringProperty(name="Image", options={"SKIP_SAVE", "HIDDEN"})
    thing: StringProperty(name="Object", description="Empty: the active one", options={"SKIP_SAVE", "HIDDEN"})
    material: EnumProperty(name="Material", description="Which of the materials to learn", items=_listed)
    name: StringProperty(name="Name", description="Name of the new material on the server", options={"SKIP_SAVE"})
    metres: FloatProperty(
        name="Picture's Width",
        description="How wide is what the picture shows, in reality; after straightening",
        default=2.0,
        min=0.001,
        max=10_000,
        soft_max=100,
        unit="LENGTH",
    )
    category: StringProperty(
        name="Category", description="Kind of material, for the gallery; may be empty", search=_categories
    )
    straighten: BoolProperty(
        name="Crop and Straighten",
        description="After OK, drag four corners onto the part of the picture to learn",
        options={"SKIP_SAVE"},
    )
    corners: FloatVectorProperty(
        name="Corners",
        description="Of the part to learn, as fractions of width and height from the top left: x and y of the top "
        "left, top right, bottom right and bottom left corner",
        size=8,
        default=tuple(each for point in WHOLE for each in point),
        min=0,
        max=1,
        options={"SKIP_SAVE", "HIDDEN"},
    )
    detail: EnumProperty(
        name="Detail",
        description="How many pixels of the picture's shorter side the material keeps. A smaller picture is not "
        "enlarged",
        items=DETAILS,
        default="1024",
    )
    guess: BoolProperty(
        name="Guess Relief and Gloss",
        description="Guess normals, height and roughness from the colours, where there are no maps of them",
        default=True,
    )
    replace: BoolProperty(
        name="Replace", description="The material of that name that the server has", options={"SKIP_SAVE"}
    )

    again: BoolProperty(options={"SKIP_SAVE", "HIDDEN"})  # the dialog was accepted, but it could not begin
    refused: StringProperty(options={"SKIP_SAVE", "HIDDEN"})  # why, unless it is the name, of which the dialog tells

    found: list[Found]
    given_name = ""  # that the dialog has proposed

    @classmethod
    def refusal(cls, context: Any) -> str:
        return cannot_learn().rstrip(".")

    # ------------------------------------------------------------------------------------------------------ dialog

    def invoke(self, context: Any, event: Any) -> Outcome:
        if bpy.app.background:
            return self.execute(context)
        state.session().wanted = True
        try:
            self.found = self._find(context)
        except NotOrdered as error:
            return self.fail(error)
        if not self.thing and self.source == "FILES" and (under := _under_mouse(context, event)):
            self.thing = under.name
        _materials[:] = [(each.name, each.name, each.maps) for each in self.found]
        if not (self.again and self.material in [each.name for each in self.found]):
            self.material = self.found[0].name
        manager: Any = context.window_manager
        shown: Outcome = manager.invoke_props_dialog(self, width=DIALOG, title=self.bl_label, confirm_text="Learn")
        return shown

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        found = self._chosen()
        if not self.name or self.name == self.given_name:
            self.name = self.given_name = unused(found.name)
        layout.template_icon(icon_of(found), scale=8)
        if len(self.found) > 1:
            layout.prop(self, "material")
        layout.prop(self, "name")
        if state.session().catalogue.get(self.name):
            layout.prop(self, "replace")
        layout.prop(self, "metres")
        layout.prop(self, "category")
        layout.prop(self, "detail")
        layout.prop(self, "straighten")
        if len(found.sources) == 1:
            layout.prop(self, "guess")
        else:
            draw_text(layout, f"Maps: {found.maps}", width=CHARACTERS)
        for note in found.notes:
            draw_text(layout, note, icon="INFO", width=CHARACTERS)
        if why := refusal(self.name, replace=self.replace) or self.refused:
            draw_text(layout, why, icon="ERROR", width=CHARACTERS)

    def _chosen(self) -> Found:
        return next((each for each in self.found if each.name == self.material), self.found[0])

    # --------------------------------------------------------------------------------------------------- beginning

    def execute(self, context: Any) -> Outcome:
        if not self.options.is_invoke or bpy.app.background:
            return super().execute(context)
        global _pending
        try:
            _pending = prepared = self.prepare(context)
        except (NotOrdered, NotAssigned) as error:
            return self._ask_again(error)
        if self.straighten:
            found = self._chosen()
            try:
                corners.open_view(context, found.picture, found.image, _begin_straightened)
            except RuntimeError as error:
                return self._ask_again(error)
            return FINISHED
        begin(prepared)
        return FINISHED

    def _ask_again(self, why: object) -> Outcome:
        """Show the dialog again, with all that was typed and the reason: Blender closes it whatever OK does."""
        found = self._chosen()
        given: dict[str, Any]
        if self.source == "CLIPBOARD":  # what was taken from it is there now
            given = {"filepath": str(found.picture)} if found.picture else {"source": "IMAGE", "image": found.image}
        else:
            files = [{"name": each.name} for each in self.files]
            given = {"source": self.source, "filepath": self.filepath, "directory": self.directory, "files": files}
            given |= {"image": self.image}
        kept = ("thing", "name", "metres", "category", "detail", "straighten", "guess", "replace")
        typed = {name: getattr(self, name) for name in kept}
        refused = "" if refusal(self.name, replace=self.replace) else str(why)
        _operators.texserver.train("INVOKE_DEFAULT", material=found.name, again=True, refused=refused, **given, **typed)
        return CANCELLED

    def prepare(self, context: Any) -> PreparedTraining:
        if not hasattr(self, "found"):
            self.found = self._find(context)
        found = self._chosen()
        order = TrainingOrder(
            name=self.name or unused(found.name),
            metres=self.metres,
            category=self.category,
            corners=_corners_of(self.corners),
            derive=GUESSED if self.guess and len(found.sources) == 1 else (),
            replace=self.replace,
            swatch_size=int(self.detail),
        )
        thing = bpy.data.objects.get(self.thing) if self.thing else context.object
        if thing and thing.type not in WITH_MATERIALS:
            thing = None
        return training_orders.prepare(context, found, order, thing)

    def _find(self, context: Any) -> list[Found]:
        """Raises NotOrdered."""
        if self.source == "OBJECT":
            return [training_orders.in_object(bpy.data.objects.get(self.thing) or context.object)]
        if self.source == "CLIPBOARD":
            return [training_orders.in_clipboard(context)]
        if self.source == "IMAGE":
            image = bpy.data.images.get(self.image)
            if image is None:
                raise NotOrdered(f"There is no image {self.image!r}. Choose another one." if self.image else _NO_IMAGE)
            return [training_orders.in_image(image)]
        return training_orders.in_files(self._paths())

    def _paths(self) -> Sequence[Path]:
        if self.files and self.directory:
            folder = Path(bpy.path.abspath(self.directory))
            return [folder / each.name for each in self.files] if any(each.name for each in self.files) else [folder]
        chosen = self.filepath or self.directory
        return [Path(bpy.path.abspath(chosen))] if chosen else []


_NO_IMAGE: Final = "There is no image in the Image Editor. Open one first."


def _corners_of(numbers: Any) -> Corners:
    x0, y0, x1, y1, x2, y2, x3, y3 = numbers
    return (x0, y0), (x1, y1), (x2, y2), (x3, y3)


def icon_of(found: Found) -> int:
    """An icon of the picture."""
    if found.picture:
        return gallery.icon(found.picture)
    image = bpy.data.images.get(found.image)
    return int(image.preview_ensure().icon_id) if image else 0


def _under_mouse(context: Any, event: Any) -> Any:
    """The object that a file was dropped on, None if it was dropped elsewhere."""
    from bpy_extras import view3d_utils

    region, space = context.region, context.space_data
    if region is None or region.type != "WINDOW" or space is None or space.type != "VIEW_3D":
        return None
    place = event.mouse_x - region.x, event.mouse_y - region.y
    origin = view3d_utils.region_2d_to_origin_3d(region, space.region_3d, place)
    direction = view3d_utils.region_2d_to_vector_3d(region, space.region_3d, place)
    hit, _, _, _, thing, _ = context.scene.ray_cast(context.evaluated_depsgraph_get(), origin, direction)
    return thing.original if hit else None


def _begin_straightened(context: Any, chosen: Corners) -> None:
    """The corners were set."""
    if isinstance(_pending, PreparedTraining):
        begin(_pending.straightened(chosen))


def begin(prepared: Prepared) -> None:
    """Begin what a dialog has prepared, as a button does."""
    global _pending
    _pending = prepared
    _operators.texserver.train_begin("INVOKE_DEFAULT")


class TEXSERVER_OT_train_begin(PaintingOperator):
    """Begin what the dialog has prepared"""

    bl_idname = "texserver.train_begin"
    bl_label = "Learn Material"
    bl_options = {"INTERNAL"}
    doing = ""

    @classmethod
    def refusal(cls, context: Any) -> str:
        return "" if _pending else "There is nothing to begin"

    def prepare(self, context: Any) -> Prepared:
        global _pending
        prepared, _pending = _pending, None
        if prepared is None:
            raise NotOrdered("There is nothing to begin. Choose a picture.")
        return prepared


class TEXSERVER_OT_material_from_picture(Operator):
    """Make a material from a photograph, or from a folder or several files with the maps of a material"""

    bl_idname = "texserver.material_from_picture"
    bl_label = "Material from Picture..."

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", "HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE", "HIDDEN"})
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def refusal(cls, context: Any) -> str:
        return TEXSERVER_OT_train.refusal(context)

    def invoke(self, context: Any, event: Any) -> Outcome:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Outcome:
        named = [{"name": each.name} for each in self.files]
        thing = context.object.name if context.object else ""
        _operators.texserver.train("INVOKE_DEFAULT", directory=self.directory, files=named, thing=thing)
        return FINISHED


def images(self: Any, context: Any) -> list[tuple[str, str, str]]:
    """Items; Blender keeps references to them, so they are kept here."""
    _image_items[:] = [(each.name, each.name, "") for each in bpy.data.images if each.type in ("IMAGE", "UV_TEST")]
    return _image_items or [("NONE", "None", "")]


_image_items: list[tuple[str, str, str]] = []


class TEXSERVER_OT_material_from_image(Operator):
    """Make a material from an image of this file: loaded, painted or packed"""

    bl_idname = "texserver.material_from_image"
    bl_label = "Material from Image"
    bl_property = "image"

    image: EnumProperty(name="Image", items=images)

    @classmethod
    def refusal(cls, context: Any) -> str:
        return TEXSERVER_OT_train.refusal(context)

    def execute(self, context: Any) -> Outcome:
        _operators.texserver.train("INVOKE_DEFAULT", source="IMAGE", image=self.image)
        return FINISHED


class TEXSERVER_OT_fetch(PaintingOperator):
    """Put this material, which the server has learned or is learning, on the active object"""

    bl_idname = "texserver.fetch"
    bl_label = "Fetch"
    bl_options = {"REGISTER"}
    doing = ""

    token: StringProperty(options={"SKIP_SAVE", "HIDDEN"})
    name: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def prepare(self, context: Any) -> PreparedTraining:
        order = TrainingOrder(name=self.name, metres=0.0)
        return training_orders.follow(context, self.token, order)


class TEXSERVER_FH_picture(bpy.types.FileHandler):
    """Pictures that are dropped onto the 3D View or the Shader Editor. Blender offers its own ways beside it."""

    bl_idname = "TEXSERVER_FH_picture"
    bl_label = "Material from Picture"
    bl_import_operator = "texserver.train"
    bl_file_extensions = ";".join(sorted(PICTURES))

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        space = context.space_data
        if space is None or cannot_learn():
            return False
        state.session().wanted = True  # so that the server is known when the dialog opens
        return bool(space.type == "VIEW_3D" or (space.type == "NODE_EDITOR" and space.tree_type == "ShaderNodeTree"))


CLASSES = (
    TEXSERVER_OT_train,
    TEXSERVER_OT_train_begin,
    TEXSERVER_OT_material_from_picture,
    TEXSERVER_OT_material_from_image,
    TEXSERVER_OT_fetch,
    TEXSERVER_FH_picture,
)
