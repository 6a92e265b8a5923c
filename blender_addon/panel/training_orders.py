"""From a picture, a name and a width to a training that is ready to begin; and why a server would not do it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import bpy

from ..client.training import ServerTraining
from ..loop import pump
from ..loop.training_delivery import TrainingDelivery
from ..material import graph_maps
from ..material.assignment import Target
from ..material.map_pictures import Bounds, MapPictures, MapSource, of_files, of_image
from ..material.references import Reference
from ..pictures import straighten
from ..pictures.map_files import FileMaterial, free_name, materials_of, plain_name
from ..pictures.map_names import BASE_COLOUR
from ..protocol import wire
from ..protocol.training import FEATURE, MAX_NEW_NAME, NEW_NAME, STYLE, STYLE_FEATURE, TEXTURE
from ..tasks import state
from ..tasks.catalogue import ListedModel
from ..tasks.texture_task import TextureOrder
from ..tasks.training_task import TrainingOrder, TrainingTask
from . import orders, preferences
from .orders import NotOrdered

ENOUGH: Final = 4096  # pixels a side of a map, for swatches that are smaller
FIRST_TEXELS: Final = 1024.0  # per metre, until the first picture is shown
_paths: Any = bpy.path
PICTURES: Final = frozenset(_paths.extensions_image)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A material that can be learned. `picture`: a file to show of it; `image`: the name of an image to show."""

    name: str
    sources: tuple[MapSource, ...]
    notes: tuple[str, ...] = ()
    picture: Path | None = None
    image: str = ""

    @property
    def maps(self) -> str:
        """For people: which maps there are."""
        return ", ".join(each.taking.map for each in self.sources)


def in_files(paths: Sequence[Path]) -> list[Found]:
    """The materials in these files, and in all pictures of these folders. Raises NotOrdered."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(each for each in path.iterdir() if each.suffix.lower() in PICTURES)
        else:
            files.append(path)
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise NotOrdered(f"{missing[0]} does not exist. Choose a picture.")
    if not files:
        raise NotOrdered("There is no picture. Choose one, or a folder with the maps of a material.")
    return [_of_files(each) for each in materials_of(files)]


def _of_files(material: FileMaterial) -> Found:
    return Found(name=material.name, sources=tuple(of_files(material)), picture=material.path)


def in_image(image: Any) -> Found:
    """An image of this Blender."""
    name = plain_name(Path(image.name).stem)
    return Found(name=name, sources=tuple(of_image(image)), image=image.name)


def in_object(thing: Any) -> Found:
    """The images that the active material of an object shows. Raises NotOrdered."""
    material = thing.active_material if thing else None
    if material is None or material.node_tree is None:
        raise NotOrdered("The active object has no material whose images could be learned. Choose a picture instead.")
    try:
        found = graph_maps.maps_of(material)
    except graph_maps.NoImages as error:
        raise NotOrdered(str(error)) from error
    shown = next(each.image for each in found.sources if each.taking.map == BASE_COLOUR)
    assert shown
    name = plain_name(material.name)
    return Found(name=name, sources=tuple(found.sources), notes=tuple(found.notes), image=shown.name)


def in_clipboard(context: Any) -> Found:
    """The picture in the clipboard, or the one whose path is there. Raises NotOrdered."""
    text = context.window_manager.clipboard.strip().strip('"').removeprefix("file://")
    if text and len(text) < 4096 and "\n" not in text and Path(text).suffix.lower() in PICTURES:
        return in_files([Path(text)])[0]
    if (area := _image_editor(context)) is None:
        raise NotOrdered("Blender takes pictures from the clipboard only while an Image Editor is open. Open one.")
    before = set(bpy.data.images)
    shown = area[1].spaces.active.image
    with context.temp_override(window=area[0], area=area[1]), suppress(RuntimeError):  # there is nothing to paste
        bpy.ops.image.clipboard_paste()
    pasted = [each for each in bpy.data.images if each not in before]
    if not pasted:
        raise NotOrdered("The clipboard holds no picture, and no path of one. Copy a picture first.")
    area[1].spaces.active.image = shown
    return in_image(pasted[0])


def _image_editor(context: Any) -> tuple[Any, Any] | None:
    """A window and an Image Editor in it."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                return window, area
    return None


# ----------------------------------------------------------------------------------------------------------- refusals


def cannot_learn(kind: str = TEXTURE) -> str:
    """Why the server at hand cannot learn models of this kind; "" if it can, or nothing is known of it yet."""
    welcome, place = state.session().connection.welcome, state.session().connection.place
    made = "styles" if kind == STYLE else "materials"
    if welcome is None or (FEATURE in welcome.features and (kind != STYLE or STYLE_FEATURE in welcome.features)):
        return ""
    if FEATURE in welcome.features:
        return f"{place} is older and cannot make {made}. Its owner can update it; a texserver on this machine does."
    return (
        f"{place} does not let you make {made}. Its owner can allow it, or update it; a texserver on this machine does."
    )


def refusal(name: str, *, replace: bool, kind: str = TEXTURE) -> str:
    """Why no model of this name can be made now, in a sentence that says what to do; "" if it can."""
    session = state.session()
    if session.connection.state != "ready":
        return session.connection.reason or "The server is not connected yet. Wait a moment."
    if why := cannot_learn(kind):
        return why
    if not NEW_NAME.fullmatch(name):
        return f"A name is 1 to {MAX_NEW_NAME} of a to z, 0 to 9, - and _, such as {plain_name(name or 'wall')}."
    if not replace and session.catalogue.get(name):
        return f"There is a model {name} already. Replace it, or choose another name such as {unused(name)}."
    if name in _being_made():
        return f"{name} is being made already. Choose another name."
    return ""


def unused(name: str) -> str:
    """A name like this that no model has."""
    session = state.session()
    taken = {model.name for model in session.catalogue.models}
    return free_name(name, taken | _being_made())


def _being_made() -> set[str]:
    """Names of models that are learned now, for this Blender or since an earlier one."""
    session = state.session()
    ours = {task.order.name for task in session.tasks if isinstance(task, TrainingTask) and not task.ended}
    return ours | {job.name for job in session.server_jobs.jobs if not job.ended}


# ----------------------------------------------------------------------------------------------------------- beginning


@dataclass(frozen=True, kw_only=True)
class PreparedTraining:
    """A training that is ready to begin, more than once for Retry. `token`: of one that the server does already."""

    order: TrainingOrder
    scene: Reference
    target: Target | None
    sources: tuple[MapSource, ...] = ()
    token: str = ""
    folder: Path | None = None
    suffix: str = ".tif"

    def begin(self) -> TrainingTask:
        """Begin. The pump does the rest."""
        session = state.session()
        if self.token:
            source = None
            training = ServerTraining(session.connection, self.token)
        else:
            source = MapPictures(
                self.sources, self.scene.get() or bpy.context.scene, bounds(self.sources, self.order.swatch_size)
            )
            training = None
        task = session.learn(
            self.order,
            source=source,
            training=training,
            paint=partial(_order_in, self.scene) if self.target else None,
            folder=self.folder,
            suffix=self.suffix,
        )
        pump.deliver(TrainingDelivery(task, self.target, self))
        return task

    def straightened(self, corners: straighten.Corners) -> "PreparedTraining":
        """The same for what these corners show."""
        return replace(self, order=replace(self.order, corners=corners))


def _order_in(scene: Reference, model: ListedModel) -> TextureOrder:
    """The texture that the scene's settings describe now, of the new model, which the panel shows from now on."""
    holder: Any = scene.get() or bpy.context.scene
    holder.texserver.model = model.name
    return orders.order_for(orders.Settings(holder.texserver, {}), model)


def prepare(context: Any, found: Found, order: TrainingOrder, thing: Any) -> PreparedTraining:
    """A training for an object, or for none. Raises NotOrdered, NotAssigned."""
    if why := refusal(order.name, replace=order.replace):
        raise NotOrdered(why)
    try:
        straighten.check(order.corners)
    except straighten.BadCorners as error:
        raise NotOrdered(str(error)) from error
    return replace(_for_object(context, order, thing), sources=found.sources)


def follow(context: Any, token: str, order: TrainingOrder) -> PreparedTraining:
    """A training that the server does, or has done, for the active object. Raises NotAssigned."""
    return replace(_for_object(context, order, context.object), token=token)


def _for_object(context: Any, order: TrainingOrder, thing: Any) -> PreparedTraining:
    chosen = preferences.get()
    return PreparedTraining(
        order=order,
        scene=Reference.to("scenes", context.scene),
        target=orders.target_of(context, thing, FIRST_TEXELS) if thing else None,
        folder=orders.folder(chosen),
        suffix=chosen.file_format,
    )


def bounds(sources: Sequence[MapSource], swatch_size: int = ENOUGH) -> Bounds:
    """What each map may have: enough for what is learned, which may be a part of it, within the server's limits."""
    welcome = state.session().connection.welcome
    limits = welcome.limits if welcome else wire.Limits()
    pixel_bytes = sum(each.taking.channels * (1 if each.taking.map == BASE_COLOUR else 2) for each in sources)
    enough = max(ENOUGH, swatch_size) ** 2
    return Bounds(side=limits.max_train_side, pixels=min(enough, limits.max_train_bytes // pixel_bytes))
