"""The maps of a material, read from files and from Blender's images, sample by sample; and found behind its shader."""

import struct
import zlib
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.material import graph_maps, map_pictures
from bl_ext.user_default.texserver.material.map_pictures import Bounds, MapPictures, MapSource, of_files, of_image
from bl_ext.user_default.texserver.panel import gallery
from bl_ext.user_default.texserver.pictures.channels import Taking
from bl_ext.user_default.texserver.pictures.image_file import open_image
from bl_ext.user_default.texserver.pictures.map_files import materials_of
from bl_ext.user_default.texserver.tasks.training_task import NoMaps
from inside import generate
from scenery import plane

WIDE = Bounds(side=8192, pixels=2**24)
RANDOM = np.random.default_rng(7)


def write(path: Path, channels: int, depth: int = 8, size: tuple[int, int] = (24, 40)) -> np.ndarray:
    """A PNG of noise: (height, width, channels)."""
    kind = "<u2" if depth == 16 else "u1"
    pixels = RANDOM.integers(0, 2**depth, (*size, channels)).astype(kind)
    height, width = size
    with open_image(path, width=width, height=height, channels=channels, depth=depth, srgb=channels == 3) as file:
        file.write_rows(pixels.tobytes())
    return pixels


def read(sources: list[MapSource], bounds: Bounds = WIDE) -> dict[str, np.ndarray]:
    """All maps by name; nothing of them is left on the disk or in the file."""
    images, files = set(bpy.data.images), set(Path(bpy.app.tempdir).iterdir())
    settings = bpy.context.scene.render.image_settings
    before = settings.file_format, settings.color_depth, settings.color_management
    reader = MapPictures(sources, bpy.context.scene, bounds)
    while reader.step():
        pass
    reader.close()
    assert (settings.file_format, settings.color_depth, settings.color_management) == before
    assert set(bpy.data.images) == images
    assert set(Path(bpy.app.tempdir).iterdir()) == files
    kinds = {"uint8": "u1", "uint16": "<u2"}
    return {
        each.name: np.frombuffer(bytes(each.data), kinds[each.dtype]).reshape(each.shape) for each in reader.buffers
    }


def refused(sources: list[MapSource]) -> str:
    reader = MapPictures(sources, bpy.context.scene, WIDE)
    with pytest.raises(NoMaps) as told:
        list(iter(reader.step, False))
    reader.close()
    return str(told.value)


def loaded(path: Path, *, data: bool = False) -> Any:
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color" if data else "sRGB"
    return image


def mark(path: Path, orientation: int) -> None:
    """Put into a PNG what a camera says of how it was held."""
    exif = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 274, 3, 1, orientation, 0, 0)
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    data = path.read_bytes()
    path.write_bytes(data[:33] + chunk + data[33:])  # behind IHDR


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """As every viewer shows it."""
    swapped = stored.transpose(1, 0, 2) if orientation > 4 else stored
    down, across = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return swapped[:: -1 if down else 1, :: -1 if across else 1]


# --------------------------------------------------------------------------------------------------------------- files


def test_the_maps_of_a_folder_are_read_sample_by_sample(tmp_path: Path) -> None:
    colour = write(tmp_path / "wall_diff_1k.png", 3)
    normal = write(tmp_path / "wall_nor_dx_1k.png", 3)
    packed = write(tmp_path / "wall_arm_1k.png", 3)
    height = write(tmp_path / "wall_disp_1k.png", 1, 16)
    (material,) = materials_of(sorted(tmp_path.iterdir()))
    assert material.name == "wall"
    found = read(of_files(material))
    assert set(found) == {"basecolor", "normal", "ao", "roughness", "metallic", "height"}
    np.testing.assert_array_equal(found["basecolor"], colour)
    np.testing.assert_array_equal(found["normal"][..., ::2], normal[..., ::2])
    np.testing.assert_array_equal(found["normal"][..., 1], 255 - normal[..., 1])  # y up
    for channel, name in enumerate(("ao", "roughness", "metallic")):
        np.testing.assert_array_equal(found[name], packed[..., channel : channel + 1])
    np.testing.assert_array_equal(found["height"], height)


def test_gloss_becomes_roughness(tmp_path: Path) -> None:
    write(tmp_path / "a_COL.png", 3)
    gloss = write(tmp_path / "a_GLOSS.png", 1)
    (material,) = materials_of(sorted(tmp_path.iterdir()))
    np.testing.assert_array_equal(read(of_files(material))["roughness"], 255 - gloss)


def test_a_large_picture_is_scaled_to_the_limits(tmp_path: Path) -> None:
    write(tmp_path / "wide.png", 3, size=(100, 400))
    (material,) = materials_of([tmp_path / "wide.png"])
    assert read(of_files(material), Bounds(side=8192, pixels=10_000))["basecolor"].shape == (50, 200, 3)
    assert read(of_files(material), Bounds(side=100, pixels=10**6))["basecolor"].shape == (25, 100, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_its_camera_marked_as_turned_is_read_upright(orientation: int, tmp_path: Path) -> None:
    """Blender shows the image as it is stored, and as an image it is learned so."""
    path = tmp_path / "phone.png"
    stored = write(path, 3, size=(20, 30))
    mark(path, orientation)
    (material,) = materials_of([path])
    np.testing.assert_array_equal(read(of_files(material))["basecolor"], upright(stored, orientation))
    np.testing.assert_array_equal(read(of_image(loaded(path)))["basecolor"], stored)
    gallery.icon(path)
    small = gallery._icons[str(path)]
    width, height = small.image_size
    shown = np.array(small.image_pixels, np.int32).view(np.uint8).reshape(height, width, 4)[::-1, :, :3]
    np.testing.assert_allclose(shown, upright(stored, orientation), atol=1)
    gallery.forget(path)


def test_what_is_no_picture_is_refused_by_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_text("not a picture")
    assert refused(of_files(materials_of([path])[0])).startswith("Blender cannot read note.jpg as a picture.")


# --------------------------------------------------------------------------------------------------------------- images


def test_images_are_read_as_they_are_now(tmp_path: Path) -> None:
    """From their file, packed without it, painted, and generated."""
    pixels = write(tmp_path / "wall.png", 3)
    image = loaded(tmp_path / "wall.png")
    np.testing.assert_array_equal(read(of_image(image))["basecolor"], pixels)
    image.pack()
    (tmp_path / "wall.png").unlink()
    np.testing.assert_array_equal(read(of_image(image))["basecolor"], pixels)
    values = list(image.pixels)
    values[:4] = [1.0, 0.0, 1.0, 1.0]  # at the bottom left
    image.pixels = values
    painted = read(of_image(image))["basecolor"]
    assert painted[-1, 0].tolist() == [255, 0, 255]
    np.testing.assert_array_equal(painted[:-1], pixels[:-1])
    made = bpy.data.images.new("Made", 20, 10)
    made.generated_color = (1, 1, 1, 1)
    assert (read(of_image(made))["basecolor"] == 255).all()


def test_light_without_a_screen_s_curve_becomes_screen_colours(tmp_path: Path) -> None:
    image = bpy.data.images.new("Light", 8, 8, float_buffer=True)
    image.pixels = [0.214, 0.214, 0.214, 1.0] * 64
    np.testing.assert_allclose(read(of_image(image))["basecolor"], 127.5, atol=1)


def test_data_with_a_screen_s_curve_is_taken_as_blender_renders_it(tmp_path: Path) -> None:
    pixels = write(tmp_path / "rough.png", 1)
    source = MapSource(taking=Taking(map="roughness"), image=of_image(loaded(tmp_path / "rough.png"))[0].image)
    value = pixels / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(read([source])["roughness"], light * 255, atol=0.51)


def test_an_image_that_is_not_one_picture_is_refused() -> None:
    tiled = bpy.data.images.new("Tiles", 8, 8, tiled=True)
    assert "UDIM" in refused(of_image(tiled))
    missing = bpy.data.images.new("Gone", 8, 8)
    source = of_image(missing)
    bpy.data.images.remove(missing)
    assert "no longer exists" in refused(source)


# -------------------------------------------------------------------------------------------------------------- shaders


class Nodes:
    """A new material with a Principled shader, and short words for its nodes."""

    def __init__(self, name: str = "Foreign") -> None:
        self.material = bpy.data.materials.new(name)
        if bpy.app.version < (5, 0, 0):
            self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.shader = next(each for each in self.tree.nodes if each.type == "BSDF_PRINCIPLED")
        self.output = next(each for each in self.tree.nodes if each.type == "OUTPUT_MATERIAL")

    def image(self, name: str, *, data: bool = False) -> Any:
        """The colour of an image node."""
        node = self.tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.new(name, 8, 8, is_data=data)
        return node.outputs["Color"]

    def node(self, kind: str, *inputs: Any, output: Any = 0, **settings: Any) -> Any:
        """An output of a new node; inputs by number, None is left."""
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        enabled = [each for each in node.inputs if each.enabled]
        for socket, given in zip(enabled, inputs, strict=False):
            if isinstance(given, bpy.types.NodeSocket):
                self.tree.links.new(given, socket)
            elif given is not None:
                socket.default_value = given
        outputs = [each for each in node.outputs if each.enabled]
        return outputs[output] if isinstance(output, int) else node.outputs[output]

    def link(self, output: Any, socket: str) -> None:
        target = self.output if socket == "Displacement" else self.shader
        self.tree.links.new(output, target.inputs[socket])

    def found(self) -> dict[str, tuple[str, Any, bool, bool]]:
        """By map: the image, the channel, whether inverted, whether y points down."""
        return {
            each.taking.map: (each.image.name, each.taking.channel, each.taking.inverted, each.taking.down)
            for each in graph_maps.maps_of(self.material).sources
            if each.image
        }


def test_a_material_as_most_tools_make_it() -> None:
    """Base colour, separate maps, a normal map and a displacement."""
    nodes = Nodes()
    nodes.link(nodes.image("wall_diff"), "Base Color")
    nodes.link(nodes.image("wall_rough", data=True), "Roughness")
    nodes.link(nodes.image("wall_metal", data=True), "Metallic")
    nodes.link(nodes.node("ShaderNodeNormalMap", 1.0, nodes.image("wall_nor", data=True)), "Normal")
    nodes.link(nodes.node("ShaderNodeDisplacement", nodes.image("wall_disp", data=True)), "Displacement")
    assert nodes.found() == {
        "basecolor": ("wall_diff", None, False, False),
        "metallic": ("wall_metal", None, False, False),
        "roughness": ("wall_rough", None, False, False),
        "normal": ("wall_nor", None, False, False),
        "height": ("wall_disp", None, False, False),
    }


def test_packed_channels_and_occlusion_times_colour() -> None:
    nodes = Nodes()
    apart = nodes.tree.nodes.new("ShaderNodeSeparateColor")
    nodes.tree.links.new(nodes.image("T_Wall_ORM", data=True), apart.inputs[0])
    mix = nodes.node(
        "ShaderNodeMix", 1.0, nodes.image("wall_d"), apart.outputs[0], data_type="RGBA", blend_type="MULTIPLY"
    )
    nodes.link(mix, "Base Color")
    nodes.link(apart.outputs[1], "Roughness")
    nodes.link(apart.outputs[2], "Metallic")
    assert nodes.found() == {
        "basecolor": ("wall_d", None, False, False),
        "metallic": ("T_Wall_ORM", 2, False, False),
        "roughness": ("T_Wall_ORM", 1, False, False),
        "ao": ("T_Wall_ORM", 0, False, False),
    }


def test_gloss_and_normals_of_directx_are_seen_through_what_turns_them() -> None:
    nodes = Nodes()
    nodes.link(nodes.image("wall"), "Base Color")
    nodes.link(nodes.node("ShaderNodeInvert", 1.0, nodes.image("wall_gloss", data=True)), "Roughness")
    apart = nodes.tree.nodes.new("ShaderNodeSeparateColor")
    nodes.tree.links.new(nodes.image("wall_dx", data=True), apart.inputs[0])
    up = nodes.node("ShaderNodeMath", 1.0, apart.outputs[1], operation="SUBTRACT")
    whole = nodes.node("ShaderNodeCombineColor", apart.outputs[0], up, apart.outputs[2])
    nodes.link(nodes.node("ShaderNodeNormalMap", 1.0, whole), "Normal")
    found = nodes.found()
    assert found["roughness"] == ("wall_gloss", None, True, False)
    assert found["normal"] == ("wall_dx", None, False, True)


def test_groups_reroutes_and_bumps_are_followed_and_adjustments_told() -> None:
    nodes = Nodes()
    group = bpy.data.node_groups.new("Adjust", "ShaderNodeTree")
    group.interface.new_socket("In", in_out="INPUT", socket_type="NodeSocketColor")
    group.interface.new_socket("Out", in_out="OUTPUT", socket_type="NodeSocketColor")
    begin, end = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    hue = group.nodes.new("ShaderNodeHueSaturation")
    group.links.new(begin.outputs[0], hue.inputs["Color"])
    group.links.new(hue.outputs[0], end.inputs[0])
    node = nodes.tree.nodes.new("ShaderNodeGroup")
    node.node_tree = group
    nodes.tree.links.new(nodes.node("NodeReroute", nodes.image("wall")), node.inputs[0])
    nodes.link(node.outputs[0], "Base Color")
    bump = nodes.tree.nodes.new("ShaderNodeBump")
    nodes.tree.links.new(nodes.image("wall_h", data=True), bump.inputs["Height"])
    nodes.tree.links.new(
        nodes.node("ShaderNodeNormalMap", 1.0, nodes.image("wall_n", data=True)), bump.inputs["Normal"]
    )
    nodes.link(bump.outputs[0], "Normal")
    assert {map: each[0] for map, each in nodes.found().items()} == {
        "basecolor": "wall",
        "normal": "wall_n",
        "height": "wall_h",
    }
    (note,) = graph_maps.maps_of(nodes.material).notes
    assert "Hue" in note


def test_our_own_material_gives_its_maps() -> None:
    plane()
    material = generate("stone", seed=7, width=64, height=64)
    found = graph_maps.maps_of(material)
    assert {each.taking.map for each in found.sources} == {
        "basecolor",
        "normal",
        "roughness",
        "metallic",
        "ao",
        "height",
    }
    assert set(read(found.sources)) == {each.taking.map for each in found.sources}


def test_a_material_without_images_is_refused() -> None:
    nodes = Nodes()
    with pytest.raises(graph_maps.NoImages, match="no image linked to Base Color"):
        graph_maps.maps_of(nodes.material)
    nodes.link(nodes.node("ShaderNodeTexNoise", output="Color"), "Base Color")
    with pytest.raises(graph_maps.NoImages, match="no image linked to Base Color"):
        graph_maps.maps_of(nodes.material)


def test_a_second_blender_reads_large_files_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no second Blender, or it fails, the file is read here."""
    pixels = write(tmp_path / "wall.png", 3)
    (material,) = materials_of([tmp_path / "wall.png"])
    monkeypatch.setattr(map_pictures, "LARGE_BYTES", 0)
    monkeypatch.setattr(map_pictures, "second_blender", lambda: ["false"])
    np.testing.assert_array_equal(read(of_files(material))["basecolor"], pixels)
