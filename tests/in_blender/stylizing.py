"""Renders, images and animations in a style: what becomes of them, and what of the scene stays as it was."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.loop import pump
from bl_ext.user_default.texserver.material import content
from bl_ext.user_default.texserver.panel import operator, preferences, style_orders, style_panels
from bl_ext.user_default.texserver.pictures.picture_reader import read_picture
from bl_ext.user_default.texserver.tasks import state
from inside import PYTHON, Paused, connect, refusal, turn, until
from numpy.typing import NDArray
from pictures import difference
from strict_layout import draw, names, texts

WIDTH, HEIGHT = 72, 40
Samples = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def scene() -> Any:
    """Rendered in a moment: the cube before nothing."""
    scene: Any = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", 1
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = WIDTH, HEIGHT, 100
    scene.render.film_transparent = True
    return scene


@pytest.fixture
def image_editor() -> Iterator[Any]:
    """An Image Editor, in which operators run."""
    window = bpy.context.window_manager.windows[0]
    area = max(window.screen.areas, key=lambda area: area.width * area.height)
    before = area.ui_type
    area.ui_type = "IMAGE_EDITOR"
    with bpy.context.temp_override(window=window, area=area):
        yield area.spaces.active
    area.ui_type = before


def render() -> Samples:
    """With alpha, as on a screen."""
    bpy.ops.render.render()
    return read(content.of_render(bpy.context.scene))


def contents() -> list[Path]:
    """Files of pictures that wait to be stylized."""
    return list(Path(bpy.app.tempdir).glob("texserver-*.png"))


def read(path: Path) -> Samples:
    picture = read_picture(path)
    path.unlink()
    return np.frombuffer(bytes(picture.data), np.uint8).reshape(picture.shape)


def samples(image: Any) -> Samples:
    width, height = image.size
    values = np.empty(height * width * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return np.rint(values.reshape(height, width, image.channels)[::-1] * 255).astype(np.uint8)


def stylize(**given: Any) -> Any:
    """By the operator, as a script does; the new image."""
    before = set(bpy.data.images)
    assert bpy.ops.texserver.stylize_image(**given) == {"FINISHED"}
    (image,) = set(bpy.data.images) - before
    return image


def output_settings() -> dict[str, Any]:
    scene = bpy.context.scene
    told = {"path": scene.render.filepath, "frame": scene.frame_current}
    output = scene.render.image_settings
    for group in (output, output.view_settings, output.display_settings, scene.view_settings, scene.render):
        for each in group.bl_rna.properties:
            if each.type != "POINTER" and each.type != "COLLECTION":
                told[f"{group.bl_rna.identifier}.{each.identifier}"] = str(getattr(group, each.identifier))
    return told


# -------------------------------------------------------------------------------------------------------------- images


def test_a_render_becomes_another_picture_of_its_size_with_its_alpha() -> None:
    before = render()
    assert len(np.unique(before[..., 3])) > 1
    image = stylize(model="ink", seed=3)
    after = samples(image)
    assert tuple(image.size) == (WIDTH, HEIGHT)
    assert image.name == "Render Result in ink"
    assert difference(after[..., :3], before[..., :3]) > 10
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    mark = image["texserver"].to_dict()
    assert (mark["model"], mark["seed"], mark["strength"], mark["content"]) == ("ink", "3", 1, "Render Result")
    assert image.packed_file
    assert contents() == []


def test_strength_goes_from_the_picture_to_the_style() -> None:
    before = render()[..., :3]
    none, half, all = (samples(stylize(strength=each))[..., :3] for each in (0, 0.5, 1))
    assert difference(none, before) < difference(half, before) < difference(all, before)


def test_colours_can_be_kept_and_the_seed_counts() -> None:
    render()
    plain, kept, other = (samples(stylize(**each)) for each in ({}, {"keep_colours": True}, {"seed": 9}))
    assert difference(plain, kept) > 1
    assert (plain != other).any()


def test_an_image_is_taken_as_it_is() -> None:
    """An image of 8 bits does not go through the view transform."""
    image = bpy.data.images.new("Photo", 20, 10, alpha=True)
    image.pixels = [0.5, 0.25, 0.1, 1.0] * 200
    taken = read(content.of_image(image, bpy.context.scene))
    assert taken.shape == (10, 20, 4)
    np.testing.assert_array_equal(np.unique(taken.reshape(-1, 4), axis=0), [[128, 64, 26, 255]])
    styled = stylize(content="IMAGE", image="Photo")
    assert (tuple(styled.size), styled.name) == ((20, 10), "Photo in ink")


def test_an_image_that_is_named_is_the_content_unless_another_is_asked_for() -> None:
    render()
    bpy.data.images.new("Photo", 20, 10)
    assert tuple(stylize(image="Photo").size) == (20, 10)
    assert tuple(stylize(image="Photo", content="RENDER").size) == tuple(stylize().size) != (20, 10)


def test_the_rows_of_an_image_are_not_turned_over() -> None:
    image = bpy.data.images.new("Half", 8, 8, alpha=False)
    image.pixels = [1.0, 1.0, 1.0, 1.0] * 32 + [0.0, 0.0, 0.0, 1.0] * 32  # white below
    taken = read(content.of_image(image, bpy.context.scene))
    assert taken[0].max() == 0 or taken[0, 0, 0] == 0
    assert taken[-1, 0, 0] == 255


def test_a_linear_image_is_taken_as_the_scene_shows_it() -> None:
    image = bpy.data.images.new("Linear", 8, 8, float_buffer=True)
    image.pixels = [4.0, 4.0, 4.0, 1.0] * 64
    bpy.context.scene.view_settings.view_transform = "Standard"
    assert read(content.of_image(image, bpy.context.scene))[0, 0, 0] == 255
    bpy.context.scene.view_settings.view_transform = "AgX"
    assert 150 < read(content.of_image(image, bpy.context.scene))[0, 0, 0] < 250


def test_settings_of_the_scene_are_taken_where_nothing_is_given() -> None:
    render()
    settings = bpy.context.scene.texserver.style
    settings.model, settings.strength, settings.seed, settings.keep_colours = "ink", 0.25, 5, True
    mark = stylize()["texserver"]
    assert (mark["strength"], mark["seed"], mark["keep_colours"]) == (0.25, "5", True)


@pytest.mark.parametrize("format", ["OPEN_EXR", "JPEG", "FFMPEG", "OPEN_EXR_MULTILAYER", "PNG"])
def test_the_output_settings_stay_as_they_were(format: str, tmp_path: Path) -> None:
    scene = bpy.context.scene
    output = scene.render.image_settings
    if hasattr(output, "media_type"):
        output.media_type = {"FFMPEG": "VIDEO", "OPEN_EXR_MULTILAYER": "MULTI_LAYER_IMAGE"}.get(format, "IMAGE")
    output.file_format = format
    if format == "PNG":
        output.color_mode, output.color_depth, output.compression = "BW", "16", 77
        output.color_management = "OVERRIDE"
        output.view_settings.view_transform = "Raw"
    scene.render.filepath = str(tmp_path / "mine-")
    scene.frame_set(1)
    before = output_settings()
    render()
    stylize()
    bpy.data.images.new("Photo", 8, 8)
    stylize(content="IMAGE", image="Photo")
    animate(tmp_path / "out", frame_end=1)
    assert output_settings() == before
    assert list(tmp_path.glob("mine-*")) == []


def test_the_original_and_the_result_can_be_compared(image_editor: Any) -> None:
    photo = image_editor.image = bpy.data.images.new("Photo", 16, 16)
    styled = stylize(content="IMAGE")  # that of the editor
    assert image_editor.image == styled
    assert bpy.ops.texserver.stylize_compare() == {"FINISHED"}
    assert image_editor.image == photo
    bpy.ops.texserver.stylize_compare()
    assert image_editor.image == styled
    image_editor.image = bpy.data.images.new("Other", 16, 16)
    assert "Stylize it first" in refusal(bpy.ops.texserver.stylize_compare)


def test_it_is_kept_beside_the_blend_file_where_that_is_chosen(tmp_path: Path) -> None:
    render()
    preferences.get().storage = "FILES"
    assert stylize().packed_file  # there is no place beside a file that is not saved
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "mine.blend"))
    image = stylize()
    assert not image.packed_file
    assert Path(bpy.path.abspath(image.filepath)).parent == tmp_path / "stylized"
    assert image.filepath.startswith("//")


# ------------------------------------------------------------------------------------------------------------ refusals


def test_without_a_render_there_is_nothing_to_stylize() -> None:
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert "Nothing is rendered yet" in refusal(bpy.ops.texserver.stylize_image)


def test_without_a_server(no_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "FAILED_WAIT_S", 0.3)
    assert "No texserver runs here" in refusal(bpy.ops.texserver.stylize_image)
    assert "No texserver runs here" in refusal(bpy.ops.texserver.stylize_animation)


def test_a_texture_is_no_style_and_a_style_no_texture() -> None:
    render()
    assert "paints textures and cannot stylize pictures" in refusal(
        lambda: bpy.ops.texserver.stylize_image(model="tiny")
    )
    assert "stylizes pictures and cannot paint textures" in refusal(lambda: bpy.ops.texserver.generate(model="ink"))
    assert "has no style 'inc'" in refusal(lambda: bpy.ops.texserver.stylize_image(model="inc"))


def test_images_that_are_not_there() -> None:
    call = bpy.ops.texserver.stylize_image
    assert "There is no image 'Nothing'" in refusal(lambda: call(content="IMAGE", image="Nothing"))
    assert "No image is chosen" in refusal(lambda: call(content="IMAGE"))
    assert "Without a window" in refusal(lambda: call(content="VIEWPORT"))
    lost = bpy.data.images.new("Lost", 8, 8)
    lost.source, lost.filepath = "FILE", "/nowhere/lost.png"
    assert "has no pixels" in refusal(lambda: call(content="IMAGE", image="Lost"))


def test_a_failed_picture_can_be_tried_again() -> None:
    render()
    connect()
    with Paused():
        task = style_orders.picture(bpy.context).begin()
        turn()
        assert bpy.ops.texserver.cancel(task_id=task.id) == {"FINISHED"}
    assert task.state == "cancelled"
    count = len(bpy.data.images)
    assert bpy.ops.texserver.retry(task_id=task.id) == {"FINISHED"}
    assert len(bpy.data.images) == count + 1
    assert [each.state for each in state.session().tasks] == ["done"]


# -------------------------------------------------------------------------------------------------- after every render


def test_after_every_render_the_last_result_is_replaced() -> None:
    bpy.context.scene.texserver.style.after_render = True
    for energy in (100, 5000):
        bpy.data.objects["Light"].data.energy = energy
        render()
        assert pump.rendered == {"Scene"}
        until(lambda: not pump.rendered and not state.session().busy, "the picture")
        turn()
        (image,) = (each for each in bpy.data.images if "texserver" in each)
        assert image.name == "Render Result in ink"
    bpy.context.scene.texserver.style.after_render = False
    render()
    turn()
    assert not state.session().busy


def test_after_a_render_what_is_wrong_is_told_in_the_panel(no_server: Path) -> None:
    bpy.context.scene.texserver.style.after_render = True
    render()
    until(lambda: not pump.rendered, "an answer")
    assert "No texserver runs here" in style_orders.trouble


# ----------------------------------------------------------------------------------------------------------- animation


def animate(folder: Path, **given: Any) -> Any:
    """Rendered frames, into the folder; the image of the sequence."""
    given = {"frame_start": 1, "frame_end": 3, **given}
    before = set(bpy.data.images)
    assert bpy.ops.texserver.stylize_animation(output_folder=str(folder), **given) == {"FINISHED"}
    new = [each for each in set(bpy.data.images) - before if each.type == "IMAGE"]
    return new[0]


def frames(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def move_the_cube() -> None:
    cube = bpy.data.objects["Cube"]
    for frame, x in ((1, -1.0), (3, 1.0)):
        cube.location.x = x
        cube.keyframe_insert("location", frame=frame)


def test_an_animation_is_rendered_and_shown_as_a_sequence(tmp_path: Path, image_editor: Any) -> None:
    move_the_cube()
    bpy.context.scene.frame_set(7)
    image = animate(tmp_path)
    assert list(frames(tmp_path)) == ["Scene_0001.png", "Scene_0002.png", "Scene_0003.png"]
    assert len(set(frames(tmp_path).values())) == 3
    assert image.source == "SEQUENCE"
    assert image_editor.image == image
    assert (image_editor.image_user.frame_duration, image_editor.image_user.frame_start) == (3, 1)
    assert bpy.context.scene.frame_current == 7
    record = json.loads((tmp_path / "sequence.json").read_text())
    assert len(record["statistics"]) > 10
    assert contents() == []


def test_a_cancelled_animation_goes_on_where_it_was(tmp_path: Path) -> None:
    move_the_cube()
    animate(tmp_path / "whole")
    connect()
    given = {"output_folder": str(tmp_path / "part"), "frame_start": 1, "frame_end": 3}
    task = style_orders.sequence(bpy.context, **given).begin()
    until(lambda: frames(tmp_path / "part"), "the first frame")
    bpy.ops.texserver.cancel(task_id=task.id)
    assert task.state == "cancelled"
    (first,) = frames(tmp_path / "part")
    assert first == "Scene_0001.png"
    told = (tmp_path / "part" / first).stat()
    assert bpy.ops.texserver.retry(task_id=task.id) == {"FINISHED"}
    assert (tmp_path / "part" / first).stat().st_mtime_ns == told.st_mtime_ns
    assert frames(tmp_path / "part") == frames(tmp_path / "whole")  # by the same statistics


def test_statistics_are_of_the_first_frame(tmp_path: Path) -> None:
    """Alone, the last frame would be another picture; and they are found again where only they were lost."""
    move_the_cube()
    animate(tmp_path / "whole")
    animate(tmp_path / "alone", frame_start=3)
    name = "Scene_0003.png"
    assert frames(tmp_path / "alone")[name] != frames(tmp_path / "whole")[name]
    whole = frames(tmp_path / "whole")
    (tmp_path / "whole" / name).unlink()
    (tmp_path / "whole" / "sequence.json").unlink()
    animate(tmp_path / "whole")
    assert frames(tmp_path / "whole") == whole


def test_frames_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    animate(tmp_path, frame_end=1)
    call = bpy.ops.texserver.stylize_animation
    given = {"output_folder": str(tmp_path), "frame_start": 1, "frame_end": 2, "strength": 0.5}
    assert "with other settings" in refusal(lambda: call(**given))
    before = frames(tmp_path)
    assert call(overwrite=True, **given) == {"FINISHED"}
    assert frames(tmp_path)["Scene_0001.png"] != before["Scene_0001.png"]


def test_an_existing_sequence_is_stylized(tmp_path: Path) -> None:
    scene = bpy.context.scene
    output = scene.render.image_settings
    output.file_format, output.color_mode = "PNG", "RGBA"
    (tmp_path / "in").mkdir()
    for number in (5, 6, 7):
        render()
        bpy.data.images["Render Result"].save_render(str(tmp_path / "in" / f"shot-{number}.png"), scene=scene)
    image = animate(tmp_path / "out", frames="FILES", input_folder=str(tmp_path / "in"), frame_start=6, frame_end=7)
    assert list(frames(tmp_path / "out")) == ["shot_0006.png", "shot_0007.png"]
    assert image["texserver"]["content"] == "shot"
    call = bpy.ops.texserver.stylize_animation
    own = {"frames": "FILES", "input_folder": str(tmp_path / "in")}
    assert "cannot go into the folder" in refusal(lambda: call(output_folder=str(tmp_path / "in"), **own))
    (tmp_path / "in" / "other1.png").write_bytes(b"no picture")
    assert "There are 2 sequences" in refusal(lambda: call(output_folder=str(tmp_path / "new"), **own))
    own["input_folder"] = str(tmp_path / "in" / "other1.png")
    assert "other1.png as a picture" in refusal(lambda: call(output_folder=str(tmp_path / "new"), **own))
    own["input_folder"] = str(tmp_path / "nowhere")
    assert "cannot be read" in refusal(lambda: call(output_folder=str(tmp_path / "new"), **own))


def test_a_scene_without_a_camera_renders_no_frames(tmp_path: Path) -> None:
    bpy.context.scene.camera = None
    assert "has no camera" in refusal(lambda: bpy.ops.texserver.stylize_animation(output_folder=str(tmp_path)))


def test_another_file_ends_what_was_for_this_one(tmp_path: Path) -> None:
    render()
    connect()
    with Paused():
        task = style_orders.picture(bpy.context).begin()
        turn()
        bpy.ops.wm.read_homefile(use_factory_startup=True)
        assert task.state == "cancelled"
    turn()
    assert [each for each in bpy.data.images if "texserver" in each] == []


# -------------------------------------------------------------------------------------------------------------- panels


@pytest.fixture(params=["IMAGE_EDITOR", "PROPERTIES"])
def editor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def drawn(editor: str) -> dict[str, Any]:
    found = {}
    for panel in style_panels.CLASSES:
        if panel.bl_space_type == editor:
            found[panel.bl_label] = draw(panel, bpy.context)
    assert list(found) == ["Stylize", "Regions", "Animation", "Jobs"]
    return found


def test_panels_before_there_is_a_server(editor: str, no_server: Path) -> None:
    state.session().wanted = True
    turn()
    assert "No texserver runs here" in texts(drawn(editor)["Stylize"])


def test_panels_with_a_server(editor: str) -> None:
    connect()
    settings = bpy.context.scene.texserver.style
    found = names(drawn(editor)["Stylize"])
    assert {"gallery", "model", "content", "strength", "seed", "keep_colours", "after_render"} <= found
    assert "texserver.stylize_image" in found
    assert ("texserver.stylize_compare" in found) == (editor == "IMAGE_EDITOR")
    assert settings.gallery == "ink"
    settings.content, settings.frames = "IMAGE", "FILES"
    assert "image" in names(drawn(editor)["Stylize"])
    assert {"input_folder", "output_folder", "texserver.stylize_animation"} <= names(drawn(editor)["Animation"])
    settings.model = "tiny"
    assert "paints textures" in texts(drawn(editor)["Stylize"])


def test_panels_show_jobs_of_both_kinds(editor: str, tmp_path: Path) -> None:
    render()
    connect()
    with Paused():
        picture = style_orders.picture(bpy.context).begin()
        sequence = style_orders.sequence(bpy.context, output_folder=str(tmp_path), frame_start=1, frame_end=3).begin()
        turn()
        text = texts(drawn(editor)["Jobs"])
        assert "Render Result in ink  0 %" in text
        assert "Scene in ink, 3 frames  0 %" in text
        picture.cancel()
        sequence.cancel()
    assert "texserver.retry" in names(drawn(editor)["Jobs"])
    picture.fail("This went wrong.")
    state.session().tasks.reverse()
    assert "This went wrong." in texts(drawn(editor)["Stylize"])


# ------------------------------------------------------------------------------------------------------------- regions


def mask(name: str, shares: NDArray[np.float64]) -> Any:
    """An image as somebody paints it, of shares (height, width) in [0, 1]."""
    height, width = shares.shape
    image = bpy.data.images.new(name, width, height, is_data=True)
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = shares[::-1, :, None]
    image.pixels.foreach_set(pixels.ravel())
    return image


def add_region(style: str, image: Any) -> None:
    assert bpy.ops.texserver.add_region() == {"FINISHED"}
    region = bpy.context.scene.texserver.style.regions[-1]
    region.style, region.mask = style, image


def ramp() -> NDArray[np.float64]:
    """White at the left, then soft, then black."""
    return np.clip(np.linspace(2, -1, WIDTH), 0, 1)[None].repeat(HEIGHT, 0)


def test_regions_mix_as_those_of_texget_do_to_the_byte(tmp_path: Path) -> None:
    path = content.of_render(bpy.context.scene) if bpy.ops.render.render() else Path()
    path.rename(tmp_path / "content.tif")
    add_region("wash", mask("soft", ramp()))
    add_region("", mask("low", (np.arange(HEIGHT)[:, None] > 30).repeat(WIDTH, 1) * 1.0))
    for each in ("soft", "low"):
        content.of_image(bpy.data.images[each], bpy.context.scene).rename(tmp_path / f"{each}.tif")
    image = stylize(model="ink", seed=3)
    assert image["texserver"]["regions"] == "soft=wash, low=none"
    options = ["--region", "soft.tif=wash", "--region", "low.tif=none", "--seed", "3", "-o", "out.tif", "--quiet"]
    command = [PYTHON, "-m", "server.cli.texget", "ink", "--stylize", "content.tif", *options]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    ended = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_array_equal(samples(image), read(tmp_path / "out.tif"))
    before = read(tmp_path / "content.tif")
    np.testing.assert_array_equal(samples(image)[31:], before[31:])
    bpy.context.scene.texserver.style.regions.clear()
    plain = samples(stylize(model="ink", seed=3))
    np.testing.assert_array_equal(samples(image)[:31, -20:], plain[:31, -20:])
    assert (samples(image)[:31, :20] != plain[:31, :20]).any()


def test_regions_of_an_animation_are_those_of_each_frame_and_others_are_not_mixed_in(tmp_path: Path) -> None:
    scene = bpy.context.scene
    frames = tmp_path / "frames"
    frames.mkdir()
    scene.frame_end = 2
    for number in (1, 2):
        bpy.data.objects["Cube"].location.x = number
        render()
        content.of_render(scene).rename(frames / f"f_{number:04}.tif")
    right = np.zeros((HEIGHT, WIDTH))
    right[:, 40:] = 1
    add_region("", mask("right", right))
    given = {"model": "ink", "frames": "FILES", "input_folder": str(frames), "output_folder": str(tmp_path / "out")}
    preferences.get().file_format = ".tif"
    assert bpy.ops.texserver.stylize_animation(**given) == {"FINISHED"}
    first, second = (read_picture(tmp_path / "out" / f"f_{number:04}.tif") for number in (1, 2))
    for number, picture in ((1, first), (2, second)):
        after, before = (
            np.frombuffer(each.data, np.uint8).reshape(each.shape)
            for each in (picture, read_picture(frames / f"f_{number:04}.tif"))
        )
        np.testing.assert_array_equal(after[:, 40:], before[:, 40:])
        assert (after[:, :40] != before[:, :40]).any()
    (tmp_path / "out" / "f_0002.tif").unlink()
    assert bpy.ops.texserver.stylize_animation(**given) == {"FINISHED"}
    assert read_picture(tmp_path / "out" / "f_0002.tif").data == second.data
    (tmp_path / "out" / "f_0002.tif").unlink()
    add_region("wash", mask("left", 1 - right))
    assert "with other settings" in refusal(lambda: bpy.ops.texserver.stylize_animation(**given))


def test_what_is_wrong_with_a_region_is_said(image_editor: Any) -> None:
    render()
    assert bpy.ops.texserver.add_region() == {"FINISHED"}
    assert "Region 1 has no mask" in refusal(lambda: bpy.ops.texserver.stylize_image())
    assert bpy.ops.texserver.region_mask(region=0) == {"FINISHED"}
    region = bpy.context.scene.texserver.style.regions[0]
    assert (tuple(region.mask.size), image_editor.image, image_editor.ui_mode) == (
        (WIDTH, HEIGHT),
        region.mask,
        "PAINT",
    )
    stylize()
    region.style = "tiny"
    assert "cannot stylize pictures" in refusal(lambda: bpy.ops.texserver.stylize_image())
    region.style, region.mask = "", mask("small", np.ones((8, 9)))
    assert "has 9 x 8 pixels and the picture 72 x 40" in refusal(lambda: bpy.ops.texserver.stylize_image())
    for _ in range(3):
        bpy.ops.texserver.add_region()
    with pytest.raises(RuntimeError, match="There can be 4 regions at most"):
        bpy.ops.texserver.add_region()
    panel = next(each for each in style_panels.CLASSES if each.bl_label == "Regions")
    assert {"texserver.remove_region", "texserver.region_mask", "texserver.add_region"} <= names(
        draw(panel, bpy.context)
    )
    assert bpy.ops.texserver.remove_region(region=0) == {"FINISHED"}
    assert len(bpy.context.scene.texserver.style.regions) == 3


def test_the_dice_gives_another_seed() -> None:
    assert bpy.ops.texserver.stylize_dice() == {"FINISHED"}
    assert bpy.context.scene.texserver.style.seed > 0
