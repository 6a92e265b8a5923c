"""Values between known ones are the same, whether they are looked up or computed all at once."""

import pytest
import torch

from server.quilt.between import between_cells, between_nodes


def known_values(side: int) -> torch.Tensor:
    return torch.randint(-4000, 4000, (2, side, side), generator=torch.Generator().manual_seed(3)).float()


@pytest.mark.parametrize("span", [4, 5, 18])
def test_even_nodes_and_uneven_ones_give_the_same_values(span: int) -> None:
    values, even = known_values(9), torch.arange(7, 8 * span + 8, span)
    uneven = torch.cat([even[:-1], even[-1:] + 1])  # the last is not looked at
    line = range(9, 7 * span + 5)
    for dimension in (1, 2):
        assert torch.equal(between_nodes(values, dimension, even, line), between_nodes(values, dimension, uneven, line))


def test_nodes_keep_their_own_values_and_the_rest_lies_on_lines() -> None:
    nodes = torch.tensor([0, 4, 8])
    found = between_nodes(torch.tensor([[[0.0, 40.0, 20.0]]]), 2, nodes, range(0, 8))
    assert found.tolist() == [[[0, 10, 20, 30, 40, 35, 30, 25]]]


@pytest.mark.parametrize("step", [1, 2, 4, 16])
def test_the_middles_of_cells_stand_half_a_cell_from_their_corners(step: int) -> None:
    cells = torch.arange(6.0).expand(1, 6, 6) * 2 * step
    rows, columns = range(step, 4 * step), range(step + step // 2, 5 * step - step // 2)
    found = between_cells(cells, rows, columns, step)
    assert found.shape == (1, len(rows), len(columns))
    wanted = torch.tensor([2 * column + 1 - step for column in columns]).float()
    assert torch.equal(found[0, 0], wanted)
    assert torch.equal(between_cells(cells.mT, columns, rows, step), found.mT)
