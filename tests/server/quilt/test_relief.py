"""Normals fit the height, also where patches of different heights are blended."""

import torch

from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL
from server.model.torus import Size, Window
from server.network.texture import texture, window_bytes
from server.quilt.quilt import Quilt
from server.quilt.relief import Relief, relief_of
from tests.server.quilt.swatches import bytes_of, pebbles
from trainer.judge.map_measures import relief_angle
from trainer.quilt.learning import unpriced

SIDE = 160
PIXELS_HIGH = 12  # a height of 1
MAPS = (BASE_COLOUR, NORMAL, HEIGHT)


def hilly_quilt() -> Quilt:
    """Pebbles on a slope with hills, so that most patches do not fit their neighbours' heights."""
    colour, top = pebbles(SIDE, SIDE)
    y, x = torch.meshgrid(torch.arange(SIDE) / SIDE, torch.arange(SIDE) / SIDE, indexing="ij")
    height = 0.15 * top + 0.5 * y[None] + 0.1 * torch.sin(9 * x + 4 * y)[None] + 0.1
    wide = torch.nn.functional.pad(height[None], (1, 1, 1, 1), mode="replicate")[0]
    right, down = (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) / 2, (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) / 2
    normal = torch.cat([-PIXELS_HIGH * right, PIXELS_HIGH * down, torch.ones_like(height)])
    normal = torch.nn.functional.normalize(normal, dim=0) / 2 + 0.5
    sixteen = (height * 65535).round().int().to(torch.uint16)
    return unpriced([bytes_of(colour), bytes_of(normal), sixteen], MAPS, (False, False), None)


def test_normals_fit_the_blended_height_nearly_as_in_the_swatch() -> None:
    quilt = hilly_quilt()
    fitting = relief_angle(texture(quilt, 2, (256, 256)), MAPS, PIXELS_HIGH)
    quilt._relief = (None,)
    alone = relief_angle(texture(quilt, 2, (256, 256)), MAPS, PIXELS_HIGH)
    assert fitting < 0.5 * alone
    assert fitting < 1  # degree; pixels of 8 bits round it by about a third


def test_how_high_a_height_is_comes_from_the_normals() -> None:
    quilt = hilly_quilt()
    assert quilt.relief is not None
    assert abs(quilt.relief.steepness * 65535 / 2**24 / PIXELS_HIGH - 1) < 0.02


def test_normals_that_do_not_go_with_the_height_stay_as_they_are() -> None:
    quilt = hilly_quilt()
    upside_down = [*quilt.small[:2], (65535 - quilt.small[2].int()).to(torch.uint16)]
    assert relief_of(MAPS, upside_down) is None
    assert relief_of(MAPS[:2], quilt.small[:2]) is None


def test_slopes_are_of_the_height_that_blending_adds() -> None:
    rise = torch.full((2, 2, 3), 4096.0)
    found = Relief(height=0, steepness=2**12).slopes(
        rise, rise / 2, (torch.full((2,), 8 << 12), torch.full((3,), 4 << 12))
    )
    assert torch.equal(found[:, 0, 0], torch.tensor([512.0, 256.0]))  # 2048 counts of 2^-12 pixels, over 4 and 8 pixels


def test_windows_of_a_blended_relief_are_cut_from_one_texture() -> None:
    quilt, size = hilly_quilt(), Size(211, 230)
    whole = window_bytes(quilt, 5, size, size.whole, (8, 8, 16))[1]
    part = window_bytes(quilt, 5, size, Window(-30, 200, 70, 60), (8, 8, 16))[1]
    rows, columns = torch.arange(-30, 40) % 211, torch.arange(200, 260) % 230
    assert torch.equal(part, whole[rows][:, columns])
