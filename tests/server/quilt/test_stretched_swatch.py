"""The stretched swatch of a regular material is the same whether it is made in one piece or block by block."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from server.model.fitting import UNIT, Stretch, fitted, reduced_stretch, stretched_settings
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR
from server.model.torus import Size, Window
from server.network.texture import texture_bytes, window_bytes
from server.quilt.quilt import Quilt, reduced
from server.quilt.stretch import stretched
from server.quilt.stretched_swatch import BLOCK, StretchedSwatch
from tests.server.quilt.swatches import brick_quilt, bytes_of
from trainer.quilt.learning import unpriced

STRETCH = Stretch((17_000_000, -40_000), (90_000, 16_500_000), (3 << UNIT, 5 << UNIT), 420, 610)


def swatch() -> list[torch.Tensor]:
    """Waves of about 25 pixels: a colour, and a height of 16 bits."""
    y, x = torch.meshgrid(torch.arange(440), torch.arange(640), indexing="ij")
    waves = torch.stack([torch.sin(0.2 * x + 0.15 * y), torch.sin(0.25 * y), torch.cos(0.3 * x - 0.1 * y)]) / 2 + 0.5
    return [bytes_of(waves), (waves[:1] * 65535).round().int().to(torch.uint16)]


def large_bricks() -> Quilt:
    """Running bond of 1600 x 1800 pixels, which is planned at half its size."""
    small = brick_quilt()
    colour = small.pixels[0].repeat(1, 3, 3).repeat_interleave(3, 1).repeat_interleave(3, 2)[:, :1600, :1800]
    assert small.lattice is not None
    (a, b), (c, d) = small.lattice.basis
    basis = (a / 3, b / 3), (c / 3, d / 3)
    lattice = Lattice(basis=basis, harmonics=small.lattice.harmonics, strength=small.lattice.strength)
    return unpriced([colour.contiguous()], (BASE_COLOUR,), (False, False), lattice)


def test_a_part_is_cut_from_the_stretched_swatch() -> None:
    maps = swatch()
    whole = stretched(maps, STRETCH, range(STRETCH.height), range(STRETCH.width))
    parts = StretchedSwatch(maps, STRETCH)
    for rows, columns in ((range(BLOCK - 9, BLOCK + 30), range(200, 530)), (range(3, 9), range(BLOCK, BLOCK + 1))):
        for number, each in enumerate(whole):
            part = parts.part(number, rows, columns)
            assert torch.equal(part.int(), each[:, rows.start : rows.stop, columns.start : columns.stop].int())


def test_beyond_a_swatch_that_tiles_lies_the_swatch_again() -> None:
    maps, (height, width) = swatch(), (440, 640)
    wide = [each.repeat(1, 3, 3) if each.dtype == torch.uint8 else sixteen(each.int().repeat(1, 3, 3)) for each in maps]
    for down, across in ((17_000_000, -40_000), (90_000, 16_500_000)), ((17_000_000, 0), (0, 16_500_000)):
        ours = Stretch(down, across, (3 << UNIT, 5 << UNIT), 700, 900, (True, True))
        same = dataclasses.replace(ours, first=(ours.first[0] + (height << UNIT), ours.first[1] + (width << UNIT)))
        rows, columns = range(20, 680), range(30, 880)
        found = stretched(maps, ours, rows, columns)
        wanted = stretched(wide, dataclasses.replace(same, wraps=(False, False)), rows, columns)
        assert all(torch.equal(a.int(), b.int()) for a, b in zip(found, wanted, strict=True))


def test_a_stretched_swatch_that_tiles_is_shown_evenly() -> None:
    """Without its wrap some of it lies in few places, or in none."""
    size = Size(830, 950)
    tiling, ending = brick_quilt(wraps=(True, True)), brick_quilt()
    counts = []
    for quilt in (tiling, ending):
        assert quilt.fitted(size)[1] is not None
        sources = quilt.sources(4, size, size.whole).flatten(0, 1)
        inside = sources[((sources >= 0) & (sources < torch.tensor([192, 216]))).all(1)]
        counts.append(torch.bincount(inside[:, 0] * 216 + inside[:, 1], minlength=192 * 216).double())
        if quilt is tiling:
            assert len(inside) == len(sources)
    seen = [float(each.square().sum() / each.sum() / each.mean()) for each in counts]
    never = [float((each == 0).double().mean()) for each in counts]
    assert never[0] < 0.03 < never[1]
    assert seen[0] < 1.2 < seen[1]


def test_a_lattice_that_does_not_close_on_its_swatch_does_not_go_on_over_the_border() -> None:
    """Its bricks would be cut at the border, though what they are made of goes on."""
    quilt = brick_quilt(wraps=(True, True))
    assert quilt.lattice is not None
    (a, b), (c, d) = quilt.lattice.basis
    lattice = dataclasses.replace(quilt.lattice, basis=((a * 1.01, b), (c * 1.01, d)))
    found = fitted(lattice, Size(333, 512), quilt.settings)
    assert found is not None
    stretch = found[0]
    assert stretch.wraps == (False, True)
    assert stretch.height < 200
    assert stretch.width > 216


def test_a_long_swatch_of_which_a_patch_more_would_be_too_much_is_stretched_without_its_wrap() -> None:
    quilt = brick_quilt(wraps=(True, True))
    assert quilt.lattice is not None
    wide = dataclasses.replace(quilt.settings, width=216 * 18)
    found = fitted(quilt.lattice, Size(333, 512), wide)
    assert found is not None
    assert found[0].wraps == (True, False)
    assert stretched_settings(wide, found[0]) is not None


def sixteen(values: torch.Tensor) -> torch.Tensor:
    return values.to(torch.uint16)


def test_a_swatch_that_is_not_stretched_keeps_its_pixels() -> None:
    plain = Stretch((1 << UNIT, 0), (0, 1 << UNIT), (0, 0), 440, 640)
    for before, after in zip(swatch(), stretched(swatch(), plain, range(440), range(640)), strict=True):
        assert before.dtype == after.dtype
        assert torch.equal(before.int(), after.int())


def test_the_stretched_plan_fits_the_stretched_swatch() -> None:
    colour = swatch()[:1]
    fine = stretched(colour, STRETCH, range(420), range(608))
    plan = stretched(reduced(colour, 4), reduced_stretch(STRETCH, 4), range(105), range(152))
    wanted, found = reduced(fine, 4)[0].float(), plan[0].float()
    assert float((wanted - found).abs().mean()) < 3  # of 255
    assert float((wanted - found.roll(1, 2)).abs().mean()) > 20


@pytest.mark.parametrize(
    ("made", "size", "period"),
    [
        pytest.param(large_bricks, Size(700, 820), 96, id="large"),
        pytest.param(lambda: brick_quilt(wraps=(True, True)), Size(333, 512), 32, id="tiling"),
    ],
)
def test_every_window_is_cut_from_one_texture_of_whole_courses(
    made: Callable[[], Quilt], size: Size, period: int
) -> None:
    """`period`: the height of two courses of the swatch."""
    quilt = made()
    stretched_one, stretch = quilt.fitted(size)
    assert stretch is not None
    assert stretched_one is not quilt
    (whole,) = texture_bytes(quilt, 3, size, size.whole)
    quilt.forget()
    (part,) = window_bytes(quilt, 3, size, Window(-20, size.width - 30, 60, 70), (8,))
    rows = torch.arange(-20, 40) % size.height
    columns = torch.arange(size.width - 30, size.width + 40) % size.width
    assert torch.equal(part, whole[rows][:, columns])
    mortar = whole.float().mean(2).mean(1)
    spectrum = torch.fft.rfft(mortar - mortar.mean()).abs()
    assert int(spectrum.argmax()) == 2 * round(size.height / period)


def test_a_level_stretch_is_sampled_as_a_tilted_one_is() -> None:
    """Line by line in place of point by point. A tilt of 2^-24 pixels is none, but is not taken for level."""
    generator = torch.Generator().manual_seed(0)
    colour = torch.randint(0, 256, (3, 80, 90), dtype=torch.uint8, generator=generator)
    height = torch.randint(0, 65536, (1, 80, 90), dtype=torch.int32, generator=generator).to(torch.uint16)
    level = Stretch((round(0.96 * 2**UNIT), 0), (0, round(1.03 * 2**UNIT)), (0, 0), 80, 80)
    tilted = dataclasses.replace(level, across=(1, level.across[1]))
    lines, points = (stretched([colour, height], each, range(3, 75), range(70)) for each in (level, tilted))
    assert all(torch.equal(a.int(), b.int()) for a, b in zip(lines, points, strict=True))
    assert [each.dtype for each in lines] == [torch.uint8, torch.uint16]


def test_a_stretch_keeps_the_finest_detail() -> None:
    """Steps in noise of single pixels, stretched by 3 %: 0.875 of them. A cubic of four pixels kept 0.842."""
    noise = torch.randint(64, 192, (1, 200, 200), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    stretch = Stretch((round(0.97 * 2**UNIT), 0), (0, 1 << UNIT), (0, 0), 200, 200)
    own, stretched_ones = (
        float(each.float().diff(dim=1).square().mean().sqrt())
        for each in (noise, stretched([noise], stretch, range(200), range(200))[0])
    )
    assert stretched_ones > 0.86 * own
