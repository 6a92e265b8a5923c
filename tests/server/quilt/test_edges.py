"""Facts about tiles with common edges: equal to the byte along them, different inside, the same from any window."""

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor

from blender_addon.protocol.edges import ACROSS, PLACES, Edges, corners_of
from server.errors import BadRequest
from server.model.grid import common_band
from server.model.torus import Size, Window
from server.network.texture import texture, texture_bytes
from server.quilt.quilt import Quilt
from tests.models import tiny_generator
from tests.server.quilt.swatches import brick_quilt, colour_quilt, large_quilt, set_quilt, stones_quilt

WANG = Edges(0, 2)
TILE = Size(80, 90)
ATLAS = Size(ACROSS * TILE.height, ACROSS * TILE.width)


def painted(quilt: Quilt, size: Size, edges: Edges, window: Window | None = None, seed: int = 3) -> list[Tensor]:
    """All maps, painted at once on a quilt that has planned nothing yet, int32."""
    fresh = quilt.on(torch.device("cpu"))
    maps = fresh.samples(seed, size, window or size.whole, quilt.depths, edges)
    return [each.to(torch.int32) for each in maps]


@cache
def atlas() -> list[Tensor]:
    return painted(colour_quilt(), ATLAS, WANG)


def band_of(quilt: Quilt, size: Size, edges: Edges) -> list[int]:
    """Pixels at either side of an edge, down and across, that must be equal."""
    fitted = quilt._for_tile(size, edges)[0]
    return [common_band(axis, fitted.settings) for axis in fitted.plan(3, size, edges).axes]


def around(middle: int, reach: int, side: int) -> Tensor:
    return torch.arange(middle - reach, middle + reach) % side


def edges_in(atlas: Tensor, tile: Size, band: list[int]) -> Iterator[tuple[tuple[str, int, int], Tensor]]:
    """The band of each tile's upper and left edge, with what it must depend on alone."""
    height, width = atlas.shape[:2]
    for row in range(height // tile.height):
        for column in range(width // tile.width):
            corner, right, below, _ = corners_of(row, column)
            top, left = row * tile.height, column * tile.width
            rows = torch.arange(top, top + tile.height)
            columns = torch.arange(left, left + tile.width)
            yield ("level", corner, right), atlas[around(top, band[0], height)][:, columns]
            yield ("upright", corner, below), atlas[rows][:, around(left, band[1], width)]


def check_set(maps: list[Tensor], tile: Size, band: list[int]) -> None:
    assert min(band) >= 1
    for one in maps:
        seen: dict[tuple[str, int, int], Tensor] = {}
        for kind, part in edges_in(one, tile, band):
            assert torch.equal(part, seen.setdefault(kind, part)), kind
        assert len(seen) == 8
        assert not torch.equal(seen["level", 0, 0], seen["level", 1, 1])
        tiles = one.view(ACROSS, tile.height, ACROSS, tile.width, -1).permute(0, 2, 1, 3, 4).flatten(0, 1)
        for number, each in enumerate(tiles):
            for other in tiles[:number]:
                assert (each != other).any(-1).float().mean() > 0.2


def test_edges_of_the_same_colours_are_equal_to_the_byte_and_all_tiles_differ() -> None:
    check_set(atlas(), TILE, band_of(colour_quilt(), ATLAS, WANG))


def test_what_tiles_show_at_one_place_is_nearly_nothing_on_average() -> None:
    """Of appearances, over their mean square, four seeds. By chance it would be 1/16 inside, 1/4 on edges and 1/2 at
    corners.
    """
    inside, on_edges = zip(*map(left_on_average, range(4)), strict=True)
    assert sum(inside) < 4 * 0.02
    assert sum(on_edges) < 4 * 0.17


def left_on_average(seed: int) -> tuple[float, float]:
    """The share of the mean square that is left of patches inside and on edges, corners apart."""
    plan = colour_quilt().on(torch.device("cpu")).plan(seed, ATLAS, WANG)
    tables, (down, across) = plan.tables, plan.shape
    middles = plan.places(range(down), range(across)) + torch.tensor([axis.longest // 2 for axis in plan.axes])
    rows, columns = ((middles + tables.margin) // tables.steps[0]).unbind(-1)
    shown = tables.coarse[:, rows, columns].reshape(-1, ACROSS, down // ACROSS, ACROSS, across // ACROSS)
    mean, square = shown.mean((1, 3)).square().sum(0), shown.square().mean((1, 3)).sum(0)
    on_edges = (mean[0, 1:].sum() + mean[1:, 0].sum()) / (square[0, 1:].sum() + square[1:, 0].sum())
    return float(mean[1:, 1:].sum() / square[1:, 1:].sum()), float(on_edges)


def test_nothing_rare_lies_on_the_edges() -> None:
    """Else the eye finds the same white stone in half of the tiles. Three stones in grey sand."""
    quilt = stones_quilt()
    picture = painted(quilt, ATLAS, WANG)[0][..., 0] > 150
    tiles = picture.view(ACROSS, TILE.height, ACROSS, TILE.width).permute(0, 2, 1, 3).flatten(0, 1).float()
    assert tiles.mean() > 0.003  # they are there
    reach = min(band_of(quilt, ATLAS, WANG))
    rows, columns = around(0, reach, TILE.height), around(0, reach, TILE.width)
    assert max(tiles[:, rows].mean(), tiles[:, :, columns].mean()) < 0.2 * tiles.mean()


def test_tiles_of_a_regular_material_hold_whole_periods_and_have_equal_edges() -> None:
    quilt, tile = brick_quilt(), Size(160, 180)
    size = Size(ACROSS * tile.height, ACROSS * tile.width)
    check_set(painted(quilt, size, WANG), tile, band_of(quilt, size, WANG))
    assert quilt._for_tile(size, WANG)[1] is not None


def test_variants_share_their_edges_with_every_map_and_differ_inside() -> None:
    size, quilt = Size(120, 130), set_quilt()
    band = band_of(quilt, size, Edges(0))
    variants = [painted(quilt, size, Edges(k)) for k in range(3)]
    for maps in zip(*variants, strict=True):
        first, *others = maps
        for other in others:
            for kind, part in edges_in(other, size, band):
                assert torch.equal(part, dict(edges_in(first, size, band))[kind])
            assert (first != other).any(-1).float().mean() > 0.2
    kin = quilt.on(torch.device("cpu"))  # plans the edges once for both
    for k in (2, 1):
        again = kin.samples(3, size, size.whole, quilt.depths, Edges(k))
        assert all(torch.equal(a.to(torch.int32), b) for a, b in zip(again, variants[k], strict=True))


@pytest.mark.parametrize("edges", [Edges(2), WANG], ids=["variant", "wang"])
def test_windows_over_edges_and_wraps_are_equal_to_the_byte(edges: Edges) -> None:
    size = ATLAS if edges.wang else TILE
    quilt = colour_quilt() if edges.wang else set_quilt()
    whole = atlas() if edges.wang else painted(quilt, size, edges)
    for top, left, height, width in ((size.height - 9, size.width - 5, 24, 40), (-3, 2 * size.width + 80, 50, 21)):
        part = painted(quilt, size, edges, Window(top, left, height, width))
        rows, columns = torch.arange(top, top + height) % size.height, torch.arange(left, left + width) % size.width
        for some, all_of_it in zip(part, whole, strict=True):
            assert torch.equal(some, all_of_it[rows][:, columns])


def steps(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Mean differences of neighbouring columns, wrapped, and of rows."""
    picture = picture.float()
    across = (picture - picture.roll(1, 1)).abs().mean((0, 2))
    down = (picture - picture.roll(1, 0)).abs().mean((1, 2))
    return across, down


def test_no_join_of_tiles_stands_out() -> None:
    """In a plane that lays tiles as no atlas does."""
    tiles = atlas()[0].view(ACROSS, TILE.height, ACROSS, TILE.width, -1).permute(0, 2, 1, 3, 4)
    corners = torch.rand(6, 6, generator=torch.Generator().manual_seed(1)) > 0.5
    plane = []
    for row in range(6):
        line = []
        for column in range(6):
            colours = [int(corners[(row + i) % 6, (column + j) % 6]) for i in (0, 1) for j in (0, 1)]
            number = sum(colour << place for place, colour in enumerate(colours))
            line.append(tiles[PLACES[number]])
        plane.append(torch.cat(line, 1))
    for differences, side in zip(steps(torch.cat(plane, 0)), (TILE.width, TILE.height), strict=True):
        inside = differences[torch.arange(len(differences)) % side != 0]
        assert differences[::side].max() <= 1.05 * inside.quantile(0.95)


def test_a_swatch_larger_than_its_plan_has_a_wider_band() -> None:
    quilt, size = large_quilt(1540), Size(1024, 1024)
    (band, _) = band_of(quilt, size, Edges(0))
    assert band >= quilt.settings.cell // 2 * quilt.settings.factor
    strips = [painted(quilt, size, Edges(k), Window(300, -band, 40, 2 * band + 1))[0] for k in (0, 1)]
    assert torch.equal(strips[0][:, :-1], strips[1][:, :-1])


def test_the_plain_texture_is_none_of_the_variants_and_tiles_are_cut_from_one_painting() -> None:
    quilt, size = set_quilt(), Size(120, 120)
    plain, variant = (texture(quilt, 5, size, variant=each) for each in (None, 0))
    assert not torch.equal(plain, variant)
    again = texture_bytes(quilt, 5, size, Window(60, 60, 120, 120), edges=Edges(0))[0]
    expected = (variant[0, :3].roll((-60, -60), (1, 2)) * 255).round().to(torch.uint8)
    assert torch.equal(again, expected.permute(1, 2, 0))


def test_what_cannot_have_common_edges_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadRequest, match=r"network.*train it as a quilt"):
        texture(tiny_generator(), 0, (64, 64), variant=0)
    with pytest.raises(BadRequest, match="at least 80 pixels"):
        texture(set_quilt(), 0, (40, 400), variant=0)
    with pytest.raises(BadRequest, match="multiple of 4"):
        texture(set_quilt(), 0, (402, 400), wang=2)
    with pytest.raises(BadRequest, match="variant: it is -1"):
        texture(set_quilt(), 0, (400, 400), variant=-1)
    with pytest.raises(BadRequest, match=r"126x124 pixels does not hold whole periods.*one of 133x131 does"):
        texture(brick_quilt(), 0, (4 * 124, 4 * 126), wang=2)
