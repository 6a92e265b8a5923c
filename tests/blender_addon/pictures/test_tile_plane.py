"""Which tile stands in which cell: neighbours agree in their corners, and what is baked is the atlas's own pixels."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_addon.pictures.bake_plane import BakeJob, NotBaked, Plane, bake, job_text, run
from blender_addon.pictures.image_file import open_image
from blender_addon.pictures.tile_plane import corner_colour, tile_of
from blender_addon.protocol.edges import corners_of

TILE = 8  # pixels


def test_tiles_beside_each_other_have_the_same_colours_where_they_meet() -> None:
    for y in range(-3, 4):
        row = [corners_of(*tile_of(x, y)) for x in range(-8, 9)]
        above = [corners_of(*tile_of(x, y + 1)) for x in range(-8, 9)]
        for (_, ne, _, se), (nw, _, sw, _) in pairwise(row):
            assert (ne, se) == (nw, sw)
        for (north_west, north_east, *_), (*_, south_west, south_east) in zip(row, above, strict=True):
            assert (north_west, north_east) == (south_west, south_east)


def test_all_tiles_are_used_about_as_often_and_a_number_makes_another_arrangement() -> None:
    tiles = [tile_of(x, y) for x in range(40) for y in range(40)]
    counts = [tiles.count((row, column)) for row in range(4) for column in range(4)]
    assert min(counts) > 60  # 100 each, if chance were fair
    assert [corner_colour(x, 0) for x in range(32)] != [corner_colour(x, 0, 5.0) for x in range(32)]


@pytest.fixture
def atlas(tmp_path: Path) -> Path:
    """Noise, so that every tile is known by its pixels."""
    pixels = np.random.default_rng(1).integers(0, 256, (4 * TILE, 4 * TILE, 3), np.uint8)
    path = tmp_path / "atlas.tif"
    with open_image(path, width=4 * TILE, height=4 * TILE, channels=3, depth=8) as file:
        file.write_rows(pixels.data)
    return path


def tile(atlas: Path, x: int, y: int) -> np.ndarray:
    row, column = tile_of(x, y)
    pixels = np.asarray(Image.open(atlas))
    return pixels[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]


def test_a_plane_is_baked_cell_by_cell_and_y_runs_up(atlas: Path, tmp_path: Path) -> None:
    job = BakeJob(name="floor", folder=str(tmp_path), plane=Plane(columns=3, rows=2), maps={"basecolor": str(atlas)})
    (path,) = bake(job)
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (2 * TILE, 3 * TILE, 3)
    for x in range(3):
        for y in range(2):
            cell = pixels[(1 - y) * TILE : (2 - y) * TILE, x * TILE : (x + 1) * TILE]
            assert np.array_equal(cell, tile(atlas, x, y)), (x, y)


def test_udim_squares_are_the_same_plane(atlas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = {"basecolor": str(atlas)}
    (whole,) = bake(BakeJob(name="one", folder=str(tmp_path), plane=Plane(columns=4, rows=4), maps=maps))
    squares = BakeJob(name="four", folder=str(tmp_path), plane=Plane(columns=4, rows=4, per_square=2), maps=maps)
    assert run(job_text(squares)) == 0
    told = [line.removeprefix("file: ") for line in capsys.readouterr().out.splitlines() if line.startswith("file: ")]
    assert [Path(each).name for each in told] == [f"four_basecolor.{number}.png" for number in (1001, 1002, 1011, 1012)]
    one, two, three, four = (np.asarray(Image.open(each)) for each in told)
    joined = np.concatenate([np.concatenate([three, four], 1), np.concatenate([one, two], 1)])
    assert np.array_equal(joined, np.asarray(Image.open(whole)))


def test_what_cannot_be_baked_is_said(atlas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotBaked, match="multiples of 3"):
        Plane(columns=4, rows=3, per_square=3)
    with pytest.raises(NotBaked, match="at most 10 squares"):
        Plane(columns=22, rows=2, per_square=2)
    text = json.loads(
        job_text(BakeJob(name="a", folder=str(tmp_path), plane=Plane(columns=9000, rows=1), maps={"x": str(atlas)}))
    )
    assert run(json.dumps(text)) == 1
    assert "65536 are the most" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["atlas.tif"]
