"""Facts about windows put together from tiles: byte for byte what the texture itself gives."""

from collections.abc import Sequence
from itertools import product

import pytest

from server.front.assembly import Assembly
from server.model.maps import BASE_COLOUR, Depth, Map, depths_of
from server.model.torus import Size, Window
from server.network.generator import Generator
from server.network.texture import texture_bytes, tile_bytes
from tests.models import tiny_generator

MAPS = (BASE_COLOUR, Map(name="height", channels=1, colour_space="linear"))
DEPTHS: tuple[Depth | None, ...] = (8, 16, None)


def tile_planes(generator: Generator, size: Size, tile: Window, depths: Sequence[Depth]) -> tuple[memoryview, ...]:
    return tuple(part.numpy().data.cast("B") for part in tile_bytes(generator, 5, size, tile, depths))


@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((1000, 700), (900, 600, 300, 200)),  # across both wraps
        ((600, 600), (-20, -590, 600, 600)),
        ((512, 512), (0, 0, 512, 512)),  # one tile as it is
        ((512, 512), (1, 0, 512, 512)),  # all of it, and not as it is
        ((40, 1100), (3, 17, 40, 900)),
        ((16, 16), (5, 5, 3, 16)),
    ],
)
def test_a_window_put_together_is_the_window_painted(size: tuple[int, int], window: tuple[int, int, int, int]) -> None:
    generator = tiny_generator(2, maps=MAPS)
    torus, where = Size(*size), Window(*window)
    for wanted, depth in product(((0,), (1, 0)), DEPTHS):
        depths = depths_of(MAPS, depth)
        assembly = Assembly(torus, where, MAPS, wanted, depths)
        pixels = 0
        for tile in reversed(list(assembly.missing)):
            assert not assembly.complete
            planes = tile_planes(generator, torus, tile, depths)
            pixels += assembly.add(tile, planes)
            assert assembly.add(tile, planes) == 0  # the same again changes nothing
        assert assembly.complete
        assert pixels == window[2] * window[3]
        parts = texture_bytes(generator, 5, torus, where, depth)
        for plane, index in zip(assembly.planes(), wanted, strict=True):
            assert bytes(plane) == parts[index].numpy().tobytes(), (wanted, depth)


def test_a_tile_of_another_window_is_not_taken() -> None:
    assembly = Assembly(Size(2048, 2048), Window(0, 0, 100, 100), MAPS, (0,), (8, 16))
    assert assembly.add(Window(512, 512, 512, 512), ()) == 0
    assert not assembly.complete
