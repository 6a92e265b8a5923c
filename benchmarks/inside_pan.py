"""Runs inside a Blender: renders a pan over a small scene, with the motion of every pixel.

    python inside_pan.py FOLDER [FRAMES]

writes frame_0001.png … and frame_0001.npy …: float32 (height, width, 2), how many pixels right and down what is seen
here lies in the next frame, from Cycles' vector pass. (The pass tells where it comes from and where it goes; the camera
moves evenly, so both are the same but for the sign, and the first is kept.)
"""

import sys
from math import radians
from pathlib import Path
from typing import Any

import bpy
import numpy as np

SIZE = (640, 360)
FOLDER = Path(sys.argv[1])
FRAMES = int(sys.argv[2]) if len(sys.argv) > 2 else 6


def material(name: str, colours: tuple[tuple[float, ...], tuple[float, ...]], scale: float) -> Any:
    """Two colours in a noise."""
    made: Any = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    noise, ramp, where = (nodes.new(f"ShaderNode{kind}") for kind in ("TexNoise", "ValToRGB", "TexCoord"))
    noise.inputs["Scale"].default_value = scale
    for element, colour in zip(ramp.color_ramp.elements, colours, strict=True):
        element.color = (*colour, 1)
    links.new(where.outputs["Object"], noise.inputs["Vector"])
    links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    return made


def build() -> Any:
    """A monkey, a cube and a ball on a ground, and a camera that goes past them."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    things = (
        (bpy.ops.mesh.primitive_plane_add, {"size": 40}, ((0.1, 0.3, 0.05), (0.5, 0.45, 0.2)), 1.5),
        (bpy.ops.mesh.primitive_monkey_add, {"location": (0, 0, 1)}, ((0.7, 0.2, 0.1), (0.9, 0.6, 0.3)), 3.0),
        (bpy.ops.mesh.primitive_cube_add, {"location": (3, 1, 1)}, ((0.1, 0.2, 0.6), (0.6, 0.7, 0.9)), 2.0),
        (bpy.ops.mesh.primitive_uv_sphere_add, {"location": (-2.6, 1, 1)}, ((0.8, 0.75, 0.7), (0.3, 0.3, 0.3)), 4.0),
    )
    for add, where, colours, scale in things:
        add(**where)
        bpy.context.object.data.materials.append(material(add.idname(), colours, scale))
    bpy.ops.object.light_add(type="SUN", rotation=(radians(50), 0, radians(30)))
    bpy.context.object.data.energy = 3
    bpy.ops.object.camera_add(location=(0, -8, 2.6), rotation=(radians(80), 0, 0))
    camera = bpy.context.object
    for frame, x in ((0, -0.15), (FRAMES + 1, 0.15)):
        camera.location.x = x
        camera.keyframe_insert("location", index=0, frame=frame)
    curves = getattr(camera.animation_data.action, "fcurves", ())
    for curve in curves:
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"
    scene: Any = bpy.context.scene
    scene.camera = camera
    scene.world = bpy.data.worlds.new("Sky")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.5, 0.7, 1.0, 1.0)
    return scene


def main() -> None:
    scene = build()
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.seed = 16, True, 0
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.frame_start, scene.frame_end = 1, FRAMES
    scene.view_layers[0].use_pass_vector = True
    scene.use_nodes = True
    nodes = scene.node_tree.nodes
    layers = next(node for node in nodes if node.bl_idname == "CompositorNodeRLayers")
    output: Any = nodes.new("CompositorNodeOutputFile")
    output.base_path, output.file_slots[0].path = str(FOLDER), "vector_####"
    output.format.file_format, output.format.color_depth, output.format.color_mode = "OPEN_EXR", "32", "RGBA"
    scene.node_tree.links.new(layers.outputs["Vector"], output.inputs[0])
    for frame in range(1, FRAMES + 1):
        scene.frame_set(frame)
        scene.render.filepath = str(FOLDER / f"frame_{frame:04d}.png")
        bpy.ops.render.render(write_still=True)
        image: Any = bpy.data.images.load(str(FOLDER / f"vector_{frame:04d}.exr"))
        image.colorspace_settings.name = "Non-Color"
        values = np.empty(image.size[0] * image.size[1] * 4, np.float32)
        image.pixels.foreach_get(values)
        rows = values.reshape(image.size[1], image.size[0], 4)[::-1]  # Blender counts from the bottom
        np.save(FOLDER / f"frame_{frame:04d}.npy", np.stack([-rows[..., 0], rows[..., 1]], -1))


main()
