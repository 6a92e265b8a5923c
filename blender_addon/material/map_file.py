"""Writes a picture as an uncompressed TIFF with alpha: in this Blender, or as a script in a second one.

    blender --background --factory-startup --python map_file.py -- JSON

Decoding 16 megapixels takes Blender up to some seconds, in which its window stands still. So large files are read by a
second Blender without a window. JSON is a list of `{"source", "target", "colour", "most_pixels", "most_side"}`.

Colours are written as sRGB of 8 bits, whatever their colour space; data as it is stored, of 16 bits where it is read as
floating-point numbers. Only bpy and the standard library: the second Blender has no extensions.
"""

import json
import sys
from typing import Any

import bpy


def set_output(output: Any, *, screen_colours: bool, depth: str = "8") -> None:
    """Set how images are written: TIFF, not compressed. `screen_colours`: as sRGB, else through the scene's view."""
    if hasattr(output, "media_type"):
        output.media_type = "IMAGE"
    output.file_format, output.color_mode, output.color_depth = "TIFF", "RGBA", depth
    output.tiff_codec = "NONE"
    if screen_colours:
        output.color_management = "OVERRIDE"
        output.display_settings.display_device = "sRGB"
        view = output.view_settings
        view.view_transform, view.look = "Standard", "None"
        view.exposure, view.gamma, view.use_curve_mapping = 0, 1, False


def write(image: Any, target: str, scene: Any, *, colour: bool) -> None:
    """Write an image. It changes the scene's output settings. Raises RuntimeError."""
    depth = "16" if image.is_float and not colour else "8"
    set_output(scene.render.image_settings, screen_colours=True, depth=depth)
    image.save_render(target, scene=scene)


def write_file(source: str, target: str, scene: Any, *, colour: bool, most_pixels: int, most_side: int) -> None:
    """Write a file of a picture, scaled down to the most pixels. Raises RuntimeError, ValueError without pixels."""
    image: Any = bpy.data.images.load(source, check_existing=False)
    try:
        image.alpha_mode = "CHANNEL_PACKED"
        if not colour:
            image.colorspace_settings.name = "Non-Color"
        width, height = image.size
        if not (width and height):
            raise ValueError(f"{source} has no pixels")
        scale = min((most_pixels / (width * height)) ** 0.5, most_side / max(width, height))
        if scale < 1:
            image.scale(max(1, int(width * scale)), max(1, int(height * scale)))
        write(image, target, scene, colour=colour)
    finally:
        bpy.data.images.remove(image)


if __name__ == "__main__":
    for each in json.loads(sys.argv[sys.argv.index("--") + 1]):
        write_file(
            each["source"],
            each["target"],
            bpy.context.scene,
            colour=each["colour"],
            most_pixels=each["most_pixels"],
            most_side=each["most_side"],
        )
