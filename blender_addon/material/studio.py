"""A studio for previews: a material on a ball, rendered by Cycles on the processor, which needs no window.

The ball is a little wider than one repeat of the texture. Light comes from the upper
left, as in Blender's own previews, with a second one from behind and an even grey around.
"""

import math
import os
from pathlib import Path
from typing import Any, Final

import bpy

SIDE: Final = 256  # pixels of a preview, as large as Blender shows them
SAMPLES: Final = 24
REPEATS: Final = 1.1  # of the texture, across the ball
MARGIN: Final = 1.06


class Studio:
    """A scene of its own, in a Blender that nobody looks at."""

    def __init__(self) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene: Any = bpy.context.scene
        self.ball = self._ball()
        self.camera = self._camera()
        self._sun(energy=3.6, turned=(math.radians(42), math.radians(-28), 0), angle=0.25)
        self._sun(energy=0.4, turned=(math.radians(-115), math.radians(35), 0), angle=0.5)
        self._settings()

    def photograph(self, material: Any, width: float, path: Path) -> None:
        """Write a PNG file with a transparent background. `width`: of one repeat of the texture, in metres."""
        radius = REPEATS * width / 2
        self.ball.scale = (radius, radius, radius)
        self.ball.active_material = material
        self.camera.data.ortho_scale = 2 * radius * MARGIN
        self.camera.location = (0, -4 * radius, 0)
        self.camera.data.clip_start, self.camera.data.clip_end = radius / 10, 10 * radius
        self.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True, scene=self.scene.name)

    def clear(self) -> None:
        """Take the material off the ball."""
        self.ball.data.materials.clear()

    def _ball(self) -> Any:
        bpy.ops.mesh.primitive_uv_sphere_add(segments=96, ring_count=48, radius=1)
        ball: Any = bpy.context.object
        for each in ball.data.polygons:
            each.use_smooth = True
        return ball

    def _camera(self) -> Any:
        data = bpy.data.cameras.new("Camera")
        data.type = "ORTHO"
        camera: Any = bpy.data.objects.new("Camera", data)
        camera.rotation_euler = (math.pi / 2, 0, 0)
        self.scene.collection.objects.link(camera)
        self.scene.camera = camera
        return camera

    def _sun(self, *, energy: float, turned: tuple[float, float, float], angle: float) -> None:
        data: Any = bpy.data.lights.new("Sun", "SUN")
        data.energy, data.angle = energy, angle
        lamp: Any = bpy.data.objects.new("Sun", data)
        lamp.rotation_euler = turned
        self.scene.collection.objects.link(lamp)

    def _settings(self) -> None:
        scene = self.scene
        world: Any = bpy.data.worlds.new("World")
        scene.world = world
        if bpy.app.version < (5, 0, 0):
            world.use_nodes = True
        background = next(each for each in world.node_tree.nodes if each.type == "BACKGROUND")
        background.inputs["Color"].default_value = (0.27, 0.27, 0.29, 1)
        scene.render.engine = "CYCLES"
        cycles = scene.cycles
        cycles.device, cycles.samples, cycles.max_bounces = "CPU", SAMPLES, 4
        cycles.use_denoising = cycles.use_adaptive_sampling = False
        render = scene.render
        render.resolution_x = render.resolution_y = SIDE
        render.resolution_percentage = 100
        render.film_transparent = True
        render.threads_mode = "FIXED"  # the artist goes on working
        render.threads = max(1, (os.cpu_count() or 2) // 2)
        render.image_settings.file_format = "PNG"
        render.image_settings.color_mode = "RGBA"
        scene.view_settings.view_transform = "Standard"
