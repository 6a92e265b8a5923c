"""Four corners to drag over a picture, beside them what they show, straightened: drawn over an editor.

Enter or a click on *Learn* takes the corners, Esc or *Cancel* leaves. R begins again with the whole picture. What the
corners show is drawn as a mesh of small squares, each laid where the corners put it.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import bpy
from gpu_extras.batch import batch_for_shader

from ..material.references import Reference
from ..pictures import straighten
from ..pictures.orientation import UPRIGHT, orientation_of, stored_place, swaps
from ..pictures.straighten import WHOLE, Corners, Point
from .operator import CANCELLED, FINISHED, Operator, Outcome
from .overlay import (
    BLUE,
    WHITE,
    Frame,
    around,
    disc,
    fill,
    gpu,
    image_shader,
    line,
    room,
    scale,
    text_width,
    unit,
    write,
)

EDITORS: Final = ("VIEW_3D", "NODE_EDITOR", "IMAGE_EDITOR")
NEAR: Final = 18  # pixels from a corner, at the interface's normal scale, within which it is taken
LOUPE: Final = 130  # pixels a side
ZOOM: Final = 4.0
SQUARES: Final = 16  # of the mesh, along each side
HELP: Final = "Drag the corners onto the part to learn. Drag inside to move it"

Then = Callable[[Any, Corners], None]
Button = Literal["learn", "cancel", "reset"]
_BUTTONS: Final[tuple[tuple[Button, str], ...]] = (
    ("learn", "Learn"),
    ("reset", "Whole Picture"),
    ("cancel", "Cancel"),
)

_view: "View | None" = None  # the one that is open


class View:
    """What is drawn over an area, and the corners as they are, of the picture as it is upright."""

    def __init__(self, area: Any, image: Any, then: Then, *, own: bool, orientation: int) -> None:
        self.area = area
        self.image = Reference.to("images", image)
        self.own = own  # whether the image was loaded for this
        self.then = then
        self.corners = WHOLE
        self.held: int | Literal["all"] | None = None  # the corner that is dragged
        self.last: Point = (0.0, 0.0)
        self._texture = gpu.texture.from_image(image)
        self._orientation = orientation  # of the image, which Blender leaves as it is stored
        width, height = image.size
        self._high = width / max(height, 1) if swaps(orientation) else height / max(width, 1)
        self._space = type(area.spaces.active)
        self._handler = self._space.draw_handler_add(self._draw, (), "WINDOW", "POST_PIXEL")
        area.tag_redraw()

    @property
    def region(self) -> Any:
        """The region that is drawn over."""
        return next(each for each in self.area.regions if each.type == "WINDOW")

    def close(self) -> None:
        """Leave nothing behind."""
        self._space.draw_handler_remove(self._handler, "WINDOW")
        with suppress(ReferenceError):  # the area was closed
            self.area.tag_redraw()
        image = self.image.get()
        if self.own and image is not None:
            bpy.data.images.remove(image)

    # ------------------------------------------------------------------------------------------------------- layout

    def frames(self) -> tuple[Frame, Frame]:
        """Of the picture, and of what its corners show."""
        button, free = unit(), room(self.area)
        edge, height = button, free.height - 5 * button  # above is the help, below are the buttons
        left, bottom, width = free.left, free.bottom + 3 * button, free.width
        if width > 1.2 * height:
            split = width * 0.56
            picture = Frame(left + edge, bottom, split - 1.5 * edge, height)
            result = Frame(left + split + edge / 2, bottom, width - split - 1.5 * edge, height)
        else:
            split = height * 0.56
            picture = Frame(left + edge, bottom + height - split, width - 2 * edge, split - edge / 2)
            result = Frame(left + edge, bottom, width - 2 * edge, height - split - edge / 2)
        high = straighten.proportion(self.corners, self._high, 1.0)
        return picture.fitted(self._high), result.fitted(high)

    def buttons(self) -> dict[Button, Frame]:
        """Where the buttons are."""
        button, free = unit(), room(self.area)
        found, right = {}, free.left + free.width - button
        for name, text in reversed(_BUTTONS):
            width = text_width(text) + 1.5 * button
            right -= width
            found[name] = Frame(right, free.bottom + 0.8 * button, width, 1.4 * button)
            right -= 0.4 * button
        return found

    # ------------------------------------------------------------------------------------------------------ dragging

    def take(self, x: float, y: float) -> None:
        """The mouse was pressed: take the nearest corner, or all of them."""
        picture, _ = self.frames()
        near = NEAR * scale()
        places = [picture.at(each) for each in self.corners]
        distances = [max(abs(x - px), abs(y - py)) for px, py in places]
        nearest = min(range(4), key=lambda each: distances[each])
        if distances[nearest] <= near:
            self.held = nearest
        elif picture.holds(x, y):
            self.held = "all"
        self.last = picture.fraction(x, y)

    def drag(self, x: float, y: float) -> None:
        """The mouse has moved with a corner. What would leave a dent is not done."""
        picture, _ = self.frames()
        now = picture.fraction(x, y)
        points = list(self.corners)
        if isinstance(self.held, int):
            points[self.held] = now
        elif self.held == "all":
            across = _within(now[0] - self.last[0], [each[0] for each in points])
            down = _within(now[1] - self.last[1], [each[1] for each in points])
            points = [(px + across, py + down) for px, py in points]
        wanted: Corners = (points[0], points[1], points[2], points[3])
        self.last = now
        try:
            straighten.check(wanted)
        except straighten.BadCorners:
            return
        self.corners = wanted
        self.area.tag_redraw()

    # ------------------------------------------------------------------------------------------------------- drawing

    def _draw(self) -> None:
        if bpy.context.area != self.area:
            return
        region = self.region
        gpu.state.blend_set("ALPHA")
        fill([(0, 0), (region.width, 0), (region.width, region.height), (0, region.height)], (0.06, 0.06, 0.06, 1.0))
        picture, result = self.frames()
        self._lay(picture, WHOLE, 1, brightness=0.35)
        places = [picture.at(each) for each in self.corners]
        self._inside(places)
        line([*places, places[0]], WHITE)
        self._lay(result, self.corners, SQUARES)
        for index, (x, y) in enumerate(places):
            disc(x, y, 7 * scale(), BLUE if index == self.held else WHITE)
        if isinstance(self.held, int):
            self._magnify(picture, places[self.held])
        button, free = unit(), room(self.area)
        write(HELP, free.left + button, free.bottom + free.height - 1.3 * button)
        for name, frame in self.buttons().items():
            fill(around(frame), BLUE if name == "learn" else (0.33, 0.33, 0.33, 1.0))
            text = dict(_BUTTONS)[name]
            write(text, frame.left + 0.75 * button, frame.bottom + 0.42 * button)
        gpu.state.blend_set("NONE")

    def _lay(self, frame: Frame, corners: Corners, squares: int, brightness: float = 1.0) -> None:
        """Draw what the corners show into a frame."""
        place = straighten.onto(corners)
        points, uvs, triangles = [], [], []
        for row in range(squares + 1):
            for column in range(squares + 1):
                u, v = column / squares, row / squares
                points.append(frame.at((u, v)))
                uvs.append(self._uv(*place(u, v)))
        for row in range(squares):
            for column in range(squares):
                at = row * (squares + 1) + column
                below = at + squares + 1
                triangles += [(at, at + 1, below), (at + 1, below + 1, below)]
        self._paint(points, uvs, triangles)
        if brightness < 1:
            fill(around(frame), (0.0, 0.0, 0.0, 1 - brightness))

    def _inside(self, places: Sequence[Point]) -> None:
        """The part within the corners at full brightness."""
        uvs = [self._uv(x, y) for x, y in self.corners]
        self._paint(list(places), uvs, [(0, 1, 2), (0, 2, 3)])

    def _magnify(self, picture: Frame, place: Point) -> None:
        """The surroundings of the corner that is dragged, larger, beside the mouse."""
        half = LOUPE * scale() / 2
        x = place[0] + 1.6 * half if place[0] < self.region.width / 2 else place[0] - 1.6 * half
        y = min(max(place[1], half), self.region.height - half)
        frame = Frame(x - half, y - half, 2 * half, 2 * half)
        u, v = picture.fraction(*place)
        across, down = half / ZOOM / picture.width, half / ZOOM / picture.height
        uvs = [self._uv(u + dx * across, v - dy * down) for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        fill(around(frame), (0.0, 0.0, 0.0, 1.0))
        self._paint(around(frame), uvs, [(0, 1, 2), (0, 2, 3)])
        line([*around(frame), around(frame)[0]], WHITE)
        line([(x - half / 4, y), (x + half / 4, y)], BLUE)
        line([(x, y - half / 4), (x, y + half / 4)], BLUE)

    def _uv(self, x: float, y: float) -> Point:
        """Of a place in the upright picture: in the image, from its bottom left."""
        across, down = stored_place(self._orientation, x, y)
        return across, 1 - down

    def _paint(self, points: Sequence[Point], uvs: Sequence[Point], triangles: Sequence[Sequence[int]]) -> None:
        shader = image_shader()
        batch = batch_for_shader(shader, "TRIS", {"pos": points, "texCoord": uvs}, indices=triangles)
        shader.bind()
        shader.uniform_sampler("image", self._texture)
        batch.draw(shader)


def _within(step: float, places: Iterable[float]) -> float:
    """The step, cut so that all places stay from 0 to 1."""
    places = list(places)
    return min(max(step, -min(places)), 1 - max(places))


# ----------------------------------------------------------------------------------------------------------- operator


def open_view(context: Any, picture: Path | None, image: str, then: Then) -> None:
    """Show the corners of a picture file, or else of an image; `then` gets them when they are chosen.

    Raises RuntimeError.
    """
    global _view
    close_view()
    area = _area_for(context)
    if area is None:
        raise RuntimeError("There is no room to show the picture. Open a 3D View or an Image Editor.")
    shown: Any = bpy.data.images.load(str(picture), check_existing=False) if picture else bpy.data.images[image]
    orientation = orientation_of(picture) if picture else UPRIGHT
    _view = View(area, shown, then, own=picture is not None, orientation=orientation)
    window = context.window
    with context.temp_override(window=window, area=area, region=_view.region):
        operators: Any = bpy.ops
        operators.texserver.corners("INVOKE_DEFAULT")


def close_view() -> None:
    """Close it without choosing; also when the extension is disabled."""
    global _view
    view, _view = _view, None
    if view:
        view.close()


def _area_for(context: Any) -> Any:
    if context.area and context.area.type in EDITORS:
        return context.area
    areas = [each for each in context.window.screen.areas if each.type in EDITORS]
    return max(areas, key=lambda each: each.width * each.height, default=None)


class TEXSERVER_OT_corners(Operator):
    """Choose the part of a picture that is learned"""

    bl_idname = "texserver.corners"
    bl_label = "Crop and Straighten"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return _view is not None

    def invoke(self, context: Any, event: Any) -> Outcome:
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Outcome:
        view = _view
        if view is None:
            return CANCELLED
        if not any(each == view.area for each in context.window.screen.areas):  # closed, or another workspace
            close_view()
            return CANCELLED
        region = view.region
        x, y = event.mouse_x - region.x, event.mouse_y - region.y
        if event.type in ("RET", "NUMPAD_ENTER") and event.value == "PRESS":
            return self._finish(context, view)
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            close_view()
            return CANCELLED
        if event.type == "R" and event.value == "PRESS":
            view.corners = WHOLE
        elif event.type == "LEFTMOUSE" and event.value == "PRESS":
            pressed = next((name for name, frame in view.buttons().items() if frame.holds(x, y)), None)
            if pressed == "learn":
                return self._finish(context, view)
            if pressed == "cancel":
                close_view()
                return CANCELLED
            if pressed == "reset":
                view.corners = WHOLE
            else:
                view.take(x, y)
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            view.held = None
        elif event.type == "MOUSEMOVE" and view.held is not None:
            view.drag(x, y)
        elif event.type == "TIMER":
            return {"PASS_THROUGH"}
        view.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def cancel(self, context: Any) -> None:
        """Another file is opened, or Blender quits."""
        close_view()

    def _finish(self, context: Any, view: View) -> Outcome:
        chosen, then = view.corners, view.then
        close_view()
        then(context, chosen)
        return FINISHED


CLASSES = (TEXSERVER_OT_corners,)
