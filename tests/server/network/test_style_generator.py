"""Facts about style generators: what they look at, what strength does, and that frozen ones are the same function."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from server.errors import BadRequest
from server.model.style_architecture import EPSILON, PRESETS, StyleArchitecture
from server.model.torus import Window
from server.network import style_generator
from server.network.devices import prepare
from server.network.style_generator import FrozenStyle, Statistics, StyleGenerator
from server.network.stylize import mirrored, noise_for
from tests.models import TINY_STYLES, tiny_style

CPU = torch.device("cpu")
every_architecture = pytest.mark.parametrize("architecture", sorted(TINY_STYLES))


def tiny(architecture: str = "residual") -> StyleGenerator:
    return tiny_style(architecture=architecture).style_generator()


def content_for(generator: StyleGenerator, height: int, width: int, batch: int = 1) -> Tensor:
    """Random pixels, halo included."""
    halo = 2 * generator.halo
    return torch.rand(batch, 3, height + halo, width + halo, generator=torch.Generator().manual_seed(5))


def noise_of(generator: StyleGenerator, height: int, width: int, batch: int = 1) -> list[Tensor]:
    return noise_for(generator, range(batch), Window(0, 0, height, width))


# -------------------------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_both_architectures_are_there_by_name(name: str) -> None:
    generator = StyleGenerator(PRESETS[name])
    side = 2 * generator.stride
    picture = generator(content_for(generator, side, 64), noise_of(generator, side, 64), torch.tensor([1.0]))
    assert picture.shape == (1, 3, side, 64)
    assert picture.dtype == torch.float32
    assert (generator.halo, generator.stride) == (PRESETS[name].halo, PRESETS[name].stride)


def test_the_default_is_small() -> None:
    assert sum(each.numel() for each in StyleGenerator(PRESETS["residual"]).parameters()) == 346_182


@every_architecture
def test_how_the_way_between_bends_leaves_both_ends_as_they_are(architecture: str) -> None:
    generator = tiny(architecture)
    content, noise = content_for(generator, 16, 16), noise_of(generator, 16, 16)

    def pictures() -> list[Tensor]:
        return [generator(content, noise, torch.tensor([strength])) for strength in (0.0, 1.0, 0.5)]

    before = pictures()
    with torch.no_grad():
        for name in generator.layers:
            generator.layer(name).norm.gain[2] += 0.7
            generator.layer(name).norm.bias[2] -= 0.4
    nothing, everything, between = (torch.equal(*pair) for pair in zip(before, pictures(), strict=True))
    assert nothing
    assert everything
    assert not between


@every_architecture
def test_sides_that_are_not_whole_cells_are_refused(architecture: str) -> None:
    generator = tiny(architecture)
    for height, width in ((7, 8), (8, 9), (0, 8)):
        with pytest.raises(ValueError, match=f"multiple of {generator.stride}"):
            generator(content_for(generator, height, width), noise_of(generator, 8, 8), torch.tensor([1.0]))


@pytest.mark.parametrize(
    "architecture",
    [
        *TINY_STYLES.values(),
        StyleArchitecture(name="residual", widths=(3,), blocks=1, noise=(1,)),
        StyleArchitecture(name="residual", widths=(3, 4), blocks=0, noise=(1,)),
        StyleArchitecture(name="pyramid", widths=(3, 2, 2, 2), blocks=0, noise=(1, 1, 1, 1)),
        StyleArchitecture(name="pyramid", widths=(3,), blocks=0, noise=(1,)),
    ],
    ids=str,
)
def test_a_cell_looks_beyond_itself_as_far_as_the_halo_and_no_farther(architecture: StyleArchitecture) -> None:
    """By gradients, where all weights are above zero, so that nothing is cut off and nothing cancels."""
    generator = StyleGenerator(architecture)
    for each in generator.parameters():
        torch.nn.init.uniform_(each, 0.01, 0.1)
    halo, stride = generator.halo, generator.stride
    side = 2 * halo + stride
    plain = Statistics(torch.cat((torch.zeros(architecture.normalised), torch.ones(architecture.normalised))))
    content = content_for(generator, side, side).requires_grad_()
    picture = generator(content, noise_of(generator, side, side), torch.tensor([1.0]), plain)
    picture[0, :, halo : halo + stride, halo : halo + stride].sum().backward()  # the coarsest cell in the middle
    assert content.grad is not None
    rows, columns = content.grad[0].abs().sum(0).nonzero().T - 2 * halo
    for places in (rows, columns):
        before, behind = -int(places.amin()), int(places.amax()) - stride + 1
        assert halo - stride < before <= halo
        assert halo - stride < behind <= halo


# ------------------------------------------------------------------------------------------------------------ strength


@every_architecture
def test_strength_0_begins_as_the_content_itself(architecture: str) -> None:
    generator = StyleGenerator(TINY_STYLES[architecture])
    content = content_for(generator, 24, 32)
    noise = noise_of(generator, 24, 32)
    halo = generator.halo
    picture = generator(content, noise, torch.tensor([0.0]))
    torch.testing.assert_close(picture, content[:, :, halo:-halo, halo:-halo])
    other = generator(1 - content, noise, torch.tensor([1.0]))
    assert (picture - other).abs().mean() > 0.1


@every_architecture
def test_every_sample_has_its_own_strength_and_its_own_statistics(architecture: str) -> None:
    generator = tiny(architecture)
    content, noise = content_for(generator, 16, 24, 3), noise_of(generator, 16, 24, 3)
    content[1] *= 0.2
    strength = torch.tensor([0.1, 0.9, 0.5])
    together = generator(content, noise, strength)
    for index in range(3):
        alone = generator(
            content[index : index + 1], [each[index : index + 1] for each in noise], strength[index : index + 1]
        )
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=1e-4)


@every_architecture
def test_every_weight_is_learned(architecture: str) -> None:
    generator = StyleGenerator(TINY_STYLES[architecture])
    generator(
        content_for(generator, 32, 32, 2), noise_of(generator, 32, 32, 2), torch.tensor([0.3, 1.0])
    ).square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().sum() > 0, name


# ---------------------------------------------------------------------------------------------------------- statistics


@pytest.mark.parametrize("area", [(24, 32), (21, 30), (1, 1)], ids=str)
def test_statistics_are_of_the_pictures_own_cells(area: tuple[int, int]) -> None:
    """The first layer's, against the same sums written plainly; and a halo of other pixels changes nothing but rims."""
    generator = tiny()
    content, noise = content_for(generator, 24, 32), noise_of(generator, 24, 32)
    halo, width = generator.halo, generator.architecture.widths[0]
    inputs = torch.cat(((content - 0.5) * 4, noise[0]), 1)
    inputs = inputs[:, :, halo - 1 : halo + area[0] + 1, halo - 1 : halo + area[1] + 1]
    features = F.conv2d(inputs, generator.layer("enter").conv.weight)
    assert features.shape[2:] == area
    found = generator.measured(content, noise, 0.4, area).values
    means, deviations = found.chunk(2)
    torch.testing.assert_close(means[:width], features.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    variance = features.var((0, 2, 3), correction=0)
    torch.testing.assert_close(deviations[:width], (variance + EPSILON).sqrt(), rtol=1e-4, atol=1e-5)
    far = content.clone()
    far[:, :, : halo - 1] = 9.0
    again = generator.measured(far, noise, 0.4, area).values
    assert torch.equal(again[:width], found[:width])


@every_architecture
def test_what_is_measured_and_given_back_paints_the_same(architecture: str) -> None:
    generator = tiny(architecture)
    content, noise = content_for(generator, 24, 32), noise_of(generator, 24, 32)
    for strength in (0.0, 0.35, 1.0):
        s = torch.tensor([strength])
        alone = generator(content, noise, s, area=(21, 30))
        measured = generator.measured(content, noise, strength, (21, 30))
        torch.testing.assert_close(generator(content, noise, s, measured), alone, rtol=0, atol=1e-4)
        frozen = generator.frozen(measured, strength)(content, noise)
        torch.testing.assert_close(frozen, alone, rtol=0, atol=1e-4)
        other = generator.frozen(measured, 1 - strength if strength != 0.35 else 0.9)(content, noise)
        assert (other - frozen).abs().max() > 1e-2


@every_architecture
def test_statistics_come_back_from_their_bytes(architecture: str) -> None:
    generator = tiny(architecture)
    found = generator.measured(content_for(generator, 8, 8), noise_of(generator, 8, 8), 0.5)
    data = found.to_bytes()
    assert len(data) == generator.architecture.statistics_bytes
    assert torch.equal(Statistics.from_bytes(data, generator.architecture).values, found.values)


def test_statistics_of_another_network_are_refused() -> None:
    one, other = tiny("residual"), tiny("pyramid")
    found = one.measured(content_for(one, 8, 8), noise_of(one, 8, 8), 0.5)
    with pytest.raises(BadRequest, match=r"^statistics: .* anew"):
        other.frozen(found, 0.5)
    with pytest.raises(BadRequest, match=r"^statistics: .* anew"):
        Statistics.from_bytes(found.to_bytes(), other.architecture)
    with pytest.raises(BadRequest, match=r"^statistics: .* anew"):
        Statistics.from_bytes(found.to_bytes()[:-4] + b"\0\0\xc0\x7f", one.architecture)  # NaN


@every_architecture
def test_a_plain_picture_has_statistics_and_a_picture(architecture: str) -> None:
    generator = tiny(architecture)
    content = torch.full_like(content_for(generator, 8, 8), 0.25)
    silent = [torch.zeros_like(each) for each in noise_of(generator, 8, 8)]
    found = generator.measured(content, silent, 1.0)
    Statistics.from_bytes(found.to_bytes(), generator.architecture)
    assert generator.frozen(found, 1.0)(content, silent).isfinite().all()


@pytest.mark.parametrize("value", [3e38, -3e38, 1e20])
def test_weights_that_no_training_gives_still_give_statistics_that_are_taken(value: float) -> None:
    generator = tiny()
    generator.layer("down1").conv.weight[:] = value
    found = generator.measured(content_for(generator, 8, 8), noise_of(generator, 8, 8), 1.0)
    Statistics.from_bytes(found.to_bytes(), generator.architecture)


# ------------------------------------------------------------------------------------------------ the same in less time


def test_four_kernels_are_one_over_the_doubled_picture() -> None:
    x, weight = torch.rand(2, 5, 7, 9), torch.rand(3, 5, 3, 3)
    doubled = F.interpolate(x, scale_factor=2, mode="bilinear")
    expected = F.conv2d(doubled, weight)[:, :, 1:-1, 1:-1]  # at its rim the doubling knows no neighbour
    found = style_generator._side_by_side(F.conv2d(x, style_generator._four_kernels(weight)))
    torch.testing.assert_close(found, expected)
    assert torch.equal(style_generator._doubled(x), F.interpolate(x, scale_factor=2))


@every_architecture
def test_content_in_either_memory_format_gives_the_same(architecture: str) -> None:
    generator = tiny(architecture)
    content, noise = content_for(generator, 8, 8), noise_of(generator, 8, 8)
    s = torch.tensor([0.7])
    planar = generator(content.contiguous(), [each.contiguous() for each in noise], s)
    last = generator(content.contiguous(memory_format=torch.channels_last), noise, s)
    torch.testing.assert_close(planar, last, rtol=0, atol=1e-4)


@every_architecture
def test_fast_is_a_little_off_and_preparing_leaves_the_model_as_it_was(architecture: str) -> None:
    generator = tiny(architecture)
    before = copy.deepcopy(generator.state_dict())
    content, noise = content_for(generator, 48, 64), noise_of(generator, 48, 64)
    pictures = {}
    for precision in ("exact", "fast"):
        prepared = prepare(generator, CPU, precision)  # type: ignore[arg-type]
        assert {each.dtype for each in prepared.parameters()} == {torch.float32}
        frozen = prepared.frozen(prepared.measured(content, noise, 1.0), 1.0)
        assert isinstance(frozen, FrozenStyle)
        pictures[precision] = frozen(content, noise)
        assert pictures[precision].dtype == torch.float32
    exact = generator(content, noise, torch.tensor([1.0]))
    torch.testing.assert_close(pictures["exact"], exact, rtol=0, atol=1e-4)
    off = (pictures["fast"] - exact).abs()
    assert 0 < off.mean() < 0.02
    assert math.isfinite(float(off.max()))
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    assert not generator.fast


@every_architecture
def test_training_in_bfloat16_gives_about_the_same_gradients(architecture: str) -> None:
    gradients = []
    for lower in (False, True):
        generator = tiny(architecture).requires_grad_()
        content, noise = content_for(generator, 32, 32, 2), noise_of(generator, 32, 32, 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            picture = generator(content, noise, torch.tensor([0.4, 1.0]))
        assert picture.dtype == torch.float32
        (picture - 0.5).square().sum().backward()
        gradients.append(torch.cat([each.grad.flatten() for each in generator.parameters() if each.grad is not None]))
    assert F.cosine_similarity(*gradients, dim=0) > 0.98


def test_a_trained_crop_is_the_picture_that_goes_on_beyond_it_as_its_mirror_image() -> None:
    """`mirrored` makes what training and measuring hand over: no side is told apart by its border."""
    content = torch.rand(2, 3, 20, 24)
    wide = mirrored(content, 40)
    assert wide.shape == (2, 3, 100, 104)
    assert torch.equal(wide[:, :, 40:60, 40:64], content)
    assert torch.equal(wide[:, :, :40], wide[:, :, 40:80].flip(2))
    assert mirrored(content[:, :, :, :21], 4, 8).shape == (2, 3, 32, 32)
