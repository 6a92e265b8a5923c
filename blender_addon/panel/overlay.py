"""Draws over a region of an editor: fills, lines, pictures' shader, texts; in pixels of the region, y going up."""

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Any, Final

import blf
import bpy
import gpu as blenders_gpu
from gpu_extras.batch import batch_for_shader

from ..pictures.straighten import Point

gpu: Any = blenders_gpu
translated: Any = bpy.app.translations.pgettext_iface
WHITE: Final = (1.0, 1.0, 1.0, 1.0)
BLUE: Final = (0.28, 0.53, 0.87, 1.0)


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


def image_shader() -> Any:
    """One that shows the light of a texture as the screen's colours."""
    for name in ("IMAGE_SCENE_LINEAR_TO_REC709_SRGB", "IMAGE"):
        try:
            return gpu.shader.from_builtin(name)
        except (ValueError, SystemError):
            continue
    raise RuntimeError("Blender has no shader for images.")


def fill(points: Sequence[Point], colour: Sequence[float]) -> None:
    """Fill a convex area."""
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    batch = batch_for_shader(shader, "TRI_FAN", {"pos": list(points)})
    shader.bind()
    shader.uniform_float("color", colour)
    batch.draw(shader)


def line(points: Sequence[Point], colour: Sequence[float]) -> None:
    """Draw a line through these points."""
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, "LINE_STRIP", {"pos": [(x, y, 0.0) for x, y in points]})
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", 1.5 * scale())
    shader.uniform_float("color", colour)
    batch.draw(shader)


def disc(x: float, y: float, radius: float, colour: Sequence[float]) -> None:
    """Fill a disc with a dark border."""
    for size, paint in ((radius + 1.5 * scale(), (0.0, 0.0, 0.0, 0.8)), (radius, colour)):
        angles = [2 * pi * each / 24 for each in range(24)]
        fill([(x + size * cos(each), y + size * sin(each)) for each in angles], paint)


def around(frame: Frame) -> list[Point]:
    """The corners of a rectangle."""
    right, top = frame.left + frame.width, frame.bottom + frame.height
    return [(frame.left, frame.bottom), (right, frame.bottom), (right, top), (frame.left, top)]


def write(text: str, x: float, y: float) -> None:
    """Write a text in the user's language, in white."""
    writer: Any = blf
    writer.size(0, _points())
    writer.color(0, *WHITE)
    writer.position(0, x, y, 0)
    writer.draw(0, translated(text))


def text_width(text: str) -> float:
    """How wide write() would write it."""
    writer: Any = blf
    writer.size(0, _points())
    return float(writer.dimensions(0, translated(text))[0])


def scale() -> float:
    """Pixels for each pixel of the interface at its normal scale."""
    preferences: Any = bpy.context.preferences
    return float(preferences.system.ui_scale)


def _points() -> float:
    preferences: Any = bpy.context.preferences
    return float(preferences.ui_styles[0].widget.points * scale())


def unit() -> float:
    """The height of a button."""
    return 20 * scale()


def room(area: Any) -> Frame:
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
