"""Facts about the loss that presses out the mark of the pixel grid."""

import pytest
import torch
from torch import Tensor

from server.model.torus import Axis, Size, Window
from tests import drawn
from trainer.loss.grid import GridLoss
from trainer.loss.losses import Place

WHOLE = Place(Size(96, 80), Window(0, 0, 96, 80), step=0)


def picture() -> Tensor:
    return drawn.gravel(96, 80, seed=3)


def raster(period: int, strength: float) -> Tensor:
    lines = torch.zeros(1, 1, 1, 80)
    lines[..., ::period] = strength
    return lines


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_faint_raster_of_lines_costs_more_than_the_picture_itself(period: int) -> None:
    clean = float(GridLoss(picture())(picture(), WHOLE))
    assert float(GridLoss(picture())(picture() + raster(period, 0.05), WHOLE)) > clean + 0.01
    assert float(GridLoss(picture())((picture() + raster(period, 0.05)).transpose(2, 3), turned(WHOLE))) > clean + 0.01


def turned(place: Place) -> Place:
    size, window = place.size, place.window
    return Place(
        Size(size.width, size.height), Window(window.left, window.top, window.width, window.height), place.step
    )


def test_every_second_column_sharper_is_a_mark() -> None:
    noise = torch.randn(1, 3, 96, 80, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.5
    gain = torch.ones(80)
    gain[::2] = 1.4
    assert float(GridLoss(0.5 + noise)(0.5 + noise * gain, WHOLE)) > 5 * float(
        GridLoss(0.5 + noise)(0.5 + noise, WHOLE)
    )


def test_lines_of_a_period_that_is_no_power_of_two_are_none() -> None:
    clean = float(GridLoss(picture())(picture(), WHOLE))
    assert float(GridLoss(picture())(picture() + raster(5, 0.05), WHOLE)) < clean + 0.005


def test_the_grid_is_found_where_the_torus_has_it() -> None:
    """At a size that two does not divide, cells are stretched: lines along them are a mark, straight ones are not."""
    size, window = Size(97, 151), Window(5, 40, 80, 90)
    axis = Axis(151, 8)
    begins = [axis.parent(7, cell) != axis.parent(7, cell - 1) for cell in range(40, 130)]
    clean = torch.randn(1, 3, 80, 90, generator=torch.Generator().manual_seed(0)) * 0.1
    marked = clean + 0.05 * torch.tensor(begins)
    place = Place(size, window, step=0)
    assert float(GridLoss(clean)(marked, place)) > float(GridLoss(clean)(clean, place)) + 0.01


def test_gradients_are_finite_even_for_one_flat_colour() -> None:
    flat = torch.full((1, 3, 96, 80), 0.5, requires_grad=True)
    GridLoss(flat.detach())(flat, WHOLE).backward()  # type: ignore[no-untyped-call]
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


def test_a_haze_of_noise_does_not_hide_a_mark() -> None:
    haze = torch.randn(1, 3, 96, 80, generator=torch.Generator().manual_seed(1)) * 0.2
    loss = GridLoss(picture())
    marked = float(loss(picture() + raster(2, 0.05), WHOLE))
    assert float(loss(picture() + raster(2, 0.05) + haze, WHOLE)) > 0.8 * marked
