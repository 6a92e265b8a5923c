"""Content to stylize, from Blender, as files for picture_reader: the last render, an image, the viewport, frames.

The pixels are what one sees on the screen. A render and a linear image (EXR) go through the scene's view transform; an
image with 8 bits per sample is in screen colours already and is used unchanged. Files have 8 bits, sRGB, and alpha.

Blender writes files only with the scene's output settings, so these are changed while it writes and then restored.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import bpy

from ..tasks.style_task import NoContent
from . import map_file
from .references import Reference

RENDER_RESULT: Final = "Render Result"
NOT_RENDERED: Final = "Nothing is rendered yet. Render first (F12), then stylize."
_FIRST: Final = (
    "media_type",
    "file_format",
    "color_mode",
    "color_depth",
)  # each decides which values the next ones may have
_VIEW: Final = ("view_transform", "look", "exposure", "gamma", "use_curve_mapping")


def of_render(scene: Any) -> Path:
    """The last render. Raises NoContent."""
    image = bpy.data.images.get(RENDER_RESULT)
    if image is None:
        raise NoContent(NOT_RENDERED)
    return _save(image, scene, NOT_RENDERED, as_seen=True)


def of_image(image: Any, scene: Any) -> Path:
    """An image, with or without a file. Raises NoContent."""
    if image.type == "RENDER_RESULT":
        return of_render(scene)
    why = f"The image {image.name!r} has no pixels. Its file may be missing. Choose another image."
    return _save(image, scene, why, as_seen=image.is_float)


def of_viewport(context: Any) -> Path:
    """What a 3D View shows, at the size of a render. It replaces the last render. Raises NoContent."""
    if bpy.app.background:
        raise NoContent("Without a window there is no viewport. Stylize a render or an image.")
    area = next((each for each in context.screen.areas if each.type == "VIEW_3D"), None)
    if area is None:
        raise NoContent("There is no 3D View in this window. Open one, or stylize a render or an image.")
    region = next(each for each in area.regions if each.type == "WINDOW")
    with context.temp_override(area=area, region=region):
        try:
            bpy.ops.render.opengl(view_context=True)
        except RuntimeError as error:
            raise NoContent(f"Blender cannot render the viewport: {_said(error)}. Render the scene instead.") from error
    return of_render(context.scene)


def of_file(path: Path, scene: Any) -> Path:
    """A picture file that Blender reads. Raises NoContent."""
    try:
        image: Any = bpy.data.images.load(str(path), check_existing=False)
    except RuntimeError as error:
        raise NoContent(f"{path} cannot be read. Choose another sequence, or make this frame again.") from error
    try:
        return _save(
            image,
            scene,
            f"Blender cannot read {path} as a picture. Choose another sequence, or make this frame again.",
            as_seen=image.is_float,
        )
    finally:
        bpy.data.images.remove(image)


def _save(image: Any, scene: Any, why: str, *, as_seen: bool) -> Path:
    """Write an image to a temporary file. `why` is the error if it has no pixels."""
    path = Path(bpy.app.tempdir) / f"texserver-{token_hex(6)}.tif"
    with _output(scene, as_seen=as_seen):
        try:
            image.save_render(str(path), scene=scene)
        except RuntimeError as error:
            with suppress(OSError):
                path.unlink()
            if "image data" in str(error) or "buffer" in str(error):
                raise NoContent(why) from error
            raise NoContent(f"Blender cannot write {image.name!r} to {path.parent}: {_said(error)}.") from error
    if not path.is_file():
        raise NoContent(why)
    return path


def _said(error: RuntimeError) -> str:
    return str(error).strip().removeprefix("Error: ").rstrip(".")


@contextmanager
def _output(scene: Any, *, as_seen: bool) -> Iterator[None]:
    """Change the scene's output settings while the block runs."""
    with kept_output(scene):
        map_file.set_output(scene.render.image_settings, screen_colours=not as_seen)
        yield


@contextmanager
def kept_output(scene: Any) -> Iterator[None]:
    """The scene's output settings are the same after the block as before."""
    output = scene.render.image_settings
    groups = (output, output.view_settings, output.display_settings)
    before = [_values(each) for each in groups]
    try:
        yield
    finally:
        for group, values in zip(groups, before, strict=True):
            _put_back(group, values)


def _values(group: Any) -> dict[str, Any]:
    names = [each.identifier for each in group.bl_rna.properties if each.type != "POINTER" and not each.is_readonly]
    first = [name for name in (*_FIRST, *_VIEW) if name in names]
    return {name: getattr(group, name) for name in dict.fromkeys((*first, *names)) if not hasattr(name, "bl_rna")}


def _put_back(group: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if getattr(group, name) != value:
            with suppress(TypeError):  # a value that Blender gives but does not accept, such as an empty one
                setattr(group, name, value)


# -------------------------------------------------------------------------------------------------------------- frames


class Files:
    """A ContentSource of frames that are files."""

    def __init__(self, scene: Any, files: dict[int, Path]) -> None:
        self._scene = Reference.to("scenes", scene)
        self._files = files

    def content(self, frame: int) -> Path | None:
        """Raises NoContent."""
        return of_file(self._files[frame], self._scene.get() or bpy.context.scene)

    def close(self) -> None:
        """Nothing to release."""


class Renders:
    """A ContentSource that renders each frame when it is needed.

    In a loop (a script, no window) it waits for the render. Otherwise Blender renders in the background with its own
    window, and Esc there ends the sequence. At the end the scene returns to the frame it was at.
    """

    under_way: "Renders | None" = None  # the one whose render Blender is doing

    def __init__(self, scene: Any) -> None:
        self._scene = Reference.to("scenes", scene)
        self._frame_before: int | None = None
        self._outcome = ""  # of the render that was begun: "complete" or "cancelled"

    def content(self, frame: int) -> Path | None:
        """Raises NoContent."""
        scene = self._scene.get()
        if scene is None:
            raise NoContent("The scene no longer exists.")
        if _rendering():
            return None
        if Renders.under_way is self:
            Renders.under_way = None
            if self._outcome != "complete":
                raise NoContent("The render was cancelled.")
            return of_render(scene)
        if self._frame_before is None:
            self._frame_before = scene.frame_current
        scene.frame_set(frame)
        self._outcome = ""
        Renders.under_way = self
        try:
            if bpy.app.background or looping:
                bpy.ops.render.render(scene=scene.name)
            else:
                self._begin(scene)
                return None
        except RuntimeError as error:
            Renders.under_way = None
            raise NoContent(f"Frame {frame} cannot be rendered: {_said(error)}.") from error
        Renders.under_way = None
        return of_render(scene)

    def close(self) -> None:
        """Return the scene to its frame."""
        if Renders.under_way is self:
            Renders.under_way = None
        if self._frame_before is not None:
            _to_put_back.append((self._scene, self._frame_before))
            self._frame_before = None
            put_back()

    def _begin(self, scene: Any) -> None:
        manager: Any = bpy.context.window_manager
        window = manager.windows[0]  # the context of a timer has none
        with bpy.context.temp_override(window=window):
            preferences: Any = bpy.context.preferences
            view = preferences.view
            before = view.render_display_type
            try:
                view.render_display_type = "NONE"  # read when the render begins: no window opens for each frame
                bpy.ops.render.render("INVOKE_DEFAULT", scene=scene.name)
            finally:
                view.render_display_type = before

    @classmethod
    def ended(cls, outcome: str) -> bool:
        """Take note that a render ended; whether it was one of these. Called from another thread."""
        if cls.under_way is None:
            return False
        cls.under_way._outcome = outcome
        return True


def put_back() -> None:
    """Return scenes to their frames; during a render, wait for the next call."""
    while _to_put_back and not _rendering():
        reference, frame = _to_put_back.pop()
        if scene := reference.get():
            scene.frame_set(frame)


def _rendering() -> bool:
    running: Any = bpy.app.is_job_running
    return bool(running("RENDER"))


_to_put_back: list[tuple[Reference, int]] = []
looping = False  # whether an operator runs to its end in a loop, and Blender can do nothing else
