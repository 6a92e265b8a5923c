"""Facts about stylizing: any picture, no borders, no blocks, bounded memory, frames that change only where they do."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from server.errors import BadRequest
from server.model.torus import Window
from server.network import stylize as stylize_module
from server.network.style_generator import StyleGenerator
from server.network.stylize import freeze, measure, mirrored, noise_for, recoloured, stylize, stylized_bands, thumbnail
from tests.models import TINY_STYLES, tiny_style

SIZES = [(1, 1), (1, 300), (300, 1), (17, 300), (333, 250)]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)
every_architecture = pytest.mark.parametrize("architecture", sorted(TINY_STYLES))
EXACT = 1e-4  # of rounding in another order


def tiny(architecture: str = "residual") -> StyleGenerator:
    return tiny_style(architecture=architecture).style_generator()


def picture(height: int, width: int, channels: int = 3, *, dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    """Soft spots and a little grain, in the middle of the range."""
    random = torch.Generator().manual_seed(seed)
    spots = torch.rand(1, channels, 4, 5, generator=random)
    pixels = F.interpolate(spots, size=(height, width), mode="bilinear")[0].permute(1, 2, 0)
    pixels = (0.1 + 0.7 * pixels + 0.1 * torch.rand(height, width, channels, generator=random)).contiguous()
    largest = {torch.uint8: 255, torch.uint16: 65535}.get(dtype)
    return pixels.to(dtype) if largest is None else (pixels * largest).to(torch.int32).to(dtype)


# ---------------------------------------------------------------------------------------------------------- any picture


@every_architecture
@every_size
def test_a_picture_of_any_size_and_channels_is_stylized(size: tuple[int, int], architecture: str) -> None:
    generator = tiny(architecture)
    for channels, painted in ((1, 3), (3, 3), (4, 4)):
        result = stylize(generator, picture(*size, channels), 3, 1.0)
        assert result.shape == (*size, painted)
        assert result.dtype == torch.float32
        assert result.isfinite().all()
        assert 0 <= result.min() <= result.max() <= 1


def test_a_very_long_picture_is_stylized() -> None:
    result = stylize(tiny(), picture(1, 16384, dtype=torch.uint8), 3, 1.0)
    assert result.shape == (1, 16384, 3)
    assert result.float().std() > 1


def test_the_result_is_of_the_contents_type_and_depth() -> None:
    generator = tiny()
    content = picture(20, 30)
    exact = stylize(generator, content, 3, 0.6)
    known = measure(generator, content, 3, 0.6)
    for dtype, off in ((torch.uint8, 0.05), (torch.uint16, 1e-3)):
        largest = torch.iinfo(dtype).max
        whole = (content * largest + 0.5).to(torch.int32).to(dtype)
        result = stylize(generator, whole, 3, 0.6, statistics=known)
        assert result.dtype == dtype
        assert (result.double() / largest - exact).abs().max() < off
    for dtype in (torch.float16, torch.float64, torch.bfloat16):
        assert stylize(generator, content.to(dtype), 3, 0.6).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32], ids=str)
def test_alpha_is_kept_untouched_and_changes_no_colour(dtype: torch.dtype) -> None:
    generator = tiny()
    content = picture(70, 90, 4, dtype=dtype)
    result = stylize(generator, content, 3, 1.0, block=32)
    assert torch.equal(result[..., 3], content[..., 3])
    assert torch.equal(result[..., :3], stylize(generator, content[..., :3], 3, 1.0, block=32))
    part = stylize(generator, content, 3, 1.0, block=32, window=Window(20, 11, 40, 60))
    assert torch.equal(part[..., 3], content[20:60, 11:71, 3])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32], ids=str)
def test_grey_is_a_picture_of_three_equal_channels(dtype: torch.dtype) -> None:
    generator = tiny()
    grey = picture(40, 50, 1, dtype=dtype)
    result = stylize(generator, grey, 3, 1.0)
    assert torch.equal(result, stylize(generator, torch.cat([grey] * 3, 2), 3, 1.0))
    kept = stylize(generator, grey, 3, 1.0, keep_colours=True).double()
    assert (kept.amax(2) - kept.amin(2)).max() <= (1 if dtype != torch.float32 else 1e-6)


def test_floats_beyond_the_range_count_as_black_and_white() -> None:
    generator = tiny()
    content = picture(20, 30)
    wild = content.clone()
    for at, (value, counts_as) in enumerate(((np.nan, 0.0), (np.inf, 1.0), (-np.inf, 0.0), (7.5, 1.0), (-3.0, 0.0))):
        wild[4 * at : 4 * at + 2] = value
        content[4 * at : 4 * at + 2] = counts_as
    for keep in (False, True):
        expected = stylize(generator, content, 3, 1.0, keep_colours=keep)
        assert torch.equal(stylize(generator, wild, 3, 1.0, keep_colours=keep), expected)


@pytest.mark.parametrize("value", [3e38, -3e38])
def test_weights_that_no_training_gives_still_give_pixels(value: float) -> None:
    generator = tiny()
    generator.layer("down1").conv.weight[:] = value
    result = stylize(generator, picture(20, 30), 3, 1.0)
    assert 0 <= result.min() <= result.max() <= 1


# -------------------------------------------------------------------------------------------------- blocks and windows


@every_architecture
@every_size
def test_the_size_of_the_blocks_does_not_matter(size: tuple[int, int], architecture: str) -> None:
    generator = tiny(architecture)
    content = picture(*size)
    whole = stylize(generator, content, 3, 0.8, block=10**6)
    for block in (33, 64, 100):
        torch.testing.assert_close(stylize(generator, content, 3, 0.8, block=block), whole, rtol=0, atol=EXACT)
    whole_bytes = stylize(generator, (content * 255).to(torch.uint8), 3, 0.8).int()
    parts = stylize(generator, (content * 255).to(torch.uint8), 3, 0.8, block=64).int()
    assert (parts - whole_bytes).abs().max() <= 1


@every_architecture
@every_size
def test_any_window_is_that_part_of_the_whole(size: tuple[int, int], architecture: str) -> None:
    generator = tiny(architecture)
    content = picture(*size, dtype=torch.uint8)
    whole = stylize(generator, content, 3, 0.8, block=64)
    height, width = (side - side // 3 for side in size)
    for top, left in ((0, 0), (size[0] - height, size[1] - width), ((size[0] - height) // 2, 0)):
        part = stylize(generator, content, 3, 0.8, block=64, window=Window(top, left, height, width))
        assert torch.equal(part, whole[top : top + height, left : left + width])


def test_bands_are_the_picture_from_top_to_bottom() -> None:
    generator = tiny()
    content = picture(333, 250, dtype=torch.uint8)
    frozen = freeze(generator, measure(generator, content, 3, 0.8), 0.8)
    bands = list(stylized_bands(frozen, content, 3, block=64))
    assert len(bands) == 6
    assert {band.shape[1:] for band in bands} == {(250, 3)}
    assert max(len(band) for band in bands) <= 64
    assert torch.equal(torch.cat(bands), stylize(generator, content, 3, 0.8, block=64))


# ---------------------------------------------------------------------------------------------------------- no borders


@every_architecture
def test_a_picture_goes_on_beyond_its_edges_as_its_mirror_image(architecture: str) -> None:
    """So a picture with its own mirror images around it has the picture's pixels in the middle, to the very edge."""
    generator = tiny(architecture)
    content = picture(64, 48)
    known = measure(generator, content, 0, 1.0)
    alone = stylize(generator, content, 0, 1.0, noise=0, statistics=known)
    wide = mirrored(content.permute(2, 0, 1)[None], 32)[0].permute(1, 2, 0)
    among = stylize(generator, wide, 0, 1.0, noise=0, statistics=known)
    torch.testing.assert_close(among[32:-32, 32:-32], alone, rtol=0, atol=EXACT)


@every_architecture
def test_one_edge_knows_nothing_of_the_other(architecture: str) -> None:
    generator = tiny(architecture)
    content = picture(40, 160)
    known = measure(generator, content, 3, 1.0)
    other = content.clone()
    other[:, -1] = 1 - other[:, -1]
    one, two = (stylize(generator, each, 3, 1.0, statistics=known) for each in (content, other))
    assert (one - two)[:, -1].abs().max() > 0.01
    assert torch.equal(
        one[:, : 160 - generator.halo - generator.stride], two[:, : 160 - generator.halo - generator.stride]
    )


def test_an_edge_looks_like_the_middle() -> None:
    """A plain picture without noise is plain, to the very edge: zeros around it would give it a frame."""
    content = torch.full((50, 60, 3), 0.3)
    for architecture in TINY_STYLES:
        generator = tiny(architecture)
        known = measure(generator, picture(50, 60), 3, 1.0)
        result = stylize(generator, content, 3, 1.0, noise=0, statistics=known)
        assert (result - result[25, 30]).abs().max() < EXACT


# ------------------------------------------------------------------------------------ seed, strength, noise and colours


@every_architecture
def test_seed_and_strength_and_noise_change_the_pixels(architecture: str) -> None:
    generator = tiny(architecture)
    content = picture(60, 50)
    one = stylize(generator, content, 3, 1.0)
    assert torch.equal(stylize(generator, content, 3, 1.0), one)
    for other in (
        stylize(generator, content, 4, 1.0),
        stylize(generator, content, 2**64 - 1, 1.0),
        stylize(generator, content, 3, 0.5),
        stylize(generator, content, 3, 1.0, noise=2.0),
    ):
        assert (other - one).abs().mean() > 1e-4
    silent = stylize(generator, content, 3, 1.0, noise=0.0)
    assert torch.equal(stylize(generator, content, 4, 1.0, noise=0.0), silent)


def test_an_untrained_generator_gives_the_content_at_strength_0() -> None:
    content = picture(60, 50, 4, dtype=torch.uint8)
    for architecture in TINY_STYLES.values():
        assert torch.equal(stylize(StyleGenerator(architecture), content, 3, 0.0, block=32), content)


@every_architecture
def test_noise_is_fixed_to_the_screen(architecture: str) -> None:
    """Any window, of a picture of any size, has the noise of its place; levels and channels have their own."""
    generator = tiny(architecture)
    stride = generator.stride
    whole = noise_for(generator, [3], Window(0, 0, 64, 96))
    part = noise_for(generator, [3], Window(stride, 3 * stride, 32, 40))
    for cell, large, small in zip(generator.architecture.cells, whole, part, strict=True):
        top, left = stride // cell, 3 * stride // cell
        assert torch.equal(small, large[:, :, top : top + small.shape[2], left : left + small.shape[3]])
        assert abs(large.mean()) < 0.05
        assert abs(large.std() - 1) < 0.05
    assert not torch.equal(whole[0][:, 0], whole[0][:, 1])


def luminance(pixels: Tensor) -> Tensor:
    return pixels.double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_kept_colours_are_the_contents_and_light_and_dark_the_results(dtype: torch.dtype) -> None:
    generator = tiny()
    content = picture(60, 50, dtype=dtype)
    white = 255 if dtype == torch.uint8 else 1
    painted, kept = (stylize(generator, content, 3, 0.3, keep_colours=keep).double() / white for keep in (False, True))
    before = content.double() / white
    rounding = 1.1 / white if dtype == torch.uint8 else 1e-5
    assert (luminance(kept) - luminance(painted)).abs().max() < rounding
    chroma, wanted = (each - luminance(each)[..., None] for each in (kept, before))
    inside = ((luminance(painted)[..., None] + wanted - 0.5).abs() < 0.49).all(2)
    assert inside.double().mean() > 0.5
    assert (chroma - wanted)[inside].abs().max() < 1.5 * rounding
    assert (painted - kept).abs().max() > 0.05


def test_a_colour_that_is_nowhere_so_light_keeps_its_hue() -> None:
    red = torch.tensor([0.9, 0.1, 0.2])[None, :, None, None]
    for light in (0.0, 0.1, 0.5, 0.95, 1.0):
        found = recoloured(torch.full((1, 3, 1, 1), light), red)
        assert luminance(found[0, :, 0, 0]) == pytest.approx(light, abs=1e-5)
        chroma, wanted = (each[0, :, 0, 0] - luminance(each[0, :, 0, 0]).float() for each in (found, red))
        assert F.cosine_similarity(chroma, wanted, 0) > 0.999 or chroma.abs().max() < 1e-5
        assert 0 <= found.min() <= found.max() <= 1


# ---------------------------------------------------------------------------------------------------------- statistics


@every_architecture
def test_under_frozen_statistics_a_frame_changes_only_where_it_does(architecture: str) -> None:
    """What moves elsewhere leaves every pixel beyond the halo as it was; frame by frame it would shift them all."""
    generator = tiny(architecture)
    first = picture(120, 160)
    second = first.clone()
    second[:, 100:] = picture(120, 60, seed=9) * 0.3
    known = measure(generator, first, 3, 1.0)
    one, two = (stylize(generator, each, 3, 1.0, statistics=known, block=64) for each in (first, second))
    reach = 100 - generator.halo - generator.stride
    assert torch.equal(one[:, :reach], two[:, :reach])
    assert (one - two)[:, 100:].abs().mean() > 0.01
    alone = stylize(generator, second, 3, 1.0, block=64)
    assert (alone - one)[:, :reach].abs().mean() > 1e-3


def test_by_default_the_statistics_are_the_contents_own() -> None:
    generator = tiny()
    content = picture(60, 50)
    known = measure(generator, content, 3, 0.7, noise=2.0)
    expected = stylize(generator, content, 3, 0.7, noise=2.0, statistics=known)
    assert torch.equal(stylize(generator, content, 3, 0.7, noise=2.0), expected)


def test_statistics_are_of_a_thumbnail() -> None:
    """Twice the picture, each pixel four times, has the same."""
    generator = tiny()
    content = picture(300, 512)
    doubled = content.repeat_interleave(2, 0).repeat_interleave(2, 1)
    one, two = (measure(generator, each, 3, 0.7).values for each in (content, doubled))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(512, 512), (513, 20), (1100, 700), (1, 16384), (700, 3000)], ids=str)
@pytest.mark.parametrize("at_once", [1, 100_000, 10**9])
def test_a_thumbnail_is_averaged_over_areas_and_of_a_bounded_size(
    size: tuple[int, int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stylize_module, "PIXELS_AT_ONCE", at_once)
    content = picture(*size)
    small = thumbnail(content)
    assert max(small.shape[2:]) == 512
    assert small.shape[2] / small.shape[3] == pytest.approx(size[0] / size[1], rel=0.1) or min(small.shape[2:]) == 1
    expected = F.adaptive_avg_pool2d(content.permute(2, 0, 1)[None], small.shape[2:])
    torch.testing.assert_close(small, expected, rtol=0, atol=1e-5)


# -------------------------------------------------------------------------------------------------------------- memory


class Largest(TorchDispatchMode):
    """The most bytes of one tensor that any operation of torch made, views of `known` aside."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.bytes = 0
        self._known = known.untyped_storage().data_ptr()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor) and each.untyped_storage().data_ptr() != self._known:
                self.bytes = max(self.bytes, each.numel() * each.element_size())
        return result


def largest_tensor(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(stylize_module, "PIXELS_AT_ONCE", 2**16)
    monkeypatch.setattr(stylize_module, "THUMBNAIL_SIDE", 64)
    generator = tiny()
    content = picture(*size, dtype=torch.uint8)
    with Largest(content) as seen:
        for band in stylized_bands(freeze(generator, measure(generator, content, 3, 1.0), 1.0), content, 3, block=64):
            assert band.shape[1:] == (size[1], 3)
    return seen.bytes


def test_memory_is_bounded_by_the_block_whatever_the_height(monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = (largest_tensor((height, 256), monkeypatch) for height in (256, 2560))
    assert low == high
    assert high < 2**16 * 3 * 4 + 1  # a piece of the content on its way to the thumbnail; blocks are smaller


def test_memory_of_a_wide_picture_grows_by_its_bands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert largest_tensor((64, 8192), monkeypatch) <= 64 * 8192 * 3


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"content": torch.zeros(5, 5)}, "content"),
        ({"content": torch.zeros(5, 5, 2)}, "content"),
        ({"content": torch.zeros(1, 3, 5, 5)}, "content"),
        ({"content": torch.zeros(0, 5, 3)}, "content"),
        ({"content": torch.zeros(5, 0, 3)}, "content"),
        ({"content": torch.zeros(1, 65537, 1)}, "content"),
        ({"content": torch.zeros(5, 5, 3, dtype=torch.int32)}, "content"),
        ({"content": torch.zeros(5, 5, 3, dtype=torch.bool)}, "content"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"strength": 1.01}, "strength"),
        ({"strength": -0.01}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"strength": "1"}, "strength"),
        ({"noise": -1.0}, "noise"),
        ({"noise": float("inf")}, "noise"),
        ({"noise": 10.1}, "noise"),
        ({"window": Window(0, 0, 6, 5)}, "window"),
        ({"window": Window(-1, 0, 5, 5)}, "window"),
        ({"block": 0}, "block"),
        ({"statistics": "pyramid"}, "statistics"),
    ],
    ids=lambda value: (
        str({k: tuple(v.shape) if isinstance(v, Tensor) else v for k, v in value.items()})
        if isinstance(value, dict)
        else value
    ),
)
@pytest.mark.parametrize("frozen", [False, True], ids=["measured", "frozen"])
def test_what_cannot_be_is_a_sentence(changes: dict[str, Any], field: str, frozen: bool) -> None:
    generator = tiny()
    sound: dict[str, Any] = {"content": torch.zeros(5, 5, 3), "seed": 3, "strength": 1.0}
    if frozen:
        sound["statistics"] = measure(generator, sound["content"], 3, 1.0)
    if changes.get("statistics") == "pyramid":
        changes = {"statistics": measure(tiny("pyramid"), sound["content"], 3, 1.0)}
    wanted = {**sound, **changes}
    stylize(generator, **sound)
    with pytest.raises(BadRequest, match=rf"^{field}: .*\.$"):
        stylize(generator, **wanted)
