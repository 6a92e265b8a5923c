"""The pictures beside a model show what they say they show, pixel for pixel."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from server.model.torus import Window
from server.network.texture import texture
from server.replace_file import UnusableOutput
from tests.models import tiny_generator
from trainer.judge import pictures as module
from trainer.judge.pictures import Picture, as_picture, contact_sheet, filmstrip, thumbnail, write_picture


@pytest.fixture(autouse=True)
def _small_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 64)
    monkeypatch.setattr(module, "LARGE", (80, 144))


def noise(height: int, width: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def places(sheet: Picture, picture: Picture) -> list[tuple[int, int]]:
    """Every (top, left) at which the sheet shows exactly this picture."""
    height, width = picture.shape[:2]
    if height > sheet.shape[0] or width > sheet.shape[1]:
        return []
    rows = sliding_window_view(sheet, (width, 3), (1, 2))[:, :, 0]  # (top, left, width, 3)
    starts = np.argwhere((rows == picture[0]).all((2, 3)))
    return [
        (top, left)
        for top, left in starts.tolist()
        if np.array_equal(sheet[top : top + height, left : left + width], picture)
    ]


def test_pixels_are_rounded_and_clamped() -> None:
    pixels = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.5]).view(1, 1, 1, 5).expand(1, 3, 2, 5)
    assert as_picture(pixels)[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert as_picture(pixels).shape == (2, 5, 3)


# ---------------------------------------------------------------------------------------------------- contact sheet


def test_the_sheet_shows_the_swatch_three_seeds_and_a_large_texture() -> None:
    generator, swatch = tiny_generator(), noise(50, 70)
    sheet = contact_sheet(generator, swatch, "a title")
    shown = [swatch, *(as_picture(texture(generator, seed, (64, 64))) for seed in range(3))]
    shown.append(as_picture(texture(generator, 4, (80, 144))))
    found = [places(sheet, picture) for picture in shown]
    assert [len(each) for each in found] == [1] * 5
    corners = [(place[0], picture.shape) for place, picture in zip(found, shown, strict=True)]
    for (top, left), (height, width, _) in corners:
        for (other_top, other_left), _ in corners:  # nothing lies over anything else
            assert (top, left) == (other_top, other_left) or not (
                top <= other_top < top + height and left <= other_left < left + width
            )


def test_the_sheet_shows_one_texture_tiled_with_its_seams_in_the_middle() -> None:
    generator = tiny_generator()
    sheet = contact_sheet(generator, noise(50, 70), "a title")
    small = as_picture(texture(generator, 3, (32, 53)))
    height, width = small.shape[:2]
    top, left = min(places(sheet, small))
    assert len(places(sheet, small)) == 4
    tiled = sheet[top : top + 2 * height, left : left + 2 * width]
    for part in (tiled[:height, width:], tiled[height:, :width], tiled[height:, width:]):
        assert np.array_equal(part, small)
    # around the middle, where the four copies meet: the window of the torus that crosses both of its edges
    across = as_picture(texture(generator, 3, (32, 53), Window(-16, -26, 32, 53)))
    assert np.array_equal(tiled[height // 2 : height // 2 + height, width - 26 : 2 * width - 26], across)


def test_the_sheet_is_a_picture_with_its_title() -> None:
    sheet = contact_sheet(tiny_generator(), noise(50, 70), "a title")
    other = contact_sheet(tiny_generator(), noise(50, 70), "another one")
    assert sheet.dtype == np.uint8
    assert sheet.shape == other.shape
    differing = np.argwhere((sheet != other).any(2))
    assert len(differing)
    assert differing[:, 0].max() < 40


def test_a_swatch_larger_than_the_samples_gets_its_room() -> None:
    swatch = noise(200, 300)
    assert len(places(contact_sheet(tiny_generator(), swatch, ""), swatch)) == 1


# -------------------------------------------------------------------------------------------------------- filmstrip


def test_the_filmstrip_grows_by_a_frame_and_after_eight_by_a_row() -> None:
    frames = [(10 * index, noise(24, 24, index)) for index in range(10)]
    strips = [filmstrip(frames[:count]) for count in range(1, 11)]
    widths, heights = [strip.shape[1] for strip in strips], [strip.shape[0] for strip in strips]
    steps = np.diff(widths)
    assert set(steps[:7]) == {steps[0]}
    assert steps[0] >= 24
    assert set(steps[7:]) == {0}
    assert len(set(heights[:8])) == 1
    assert heights[8] == heights[9] >= heights[0] + 24
    for count, strip in enumerate(strips, start=1):
        found = [places(strip, frame) for _, frame in frames[:count]]
        assert [len(each) for each in found] == [1] * count
        assert [each[0] for each in found] == sorted(each[0] for each in found)  # in reading order


def test_frames_are_captioned_by_their_iteration() -> None:
    one, other = (filmstrip([(step, noise(24, 24))]) for step in (100, 200))
    assert one.shape == other.shape
    assert not np.array_equal(one, other)


# -------------------------------------------------------------------------------------------------------- thumbnail


@pytest.mark.parametrize(
    ("size", "expected"),
    [((400, 200), (160, 80)), ((200, 400), (80, 160)), ((256, 256), (160, 160)), ((160, 160), (160, 160))],
    ids=str,
)
def test_a_thumbnail_fits_its_square_and_keeps_its_proportions(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert thumbnail(noise(*size)).shape == (*expected, 3)


@pytest.mark.parametrize("size", [(32, 48), (160, 20), (1, 1)], ids=str)
def test_a_thumbnail_is_never_enlarged(size: tuple[int, int]) -> None:
    assert np.array_equal(thumbnail(noise(*size)), noise(*size))


def test_a_thumbnail_keeps_the_colours() -> None:
    plain = np.broadcast_to(np.array([200, 100, 50], np.uint8), (300, 300, 3)).copy()
    assert np.array_equal(thumbnail(plain), plain[:160, :160])


# ---------------------------------------------------------------------------------------------------------- writing


def test_a_picture_is_written_without_loss_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "brick.sheet.png"
    for seed in (0, 1):
        write_picture(path, noise(20, 30, seed))
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), noise(20, 30, seed))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "brick.sheet.png"
    write_picture(path, noise(20, 30))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"server.replace_file.os.{step}", full)
    with pytest.raises(UnusableOutput, match="Free some space"):
        write_picture(path, noise(40, 60))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
