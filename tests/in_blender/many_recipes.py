"""A scene of thirty textures without pixels, painted in background mode, twice."""

import time
from pathlib import Path

import bpy
import pytest
from bl_ext.user_default.texserver.panel import command, preferences
from inside import Paused, generate
from scenery import plane

COUNT = 30
SIDE = 256


def test_thirty_recipes_give_the_artist_s_bytes_and_the_second_time_nothing_is_painted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scene.blend"
    preferences.get().storage = "PACK"
    for seed in range(COUNT):
        plane(f"Plane {seed}")
        generate("stone" if seed % 2 else "tiny", seed=seed, width=SIDE, height=SIDE)
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    before = {image.name: bytes(image.packed_file.data) for image in bpy.data.images if image.packed_file}
    with_pixels = path.stat().st_size
    assert bpy.ops.texserver.recipes_only(keep_files=False) == {"FINISHED"}
    bpy.ops.wm.save_mainfile(compress=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    without = path.stat().st_size
    assert without < with_pixels / 10

    capfd.readouterr()
    began = time.monotonic()
    assert command.main(["paint"]) == 0
    first_s = time.monotonic() - began
    assert f"{len(before)} images painted, 0 were there, 0 failed." in capfd.readouterr().out
    images = {name: Path(bpy.path.abspath(bpy.data.images[name].filepath)) for name in before}
    assert {name: each.read_bytes() for name, each in images.items()} == before
    times = {name: each.stat().st_mtime_ns for name, each in images.items()}
    began = time.monotonic()
    with Paused():
        assert command.main(["paint", "--missing-only"]) == 0
    second_s = time.monotonic() - began
    assert {name: each.stat().st_mtime_ns for name, each in images.items()} == times
    sizes = f"{with_pixels / 1e6:.2f} MB with pixels, {without / 1e6:.2f} MB without"
    with capfd.disabled():
        print(f"{COUNT} recipes, {len(before)} images of {SIDE}: {sizes}; {first_s:.1f} s, then {second_s:.2f} s")
