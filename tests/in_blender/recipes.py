"""A .blend file without pixels: its textures are painted again from what its images say, by a button and by the command
that a farm calls.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest
from bl_ext.user_default.texserver.panel import command, panels, preferences, recipe_operators
from bl_ext.user_default.texserver.tasks import state
from inside import Paused, connect, generate, refusal, until_ended
from scenery import live, plane, textures
from strict_layout import draw, names

SMALL = {"width": 96, "height": 64}
Told = Callable[[], tuple[str, str]]


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Told:
    """What the command has said since: on standard output, on standard error."""

    def read() -> tuple[str, str]:
        out, err = capfd.readouterr()
        return out, err

    return read


def packed_scene(path: Path) -> dict[str, bytes]:
    """A saved file with seven packed images of two materials; the bytes of each, by name."""
    preferences.get().storage = "PACK"
    plane("One")
    generate("tiny", seed=7, **SMALL)
    plane("Two")
    generate("stone", seed=8, **SMALL)
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return {image.name: bytes(image.packed_file.data) for image in bpy.data.images if image.packed_file}


def give_up(path: Path) -> None:
    """The same file without pixels, anywhere; opened again."""
    assert bpy.ops.texserver.recipes_only(keep_files=False) == {"FINISHED"}
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(path))


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.glob("*") if each.suffix in (".png", ".tif")}


def file_of(image: Any) -> Path:
    return Path(bpy.path.abspath(image.filepath))


def test_a_file_without_pixels_gets_the_bytes_that_it_had(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "scene.blend"
    before = packed_scene(path)
    assert len(before) == 7
    large = path.stat().st_size
    give_up(path)
    assert path.stat().st_size < large - sum(map(len, before.values())) / 2
    assert not files(tmp_path / "textures")
    assert not any(image.has_data for image in bpy.data.images if image.name in before)
    saved = path.read_bytes()

    told()
    assert command.main(["paint"]) == 0
    assert "7 images painted, 0 were there, 0 failed." in told()[0]
    assert {name: file_of(bpy.data.images[name]).read_bytes() for name in before} == before
    assert all(list(bpy.data.images[name].size) == [96, 64] for name in before)
    assert path.read_bytes() == saved

    with Paused():  # a server is not even asked
        assert command.main(["paint", "--missing-only"]) == 0
    assert "0 images painted, 7 were there, 0 failed." in told()[0]
    (tmp_path / "textures").rename(tmp_path / "before")
    assert command.main(["paint", "--missing-only"]) == 0
    assert files(tmp_path / "textures") == files(tmp_path / "before")


def test_pictures_beside_the_file_still_show(tmp_path: Path) -> None:
    before = packed_scene(tmp_path / "scene.blend")
    changed = bpy.data.images["tiny basecolor 96 x 64 #7"]
    changed.pixels[0] = 0.5
    changed.pack()
    assert bpy.ops.texserver.recipes_only() == {"FINISHED"}
    assert changed.packed_file  # nobody could paint that again
    others = [bpy.data.images[name] for name in before if name != changed.name]
    assert {each.name: file_of(each).read_bytes() for each in others} == {
        each.name: before[each.name] for each in others
    }
    assert all(each.has_data or list(each.size) == [96, 64] for each in others)
    assert not any(each.packed_file for each in others)
    assert "No texture is missing" in refusal_of("paint_missing")


def refusal_of(name: str) -> str:
    return str(getattr(recipe_operators, f"TEXSERVER_OT_{name}").refusal(bpy.context))


def test_the_button_paints_what_is_missing(tmp_path: Path) -> None:
    assert "Save the .blend file first" in refusal_of("paint_missing")
    before = packed_scene(tmp_path / "scene.blend")
    give_up(tmp_path / "scene.blend")
    connect()
    main, panel = panels.CLASSES[0], next(each for each in panels.CLASSES if each.bl_label == "Recipes")
    assert "texserver.paint_missing" in names(draw(main, bpy.context))
    assert {"texserver.paint_missing", "texserver.recipes_only"} <= set(names(draw(panel, bpy.context)))
    _, tasks = recipe_operators.TEXSERVER_OT_paint_missing._begin(recipe_operators.TEXSERVER_OT_paint_missing)
    assert {each.title for each in tasks} == {"tiny 96 x 64 #7", "stone 96 x 64 #8"}
    until_ended(*tasks)
    assert {name: file_of(bpy.data.images[name]).read_bytes() for name in before} == before
    assert "texserver.paint_missing" not in names(draw(main, bpy.context))
    assert bpy.data.images["tiny basecolor 96 x 64 #7"].pixels[0] >= 0
    file_of(bpy.data.images["tiny basecolor 96 x 64 #7"]).unlink()
    recipe_operators.recipes.forget_look()
    assert bpy.ops.texserver.paint_missing() == {"FINISHED"}
    assert file_of(bpy.data.images["tiny basecolor 96 x 64 #7"]).read_bytes() == before["tiny basecolor 96 x 64 #7"]


def test_what_cannot_be_painted_is_told_and_the_rest_is_painted(tmp_path: Path, told: Told) -> None:
    packed_scene(tmp_path / "scene.blend")
    give_up(tmp_path / "scene.blend")
    image = bpy.data.images["tiny basecolor 96 x 64 #7"]
    image["texserver"]["sha256"] = "0" * 64
    told()
    assert command.main(["paint"]) == 1
    out, err = told()
    assert "no model of the server has the hash 000000000000..., which 'tiny' had when it was painted" in err
    assert "6 images painted, 0 were there, 1 failed." in out
    assert len(files(tmp_path / "textures")) == 6
    recipe_operators.recipes.forget_look()
    assert "has the hash 0000" in refusal(bpy.ops.texserver.paint_missing)


def test_a_file_changed_by_hand_stays(tmp_path: Path, told: Told) -> None:
    preferences.get().storage = "FILES"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    image = textures(generate("tiny", seed=7, **SMALL))["basecolor"].image
    image.pixels[0] = 0.5
    image.save()
    changed = file_of(image).read_bytes()
    told()
    assert command.main(["paint"]) == 0
    assert "was changed after it was painted, so it stays" in told()[1]
    assert file_of(image).read_bytes() == changed


def test_a_larger_size_covers_more_at_the_same_detail(tmp_path: Path, told: Told) -> None:
    preferences.get().storage = "FILES"
    path = tmp_path / "scene.blend"
    plane()
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    width = live(generate("tiny", seed=7, **SMALL)).inputs["Size"].default_value
    bpy.ops.wm.save_mainfile()
    again = ["paint", "--size-factor", "2", "--out", "//final", "--save", str(tmp_path / "final.blend")]
    assert command.main(again) == 0, told()
    assert len(files(tmp_path / "final")) == 1
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "final.blend"))
    (image,) = (each for each in bpy.data.images if "texserver" in each)
    assert (list(image.size), image.name) == ([192, 128], "tiny basecolor 192 x 128 #7")
    assert file_of(image).parent == tmp_path / "final"
    material = bpy.data.objects["Plane"].active_material
    assert live(material).inputs["Size"].default_value == pytest.approx(2 * width)
    painted = file_of(image).read_bytes()
    preferences.get().storage = "PACK"
    assert (
        bytes(textures(generate("tiny", seed=7, width=192, height=128))["basecolor"].image.packed_file.data) == painted
    )


def test_it_makes_cycles_own_files_where_a_scene_uses_them(tmp_path: Path, told: Told) -> None:
    packed_scene(tmp_path / "scene.blend")
    give_up(tmp_path / "scene.blend")
    bpy.context.scene.render.engine = "CYCLES"
    if hasattr(bpy.context.scene.render, "use_texture_cache"):  # since Blender 5.2
        bpy.context.scene.render.use_texture_cache = True
    assert command.main(["paint"]) == 0
    assert bool(list(tmp_path.rglob("*.tx"))) == (bpy.app.version >= (5, 2, 0))


def test_the_command_says_what_is_wrong_with_it(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.main(["paint"]) == 1
    assert "There is no .blend file" in told()[1]
    assert command.main(["paint", "--size-factor", "99"]) == 2
    assert command.main(["dance"]) == 2
    packed_scene(tmp_path / "scene.blend")
    give_up(tmp_path / "scene.blend")
    told()
    assert command.main(["paint", "--connect", "texserver://secret:1"]) == 1
    assert "Other users can see a command line" in told()[1]
    assert command.main(["paint", "--connect", str(tmp_path / "none.json")]) == 1
    assert "No texserver runs here" in told()[1]
    assert command.main(["paint"]) == 0  # the server of before
    assert state.session().catalogue.models
