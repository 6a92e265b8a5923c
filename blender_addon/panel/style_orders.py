"""From the settings to a picture or sequence that is ready to stylize: style, content, where the result is shown."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import bpy

from ..loop import pump
from ..loop.delivery import StyleDelivery
from ..material import content
from ..material.images import keep, provenance_of
from ..material.marks import MARK, is_ours
from ..pictures.draft import ImageFileError
from ..tasks import state
from ..tasks.catalogue import ListedModel
from ..tasks.picture_task import PictureOrder, PictureTask
from ..tasks.sequence_task import ContentSource, SequenceOrder, SequenceTask, remove_frames
from ..tasks.style_task import NoContent, StyleParameters
from ..tasks.task import Task
from . import orders, preferences, style_regions
from .orders import NotOrdered, chosen_model

PICTURES: Final = frozenset(
    (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr", ".bmp", ".tga", ".webp", ".hdr", ".dpx", ".cin", ".jp2")
)
VIEWPORT: Final = "Viewport"
MOST_FRAMES: Final = 100_000
MODEL_CHARACTERS: Final = 40
_NUMBERED = re.compile(r"(.*?)(\d{1,9})")

trouble = ""  # why the last render was not stylized automatically


@dataclass(frozen=True, kw_only=True)
class PreparedPicture:
    """One picture that is ready to begin."""

    order: PictureOrder
    show: Callable[[Any], None]
    folder: Path | None
    suffix: str

    def begin(self) -> PictureTask:
        """Begin. The pump does the rest."""
        task = state.session().order_picture(self.order, self.folder, self.suffix)
        pump.deliver(StyleDelivery(task, self.show, self))
        return task


@dataclass(frozen=True, kw_only=True)
class PreparedSequence:
    """A sequence that is ready to begin."""

    order: SequenceOrder
    source: Callable[[], ContentSource]
    show: Callable[[Any], None]

    def begin(self) -> SequenceTask:
        """Begin. The pump does the rest."""
        task = state.session().order_sequence(self.order, self.source())
        pump.deliver(StyleDelivery(task, self.show, self))
        return task


# ------------------------------------------------------------------------------------------------------------- picture


def picture(context: Any, *, automatic: bool = False, **given: Any) -> PreparedPicture:
    """The picture that the scene's settings describe. `given` overrides settings by name; `image` is the content.

    Raises NotOrdered.
    """
    if given.get("image"):
        given.setdefault("content", "IMAGE")
    settings = orders.Settings(context.scene.texserver.style, given)
    style = _parameters(context, settings, chosen_model(settings.model, "style"))
    chosen = preferences.get()
    folder = orders.folder(chosen)
    folder = folder.with_name("stylized") if folder else None
    try:
        name, path = _content(context, settings)
    except NoContent as error:
        raise NotOrdered(str(error)) from None
    pack = folder is None

    def show_result(task: PictureTask) -> None:
        image = _load(task, pack=pack)
        if automatic:
            _replace_earlier(image)
        show(image)

    order = PictureOrder(style=style, content=path, name=name)
    return PreparedPicture(order=order, show=show_result, folder=folder, suffix=chosen.file_format)


def _content(context: Any, settings: Any) -> tuple[str, Path]:
    """The name of the content, and its file. Raises NoContent."""
    if settings.content == "RENDER":
        return content.RENDER_RESULT, content.of_render(context.scene)
    if settings.content == "VIEWPORT":
        return VIEWPORT, content.of_viewport(context)
    image = chosen_image(context, settings.image)
    return image.name, content.of_image(image, context.scene)


def chosen_image(context: Any, image: Any) -> Any:
    """The image, given itself or its name; the one in the Image Editor if neither. Raises NoContent."""
    if isinstance(image, str) and image:
        if image not in bpy.data.images:
            raise NoContent(f"There is no image {image!r}. Choose one that exists.")
        return bpy.data.images[image]
    space = context.space_data
    found = image or (space.image if space and space.type == "IMAGE_EDITOR" else None)
    if not found:
        raise NoContent("No image is chosen. Choose one, or open it in the Image Editor.")
    return found


def _parameters(context: Any, settings: Any, model: ListedModel) -> StyleParameters:
    return StyleParameters(
        model=model.name,
        strength=settings.strength,
        seed=settings.seed,
        keep_colours=settings.keep_colours,
        stroke=settings.stroke,
        regions=style_regions.regions_of(context),
    )


def _load(task: PictureTask, *, pack: bool) -> Any:
    """The result as an image with its provenance."""
    assert task.result
    ((_, path),) = task.result.files.items()
    image: Any = bpy.data.images.load(str(path), check_existing=False)
    image.colorspace_settings.name = "sRGB"
    image.alpha_mode = "STRAIGHT"
    _mark(image, task.result.painting, task.order.style, task.order.name)
    image.name = task.order.title
    keep(image, path, pack=pack, folder="stylized")
    return image


def _mark(image: Any, painting: Any, style: StyleParameters, of: str) -> None:
    image[MARK] = {
        **provenance_of(painting, painting.maps[0]),
        "strength": style.strength,
        "keep_colours": style.keep_colours,
        "stroke": style.stroke,
        "regions": _regions_told(style),
        "content": content.RENDER_RESULT if of == VIEWPORT else of,
        "made": time.time(),
    }


def _regions_told(style: StyleParameters) -> str:
    return ", ".join(each.told for each in style.regions)


def _replace_earlier(image: Any) -> None:
    """Keep only the last result of renders that are stylized automatically."""
    for other in list(bpy.data.images):
        if other is not image and other != image and is_ours(other) and other[MARK].get("automatic"):
            other.user_remap(image)
            name = other.name
            bpy.data.images.remove(other)
            image.name = name
    mark = image[MARK].to_dict()
    image[MARK] = {**mark, "automatic": True}


# ------------------------------------------------------------------------------------------------------------ sequence


def sequence(context: Any, **given: Any) -> PreparedSequence:
    """The sequence that the scene's settings describe. `given` overrides settings by name. Raises NotOrdered."""
    scene = context.scene
    settings = orders.Settings(scene.texserver.style, given)
    model = chosen_model(settings.model, "style")
    style, suffix = _parameters(context, settings, model), preferences.get().file_format
    first = given.get("frame_start", scene.frame_start)
    last = given.get("frame_end", scene.frame_end)
    if settings.frames == "FILES":
        name, files = numbered_files(settings.input_folder)
        limits = ("frame_start" in given, "frame_end" in given)
        files = {
            number: path
            for number, path in files.items()
            if (not limits[0] or number >= first) and (not limits[1] or number <= last)
        }
        numbers = sorted(files)
        source: Callable[[], ContentSource] = lambda: content.Files(scene, files)  # noqa: E731
    else:
        name, numbers = scene.name, list(range(first, last + 1, scene.frame_step))
        if scene.camera is None:
            raise NotOrdered("The scene has no camera. Add one, or choose an existing sequence.")
        source = lambda: content.Renders(scene)  # noqa: E731
    if not numbers:
        raise NotOrdered(f"There is no frame from {first} to {last}. Choose another range.")
    if len(numbers) > MOST_FRAMES:
        raise NotOrdered(f"{len(numbers)} frames are too many. Choose a shorter range.")
    folder = _output_folder(settings.output_folder, name, style)
    if settings.frames == "FILES" and folder in {path.parent for path in files.values()}:
        raise NotOrdered("The stylized frames cannot go into the folder of the original frames. Choose another folder.")
    stem = _plain(name)
    frames = tuple((number, folder / f"{stem}_{number:04d}{suffix}") for number in numbers)
    order = SequenceOrder(style=style, name=name, folder=folder, frames=frames, sha256=model.sha256)
    if given.get("overwrite"):
        try:
            remove_frames(order)
        except ImageFileError as error:
            raise NotOrdered(str(error)) from None

    def show_result(task: SequenceTask) -> None:
        show(_load_sequence(task), frames=task.order.frames)

    return PreparedSequence(order=order, source=source, show=show_result)


def _output_folder(chosen: str, name: str, style: StyleParameters) -> Path:
    """The chosen folder, or else one named by content and style, beside the .blend file or in our own folder."""
    if chosen.strip():
        return Path(bpy.path.abspath(chosen.strip()))
    colours = "-colours" if style.keep_colours else ""
    stroke = "" if style.stroke == 1 else f"-stroke-{style.stroke:.2f}"
    regions = sha256(" ".join(each.identity for each in style.regions).encode()).hexdigest()[:8]
    own = f"{_plain(name)}-{_plain(style.model)}-{style.seed}-{style.strength:.2f}{colours}{stroke}"
    own += f"-regions-{regions}" if style.regions else ""
    if bpy.data.is_saved:
        return Path(bpy.path.abspath("//stylized")) / own
    return state.session().folder / "stylized" / own


def numbered_files(folder: str) -> tuple[str, dict[int, Path]]:
    """The beginning of the frames' names, and the frames of a folder by number. Raises NotOrdered.

    Give a file instead of the folder to choose among several sequences.
    """
    if not folder.strip():
        raise NotOrdered("Choose the folder of the frames first.")
    place = Path(bpy.path.abspath(folder.strip()))
    only = place if place.is_file() else None
    place = place.parent if only else place
    found: dict[tuple[str, str], dict[int, Path]] = {}
    try:
        for path in sorted(place.iterdir()):
            match = _NUMBERED.fullmatch(path.stem)
            if match and path.suffix.lower() in PICTURES and not path.name.startswith("."):
                found.setdefault((match[1], path.suffix), {})[int(match[2])] = path
    except OSError as error:
        raise NotOrdered(f"{place} cannot be read: {error.strerror or error}. Choose another folder.") from None
    if only:
        found = {key: files for key, files in found.items() if only in files.values()}
    if not found:
        raise NotOrdered(f"There are no numbered pictures in {place}. Choose the folder of a sequence.")
    if len(found) > 1:
        raise NotOrdered(f"There are {len(found)} sequences in {place}. Choose a frame of the one you want.")
    (((stem, _), files),) = found.items()
    return stem.strip("_-. ") or place.name, files


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:MODEL_CHARACTERS] or "_"


def _load_sequence(task: SequenceTask) -> Any:
    order = task.order
    number, path = order.frames[0]
    image: Any = bpy.data.images.load(str(path), check_existing=False)
    image.source = "SEQUENCE"
    image.colorspace_settings.name = "sRGB"
    image.alpha_mode = "STRAIGHT"
    image.name = f"{order.name} in {order.style.model}"
    keep(image, path, pack=False)
    own: dict[str, Any] = {"model": order.style.model, "sha256": order.sha256, "seed": str(order.style.seed)}
    if task.picture:
        own = provenance_of(task.picture, task.picture.maps[0])
    image[MARK] = {
        **own,
        "strength": order.style.strength,
        "keep_colours": order.style.keep_colours,
        "stroke": order.style.stroke,
        "regions": _regions_told(order.style),
        "content": order.name,
        "frame_start": number,
        "frame_end": order.frames[-1][0],
        "made": time.time(),
    }
    return image


# ------------------------------------------------------------------------------------------------------------- showing


def show(image: Any, *, frames: Any = ()) -> None:
    """Show a result in the Image Editors with its original or another result, or else in the first Image Editor."""
    manager: Any = bpy.context.window_manager
    spaces: list[Any] = [
        area.spaces.active for window in manager.windows for area in window.screen.areas if area.type == "IMAGE_EDITOR"
    ]
    of = image[MARK]["content"]
    matching = [each for each in spaces if each.image is None or _original(each.image) == of]
    for space in matching or spaces[:1]:
        space.image = image
        if frames:
            user = space.image_user
            user.frame_start = user.frame_offset = frames[0][0]
            user.frame_offset -= 1
            user.frame_duration = frames[-1][0] - frames[0][0] + 1
            user.use_auto_refresh = True


def _original(image: Any) -> str:
    return str(image[MARK].get("content", "")) if is_ours(image) else str(image.name)


def other_of(image: Any) -> Any:
    """The original of a result, or the latest result of an original; None if there is none."""
    if image is None:
        return None
    if is_ours(image) and "content" in image[MARK]:
        return bpy.data.images.get(image[MARK]["content"])
    results = [each for each in bpy.data.images if is_ours(each) and each[MARK].get("content") == image.name]
    return max(results, key=lambda each: each[MARK].get("made", 0), default=None)


# -------------------------------------------------------------------------------------------------- after every render


def after_render(name: str) -> bool:
    """Stylize a completed render of this scene, if its settings say so. False: call again, there is no server yet."""
    global trouble
    scene: Any = bpy.data.scenes.get(name)
    if scene is None or not scene.texserver.style.after_render:
        return True
    session = state.session()
    session.wanted = True
    settled = session.catalogue.settled and session.connection.state == "ready"
    if not settled and session.connection.state in ("connecting", "ready"):
        return False
    trouble = ""
    try:
        with bpy.context.temp_override(scene=scene):
            prepared = picture(bpy.context, automatic=True, content="RENDER")
        for task in session.tasks:
            if not task.ended and _is_automatic(task):
                task.cancel("Cancelled, because there is a newer render.")
        _automatic.add(prepared.begin().id)
    except NotOrdered as error:
        trouble = str(error)
    pump.redraw()
    return True


_automatic: set[int] = set()  # ids of the tasks that a render began


def _is_automatic(task: Task) -> bool:
    return task.id in _automatic
