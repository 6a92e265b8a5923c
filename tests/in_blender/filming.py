"""Renders and animations in a quilted style, whose frames take their strokes from the frame before."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.loop import pump
from bl_ext.user_default.texserver.panel import style_orders, style_panels
from bl_ext.user_default.texserver.tasks import state
from inside import connect, turn, until
from numpy.typing import NDArray
from pictures import difference
from strict_layout import draw, texts

WIDTH, HEIGHT, FRAMES = 64, 36, 10
STYLE = "oil"
OTHER_BUILD = b"TXFRAME1"
HASH_BYTES = 32  # before it


@pytest.fixture(autouse=True)
def scene() -> Any:
    """A cube that moves before grey, rendered in a moment."""
    scene: Any = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", 1
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = WIDTH, HEIGHT, 100
    scene.texserver.style.model = STYLE
    cube = bpy.data.objects["Cube"]
    for frame, x in ((1, -1.0), (FRAMES, 1.0)):
        cube.location.x = x
        cube.keyframe_insert("location", frame=frame)
    return scene


def order(folder: Path) -> dict[str, Any]:
    return {"output_folder": str(folder), "frame_start": 1, "frame_end": FRAMES}


def animate(folder: Path) -> None:
    assert bpy.ops.texserver.stylize_animation(**order(folder)) == {"FINISHED"}


def frames(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def samples(image: Any) -> NDArray[np.uint8]:
    width, height = image.size
    values = np.empty(height * width * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return np.rint(values.reshape(height, width, image.channels)[::-1] * 255).astype(np.uint8)


def styled() -> Any:
    """The one image that is a picture in a style."""
    (image,) = (each for each in bpy.data.images if "texserver" in each)
    return image


def test_ten_frames_that_were_cancelled_twice_are_those_that_never_were(tmp_path: Path) -> None:
    animate(tmp_path / "whole")
    whole = frames(tmp_path / "whole")
    assert list(whole) == [f"Scene_{number:04}.png" for number in range(1, FRAMES + 1)]
    assert len(set(whole.values())) == FRAMES

    part = tmp_path / "part"
    connect()
    for count in (3, 6):
        task = style_orders.sequence(bpy.context, **order(part)).begin()
        until(lambda count=count: len(frames(part)) == count, f"{count} frames")
        assert bpy.ops.texserver.cancel(task_id=task.id) == {"FINISHED"}
        assert task.state == "cancelled"
        turn()
        assert len(frames(part)) == count
    assert bpy.ops.texserver.retry(task_id=task.id) == {"FINISHED"}
    assert frames(part) == whole
    assert [each.note for each in state.session().tasks] == [""] * len(state.session().tasks)

    last, name = f"Scene_{FRAMES:04}.png", f"Scene_{FRAMES - 1:04}.png.carry"
    (part / last).unlink()
    carry = part / ".carry" / name
    data = carry.read_bytes()
    carry.write_bytes(data[:HASH_BYTES] + OTHER_BUILD + data[HASH_BYTES + len(OTHER_BUILD) :])
    animate(part)
    assert list(frames(part)) == list(whole)
    assert frames(part)[last] != whole[last]
    told = texts(draw(next(each for each in style_panels.CLASSES if each.bl_label == "Stylize"), bpy.context))
    assert f"At frame {FRAMES} a new shot begins" in told


def test_a_render_is_the_same_by_the_button_and_after_f12() -> None:
    settings = bpy.context.scene.texserver.style
    settings.after_render = True
    bpy.ops.render.render()
    until(lambda: not pump.rendered and not state.session().busy, "the picture")
    turn()
    after = samples(styled())
    settings.after_render = False
    bpy.data.images.remove(styled())

    assert bpy.ops.texserver.stylize_image() == {"FINISHED"}
    image = styled()
    assert (image.name, tuple(image.size)) == (f"Render Result in {STYLE}", (WIDTH, HEIGHT))
    np.testing.assert_array_equal(samples(image), after)
    bpy.data.images.remove(image)

    assert bpy.ops.texserver.stylize_image(strength=0) == {"FINISHED"}
    itself = samples(styled())
    assert difference(after[..., :3], itself[..., :3]) > 3
