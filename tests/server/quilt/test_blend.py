"""Facts about blends: the mask decides, borders run where they show least, and any window shows the same bytes."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, common_maps
from server.model.torus import Size, Window
from server.quilt.blend import Blend, BlendSettings
from server.quilt.min_cut import cheap_labels, cheapest_labels
from server.quilt.quilt import Quilt
from server.quilt.rectangles import rectangles
from tests.server.quilt.swatches import brick_quilt, colour_quilt, set_quilt


def waves(channels: int) -> Tensor:
    """A mask of soft stripes that tiles; with more channels each has its own."""
    y, x = torch.meshgrid(torch.arange(60) / 60, torch.arange(40) / 40, indexing="ij")
    one = torch.sin(2 * torch.pi * (x + y)) * torch.cos(2 * torch.pi * y)
    other = torch.cos(2 * torch.pi * (2 * x - y))
    shares = torch.stack([one, other, -one][:channels], -1)
    return (128 + 120 * shares).round().to(torch.uint8)


def blend_of(quilts: list[Quilt], mask: Tensor, size: Size, **settings: float) -> Blend:
    """A fresh one, which has cut nothing yet."""
    fresh = [each.on(torch.device("cpu")) for each in quilts]
    return Blend(fresh, common_maps([each.maps for each in quilts]), mask, BlendSettings(**settings), 3, size)


@pytest.mark.parametrize(
    ("size", "softness", "count"),
    [(Size(301, 260), 0.2, 2), (Size(290, 300), 0.0, 3), (Size(130, 77), 0.7, 3), (Size(17, 40), 0.2, 2)],
    ids=str,
)
def test_any_window_of_a_blend_shows_the_same_bytes(size: Size, softness: float, count: int) -> None:
    quilts = [set_quilt(), colour_quilt(), brick_quilt()][:count]
    mask = waves(1 if count == 2 else 3)
    (whole,) = blend_of(quilts, mask, size, softness=softness).samples(size.whole, [8])
    assert len(whole.unique()) > 50
    for top, left, height, width in ((-3, size.width - 8, 16, 16), (size.height - 9, 5, size.height, 3)):
        window = Window(top, left, height, width)
        (part,) = blend_of(quilts, mask, size, softness=softness).samples(window, [8])
        rows, columns = torch.arange(top, top + height) % size.height, torch.arange(left, left + width) % size.width
        assert torch.equal(part, whole[rows][:, columns])


def test_where_the_mask_is_decided_each_material_is_what_it_is_alone() -> None:
    size = Size(256, 256)
    mask = torch.zeros(64, 64, 1, dtype=torch.uint8)
    mask[:, 32:] = 255
    quilts = [set_quilt(), set_quilt(96, 160)]
    maps = common_maps([each.maps for each in quilts])
    depths = [each.depth for each in maps]
    mixed = blend_of(quilts, mask, size, reach=0.25).samples(size.whole, depths)
    for quilt, columns in ((quilts[0], slice(32, 96)), (quilts[1], slice(160, 224))):
        alone = quilt.samples(3, size, size.whole, depths)
        for one, other in zip(mixed, alone, strict=True):
            assert torch.equal(one[:, columns].to(torch.int32), other[:, columns].to(torch.int32))


def test_normals_keep_their_length_across_a_border() -> None:
    size = Size(128, 128)
    quilts = [set_quilt(), set_quilt(96, 160)]
    maps = common_maps([each.maps for each in quilts])
    number = [each.name for each in maps].index(NORMAL.name)
    mixed = blend_of(quilts, waves(1), size, softness=1.0).samples(size.whole, [8] * len(maps))
    vectors = mixed[number].double() / 127.5 - 1
    assert (vectors.norm(dim=2) - 1).abs().max() < 0.02


def border(labels: Tensor) -> Tensor:
    return (labels != labels.roll(1, 0)) | (labels != labels.roll(1, 1))


def test_borders_run_where_the_materials_differ_least() -> None:
    """Less than a threshold of the mask does; and not far from the mask."""
    size = Size(480, 480)
    quilts = [brick_quilt(), colour_quilt()]
    y = torch.arange(480)[:, None].expand(480, 480)
    ramp = (128 + 127 * torch.sin(2 * torch.pi * y / 480)).round().to(torch.uint8)[..., None]
    one, other = (each.samples(3, size, size.whole, [8])[0].double() for each in quilts)
    apart = (one - other).abs().sum(2)
    blend = blend_of(quilts, ramp, size)
    cells = blend.labels(range(blend.rows), range(blend.columns))
    labels = cells.repeat_interleave(480 // blend.rows, 0).repeat_interleave(480 // blend.columns, 1)
    plain = (ramp[..., 0] > 127).long()
    assert apart[border(labels)].mean() < 0.93 * apart[border(plain)].mean()
    assert ((labels == 1) == (plain == 1))[(ramp[..., 0] < 15) | (ramp[..., 0] > 240)].all()


def test_the_higher_material_is_preferred_as_much_as_is_asked_for() -> None:
    size = Size(256, 256)
    quilts = [set_quilt(), set_quilt(96, 160)]
    ranks = [each.samples(3, size, size.whole, [16] * 4)[3].to(torch.int32)[..., 0] for each in quilts]
    grey = torch.full((8, 8, 1), 128, dtype=torch.uint8)  # undecided everywhere

    def share_of_higher(heights: float) -> float:
        blend = blend_of(quilts, grey, size, heights=heights)
        cells = blend.labels(range(blend.rows), range(blend.columns))
        labels = cells.repeat_interleave(256 // blend.rows, 0).repeat_interleave(256 // blend.columns, 1)
        return float(((ranks[1] > ranks[0]) == (labels == 1)).double().mean())

    assert share_of_higher(1.0) > share_of_higher(0.0) + 0.06


def test_a_cut_is_the_cheapest_and_has_the_most_of_label_1() -> None:
    """Against all labels of small grids."""
    random = np.random.default_rng(1)
    for _ in range(6):
        leaning = random.integers(-3, 4, (3, 4)) * 24
        costs = random.integers(0, 3, (3, 4)) * 24
        undecided = np.ones((3, 4), bool)
        undecided[0, 0] = undecided[2, 3] = False
        found = cheapest_labels(leaning, undecided, costs)
        best = (10**9, 0)
        for labels in itertools.product((0, 1), repeat=12):
            grid = np.array(labels).reshape(3, 4)
            if ((grid > 0) != (leaning > 0))[~undecided].any():
                continue
            best = min(best, (price(grid, leaning, costs), -int(grid.sum())))
        assert (price(found.astype(int), leaning, costs), -int(found.sum())) == best


def test_a_cut_from_coarse_to_fine_costs_little_more() -> None:
    random = np.random.default_rng(2)
    costs = random.integers(1, 400, (12, 15)).repeat(4, 0).repeat(4, 1)
    leaning = np.tile(np.linspace(-120, 120, 60).round().astype(np.int64), (48, 1))
    undecided = abs(leaning) < 100
    best, found = (cut(leaning, undecided, costs) for cut in (cheapest_labels, cheap_labels))
    assert np.array_equal(found[~undecided], best[~undecided])
    prices = [price(each.astype(int), leaning, costs) for each in (best, found, leaning > 0)]
    assert prices[1] - prices[0] < 0.2 * (prices[2] - prices[0])


def test_a_few_rectangles_cover_all_that_is_wanted_and_little_else() -> None:
    wanted = np.zeros((512, 500), bool)
    wanted[:40, 10:490] = wanted[:, 440:490] = wanted[300, 3] = True
    found = rectangles(wanted)
    painted = np.zeros_like(wanted)
    for each in found:
        painted[each] = True
    assert painted[wanted].all()
    assert len(found) <= 3
    assert painted.sum() < 1.3 * wanted.sum()
    assert rectangles(np.zeros((3, 4), bool)) == []


def price(labels: np.ndarray, leaning: np.ndarray, costs: np.ndarray) -> int:
    """Of a labelling of a grid, by its definition."""
    total = int(np.where(labels == 1, np.maximum(-leaning, 0), np.maximum(leaning, 0)).sum())
    rows, columns = labels.shape
    for row, column in np.ndindex(rows, columns):
        for down, right, share in ((0, 1, 10), (1, 0, 10), (1, 1, 7), (1, -1, 7)):
            other = row + down, column + right
            if other[0] < rows and 0 <= other[1] < columns and labels[row, column] != labels[other]:
                total += int(costs[row, column] + costs[other]) * share // 48
    return total


def test_maps_in_common_are_in_the_order_of_the_first() -> None:
    assert common_maps([(BASE_COLOUR, NORMAL, HEIGHT), (HEIGHT, BASE_COLOUR)]) == (BASE_COLOUR, HEIGHT)
