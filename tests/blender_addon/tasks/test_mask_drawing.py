"""Facts about masks that a mesh gives: what is drawn into the UV square, and layers over each other."""

import numpy as np
import pytest

from blender_addon.tasks.mask_drawing import Mask, drawn, layered, ramp

SQUARE = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]  # two triangles, the whole UV square


def array_of(mask: Mask) -> np.ndarray:
    return np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)


def test_values_at_corners_are_interpolated_and_v_runs_up() -> None:
    height, width = 40, 24
    found = array_of(drawn(height, width, SQUARE, [0, 0, 1, 0, 1, 1]))  # as high as v
    wanted = 255 * (1 - (np.arange(height) + 0.5) / height)
    assert np.abs(found - wanted[:, None]).max() <= 1
    across = array_of(drawn(height, width, SQUARE, [0, 1, 1, 0, 1, 0]))
    assert np.abs(across - 255 * (np.arange(width) + 0.5) / width).max() <= 1


def test_an_island_has_a_margin_and_a_mesh_of_specks_covers_what_it_touches() -> None:
    island = [0.25, 0.25, 0.5, 0.25, 0.5, 0.5, 0.25, 0.25, 0.5, 0.5, 0.25, 0.5]
    assert (array_of(drawn(32, 32, island, [0.5] * 6)) == 128).all()
    half = [each * 0.5 for each in SQUARE]
    other = [each * 0.5 + (0.5 if number % 2 == 0 else 0) for number, each in enumerate(SQUARE)]
    found = array_of(drawn(32, 32, half + other, [0.0] * 6 + [1.0] * 6))
    assert (found[:, :16] == 0).all()
    assert (found[:, 16:] == 255).all()
    random = np.random.default_rng(0)
    specks = np.repeat(random.random((4000, 2)), 3, 0) + random.random((12000, 2)) * 1e-4
    values = np.repeat(specks[::3, 0] > 0.5, 3).astype(float)
    found = array_of(drawn(16, 16, specks.ravel().tolist(), values.tolist()))
    assert (found[:, :7] == 0).all()
    assert (found[:, 9:] == 255).all()


def test_nothing_is_drawn_outside_of_the_square_or_of_nothing() -> None:
    outside = [each + 3 for each in SQUARE]
    assert not any(drawn(8, 8, outside, [1.0] * 6).data)
    assert not any(drawn(8, 8, [], []).data)
    assert drawn(8, 8, [0.1] * 6, [1.0] * 3).data == bytes([255] * 64), "a triangle without area is a dot"


@pytest.mark.parametrize("invert", [False, True])
def test_a_ramp_is_grey_around_its_level_alone(invert: bool) -> None:
    table = np.frombuffer(ramp(0.6, 0.2, invert=invert), np.uint8).astype(int)
    table = 255 - table if invert else table
    assert (table[: int(0.5 * 255)] == 0).all()
    assert (table[int(0.7 * 255) + 1 :] == 255).all()
    assert abs(table[round(0.6 * 255)] - 128) <= 4
    assert (np.diff(table) >= 0).all()


def test_a_layer_covers_those_below_it_and_shares_add_up() -> None:
    one, data = bytes([0, 255, 128, 0]), bytes([0, 0, 255, 255])
    samples, shape = layered([Mask(height=2, width=2, data=one), Mask(height=2, width=2, data=data)])
    assert shape == (2, 2, 3)
    shares = np.frombuffer(samples, np.uint8).reshape(4, 3)
    assert shares.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 255]]
    assert layered([Mask(height=2, width=2, data=one)]) == (one, (2, 2, 1))
    large = Mask(height=300, width=1024, data=bytes(300 * 1024))
    samples, shape = layered([Mask(height=2, width=2, data=one), large, Mask(height=2, width=2, data=data)])
    assert shape == (150, 512, 4)
    shares = np.frombuffer(samples, np.uint8).reshape(shape).astype(int)
    assert np.abs(shares.sum(2) - 255).max() <= 2
    assert shares[0, 0].tolist() == [255, 0, 0, 0]
    assert shares[-1, -1].tolist() == [0, 0, 0, 255]
