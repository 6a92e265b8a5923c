"""Channels taken out of rows of RGBA, against numpy."""

import numpy as np
import pytest

from blender_addon.pictures.channels import Taking, take

KINDS = {"uint8": "u1", "uint16": "<u2"}


@pytest.fixture(params=KINDS)
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rows(dtype: str) -> np.ndarray:
    return np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (5, 7, 4)).astype(KINDS[dtype])


def taken(pixels: np.ndarray, dtype: str, taking: Taking) -> np.ndarray:
    data = take(pixels.tobytes(), dtype, taking)
    return np.frombuffer(data, KINDS[dtype]).reshape(*pixels.shape[:2], taking.channels)


def test_colours_lose_their_alpha(dtype: str) -> None:
    pixels = rows(dtype)
    np.testing.assert_array_equal(taken(pixels, dtype, Taking(map="basecolor")), pixels[..., :3])


@pytest.mark.parametrize("channel", range(4))
def test_a_map_is_one_channel_and_may_be_inverted(dtype: str, channel: int) -> None:
    pixels = rows(dtype)
    wanted = pixels[..., channel : channel + 1]
    np.testing.assert_array_equal(taken(pixels, dtype, Taking(map="roughness", channel=channel)), wanted)
    turned = taken(pixels, dtype, Taking(map="roughness", channel=channel, inverted=True))
    np.testing.assert_array_equal(turned, np.iinfo(dtype).max - wanted)


def test_y_of_normals_is_turned_up(dtype: str) -> None:
    pixels = rows(dtype)
    wanted = pixels[..., :3].copy()
    wanted[..., 1] = np.iinfo(dtype).max - wanted[..., 1]
    np.testing.assert_array_equal(taken(pixels, dtype, Taking(map="normal", down=True)), wanted)


def test_the_curve_of_srgb_is_taken_off(dtype: str) -> None:
    pixels, most = rows(dtype), np.iinfo(dtype).max
    value = pixels[..., 1:2] / most
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    found = taken(pixels, dtype, Taking(map="roughness", linear=True))
    np.testing.assert_allclose(found, light * most, atol=0.51)
