"""A material's textures as a set for an engine: every pixel, from packed images and from files, and what goes wrong."""

from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import bpy
import pytest
from bl_ext.user_default.texserver.loop import pump
from bl_ext.user_default.texserver.material import export
from bl_ext.user_default.texserver.panel import export_operators, panels, preferences
from bl_ext.user_default.texserver.tasks import state
from bl_ext.user_default.texserver.tasks.child_process import ChildProcess
from inside import connect, generate, refusal, until_ended
from pictures import difference, of_image, of_render
from scenery import live, node, plane, textures
from strict_layout import draw, names

SMALL = {"width": 96, "height": 64}


def samples(path: Path) -> tuple[tuple[int, int], int, list[int]]:
    """Size, channels and samples of a PNG, read by Blender: those of 8 bits are exact."""
    image: Any = bpy.data.images.load(str(path), check_existing=False)
    try:
        image.colorspace_settings.name = "Non-Color"
        width, height = image.size
        flat = [0.0] * (width * height * image.channels)
        image.pixels.foreach_get(flat)
        deep = 65535 if image.is_float else 255
        return (width, height), image.channels, [round(each * deep) for each in flat]
    finally:
        bpy.data.images.remove(image)


def of(maps: dict[str, Any], map: str) -> list[int]:
    """The samples of a material's own image: (rows from the bottom, 4 channels)."""
    image = maps[map].image
    flat = [0.0] * (image.size[0] * image.size[1] * image.channels)
    image.pixels.foreach_get(flat)
    return [round(each * (65535 if image.is_float else 255)) for each in flat]


@pytest.mark.parametrize("storage", ["PACK", "FILES"])
@pytest.mark.parametrize("format", [".png", ".tif"])
def test_every_pixel_is_the_material_s(storage: str, format: str, tmp_path: Path) -> None:
    preferences.get().storage, preferences.get().file_format = storage, format
    if storage == "FILES":
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    plane()
    material = generate("stone", seed=7, **SMALL)
    maps = textures(material)
    assert bool(maps["normal"].image.packed_file) == (storage == "PACK")
    out = tmp_path / "out"
    assert bpy.ops.texserver.export_set(engine="unreal", directory=str(out)) == {"FINISHED"}
    assert sorted(path.name for path in out.iterdir()) == [
        "T_stone_BC.png", "T_stone_H.png", "T_stone_N.png", "T_stone_ORM.png", "stone.mtlx",
    ]  # fmt: skip
    size, channels, orm = samples(out / "T_stone_ORM.png")
    assert (size, channels) == ((96, 64), 4)  # Blender adds alpha
    for index, map in enumerate(("ao", "roughness", "metallic")):
        assert orm[index::4] == of(maps, map)[0::4]
    _, _, normal = samples(out / "T_stone_N.png")
    own = of(maps, "normal")
    assert normal[0::4] == own[0::4]
    assert normal[1::4] == [255 - each for each in own[1::4]]
    _, _, colour = samples(out / "T_stone_BC.png")
    assert colour == of(maps, "basecolor")
    _, _, height = samples(out / "T_stone_H.png")
    assert height[0::4] == of(maps, "height")[0::4]
    assert max(height[0::4]) > 255  # 16 bits


def value(document: Path, name: str) -> str | None:
    return next(
        (each.get("value") for each in ElementTree.parse(document).iter("input") if each.get("name") == name), None
    )


def test_what_the_artist_has_set_is_written(tmp_path: Path) -> None:
    plane()
    material = generate("stone", seed=7, texels=48.0, **SMALL)
    own = live(material)
    given = {"Roughness Min": 0.5, "Roughness Max": 0.5, "Normal Strength": 0.25, "Displacement": 0.125}
    for name, number in given.items():
        own.inputs[name].default_value = number
    bpy.ops.texserver.export_set(engine="godot", directory=str(tmp_path), name="my wall!")
    _, _, orm = samples(tmp_path / "my_wall_orm.png")
    assert set(orm[1::4]) == {128}
    document = tmp_path / "my_wall.mtlx"
    assert value(document, "realworldimagesize") == f"2, {2 * 64 / 96:g}"
    scales = [each.get("value") for each in ElementTree.parse(document).iter("input") if each.get("name") == "scale"]
    assert scales == ["0.25", "0.125"]


def test_hue_and_value_are_in_the_picture_as_they_show(tmp_path: Path) -> None:
    plane()
    material = generate(seed=7, texels=64, width=64, height=64)
    before = of_render(64, tmp_path)
    for name, number in {"Hue": 0.2, "Value": 0.6}.items():
        live(material).inputs[name].default_value = number
    bpy.ops.texserver.export_set(engine="godot", directory=str(tmp_path), name="wall")
    written = of_image(bpy.data.images.load(str(tmp_path / "wall_albedo.png")))
    shown = of_render(64, tmp_path)
    assert difference(written, shown) < 2
    assert difference(before, shown) > 20


def test_what_is_not_in_the_pictures_is_told(tmp_path: Path) -> None:
    plane()
    material = generate("stone", seed=7, **SMALL)
    assert "AO is written whole" in export.left_out(material)
    live(material).inputs["AO"].default_value = 1
    assert export.left_out(material) == ""
    assert export.left_out(generate("tiny", seed=7, **SMALL)) == ""


def test_without_a_map_the_shader_s_own_value_is_packed(tmp_path: Path) -> None:
    plane()
    material = generate("stone", seed=7, **SMALL)
    group = live(material).node_tree
    for map in ("metallic", "ao"):
        (image,) = (each for each in group.nodes if each.get("texserver") == map)
        group.nodes.remove(image)
    node(material, "BSDF_PRINCIPLED").inputs["Metallic"].default_value = 0.2
    bpy.ops.texserver.export_set(engine="unity", directory=str(tmp_path))
    _, _, mask = samples(tmp_path / "stone_MaskMap.png")
    assert set(mask[0::4]) == {51}
    assert set(mask[1::4]) == {255}


def test_the_panel_offers_it_where_there_is_something_to_write(tmp_path: Path) -> None:
    connect()
    plane()
    (material_panel,) = (each for each in panels.CLASSES if each.__name__ == "TEXSERVER_PT_view_material")
    assert "texserver.export_set" not in names(draw(material_panel, bpy.context))
    generate("tiny", **SMALL)
    assert "texserver.export_set" in names(draw(material_panel, bpy.context))
    assert {each[0] for each in export_operators.ENGINES} == set(export.NAMES)


# ------------------------------------------------------------------------------------------------------ what goes wrong


def test_it_needs_a_folder() -> None:
    generate("tiny", **SMALL)
    assert "directory" in refusal(lambda: bpy.ops.texserver.export_set(engine="gltf"))


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    material = generate("tiny", **SMALL)
    (texture,) = textures(material).values()
    path = Path(bpy.path.abspath(texture.image.filepath))
    kept = path.read_bytes()
    path.unlink()
    export_it = partial(bpy.ops.texserver.export_set, engine="unreal", directory=str(tmp_path / "out"))
    assert "cannot be read: No such file" in refusal(export_it)
    path.write_bytes(b"\xff\xd8\xff JPEG")
    assert "is neither PNG nor TIFF. Save it as PNG first." in refusal(export_it)
    path.write_bytes(kept)
    texture.image.pixels[0] = 0.5
    assert "has changes that are not saved. Save it first." in refusal(export_it)
    texture.image.reload()
    (tmp_path / "out").touch()
    assert "out" in refusal(export_it)
    (tmp_path / "out").unlink()
    assert export_it() == {"FINISHED"}
    assert list(Path(bpy.app.tempdir).glob("texserver-export-*")) == []


def test_a_material_that_is_gone_is_told(tmp_path: Path) -> None:
    material = generate("tiny", **SMALL)
    reference = export_operators.Reference.to("materials", material)
    prepared = export_operators.PreparedExport(material=reference, engine="gltf", name="a", folder=tmp_path)
    bpy.data.materials.remove(material)
    with pytest.raises(export_operators.NotOrdered, match="The material is gone"):
        prepared.begin()


def test_begun_by_a_button_it_is_a_job_that_can_be_cancelled_and_retried(tmp_path: Path) -> None:
    material = generate("stone", width=512, height=512)
    reference = export_operators.Reference.to("materials", material)
    prepared = export_operators.PreparedExport(material=reference, engine="unreal", name="a", folder=tmp_path)
    task = prepared.begin()
    pump.step()
    assert (task.state, task.title) == ("running", "stone for Unreal")
    process = task._process
    assert isinstance(process, ChildProcess)
    assert bpy.ops.texserver.cancel(task_id=task.id) == {"FINISHED"}
    assert task.state == "cancelled"
    assert process.poll() is not None
    assert not task.order.workshop.exists()
    assert bpy.ops.texserver.retry(task_id=task.id) == {"FINISHED"}
    again = state.session().tasks[-1]
    assert again.state == "done"
    assert again.note == f"5 files are written to {tmp_path}."
    assert (tmp_path / "T_a_ORM.png").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_scene_that_is_saved_meanwhile_is_as_it_was(tmp_path: Path) -> None:
    material = generate("stone", **SMALL)
    before = len(bpy.data.images)
    task = export_operators.PreparedExport(
        material=export_operators.Reference.to("materials", material), engine="unity", name="a", folder=tmp_path
    ).begin()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    until_ended(task)
    assert task.state == "done"
    assert len(bpy.data.images) == before


# ------------------------------------------------------------------------------------------------- the cache of Cycles


def test_blender_s_own_cache_takes_the_textures_beside_the_file(tmp_path: Path) -> None:
    """Blender 5.2 brought it."""
    if bpy.app.version < (5, 2, 0):
        assert not hasattr(bpy.context.scene.render, "use_texture_cache")
        return
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.context.scene.render.engine = "CYCLES"
    bpy.context.scene.render.use_texture_cache = True
    generate("tiny", **SMALL)
    bpy.ops.render.generate_texture_cache()
    assert list(tmp_path.rglob("*.tx"))
