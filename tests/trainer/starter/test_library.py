"""The drawn materials of the starter library: they tile, are the same each time, and their maps tell of one surface."""

import functools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from server.model.maps import HEIGHT, NORMAL
from server.model.starter import STARTER, UnknownStarter, chosen
from trainer.starter import library
from trainer.starter.library import DRAWN_BY, recipe_of
from trainer.starter.surface import Drawn
from trainer.swatch.relief import slopes

SIDE = 320
each_material = pytest.mark.parametrize("name", [each.name for each in STARTER])


@functools.cache
def drawn(name: str) -> Drawn:
    return library.draw(*chosen([name]), side=SIDE)


def floats(pixels: NDArray[np.generic]) -> torch.Tensor:
    """(1, channels, H, W) in [0, 1]."""
    values = torch.from_numpy(pixels.astype(np.float32) / np.iinfo(pixels.dtype).max)
    return (values if values.ndim == 3 else values[..., None]).permute(2, 0, 1)[None]


def test_every_material_of_the_list_is_drawn_and_no_other() -> None:
    assert [each.name for each in STARTER] == list(DRAWN_BY)


@each_material
def test_it_tiles_down_and_across(name: str) -> None:
    """The step over the border is none of the largest, and the lines on both sides of it are as alike as others are."""
    for pixels in drawn(name).maps.values():
        for along in (1, 2):
            lines = floats(pixels)[0].movedim(along, 0)
            steps = (lines.roll(-1, 0) - lines).abs().mean((1, 2))
            assert float(steps[-1]) <= 1.1 * float(steps[:-1].max())
            shape = torch.nn.functional.normalize(lines.flatten(1) - lines.flatten(1).mean(1, keepdim=True), dim=1)
            alike = (shape.roll(-1, 0) * shape).sum(1)
            assert float(alike[-1]) >= float(alike[:-1].min()) - 0.05


@each_material
def test_it_is_the_same_each_time(name: str) -> None:
    again = library.draw(*chosen([name]), side=SIDE)
    assert all(np.array_equal(again.maps[each], pixels) for each, pixels in drawn(name).maps.items())


@each_material
def test_normals_are_the_slopes_of_the_height(name: str) -> None:
    material = drawn(name)
    pixels = torch.cat([floats(material.maps[NORMAL.name]), floats(material.maps[HEIGHT.name])], 1)
    told, found = slopes(pixels, (NORMAL, HEIGHT), wraps=True)
    found = found * material.relief / (material.metres / SIDE)
    gentle = found.abs().amax(1, keepdim=True) < 3  # steeper ones have a z of few steps of 1/255
    difference = (told - found).abs()[gentle.expand_as(told)]
    assert float(gentle.float().mean()) > 0.8  # stones have steep sides
    assert float(difference.mean()) < 0.02
    assert float((told * found).sum() / (told.norm() * found.norm())) > 0.98


@each_material
def test_colours_are_those_of_real_materials(name: str) -> None:
    """Nothing but soot is darker than 0.02 of the light, nothing but fresh lime brighter than 0.85; little is pure."""
    maps = drawn(name).maps
    colour = floats(maps["basecolor"])[0]
    light = torch.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    assert float(light.min()) > 0.015
    assert float(light.max()) < 0.87
    assert 0.03 < float(light.mean()) < 0.75
    assert float(floats(maps["roughness"]).min()) > 0.03
    assert float(floats(maps["ao"]).mean()) > 0.5
    assert int(maps["height"].min()) == 0
    assert int(maps["height"].max()) == 65535


def test_another_side_or_material_is_another_recipe() -> None:
    first = STARTER[0]
    assert recipe_of(first) == recipe_of(first)
    assert recipe_of(first) != recipe_of(first, 512)
    assert len({recipe_of(each) for each in STARTER}) == len(STARTER)


def test_a_name_that_is_not_in_the_library_is_refused() -> None:
    with pytest.raises(UnknownStarter, match=r"no 'brick'\. It has: bricks"):
        chosen(["brick"])
