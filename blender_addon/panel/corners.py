"""Four corners to drag over a picture, beside them what they show, straightened: drawn over an editor.

Enter or a click on *Learn* takes the corners, Esc or *Cancel* leaves. R begins again with the whole picture. What the
corners show is drawn as a mesh of small squares, each laid where the corners put it.
"""

from collections.abc import Callable, Iterable, Sequence
from math import cos, pi, sin
from pathlib import Path
from typing import Any, Final, Literal

import blf
import bpy
import gpu as blenders_gpu
from gpu_extras.batch import batch_for_shader

from ..client import straighten
from ..client.straighten import WHOLE, Corners, Point
from ..material.references import Reference
from .operator import CANCELLED, FINISHED, Operator, Outcome

gpu: Any = blenders_gpu
translated: Any = bpy.app.translations.pgettext_iface
EDITORS: Final = ("VIEW_3D", "NODE_EDITOR", "IMAGE_EDITOR")
NEAR: Final = 18  # pixels from a corner, at the interface's normal scale, within which it is taken
LOUPE: Final = 130  # pixels a side
ZOOM: Final = 4.0
SQUARES: Final = 16  # of the mesh, along each side
HELP: Final = "Drag the corners onto the part to learn. Drag inside to move it"
_WHITE: Final = (1.0, 1.0, 1.0, 1.0)
_BLUE: Final = (0.28, 0.53, 0.87, 1.0)

Then = Callable[[Any, Corners], None]
Button = Literal["learn", "cancel", "reset"]
_BUTTONS: Final[tuple[tuple[Button, str], ...]] = (
    ("learn", "Learn"),
    ("reset", "Whole Picture"),
    ("cancel", "Cancel"),
)

_view: "View | None" = None  # the one that is open


class Frame:
    """A rectangle of a region, in its pixels; y goes up."""

    def __init__(self, left: float, bottom: float, width: float, height: float) -> None:
        self.left, self.bottom, self.width, self.height = left, bottom, width, height

    def at(self, point: Point) -> Point:
        """Where a point, as fractions from the top left, is."""
        return self.left + point[0] * self.width, self.bottom + (1 - point[1]) * self.height

    def fraction(self, x: float, y: float) -> Point:
        """The reverse, within the rectangle."""
        across = (x - self.left) / self.width
        down = 1 - (y - self.bottom) / self.height
        return min(max(across, 0.0), 1.0), min(max(down, 0.0), 1.0)

    def holds(self, x: float, y: float) -> bool:
        """Whether a place is inside."""
        return self.left <= x <= self.left + self.width and self.bottom <= y <= self.bottom + self.height

    def fitted(self, high: float) -> "Frame":
        """The largest rectangle of this proportion, height over width, in the middle."""
        width = min(self.width, self.height / high)
        height = width * high
        return Frame(self.left + (self.width - width) / 2, self.bottom + (self.height - height) / 2, width, height)


class View:
    """What is drawn over an area, and the corners as they are."""

    def __init__(self, area: Any, image: Any, then: Then, *, own: bool) -> None:
        self.area = area
        self.image = Reference.to("images", image)
        self.own = own  # whether the image was loaded for this
        self.then = then
        self.corners = WHOLE
        self.held: int | Literal["all"] | None = None  # the corner that is dragged
        self.last: Point = (0.0, 0.0)
        self._texture = gpu.texture.from_image(image)
        self._high = image.size[1] / max(image.size[0], 1)
        self._handler = area.spaces.active.draw_handler_add(self._draw, (), "WINDOW", "POST_PIXEL")
        area.tag_redraw()

    @property
    def region(self) -> Any:
        """The region that is drawn over."""
        return next(each for each in self.area.regions if each.type == "WINDOW")

    def close(self) -> None:
        """Leave nothing behind."""
        self.area.spaces.active.draw_handler_remove(self._handler, "WINDOW")
        self.area.tag_redraw()
        image = self.image.get()
        if self.own and image is not None:
            bpy.data.images.remove(image)

    # ------------------------------------------------------------------------------------------------------- layout

    def frames(self) -> tuple[Frame, Frame]:
        """Of the picture, and of what its corners show."""
        unit = _unit()
        room = _room(self.area)
        edge, height = unit, room.height - 5 * unit  # above is the help, below are the buttons
        left, bottom, width = room.left, room.bottom + 3 * unit, room.width
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
        unit, room = _unit(), _room(self.area)
        found, right = {}, room.left + room.width - unit
        for name, text in reversed(_BUTTONS):
            width = _width(text) + 1.5 * unit
            right -= width
            found[name] = Frame(right, room.bottom + 0.8 * unit, width, 1.4 * unit)
            right -= 0.4 * unit
        return found

    # ------------------------------------------------------------------------------------------------------ dragging

    def take(self, x: float, y: float) -> None:
        """The mouse was pressed: take the nearest corner, or all of them."""
        picture, _ = self.frames()
        near = NEAR * _scale()
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
        _fill([(0, 0), (region.width, 0), (region.width, region.height), (0, region.height)], (0.06, 0.06, 0.06, 0.94))
        picture, result = self.frames()
        self._lay(picture, WHOLE, 1, brightness=0.35)
        places = [picture.at(each) for each in self.corners]
        self._inside(places)
        _line([*places, places[0]], _WHITE)
        self._lay(result, self.corners, SQUARES)
        for index, (x, y) in enumerate(places):
            _disc(x, y, 7 * _scale(), _BLUE if index == self.held else _WHITE)
        if isinstance(self.held, int):
            self._magnify(picture, places[self.held])
        unit, room = _unit(), _room(self.area)
        _write(HELP, room.left + unit, room.bottom + room.height - 1.3 * unit)
        for name, frame in self.buttons().items():
            _fill(_around(frame), _BLUE if name == "learn" else (0.33, 0.33, 0.33, 1.0))
            text = dict(_BUTTONS)[name]
            _write(text, frame.left + 0.75 * unit, frame.bottom + 0.42 * unit)
        gpu.state.blend_set("NONE")

    def _lay(self, frame: Frame, corners: Corners, squares: int, brightness: float = 1.0) -> None:
        """Draw what the corners show into a frame."""
        place = straighten.onto(corners)
        points, uvs, triangles = [], [], []
        for row in range(squares + 1):
            for column in range(squares + 1):
                u, v = column / squares, row / squares
                points.append(frame.at((u, v)))
                x, y = place(u, v)
                uvs.append((x, 1 - y))
        for row in range(squares):
            for column in range(squares):
                at = row * (squares + 1) + column
                below = at + squares + 1
                triangles += [(at, at + 1, below), (at + 1, below + 1, below)]
        self._paint(points, uvs, triangles)
        if brightness < 1:
            _fill(_around(frame), (0.0, 0.0, 0.0, 1 - brightness))

    def _inside(self, places: Sequence[Point]) -> None:
        """The part within the corners at full brightness."""
        uvs = [(x, 1 - y) for x, y in self.corners]
        self._paint(list(places), uvs, [(0, 1, 2), (0, 2, 3)])

    def _magnify(self, picture: Frame, place: Point) -> None:
        """The surroundings of the corner that is dragged, larger, beside the mouse."""
        half = LOUPE * _scale() / 2
        x = place[0] + 1.6 * half if place[0] < self.region.width / 2 else place[0] - 1.6 * half
        y = min(max(place[1], half), self.region.height - half)
        frame = Frame(x - half, y - half, 2 * half, 2 * half)
        u, v = picture.fraction(*place)
        across, down = half / ZOOM / picture.width, half / ZOOM / picture.height
        uvs = [(u + dx * across, 1 - v + dy * down) for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        _fill(_around(frame), (0.0, 0.0, 0.0, 1.0))
        self._paint(_around(frame), uvs, [(0, 1, 2), (0, 2, 3)])
        _line([*_around(frame), _around(frame)[0]], _WHITE)
        _line([(x - half / 4, y), (x + half / 4, y)], _BLUE)
        _line([(x, y - half / 4), (x, y + half / 4)], _BLUE)

    def _paint(self, points: Sequence[Point], uvs: Sequence[Point], triangles: Sequence[Sequence[int]]) -> None:
        shader = _image_shader()
        batch = batch_for_shader(shader, "TRIS", {"pos": points, "texCoord": uvs}, indices=triangles)
        shader.bind()
        shader.uniform_sampler("image", self._texture)
        batch.draw(shader)


# ------------------------------------------------------------------------------------------------------ drawn things


def _image_shader() -> Any:
    """One that shows the light of a texture as the screen's colours."""
    for name in ("IMAGE_SCENE_LINEAR_TO_REC709_SRGB", "IMAGE"):
        try:
            return gpu.shader.from_builtin(name)
        except (ValueError, SystemError):
            continue
    raise RuntimeError("Blender has no shader for images.")


def _fill(points: Sequence[Point], colour: Sequence[float]) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    batch = batch_for_shader(shader, "TRI_FAN", {"pos": list(points)})
    shader.bind()
    shader.uniform_float("color", colour)
    batch.draw(shader)


def _line(points: Sequence[Point], colour: Sequence[float]) -> None:
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, "LINE_STRIP", {"pos": [(x, y, 0.0) for x, y in points]})
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", 1.5 * _scale())
    shader.uniform_float("color", colour)
    batch.draw(shader)


def _disc(x: float, y: float, radius: float, colour: Sequence[float]) -> None:
    for size, paint in ((radius + 1.5 * _scale(), (0.0, 0.0, 0.0, 0.8)), (radius, colour)):
        angles = [2 * pi * each / 24 for each in range(24)]
        _fill([(x + size * cos(each), y + size * sin(each)) for each in angles], paint)


def _around(frame: Frame) -> list[Point]:
    right, top = frame.left + frame.width, frame.bottom + frame.height
    return [(frame.left, frame.bottom), (right, frame.bottom), (right, top), (frame.left, top)]


def _write(text: str, x: float, y: float) -> None:
    writer: Any = blf
    writer.size(0, _points())
    writer.color(0, *_WHITE)
    writer.position(0, x, y, 0)
    writer.draw(0, translated(text))


def _width(text: str) -> float:
    writer: Any = blf
    writer.size(0, _points())
    return float(writer.dimensions(0, translated(text))[0])


def _scale() -> float:
    preferences: Any = bpy.context.preferences
    return float(preferences.system.ui_scale)


def _points() -> float:
    preferences: Any = bpy.context.preferences
    return float(preferences.ui_styles[0].widget.points * _scale())


def _unit() -> float:
    """The height of a button."""
    return 20 * _scale()


def _within(step: float, places: Iterable[float]) -> float:
    """The step, cut so that all places stay from 0 to 1."""
    places = list(places)
    return min(max(step, -min(places)), 1 - max(places))


def _room(area: Any) -> Frame:
    """The part of the region that no toolbar, sidebar or header lies over."""
    window = next(each for each in area.regions if each.type == "WINDOW")
    left, bottom, right, top = 0, 0, window.width, window.height
    for each in area.regions:
        x, y = each.x - window.x, each.y - window.y
        if each.type == "WINDOW" or min(each.width, each.height) < 2 or not (0 <= x < right and 0 <= y < top):
            continue
        if each.type in ("TOOLS", "UI") and x < window.width / 2:
            left = max(left, x + each.width)
        elif each.type in ("TOOLS", "UI"):
            right = min(right, x)
        elif each.type in ("HEADER", "TOOL_HEADER") and y < window.height / 2:
            bottom = max(bottom, y + each.height)
        elif each.type in ("HEADER", "TOOL_HEADER"):
            top = min(top, y)
    return Frame(left, bottom, right - left, top - bottom)


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
    _view = View(area, shown, then, own=picture is not None)
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
