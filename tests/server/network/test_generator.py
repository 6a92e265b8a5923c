"""Facts about the generators: which dimensions make one, what each level takes, and where the waves join."""

from typing import Any

import pytest
import torch
from torch import nn

from server.model.architecture import MAX_LEVELS, MAX_WIDTH, PRESETS, Architecture
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, MAX_MAPS, Map
from server.model.torus import Size, Window
from server.network.generator import Block, Generator, Line, upsampled
from server.network.texture import paint_with_gradients
from tests.models import TINY

BRICKS = Lattice(basis=((1 / 54, 1 / 76), (-1 / 54, 1 / 76)), harmonics=((1, 0), (0, 1), (2, 0), (3, 3)), strength=1.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "u_net"}, "taper, pyramid"),
        ({"name": ""}, "taper, pyramid"),
        ({"widths": (), "noise": ()}, f"1 to {MAX_LEVELS} levels"),
        ({"widths": (8,) * (MAX_LEVELS + 1), "noise": (2,) * (MAX_LEVELS + 1)}, f"1 to {MAX_LEVELS} levels"),
        ({"noise": (2, 2)}, "each with a width and noise"),
        ({"widths": (8, 0, 8)}, f"1 to {MAX_WIDTH} channels"),
        ({"widths": (8, MAX_WIDTH + 1, 8)}, f"1 to {MAX_WIDTH} channels"),
        ({"noise": (2, 0, 2)}, "1 to 64 noise"),
        ({"widths": (99, 99, 99), "noise": (2, 65, 2)}, "1 to 64 noise"),
        ({"noise": (2, 2, 8)}, "wider than its noise"),
        ({"smooth": 3}, "fewer than all"),
        ({"smooth": -1}, "fewer than all"),
    ],
    ids=str,
)
def test_nonsense_is_no_architecture(changes: dict[str, Any], reason: str) -> None:
    sound: dict[str, Any] = {"name": "taper", "widths": (8, 8, 8), "noise": (2, 2, 2)}
    Architecture(**sound)
    with pytest.raises(ValueError, match=reason):
        Architecture(**{**sound, **changes})


def test_a_pyramid_may_have_as_many_noise_channels_as_others() -> None:
    assert Architecture(name="pyramid", widths=(3, 3), noise=(3, 5)).levels == 2


@pytest.mark.parametrize("name", ["taper", "pyramid"])
def test_both_architectures_are_there_by_name(name: str) -> None:
    assert PRESETS[name].name == name
    generator = Generator(PRESETS[name], (BASE_COLOUR,))
    assert len(generator.levels) == PRESETS[name].levels
    image = paint_with_gradients(generator, [0], Size(64, 64), Window(0, 0, 16, 24))
    assert image.shape == (1, 3, 16, 24)


def test_the_pyramid_has_the_71_thousand_parameters_of_the_paper() -> None:
    """5 levels of 8 channels; Ulyanov et al. 2016 and the published code, less the second normalisation at the join."""
    generator = Generator(PRESETS["pyramid"], (BASE_COLOUR,), normalisation=nn.BatchNorm2d)
    assert [level.channels for level in generator.levels] == [8, 16, 24, 32, 40]
    assert sum(parameter.numel() for parameter in generator.parameters()) == pytest.approx(71_000, rel=0.02)


def test_the_taper_is_wide_where_cells_are_few() -> None:
    widths = PRESETS["taper"].widths
    assert list(widths) == sorted(widths, reverse=True)
    assert widths[0] >= 4 * widths[-1]


@pytest.mark.parametrize("lattice", [None, BRICKS], ids=["plain", "bricks"])
@pytest.mark.parametrize("name", ["taper", "pyramid"])
def test_margins_are_what_the_convolutions_take_away(name: str, lattice: Lattice | None) -> None:
    """Each 3x3 takes a cell on every side: two for a taper's level, four for the noise of a pyramid's that joins."""
    generator = Generator(TINY[name], (BASE_COLOUR,), lattice)
    for index, level in enumerate(generator.levels):
        own_margin, margin = generator.margins(index)
        assert (own_margin, margin) == {"taper": (2, 2), "pyramid": (4, 2) if index else (2, 0)}[name]
        own_channels = generator.architecture.noise[index] + 2 * len(generator.harmonics[index])
        own = torch.zeros(1, own_channels, 6 + 2 * own_margin, 5 + 2 * own_margin)
        coarser = None
        if index:
            coarser = torch.zeros(1, generator.levels[index - 1].channels, 6 + 2 * margin, 5 + 2 * margin)
        assert level(own, coarser).shape == (1, level.channels, 6, 5)


def test_waves_join_where_a_cycle_spans_three_cells_and_never_at_the_pixels() -> None:
    """The bricks' waves are 44 px long, their harmonics 22 and 13 px (upright joints: 6 cycles in 76 px)."""
    generator = Generator(PRESETS["taper"], (BASE_COLOUR,), BRICKS)
    # cells of 32, 16, 8, 4, 2 and 1 px
    assert [len(harmonics) for harmonics in generator.harmonics] == [0, 0, 2, 4, 4, 0]
    assert Generator(PRESETS["taper"], (BASE_COLOUR,)).harmonics == [[]] * 6


def test_waves_add_inputs_and_nothing_else() -> None:
    plain = Generator(PRESETS["taper"], (BASE_COLOUR,))
    waves = Generator(PRESETS["taper"], (BASE_COLOUR,), BRICKS)
    for index, (without, with_waves) in enumerate(zip(plain.levels, waves.levels, strict=True)):
        first, second = without.blocks[0].conv, with_waves.blocks[0].conv
        assert second.in_channels - first.in_channels == 2 * len(waves.harmonics[index])
        assert second.out_channels == first.out_channels
        assert with_waves.channels == without.channels


@pytest.mark.parametrize("normalised", [False, True])
def test_every_convolution_is_normalised_in_training_and_has_a_bias_instead_when_frozen(normalised: bool) -> None:
    generator = Generator(PRESETS["pyramid"], (BASE_COLOUR,), normalisation=nn.BatchNorm2d if normalised else None)
    blocks = [module for module in generator.modules() if isinstance(module, Block)]
    assert len(blocks) == 3 + 4 * 6
    for block in blocks:
        assert isinstance(block.norm, nn.BatchNorm2d) == normalised
        assert (block.conv.bias is None) == normalised
    assert generator.paint.bias is not None


@pytest.mark.parametrize("name", ["taper", "pyramid"])
def test_every_weight_reaches_the_pixels(name: str) -> None:
    generator = Generator(TINY[name], (BASE_COLOUR,), BRICKS)
    paint_with_gradients(generator, [1, 2], Size(96, 80), Window(-5, 3, 40, 40)).square().sum().backward()
    for parameter in generator.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("count", [0, MAX_MAPS + 1])
def test_a_generator_paints_at_least_one_map_and_not_too_many(count: int) -> None:
    maps = [Map(name=f"map{index}", channels=1, colour_space="linear") for index in range(count)]
    with pytest.raises(ValueError, match=f"1 to {MAX_MAPS} maps"):
        Generator(TINY["taper"], maps)


def test_maps_of_the_same_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different names"):
        Generator(TINY["taper"], (BASE_COLOUR, BASE_COLOUR))


@pytest.mark.parametrize(
    ("name", "channels", "colour_space", "reason"),
    [
        ("", 3, "srgb", "lower-case"),
        ("Base", 3, "srgb", "lower-case"),
        ("../up", 3, "srgb", "lower-case"),
        ("m" * 33, 3, "srgb", "lower-case"),
        ("height", 2, "linear", "1 or 3 channels"),
        ("height", 1, "xyz", "srgb, linear"),
    ],
)
def test_nonsense_is_no_map(name: str, channels: int, colour_space: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Map(name=name, channels=channels, colour_space=colour_space)


def test_interpolation_passes_from_middle_to_middle_of_coarser_cells() -> None:
    coarser = torch.tensor([[0.0, 4.0], [8.0, 16.0]])[None, None]
    rows, columns = Line(torch.tensor([0, 0]), torch.tensor([0.25, 0.75])), Line(torch.tensor([0]), torch.tensor([0.5]))
    assert upsampled(coarser, rows, columns)[0, 0].tolist() == [[4.5], [9.5]]
    nearest = Line(torch.tensor([0, 1, 1]))
    assert upsampled(coarser, nearest, nearest)[0, 0].tolist() == [[0, 4, 4], [8, 16, 16], [8, 16, 16]]
