"""Four corners of a picture become a rectangle that shows what was between them, and nonsense is told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.drawn import gravel
from trainer.judge.pictures import as_picture
from trainer.swatch.map_set import read_map_set
from trainer.swatch.straighten import Straighten, UnusableCorners, turned
from trainer.swatch.swatch import UnusableSwatch, read_swatch

WHOLE = "0,0;0,1;1,1;1,0"
GRAVEL = Image.fromarray(as_picture(gravel(160, 200, stone=9)))


def test_the_whole_picture_stays_as_it_is() -> None:
    assert np.array_equal(np.asarray(Straighten.parse(WHOLE).picture(GRAVEL)), np.asarray(GRAVEL))


def test_a_part_with_upright_sides_is_cut_out() -> None:
    part = Straighten.parse("0.25,0.1;0.25,0.6;0.75,0.6;0.75,0.1").picture(GRAVEL)
    assert np.array_equal(np.asarray(part), np.asarray(GRAVEL)[40:120, 20:120])


def test_a_wall_seen_at_an_angle_becomes_flat_again() -> None:
    """It is put at an angle by the inverse homography, computed here."""
    corners = np.array([(10, 20), (30, 185), (150, 170), (120, 5)], float)  # y, x
    square = np.array([(0, 0), (0, 200), (160, 200), (160, 0)], float)
    rows = []
    for (y, x), (v, u) in zip(corners, square, strict=True):  # from the seen picture to the flat one
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, u], [0, 0, 0, x, y, 1, -v * x, -v * y, v]]
    table = np.array(rows)
    numbers = np.linalg.solve(table[:, :8], table[:, 8])
    seen = GRAVEL.transform(GRAVEL.size, Image.Transform.PERSPECTIVE, tuple(numbers), Image.Resampling.BICUBIC)
    told = ";".join(f"{y / 160},{x / 200}" for y, x in corners)
    flat = Straighten.parse(told, aspect=200 / 160).picture(seen).resize(GRAVEL.size, Image.Resampling.BICUBIC)
    inside = (slice(8, -8), slice(8, -8))
    error = np.abs(np.asarray(flat, float) - np.asarray(GRAVEL, float))[inside].mean()
    other = np.abs(np.asarray(seen, float) - np.asarray(GRAVEL, float))[inside].mean()
    assert error < 0.35 * other


def test_the_aspect_shortens_and_never_stretches() -> None:
    assert Straighten.parse(WHOLE).size(160, 200) == (160, 200)
    assert Straighten.parse(WHOLE, aspect=2.0).size(160, 200) == (100, 200)
    assert Straighten.parse(WHOLE, aspect=0.5).size(160, 200) == (160, 80)


@pytest.mark.parametrize(
    ("corners", "why"),
    [
        ("0,0;1,0;1,1;0,1", "clockwise"),
        ("0,0;1,1;0,1;1,0", "clockwise"),
        ("0,0;0,1;1,1;0,0.5", "clockwise"),
        ("0,0;0,0;1,1;1,0", "clockwise"),
        ("0,0;0,1;0.4,0.4;1,0", "clockwise"),
        ("0,0;0,1.1;1,1;1,0", "outside"),
        ("-0.1,0;0,1;1,1;1,0", "outside"),
        ("nan,0;0,1;1,1;1,0", "outside"),
    ],
)
def test_what_is_no_rectangle_seen_at_an_angle_is_told(corners: str, why: str) -> None:
    with pytest.raises(UnusableCorners, match=why):
        Straighten.parse(corners)


@pytest.mark.parametrize("text", ["", "0,0", "0,0;0,1;1,1", "0,0;0,1;1,1;1", "a,b;0,1;1,1;1,0"])
def test_what_are_no_four_points_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="not four points"):
        Straighten.parse(text)


def test_a_part_too_small_to_learn_is_told(tmp_path: Path) -> None:
    GRAVEL.save(tmp_path / "gravel.png")
    small = Straighten.parse("0,0;0,0.2;0.2,0.2;0.2,0")
    with pytest.raises(UnusableSwatch, match="between the corners has only 40 x 32 pixels"):
        read_swatch(tmp_path / "gravel.png", None, small)


def test_all_maps_of_a_set_are_cut_alike_and_normals_are_turned(tmp_path: Path) -> None:
    GRAVEL.save(tmp_path / "stone.png")
    GRAVEL.convert("L").save(tmp_path / "height.png")
    tilted = np.broadcast_to(np.array([[[204, 128, 230]]], np.uint8), (160, 200, 3))  # to the right of the picture
    Image.fromarray(np.ascontiguousarray(tilted)).save(tmp_path / "normal.png")
    quarter = Straighten.parse("0.1,0.9;0.9,0.9;0.9,0.1;0.1,0.1")  # its top is the picture's right side
    swatch = read_swatch(tmp_path / "stone.png", None, quarter)
    maps = read_map_set(swatch, {"height": tmp_path / "height.png", "normal": tmp_path / "normal.png"}, keep_hills=True)
    assert swatch.pixels.shape[2:] == (160, 128)
    grey = (swatch.pixels * torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1)
    named = {each.name: maps.pixels[0, maps.channels(each)] for each in maps.maps}
    assert float((named["height"][0] - grey[0]).abs().max()) < 0.02
    x, y, _ = (named["normal"].mean((1, 2)) * 2 - 1).tolist()
    assert x == pytest.approx(0, abs=0.02)
    assert y > 0.5  # up there is where the picture's right was


def test_normals_turn_with_the_axes() -> None:
    right = torch.tensor([0.9, 0.5, 0.8]).view(1, 3, 1, 1)
    assert turned(right, 0.0) is right
    assert turned(right, np.pi / 2).flatten().tolist() == pytest.approx([0.5, 0.9, 0.8])
