"""Facts about courses that are no lattice: patches keep them in step."""

import dataclasses
import math
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.header import BrokenModel
from server.model.maps import BASE_COLOUR
from server.model.torus import Size, Window
from server.network.model_file import read_model
from server.quilt.phases import CYCLE
from server.quilt.quilt import Quilt
from tests import drawn
from tests.models import save_quilt
from trainer.quilt.learning import unpriced
from trainer.swatch.courses import find_courses
from trainer.swatch.periods import find_lattice, softened

HIGH = 384 / 28
SIZE = Size(500, 512)


@cache
def slates() -> Quilt:
    """Courses of 14 pixels, a fifth more or less: no lattice, and less than two search cells."""
    pixels = drawn.slates(high=HIGH, seed=2)
    assert find_lattice(pixels) is None
    assert find_courses(pixels) is None
    return unpriced([(pixels[0] * 255).round().to(torch.uint8)], (BASE_COLOUR,), (False, False), None)


def without(quilt: Quilt) -> Quilt:
    """The same, as of before there were phases."""
    other = quilt.on(torch.device("cpu"))
    other.settings, other.phases = dataclasses.replace(quilt.settings, waves=()), None
    return other


def coherence(quilt: Quilt, seed: int) -> float:
    """How well courses beside each other are in step, from 0 to 1: the length of the mean of unit vectors of their
    phases along each row of the torus, the mean over rows.
    """
    wave = quilt.settings.waves[0][0] if quilt.settings.waves else 1 / HIGH
    [shown] = quilt.samples(seed, SIZE, SIZE.whole, (8,))
    grey = shown.double().mean(2)
    turns = wave * torch.arange(SIZE.height).double()[:, None]
    turned = (grey - grey.mean()) * torch.exp(-2j * math.pi * turns)
    around = torch.complex(*(softened(part[None, None], 24)[0, 0] for part in (turned.real, turned.imag)))
    return float((around / around.abs()).mean(1).abs().mean())


def test_courses_are_found_by_their_period() -> None:
    [wave] = slates().settings.waves
    assert wave[0] == pytest.approx(1 / HIGH, rel=0.03)
    assert wave[1] == 0


@pytest.mark.parametrize("material", [drawn.gravel, drawn.blobs, drawn.clouds])
def test_what_has_no_courses_has_no_waves(material) -> None:  # type: ignore[no-untyped-def]
    pixels = (material()[0] * 255).round().to(torch.uint8)
    quilt = unpriced([pixels], (BASE_COLOUR,), (False, False), None)
    assert quilt.settings.waves == ()
    assert quilt.phases is None


def test_courses_are_in_step_along_every_row() -> None:
    quilt = slates()
    found = [coherence(quilt, seed) for seed in range(4)]
    before = [coherence(without(quilt), seed) for seed in range(4)]
    assert sum(found) > sum(before) + 4 * 0.1


def test_phases_of_a_large_swatch_are_those_of_the_same_reduced() -> None:
    """They are measured at a reduced size there. A phase more in common makes no difference."""
    pixels = F.interpolate(drawn.slates(high=HIGH, seed=2), scale_factor=3, mode="bicubic").clamp(0, 1)
    large = unpriced([(pixels[0] * 255).round().to(torch.uint8)], (BASE_COLOUR,), (False, False), None)
    [wave], [own] = large.settings.waves, slates().settings.waves
    assert large.settings.factor == 1
    assert wave[0] == pytest.approx(own[0] / 3, rel=0.02)
    assert large.phases is not None
    assert slates().phases is not None
    half, small_half = (each.settings.pitch // 2 + each.settings.overlap for each in (large, slates()))
    apart = []
    for y in slates().settings.usually_searched(0)[4:-4]:
        place = torch.tensor([[[y, 32]]])
        wanted = phases_at(slates(), place) + CYCLE * own[0] * small_half
        found = phases_at(large, 3 * (place + small_half) - half) + CYCLE * wave[0] * half
        apart.append(float(found - wanted))
    turns = torch.exp(2j * math.pi * torch.tensor(apart, dtype=torch.float64) / CYCLE)
    assert float(turns.mean().abs()) > 0.95


def test_a_drawn_place_is_moved_by_half_a_course_at_most_to_the_phase_of_its_row() -> None:
    quilt, unmoved = slates(), without(slates())
    for seed in range(3):
        plan, other = (each.plan(seed, SIZE) for each in (quilt, unmoved))
        rows, columns = (range(0, count, 2) for count in plan.shape)  # of those that are drawn
        moved = plan.places(range(plan.shape[0]), range(plan.shape[1]))[rows.start :: 2, columns.start :: 2]
        drawn_there = other.places(range(plan.shape[0]), range(plan.shape[1]))[rows.start :: 2, columns.start :: 2]
        apart = (moved - drawn_there).abs()
        assert int(apart[..., 1].max()) == 0
        assert int(apart[..., 0].max()) <= math.ceil(HIGH)  # half a course, a whole one at the swatch's border
        assert float((apart[..., 0] <= HIGH / 2 + 2).float().mean()) > 0.8
        assert spread(phases_at(quilt, moved)) < CYCLE / 16


def phases_at(quilt: Quilt, places: Tensor) -> Tensor:
    """Of patches (rows, columns, 2), in steps."""
    assert quilt.phases is not None
    settings = quilt.settings
    low = settings.usually_searched(0).start, settings.usually_searched(1).start
    plan = (places - torch.tensor(low)).double()
    at = (plan / settings.step).floor().long()
    at = torch.minimum(at, torch.tensor(quilt.phases.shape[1:]) - 1)
    rest = plan[..., 0] - at[..., 0] * settings.step
    return quilt.phases[0][at[..., 0], at[..., 1]] + CYCLE * rest * settings.waves[0][0]


def spread(phases: Tensor) -> float:
    """The largest difference of phases in a row, in steps."""
    apart = (phases - phases[:, :1] + CYCLE / 2) % CYCLE - CYCLE / 2
    return float(apart.abs().max())


def test_windows_and_blocks_are_equal_to_the_byte() -> None:
    size = Size(2300, 300)  # more than a block of patches
    quilt = slates()
    [whole] = quilt.samples(3, size, size.whole, (8,))
    [part] = quilt.on(torch.device("cpu")).samples(3, size, Window(2290, 295, 60, 20), (8,))
    rows, columns = torch.arange(2290, 2350) % 2300, torch.arange(295, 315) % 300
    assert torch.equal(part, whole[rows][:, columns])


def test_a_model_file_keeps_them(tmp_path: Path) -> None:
    quilt = slates()
    path = save_quilt(tmp_path, quilt, "slates")
    again = read_model(path).generator
    assert isinstance(again, Quilt)
    assert again.settings == quilt.settings
    assert again.phases is not None
    assert quilt.phases is not None
    assert torch.equal(again.phases, quilt.phases)
    assert b'"waves"' not in save_quilt(tmp_path, without(quilt), "plain").read_bytes()


@pytest.mark.parametrize(
    ("wave", "match"), [(b"0.90", "at least two pixels"), (b"0.00", "at least two pixels"), (b"true", "a wave")]
)
def test_waves_that_no_quilt_has_are_refused(tmp_path: Path, wave: bytes, match: str) -> None:
    path = save_quilt(tmp_path, slates(), "slates")
    data = path.read_bytes()
    at = data.index(b'\\"waves\\":[[') + len(b'\\"waves\\":[[')
    stop = data.index(b",", at)
    path.write_bytes(data[:at] + wave.ljust(stop - at) + data[stop:])
    with pytest.raises(BrokenModel, match=match):
        read_model(path)
