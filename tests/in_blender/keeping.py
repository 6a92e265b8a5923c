"""What stays: in the .blend file, beside it, and from one Blender to the next."""

import shutil
from pathlib import Path
from typing import Any

import addon_utils
import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.material import images as texture_images
from bl_ext.user_default.texserver.material import marks, materials
from bl_ext.user_default.texserver.panel import preferences
from bl_ext.user_default.texserver.tasks import state
from inside import (
    EXTENSION,
    LARGE,
    LARGE_PREVIEW,
    Paused,
    begin,
    drafts,
    fresh_seed,
    generate,
    refusal,
    turn,
    until_ended,
    until_previewed,
)
from pictures import of_image, truth
from scenery import everything, graph, ours, plane, textures

SMALL = {"width": 64, "height": 64}


@pytest.fixture
def blend(tmp_path: Path) -> Path:
    """A file that was saved, and is open, in a folder of its own."""
    path = tmp_path / "scene" / "scene.blend"
    path.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


@pytest.fixture
def packed(blend: Path) -> Path:
    """The same, where the preferences want textures in it."""
    preferences.get().storage = "PACK"
    return blend


@pytest.fixture
def beside() -> Any:
    """The preferences, in which textures lie beside the .blend file."""
    chosen = preferences.get()
    assert (chosen.storage, chosen.file_format) == ("FILES", ".png")
    return chosen


def reopen(path: Path) -> Any:
    """The file anew; the material of its active object."""
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    return bpy.context.object.active_material


# ------------------------------------------------------------------------------------------------------------- packed


def test_a_packed_texture_is_in_the_file_that_is_opened_again(packed: Path) -> None:
    material = generate(seed=7, **SMALL)
    mark = textures(material)["basecolor"].image["texserver"].to_dict()
    bpy.ops.wm.save_mainfile()
    shutil.rmtree(preferences.folder() / "textures")
    (texture,) = textures(reopen(packed)).values()
    assert texture.image.packed_file
    assert texture.image["texserver"].to_dict() == mark
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))


def test_a_large_texture_is_packed_when_the_file_is_saved(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture_images, "PACKED_LATER_BYTES", 1000)
    (texture,) = textures(generate(seed=7, **SMALL)).values()
    assert not texture.image.packed_file
    bpy.ops.wm.save_mainfile()
    assert texture.image.packed_file
    shutil.rmtree(preferences.folder() / "textures")
    (texture,) = textures(reopen(packed)).values()
    assert texture.image.packed_file
    assert "pack" not in texture.image["texserver"]
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))


def test_a_texture_of_a_file_that_was_opened_again_is_updated_in_place(blend: Path) -> None:
    generate(seed=1, **SMALL)
    bpy.ops.wm.save_mainfile()
    material = reopen(blend)
    assert generate(seed=7, **SMALL) == material
    (texture,) = textures(material).values()
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))
    assert len(ours(bpy.data.images)) == 1


def test_a_material_of_version_0_1_is_still_ours_and_updated_in_place(tmp_path: Path) -> None:
    """Six maps of a stone, in a file that Blender 4.5 saved (tests/fixtures/v0_1)."""
    path = tmp_path / "old.blend"
    shutil.copy(Path(__file__).parents[1] / "fixtures" / "v0_1" / "stone.blend", path)
    material = reopen(path)
    assert marks.is_ours(material)
    images = materials.images_of(material)
    assert sorted(images) == ["ao", "basecolor", "height", "metallic", "normal", "roughness"]
    assert {each["texserver"]["software"] for each in images.values()} == {"texserver 0.1.0"}
    nodes = graph(material)["nodes"].keys()
    assert generate("stone", seed=7, **SMALL) == material
    images = materials.images_of(material)
    assert "texserver 0.1.0" not in {each["texserver"]["software"] for each in images.values()}
    assert graph(material)["nodes"].keys() == nodes
    assert [len(ours(each)) for each in (bpy.data.materials, bpy.data.images)] == [1, 6]
    np.testing.assert_array_equal(of_image(images["basecolor"]), truth("stone-7-64x64")[:, :, :3])


def test_unpacking_puts_textures_beside_the_file(packed: Path) -> None:
    generate("stone", **SMALL)
    bpy.ops.file.unpack_all(method="WRITE_LOCAL")
    assert len(list((packed.parent / "textures").glob("stone-*-0-64x64-*.png"))) == 6
    assert [each.name for each in ours(bpy.data.images) if each.packed_file] == []


@pytest.mark.parametrize("painted_before", [False, True], ids=["new", "in place"])
def test_no_preview_is_saved(blend: Path, painted_before: bool) -> None:
    """Who opens the file has no job that would put the texture in its place."""
    if painted_before:
        generate(seed=7, **SMALL)
    task = begin(seed=fresh_seed(), **LARGE)
    until_previewed(task)
    with Paused():
        bpy.ops.wm.save_mainfile()
        turn()
        (texture,) = textures(bpy.context.object.active_material).values()
        assert tuple(texture.image.size) == LARGE_PREVIEW  # is seen again
        material = reopen(blend)
    assert task.state == "cancelled"
    assert [each["texserver"]["seed"] for each in ours(bpy.data.images)] == (["7"] if painted_before else [])
    if painted_before:
        (texture,) = textures(material).values()
        np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))
        assert material["texserver"]["seed"] == "7"
    else:
        assert material.name == "Material"


def test_a_job_goes_on_while_its_file_is_saved(blend: Path) -> None:
    task = begin(seed=7, **LARGE)
    until_previewed(task)
    bpy.ops.wm.save_mainfile()
    until_ended(task)
    assert task.state == "done", task.message
    (texture,) = textures(bpy.context.object.active_material).values()
    assert texture.image.size[0] == LARGE["width"]
    assert len(ours(bpy.data.images)) == 1


def test_a_file_can_be_packed_before_it_is_ever_saved(tmp_path: Path) -> None:
    generate(seed=7, **SMALL)
    path = tmp_path / "first.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    (texture,) = textures(reopen(path)).values()
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))


def test_a_file_opens_without_the_extension(blend: Path) -> None:
    """As at a colleague's, who has none: textures and settings stay."""
    bpy.context.scene.texserver.texels = 77
    generate(seed=7, **SMALL)
    bpy.ops.wm.save_mainfile()
    addon_utils.disable(EXTENSION)
    try:
        (texture,) = textures(reopen(blend)).values()
        np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))
        bpy.ops.wm.save_mainfile()
    finally:
        addon_utils.enable(EXTENSION)
    reopen(blend)
    assert bpy.context.scene.texserver.texels == 77


# -------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_textures_lie_beside_the_blend_file(suffix: str, blend: Path, beside: Any) -> None:
    beside.file_format = suffix
    material = generate("stone", seed=7, **SMALL)
    bpy.ops.wm.save_mainfile()
    files = sorted(path.name for path in (blend.parent / "textures").iterdir())
    assert len(files) == 6
    assert all(name.startswith("stone-") and name.endswith(suffix) for name in files)
    for each in textures(material).values():
        assert not each.image.packed_file
        assert Path(bpy.path.abspath(each.image.filepath)).parent == blend.parent / "textures"
    colour = textures(reopen(blend))["basecolor"].image
    np.testing.assert_array_equal(of_image(colour), truth("stone-7-64x64")[:, :, :3])


def test_blend_file_and_textures_can_move_together(blend: Path, beside: Any, tmp_path: Path) -> None:
    generate(seed=7, **SMALL)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    blend.parent.rename(tmp_path / "elsewhere")
    (texture,) = textures(reopen(tmp_path / "elsewhere" / blend.name)).values()
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))


def test_a_preview_lies_in_the_cache_and_not_beside_the_file(blend: Path, beside: Any) -> None:
    task = begin(**LARGE)
    until_previewed(task)
    assert len(ours(bpy.data.images)) == 1
    assert [path.name for path in (blend.parent / "textures").glob("[!.]*")] == []
    until_ended(task)
    assert task.state == "done"
    assert len(list((blend.parent / "textures").iterdir())) == 1


def test_a_texture_made_again_keeps_its_file(blend: Path, beside: Any) -> None:
    for _ in range(2):
        (texture,) = textures(generate(seed=7, **SMALL)).values()
    assert len(list((blend.parent / "textures").iterdir())) == 1
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))


def test_a_file_that_is_not_saved_takes_textures_in(beside: Any) -> None:
    """There is no place beside it yet."""
    (texture,) = textures(generate(seed=7, **SMALL)).values()
    assert texture.image.packed_file


def test_a_saved_file_does_not_grow_by_its_textures(blend: Path, beside: Any) -> None:
    """Of 3.7 MB; the nodes take 0.3 MB."""
    bpy.ops.wm.save_mainfile()
    before = blend.stat().st_size
    generate("stone", width=512, height=512)
    bpy.ops.wm.save_mainfile()
    assert blend.stat().st_size - before < 2 * 512 * 512


def test_where_the_disk_refuses_nothing_is_half_assigned(blend: Path, beside: Any) -> None:
    """A file lies where the folder should be."""
    (blend.parent / "textures").write_text("in the way")
    before = everything()
    text = refusal(lambda: bpy.ops.texserver.generate(model="stone", **SMALL))
    assert str(blend.parent / "textures") in text
    assert everything() == before
    (task,) = state.session().tasks
    assert (task.state, task.message) == ("failed", text)
    (blend.parent / "textures").unlink()
    assert bpy.ops.texserver.retry(task_id=task.id) == {"FINISHED"}
    assert len(list((blend.parent / "textures").iterdir())) == 6


def test_where_the_disk_refuses_after_a_preview_that_is_taken_back(blend: Path, beside: Any) -> None:
    task = begin(**LARGE)
    before = everything()
    until_previewed(task)
    assert everything() != before
    shutil.rmtree(blend.parent / "textures", ignore_errors=True)
    (blend.parent / "textures").write_text("in the way")
    until_ended(task)
    assert task.state == "failed"
    assert everything() == before


def test_a_file_that_vanishes_before_it_is_loaded_leaves_nothing_half_assigned(blend: Path, beside: Any) -> None:
    before = everything()
    task = begin("stone", **SMALL)
    while not task.ended:
        state.session().tick()
    assert task.result
    task.result.files["height"].unlink()
    until_ended(task)
    assert task.state == "failed"
    assert "cannot load it" in task.message
    assert everything() == before


def test_retry_goes_by_the_storage_that_is_chosen_now(blend: Path, beside: Any) -> None:
    (blend.parent / "textures").write_text("in the way")
    refusal(lambda: bpy.ops.texserver.generate(model="tiny", seed=7, **SMALL))
    beside.storage = "PACK"
    bpy.ops.texserver.retry(task_id=state.session().tasks[0].id)
    (texture,) = textures(bpy.context.object.active_material).values()
    assert texture.image.packed_file
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))


def test_a_retry_that_is_refused_keeps_the_job(blend: Path, beside: Any) -> None:
    (blend.parent / "textures").write_text("in the way")
    refusal(lambda: bpy.ops.texserver.generate(model="tiny", **SMALL))
    (task,) = state.session().tasks
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert "no longer exists" in refusal(lambda: bpy.ops.texserver.retry(task_id=task.id))
    assert state.session().tasks == [task]


# --------------------------------------------------------------------------------------------------------------- seams


@pytest.mark.parametrize(
    ("model", "width", "height"), [("tiny", 64, 64), ("tiny", 100, 52), ("tiles", 96, 96), ("stone", 80, 64)]
)
def test_a_texture_has_no_seam(model: str, width: int, height: int) -> None:
    """From the last row to the first, pixels change no more than from row to row; likewise across."""
    for map, texture in textures(generate(model, seed=3, width=width, height=height)).items():
        pixels = of_image(texture.image).astype(float)
        for axis in (0, 1):
            steps = np.abs(pixels - np.roll(pixels, 1, axis)).mean(axis=(1 - axis, 2))
            assert steps[0] <= steps[1:].max(), (map, axis)


# -------------------------------------------------------------------------------------------- from Blender to Blender


def test_the_history_is_there_when_blender_starts_again() -> None:
    generate(seed=7, **SMALL)
    addon_utils.disable(EXTENSION)
    addon_utils.enable(EXTENSION)
    (entry,) = state.session().history.entries
    assert (entry.model, entry.seed, entry.size) == ("tiny", 7, (64, 64))
    plane()
    assert bpy.ops.texserver.again(index=0) == {"FINISHED"}
    (texture,) = textures(bpy.context.object.active_material).values()
    np.testing.assert_array_equal(of_image(texture.image), truth("tiny-7-64x64"))


def test_the_scene_keeps_its_settings(blend: Path) -> None:
    settings = bpy.context.scene.texserver
    settings.model, settings.seed, settings.size, settings.mapping = "tiles", 12, "CUSTOM", "BOX"
    settings.maps = {"height", "ao"}
    bpy.ops.wm.save_mainfile()
    reopen(blend)
    settings = bpy.context.scene.texserver
    assert (settings.model, settings.seed, settings.size, settings.mapping) == ("tiles", 12, "CUSTOM", "BOX")
    assert settings.maps == {"height", "ao"}


def test_nothing_unfinished_lies_in_the_cache() -> None:
    task = begin("stone", **LARGE)
    until_ended(task)
    assert drafts() == []
    assert len(list((preferences.folder() / "textures").iterdir())) == 6


def test_the_cache_can_lie_elsewhere(tmp_path: Path) -> None:
    preferences.get().cache_folder = str(tmp_path / "cache")
    (texture,) = textures(generate(seed=7, **SMALL)).values()
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert list((preferences.folder() / "textures").iterdir()) == []
    assert texture.image.packed_file


def test_a_cache_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    preferences.get().cache_folder = str(tmp_path / "cache")
    before = everything()
    assert str(tmp_path / "cache") in refusal(lambda: bpy.ops.texserver.generate(model="tiny", **SMALL))
    assert everything() == before


def test_the_cache_keeps_to_its_size() -> None:
    preferences.get().cache_gb = 1
    state.session().files.cap_bytes = 40_000  # one texture has 12 KB
    for seed in range(6):
        generate(seed=seed, **SMALL)
        state.session().tasks.clear()
    left = list((preferences.folder() / "textures").iterdir())
    assert sum(path.stat().st_size for path in left) <= 40_000 + 13_000
    assert any("-5-64x64" in path.name for path in left)
