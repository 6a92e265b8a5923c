"""Hue and value are changed as Blender's node changes them: by the textbook's HSV on linear light."""

import colorsys

import numpy as np
import pytest

from blender_addon.pictures.recolour import recolouring

PIXELS = np.random.default_rng(4).integers(0, 256, (50, 40, 4), np.uint8)


def by_the_book(pixel: np.ndarray, hue: float, value: float) -> list[float]:
    """Red, green and blue in [0, 255], not rounded."""
    light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in pixel / 255]
    h, s, v = colorsys.rgb_to_hsv(*light)
    changed = [min(c, 1.0) for c in colorsys.hsv_to_rgb((h + hue) % 1, s, v * value)]
    return [255 * (c * 12.92 if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055) for c in changed]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("hue", "value"), [(0.1, 1.0), (-0.5, 0.4), (0.0, 1.7), (0.25, 10.0)])
def test_each_pixel_is_turned_and_brightened(hue: float, value: float, channels: int) -> None:
    pixels = np.ascontiguousarray(PIXELS[..., :channels])
    found = np.frombuffer(recolouring(hue, value)(pixels.tobytes(), channels), np.uint8).reshape(pixels.shape)
    expected = np.array([by_the_book(each[:3], hue, value) for each in pixels.reshape(-1, channels)])
    assert np.abs(found[..., :3].reshape(-1, 3) - expected).max() <= 0.51
    np.testing.assert_array_equal(found[..., 3:], pixels[..., 3:])


def test_grey_has_no_hue() -> None:
    grey = bytes(range(256))
    assert recolouring(0.3, 1.0)(grey, 1) == grey
    darker = recolouring(0.3, 0.5)(grey, 1)
    assert all(a <= b for a, b in zip(darker, grey, strict=True))
    assert darker[255] == 188  # half the light
