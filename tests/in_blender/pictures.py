"""Pixels: of images in Blender, of what the server must have painted, and of renders. Rows from top to bottom."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from inside import MODELS
from mathutils import Vector
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (height, width, channels)


def of_image(image: Any) -> Pixels:
    """An image's samples as they are stored, three channels."""
    width, height = image.size
    values = np.empty(height * width * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return np.rint(values.reshape(height, width, image.channels)[::-1, :, :3] * 255).astype(np.uint8)


def truth(name: str) -> Pixels:
    """What the outer tests had painted without a server."""
    found: Pixels = np.load(MODELS.parent / "truth" / f"{name}.npy")
    return found


def of_render(
    side: int,
    folder: Path,
    *,
    upright: bool = False,
    sun: tuple[float, float] | None = None,
    exact: bool = True,
    place: Callable[[], None] | None = None,
) -> Pixels:
    """The square metre around the origin from above (or from the front), in even white light, as on a screen.

    The active object alone is seen. In such light a matt surface looks exactly as its base colour. With a sun, that
    alone shines: from this side (x, y), halfway up. `exact` shows texels as squares, which leaves a height no slopes.
    `place` may put the camera elsewhere.
    """
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.max_bounces = "CPU", 4, 1
    cycles.use_denoising = cycles.use_adaptive_sampling = False
    cycles.pixel_filter_type = "BOX"
    scene.render.resolution_x = scene.render.resolution_y = side
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.world.cycles.sampling_method = "NONE"
    background = next(each for each in scene.world.node_tree.nodes if each.type == "BACKGROUND")
    background.inputs["Color"].default_value = (1, 1, 1, 1)
    background.inputs["Strength"].default_value = 0 if sun else 1
    for each in bpy.data.objects:
        each.hide_render = each != bpy.context.object
    lamp = _sun(*sun) if sun else None
    camera = scene.camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1
    camera.location = (0, -2, 0) if upright else (0, 0, 2)
    camera.rotation_euler = (np.pi / 2, 0, 0) if upright else (0, 0, 0)
    if place:
        place()
    for material in bpy.data.materials:
        _make_matt(material, "Closest" if exact else "Linear")
    path = folder / f"render-{len(list(folder.iterdir()))}.png"
    scene.render.filepath = str(path)
    with _quietly():
        bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    pixels = of_image(image)
    bpy.data.images.remove(image)
    if lamp:
        bpy.data.lights.remove(lamp.data)
    return pixels


def _sun(x: float, y: float) -> Any:
    """Which shines from this side, halfway up."""
    lamp = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    lamp.data.energy = 3
    lamp.rotation_euler = Vector((x, y, 1)).to_track_quat("Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(lamp)
    return lamp


@contextmanager
def _quietly() -> Iterator[None]:
    """Blender tells of every step of a render."""
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(out, 1)
        os.close(out)
        os.close(nowhere)


def _make_matt(material: Any, interpolation: str) -> None:
    for node in material.node_tree.nodes if material.node_tree else ():
        if node.type == "BSDF_PRINCIPLED":
            node.inputs["Specular IOR Level"].default_value = 0
        within = node.node_tree.nodes if node.type == "GROUP" and node.node_tree else (node,)
        for each in (each for each in within if each.type == "TEX_IMAGE"):
            each.interpolation = interpolation


def difference(one: Pixels, other: Pixels) -> float:
    """The mean absolute difference of two pictures, in steps of 255."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())
