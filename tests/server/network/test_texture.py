"""Facts about `texture()`: one pure function of generator, seed, size and window, equal to the bit however it is asked.

The oracle computes whole tori in the plainest way, with none of the code that cuts windows, halos and tiles.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256
from math import floor, pi
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from server.errors import BadRequest
from server.model.architecture import PRESETS
from server.model.maps import BASE_COLOUR, Map
from server.model.torus import Size, Window
from server.network.devices import prepare
from server.network.generator import Block, Generator, PyramidLevel, TaperLevel
from server.network.noise import Field
from server.network.texture import bands, paint, texture, to_bytes
from tests.models import tiny_generator

ROOT = Path(__file__).resolve().parents[3]
SIZES = [(256, 256), (96, 352), (301, 173), (600, 530), (16, 16), (17, 40)]
KINDS = [(name, lattice) for name in ("taper", "smooth", "pyramid") for lattice in (False, True)]
ROUGHNESS = Map(name="roughness", channels=1, colour_space="linear")

every_kind = pytest.mark.parametrize(("name", "lattice"), KINDS, ids=lambda value: str(value))


def made(name: str, lattice: bool) -> Generator:
    return tiny_generator(3, architecture=name, lattice=lattice)


def crop(whole: Tensor, window: Window) -> Tensor:
    """The window of a whole texture, wrapped."""
    rows = torch.arange(window.top, window.top + window.height) % whole.shape[2]
    columns = torch.arange(window.left, window.left + window.width) % whole.shape[3]
    return whole[:, :, rows][:, :, :, columns]


def windows_of(height: int, width: int) -> Sequence[Window]:
    """Inside, across both wraps, from far below zero, beyond a whole period, and one pixel."""
    return (
        Window(height // 3, width // 4, height // 2, width // 3),
        Window(height - 7, width - 5, 12, 14),
        Window(-5 * height - 9, -3 * width - 2, 11, width),
        Window(3, width - 1, height + 30, 9),
        Window(height * 2 - 1, width * 2 - 1, 1, 1),
    )


# ----------------------------------------------------------------------------------------------------------- windows


@every_kind
def test_any_window_is_cut_from_the_same_texture(name: str, lattice: bool) -> None:
    generator = made(name, lattice)
    for size in SIZES:
        whole = texture(generator, 7, size)
        assert whole.shape == (1, 3, *size)
        assert whole.dtype == torch.float32
        for window in windows_of(*size):
            assert torch.equal(texture(generator, 7, size, window), crop(whole, window)), (size, window)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data())
def test_any_window_of_any_size_is_cut_from_the_same_texture(data: st.DataObject) -> None:
    generator = made(*data.draw(st.sampled_from(KINDS)))
    height, width = data.draw(st.integers(16, 200)), data.draw(st.integers(16, 200))
    window = Window(
        *(data.draw(st.integers(-500, 500)) for _ in range(2)), *(data.draw(st.integers(1, 250)) for _ in "hw")
    )
    whole = texture(generator, 2**63 + 1, (height, width))
    assert torch.equal(texture(generator, 2**63 + 1, (height, width), window), crop(whole, window))


def test_the_order_in_which_windows_are_asked_for_does_not_matter() -> None:
    generator, size = made("taper", True), (600, 530)
    grid = [Window(top, left, 150, 106) for top in range(0, 600, 150) for left in range(0, 530, 106)]
    forth = {window: texture(generator, 5, size, window) for window in grid}
    back = {window: texture(generator, 5, size, window) for window in reversed(grid)}
    assert all(torch.equal(forth[window], back[window]) for window in grid)
    rows = [torch.cat([forth[window] for window in grid if window.top == top], 3) for top in range(0, 600, 150)]
    assert torch.equal(torch.cat(rows, 2), texture(generator, 5, size))


def test_fast_precision_has_windows_equal_to_the_bit_as_well() -> None:
    fast = prepare(made("taper", True), torch.device("cpu"), precision="fast")
    assert next(fast.levels.parameters()).dtype == torch.bfloat16
    whole = texture(fast, 7, (301, 173))
    for window in windows_of(301, 173):
        assert torch.equal(texture(fast, 7, (301, 173), window), crop(whole, window))
    exact = texture(made("taper", True), 7, (301, 173))
    assert (whole - exact).abs().mean() < 2 / 255


@pytest.mark.parametrize("window", [None, Window(-70, 600, 900, 50)], ids=str)
def test_bands_are_the_texture_from_top_to_bottom(window: Window | None) -> None:
    generator = made("taper", False)
    found = list(bands(generator, 7, Size(1000, 700), window))
    assert len(found) > 1
    assert all(len(band) <= 512 for (band,) in found)
    assert torch.equal(torch.cat([band for (band,) in found]), to_bytes(texture(generator, 7, (1000, 700), window))[0])


# ------------------------------------------------------------------------------------------------------------ oracle


@every_kind
def test_a_plain_evaluation_of_the_whole_torus_agrees(name: str, lattice: bool) -> None:
    generator = made(name, lattice)
    for size in SIZES:
        assert (texture(generator, 7, size) - plain(generator, 7, *size)).abs().max() < 1e-5, size


def test_the_plain_evaluation_sees_a_wrong_halo() -> None:
    """The bar of the oracle is far below what one wrong cell changes."""
    generator = made("taper", False)
    right = plain(generator, 7, 32, 48)
    generator.levels[0].blocks[0].conv.weight[..., 0, 0] += 0.01
    assert (plain(generator, 7, 32, 48) - right).abs().max() > 1e-3


def plain(generator: Generator, seed: int, height: int, width: int) -> Tensor:
    """The whole texture, level by level over whole grids, every convolution with circular padding."""
    levels = len(generator.levels)
    result: Tensor | None = None
    for index, level in enumerate(generator.levels):
        scale = 2 ** (levels - 1 - index)
        rows, columns = (max(1, floor(Fraction(side, scale) + Fraction(1, 2))) for side in (height, width))
        own = Field(seed=seed, level=index, height=rows, width=columns).window(
            0, 0, rows, columns, generator.architecture.noise[index]
        )
        own = (own - 0.5) * 12**0.5
        own = torch.cat([own, *plain_waves(generator, index, height, width, rows, columns)], 1)
        if result is not None and index <= generator.architecture.smooth:
            hat_rows, hat_columns = hats(rows, result.shape[2]), hats(columns, result.shape[3])
            result = torch.einsum("yr,bcrs,xs->bcyx", hat_rows, result, hat_columns)
        elif result is not None:
            down, across = (
                [floor(Fraction(2 * cell + 1, 2 * fine) * coarse) for cell in range(fine)]
                for fine, coarse in ((rows, result.shape[2]), (columns, result.shape[3]))
            )
            result = result[:, :, down][:, :, :, across]
        if isinstance(level, TaperLevel):
            result = chain(level.blocks, own if result is None else torch.cat((result, own), 1))
        else:
            assert isinstance(level, PyramidLevel)
            mine = chain(level.own, own)
            result = mine if result is None else chain(level.joined, torch.cat((result, mine), 1))
    assert result is not None
    return F.conv2d(result, generator.paint.weight, generator.paint.bias).clamp(0, 1)


def hats(fine: int, coarse: int) -> Tensor:
    """How much of each coarse cell is in each fine one: less by the distance of their middles, round the wrap."""
    middles = (torch.arange(fine, dtype=torch.float64) + 0.5) * coarse / fine
    turns = torch.arange(-1, 2) * coarse
    others = (torch.arange(coarse) + 0.5)[:, None] + turns
    return (1 - (middles[:, None, None] - others).abs()).clamp_min(0).sum(2).float()


def plain_waves(generator: Generator, level: int, height: int, width: int, rows: int, columns: int) -> list[Tensor]:
    if generator.lattice is None:
        return []
    first, second = generator.lattice.cycles(Size(height, width))
    y = (torch.arange(rows, dtype=torch.float64)[:, None] + 0.5) / rows
    x = (torch.arange(columns, dtype=torch.float64)[None] + 0.5) / columns
    result = []
    for m, n in generator.harmonics[level]:
        turns = 2 * pi * ((m * first[0] + n * second[0]) * y + (m * first[1] + n * second[1]) * x)
        result.append(2**0.5 * torch.stack((turns.cos(), turns.sin()))[None].float())
    return result


def chain(blocks: Any, x: Tensor) -> Tensor:
    for block in blocks:
        assert isinstance(block, Block)
        reach = block.conv.kernel_size[0] // 2
        rows, columns = (torch.arange(-reach, side + reach) % side for side in x.shape[2:])
        x = F.leaky_relu(F.conv2d(x[:, :, rows][:, :, :, columns], block.conv.weight, block.conv.bias), 0.2)
    return x


# ------------------------------------------------------------------------------------------------------------ tiling


@pytest.mark.parametrize("size", [(96, 352), (301, 173), (16, 16), (600, 40)], ids=str)
@pytest.mark.parametrize("lattice", [False, True])
def test_a_texture_tiles(size: tuple[int, int], lattice: bool) -> None:
    generator = made("taper", lattice)
    four = texture(generator, 7, size, Window(0, 0, 2 * size[0], 2 * size[1]))
    assert torch.equal(four, texture(generator, 7, size).tile(1, 1, 2, 2))


@every_kind
@pytest.mark.parametrize("size", [(256, 320), (301, 173)], ids=str)
def test_there_is_no_seam(size: tuple[int, int], name: str, lattice: bool) -> None:
    """The step across the wrap is one of the steps inside, along both axes. Sixteen seeds, so a line's mean is steady.

    Steps across the edges of coarse cells are larger than others, so the largest of the steps inside is the measure.
    """
    images = texture(made(name, lattice), range(16), size)
    for axis in (2, 3):
        steps = (images - images.roll(-1, axis)).abs().mean((0, 1, 5 - axis))
        wrap, inside = steps[-1], steps[:-1]
        assert inside.min() * 0.95 < wrap < inside.max() * 1.05


def test_there_is_no_seam_between_canonical_tiles() -> None:
    images = texture(made("taper", False), range(8), (1024, 96))
    steps = (images - images.roll(-1, 2)).abs().mean((0, 1, 3))
    alike = steps[3::4]  # rows 3|4, 7|8, …: edges of the coarsest cells, as row 511|512 is
    z = (steps[511] - alike.mean()) / alike.std()
    assert abs(z) < 5


# ------------------------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("name", ["taper", "smooth", "pyramid"])
def test_a_batch_of_seeds_equals_each_seed_alone(name: str) -> None:
    generator = made(name, True)
    seeds = [0, 1, 2**32, 2**64 - 1]
    batch = texture(generator, seeds, (301, 173))
    assert batch.shape == (4, 3, 301, 173)
    for image, seed in zip(batch, seeds, strict=True):
        assert torch.equal(image[None], texture(generator, seed, (301, 173)))


def test_painting_a_batch_at_once_gives_the_same_textures() -> None:
    """As in training: one pass for all, so a rounding may differ, and nothing else."""
    generator, size, window = made("taper", True), Size(100, 90), Window(-20, 50, 64, 48)
    batch = paint(generator, [4, 5, 6], size, window)
    alone = torch.cat([paint(generator, [seed], size, window) for seed in (4, 5, 6)])
    torch.testing.assert_close(batch, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 2**32), (0, 2**32), (2**64 - 2, 2**64 - 1)])
def test_seeds_paint_different_textures(first: int, second: int) -> None:
    images = texture(made("taper", False), [first, second], (256, 256))
    one, other = images.sub(images.mean((2, 3), keepdim=True)).flatten(1)
    assert abs(F.cosine_similarity(one, other, dim=0)) < 0.05
    assert (one - other).square().mean() > one.square().mean()


@every_kind
def test_textures_of_all_sizes_share_their_statistics(name: str, lattice: bool) -> None:
    """Mean, spread and roughness of a size lie where the seeds of another lie: within 5 sigma of their mean.

    The cells and waves of a size are stretched by up to half a cell, so 3 % are granted besides.
    """
    generator = made(name, lattice)

    def statistics(size: tuple[int, int], seeds: Sequence[int]) -> Tensor:
        images = texture(generator, seeds, size)
        steps = (images - images.roll(1, 3)).abs().mean((1, 2, 3))
        return torch.stack((images.mean((1, 2, 3)), images.std((1, 2, 3)), steps))

    reference = statistics((256, 256), range(12))
    for size in ((192, 288), (301, 173), (401, 399)):
        found = statistics(size, range(100, 104)).mean(1)
        allowed = 5 * reference.std(1) * (1 / 12 + 1 / 2) ** 0.5 + 0.03 * reference.mean(1)
        assert ((found - reference.mean(1)).abs() < allowed).all()


def test_another_size_is_another_texture_of_the_same_seed() -> None:
    generator = made("taper", False)
    assert not torch.equal(texture(generator, 7, (64, 64)), texture(generator, 7, (64, 72))[..., :64])


# -------------------------------------------------------------------------------------------------- maps and pixels


def test_several_maps_are_painted_side_by_side_in_their_order() -> None:
    both = tiny_generator(3, maps=(BASE_COLOUR, ROUGHNESS), lattice=True)
    image = texture(both, 7, (96, 130))
    assert image.shape == (1, 4, 96, 130)
    assert (image - plain(both, 7, 96, 130)).abs().max() < 1e-5
    only_roughness = Generator(both.architecture, (ROUGHNESS,), both.lattice)
    only_roughness.levels.load_state_dict(both.levels.state_dict())
    only_roughness.paint.weight.data, only_roughness.paint.bias.data = both.paint.weight[3:], both.paint.bias[3:]
    torch.testing.assert_close(texture(only_roughness, 7, (96, 130)), image[:, 3:], rtol=0, atol=1e-5)


def test_pixels_lie_between_0_and_1() -> None:
    generator = made("taper", False)
    generator.paint.weight *= 10
    image = texture(generator, 7, (64, 64))
    assert image.min() == 0
    assert image.max() == 1


def test_every_byte_comes_back_from_its_own_value() -> None:
    every = torch.arange(256).view(1, 1, 16, 16)
    assert torch.equal(to_bytes(every / 255)[..., 0], every[:, 0].to(torch.uint8))


def test_bytes_are_rounded_to_nearest_and_channels_go_last() -> None:
    pixels = torch.tensor([0.0, 0.49, 0.51, 127.4, 127.6, 254.4, 254.6, 255.0]).view(1, 2, 1, 4) / 255
    found = to_bytes(pixels)
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    assert found.tolist() == [[[[0, 128], [0, 254], [1, 255], [127, 255]]]]


# -------------------------------------------------------------------------------------------------- other processes

ELSEWHERE = """
import json, resource, sys
from hashlib import sha256

import torch

torch.set_num_threads(1)
from server.network.texture import bands, texture, to_bytes
from server.model.torus import Size, Window
from tests.models import tiny_generator

def memory_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

digests = {}
for name in ("pyramid", "taper"):
    generator = tiny_generator(3, architecture=name, lattice=True)
    below = texture(generator, [9, 8, 7, 6], (301, 173), Window(150, 0, 151, 173))
    above = texture(generator, [9, 8, 7, 6], (301, 173), Window(0, 0, 150, 173))
    digests[name] = sha256(torch.cat((above, below), 2)[2].numpy().tobytes()).hexdigest()

texture(generator, 7, (512, 512))
before = memory_mb()
(band,) = next(bands(generator, 7, Size(65536, 65536), Window(65000, 64000, 2000, 2048)))
again = texture(generator, 7, (65536, 65536), Window(65000 - 65536, 64000 + 65536, 3, 5))
same = torch.equal(band[:3, :5], to_bytes(again)[0])
print(json.dumps({"digests": digests, "band": list(band.shape), "same": same, "grown_mb": memory_mb() - before}))
"""


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, Any]:
    """What another process finds, with one thread, four seeds in a batch, and windows from bottom to top."""
    pytest.importorskip("resource")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", ["taper", "pyramid"])
def test_another_process_paints_the_same_bytes(elsewhere: dict[str, Any], name: str) -> None:
    here = texture(made(name, True), 7, (301, 173))[0]
    assert elsewhere["digests"][name] == sha256(here.numpy().tobytes()).hexdigest()


def test_a_band_of_an_enormous_texture_takes_the_memory_of_its_tiles(elsewhere: dict[str, Any]) -> None:
    rows, columns, channels = elsewhere["band"]
    assert (channels, columns) == (3, 2048)
    assert rows <= 512
    assert elsewhere["same"]
    assert elsewhere["grown_mb"] < 100  # the band itself is up to 13 MB; a level of the whole would be gigabytes


@pytest.mark.parametrize("name", ["taper"])  # the 1x1 blocks inside the paper's pyramid do round by the threads
def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    """A worker with more cores must not be told from another: one last bit in a million becomes a byte."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(PRESETS[name], (BASE_COLOUR,)).eval().requires_grad_(False)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(texture(generator, 7, (200, 260)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("seed", "size", "field"),
    [
        (-1, (64, 64), "seed"),
        ([0, 2**64], (64, 64), "seed"),
        (0, (64, 8), "size"),
    ],
    ids=str,
)
def test_values_out_of_range_are_refused_before_anything_is_painted(
    monkeypatch: pytest.MonkeyPatch, seed: Any, size: Any, field: str
) -> None:
    monkeypatch.setattr("server.network.texture.paint", None)
    with pytest.raises(BadRequest, match=rf"^{field}: "):
        texture(made("taper", False), seed, size)


@pytest.mark.parametrize(
    ("seed", "size", "field"),
    [(1.5, (64, 64), "seed"), (None, (64, 64), "seed"), (0, (1, 2, 3), "size"), (0, (64,), "size"), (0, 64, "size")],
    ids=str,
)
def test_seeds_and_sizes_of_another_type_are_refused_by_name(seed: Any, size: Any, field: str) -> None:
    with pytest.raises(BadRequest, match=rf"^{field}: "):
        texture(made("taper", False), seed, size)


# --------------------------------------------------------------------------------------------------------------- GPU


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_kind
def test_processor_and_gpu_agree_within_a_grey_level(name: str, lattice: bool) -> None:
    generator = made(name, lattice)
    on_gpu = prepare(generator, torch.device("cuda"), precision="exact")
    assert (texture(on_gpu, 7, (301, 173)) - texture(generator, 7, (301, 173))).abs().max() <= 1 / 255
