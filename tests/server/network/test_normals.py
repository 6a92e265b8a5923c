"""Facts about normals: of unit length wherever they leave a generator, and nothing else is changed by that."""

import pytest
import torch

from server.model.maps import BASE_COLOUR, HEIGHT, MATERIAL, NORMAL, Map
from server.model.torus import Size, Window
from server.network.normals import finished
from server.network.texture import paint, texture, texture_bytes
from tests.models import tiny_generator

NORMALS = Map(name="normal", channels=3, colour_space="linear")
SIZE = Size(96, 130)
WHOLE = Window(0, 0, 96, 130)


def lengths(normals: torch.Tensor) -> torch.Tensor:
    """(…, 3, H, W) in [0, 1]."""
    return (2 * normals.double() - 1).square().sum(-3).sqrt()


def test_the_map_normal_has_unit_length_and_the_others_are_as_they_were() -> None:
    generator = tiny_generator(3, maps=MATERIAL)
    raw = paint(generator, [7], SIZE, WHOLE)
    image = texture(generator, 7, SIZE)
    assert (lengths(raw[:, 3:6]) - 1).abs().max() > 0.1
    assert (lengths(image[:, 3:6]) - 1).abs().max() < 1e-5
    others = [*range(3), *range(6, 10)]
    assert torch.equal(image[:, others], raw[:, others].clamp(0, 1))


def test_each_keeps_its_direction() -> None:
    generator = tiny_generator(3, maps=MATERIAL)
    raw = 2 * paint(generator, [7], SIZE, WHOLE)[:, 3:6] - 1
    unit = 2 * texture(generator, 7, SIZE)[:, 3:6] - 1
    far = raw.norm(dim=1) > 0.05
    assert far.float().mean() > 0.9
    assert (torch.cosine_similarity(raw, unit, dim=1)[far] > 0.9999).all()


@pytest.mark.parametrize("depth", [8, 16, None])
def test_samples_of_a_normal_are_of_unit_length_up_to_their_rounding(depth: int | None) -> None:
    generator = tiny_generator(3, maps=MATERIAL)
    samples = texture_bytes(generator, 7, SIZE, WHOLE, depth)[1]  # type: ignore[arg-type]
    most = 65535 if depth == 16 else 255
    rounding = 2 * 3**0.5 * 0.5 / most
    assert (lengths(samples.to(torch.float64).permute(2, 0, 1) / most) - 1).abs().max() < rounding * 1.01


@pytest.mark.parametrize("window", [Window(50, 600, 60, 300), Window(-7, -9, 40, 50), Window(511, 0, 2, 700)], ids=str)
def test_any_window_of_a_map_set_is_cut_from_the_same_texture(window: Window) -> None:
    generator = tiny_generator(3, maps=MATERIAL)
    size = (520, 700)
    whole = texture(generator, 7, size).roll((-window.top, -window.left), (2, 3))
    assert torch.equal(texture(generator, 7, size, window), whole[..., : window.height, : window.width])


def test_without_a_detail_of_their_own_the_normals_are_the_slope_of_the_height() -> None:
    """z = k h(x, y) has the normal (-k dh/dx, -k dh/dy, 1), rows going down and y up; on a torus, at its seam too."""
    generator = tiny_generator(3, maps=(BASE_COLOUR, NORMAL, HEIGHT))
    with torch.no_grad():
        generator.paint.weight[3:6], generator.paint.bias[3:6] = 0, torch.tensor([0.5, 0.5, 1.0])
        generator.get_buffer("steepness").fill_(4.0)
    image = texture(generator, 7, SIZE)[0]
    height = 4 * image[6]
    right = (height.roll(-1, 1) - height.roll(1, 1)) / 2
    down = (height.roll(-1, 0) - height.roll(1, 0)) / 2
    slope = torch.nn.functional.normalize(torch.stack([-right, down, torch.ones_like(right)]), dim=0)
    assert right.abs().max() > 0.1
    assert (2 * image[3:6] - 1 - slope).abs().max() < 1e-5


def test_the_detail_is_added_to_the_slope() -> None:
    generator = tiny_generator(3, maps=(BASE_COLOUR, NORMAL, HEIGHT))
    with torch.no_grad():
        generator.paint.weight[3:7], generator.paint.bias[3:7] = 0, torch.tensor([0.8, 0.5, 1.0, 0.3])
    normal = 2 * texture(generator, 7, SIZE)[0, 3:6] - 1  # a flat height, and a detail that leans to the right
    assert (normal[0] / normal[2] - 0.6).abs().max() < 1e-5


def test_a_normal_that_points_nowhere_points_straight_up() -> None:
    pixels = torch.full((1, 3, 2, 2), 0.5)
    pixels[0, :, 1, 1] = torch.tensor([0.5, 0.75, 0.5])
    found = finished(pixels, (NORMALS,))
    assert found[0, :, 0, 0].tolist() == [0.5, 0.5, 1.0]
    assert found[0, :, 1, 1].tolist() == [0.5, 1.0, 0.5]


def test_gradients_pass_also_where_a_normal_points_nowhere() -> None:
    pixels = torch.rand(2, 6, 8, 8, generator=torch.Generator().manual_seed(1))
    pixels[0, 3:, 0, 0] = 0.5
    pixels.requires_grad_()
    found = finished(pixels, (BASE_COLOUR, NORMALS))
    (found * torch.linspace(0, 1, 6)[:, None, None]).sum().backward()  # type: ignore[no-untyped-call]
    assert pixels.grad is not None
    assert pixels.grad.isfinite().all()
    assert torch.equal(pixels.grad[:, :3], torch.linspace(0, 1, 6)[:3, None, None].expand(2, 3, 8, 8))
    along = (pixels.grad[:, 3:] * (2 * pixels[:, 3:] - 1)).sum(1)  # a longer normal is the same normal
    assert along.abs().max() < 1e-4
    assert pixels.grad[:, 3:].abs().mean() > 0.01
    assert pixels.grad[0, 3:, 0, 0].abs().max() == 0


def test_without_normals_the_pixels_are_handed_back() -> None:
    pixels = torch.rand(1, 4, 2, 2)
    assert finished(pixels, (BASE_COLOUR, Map(name="normal_detail", channels=1, colour_space="linear"))) is pixels


def test_a_normal_map_has_three_channels() -> None:
    with pytest.raises(ValueError, match="3 channels"):
        Map(name="normal", channels=1, colour_space="linear")


def test_height_has_16_bits_and_the_others_8() -> None:
    assert {each.name: each.depth for each in MATERIAL} == {
        "basecolor": 8, "normal": 8, "roughness": 8, "metallic": 8, "ao": 8, "height": 16
    }  # fmt: skip
