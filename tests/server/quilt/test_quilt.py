"""Facts about the quilt: exactly periodic, the same bytes from any window, thread count and precision, at any size."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.torus import Size, Window
from server.network.devices import prepare
from server.network.model_file import Model, SwatchFacts, read_model, write_model
from server.network.texture import texture, texture_bytes
from server.quilt.quilt import Quilt
from tests.server.quilt.swatches import brick_quilt, colour_quilt, large_quilt, set_quilt

ROOT = Path(__file__).resolve().parents[3]


def painted(quilt: Quilt, seed: int, size: tuple[int, int], window: Window | None = None) -> list[Tensor]:
    """Painted at once, not by tiles; on a quilt that has planned nothing yet."""
    fresh = quilt.on(torch.device("cpu"))
    whole = window or Window(0, 0, *size)
    return fresh.samples(seed, Size(*size), whole, quilt.depths)


SIZES = [(16, 16), (16, 300), (17, 23), (40, 90), (96, 96), (100, 131), (256, 200), (333, 512)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("make", [colour_quilt, set_quilt])
def test_windows_across_both_wraps_are_equal_to_the_byte(make, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    quilt = make()
    whole = painted(quilt, 3, size)
    for top, left, height, width in (
        (size[0] - 7, size[1] - 5, 13, 11),
        (-3, 2 * size[1] + 1, min(size[0], 64), 9),
        (size[0] // 2, size[1] // 3, size[0], size[1]),
    ):
        part = painted(quilt, 3, size, Window(top, left, height, width))
        for all_of_it, some in zip(whole, part, strict=True):
            rows = torch.arange(top, top + height) % size[0]
            columns = torch.arange(left, left + width) % size[1]
            expected = all_of_it.to(torch.int32)[rows][:, columns]
            assert torch.equal(some.to(torch.int32), expected)


def test_tiles_are_cut_from_what_is_painted_at_once() -> None:
    quilt = set_quilt()
    size = Size(560, 540)
    tiles = texture_bytes(quilt, 5, size, Window(0, 0, 560, 540))
    at_once = painted(quilt, 5, (560, 540))
    assert all(torch.equal(a.to(torch.int32), b.to(torch.int32)) for a, b in zip(tiles, at_once, strict=True))


def test_plans_by_blocks_are_those_of_any_other_window() -> None:
    """A torus of many blocks of patches, planned from another corner each time."""
    quilt = colour_quilt()
    size = (700, 650)
    far = painted(quilt, 9, size, Window(600, 500, 50, 60))[0]
    whole = painted(quilt, 9, size)[0]
    assert torch.equal(far, whole[600:650, 500:560])


def test_a_swatch_larger_than_its_plan_is_painted_at_full_size_alike_from_any_window() -> None:
    quilt = large_quilt()
    assert quilt.settings.factor == 4
    size = (701, 1203)
    whole = painted(quilt, 1, size)[0]
    part = painted(quilt, 1, size, Window(650, 1100, 90, 200))[0]
    rows, columns = torch.arange(650, 740) % size[0], torch.arange(1100, 1300) % size[1]
    assert torch.equal(part, whole[rows][:, columns])


def test_the_detail_of_a_texture_is_the_photographs_own_but_near_joints() -> None:
    """Slow light is blended over wide zones; what remains of a pixel without its surroundings is copied."""
    quilt = colour_quilt(256, 256)
    size = Size(512, 500)
    pixels = painted(quilt, 2, (512, 500))[0].permute(2, 0, 1).float()
    sources = quilt.sources(2, size, Window(0, 0, 512, 500))
    inside = ((sources >= 0) & (sources < 256)).all(-1)
    sources = sources.clamp(0, 255)
    off = pixels - quilt.pixels[0].float()[:, sources[..., 0], sources[..., 1]]
    detail = (off - F.avg_pool2d(off[None], 9, 1, 4)[0]).abs().amax(0)[inside]
    assert float((detail <= 4).float().mean()) > 0.7  # the pebbles' colours differ by up to 200


@pytest.mark.parametrize("size", [(200, 230), (333, 512)], ids=str)
def test_a_regular_material_is_cut_from_one_texture_too(size: tuple[int, int]) -> None:
    quilt = brick_quilt()
    assert quilt.fitted(Size(*size))[1] is not None  # it is stretched
    whole = painted(quilt, 3, size)[0]
    part = painted(quilt, 3, size, Window(-20, size[1] - 9, 60, 50))[0]
    rows, columns = torch.arange(-20, 40) % size[0], torch.arange(size[1] - 9, size[1] + 41) % size[1]
    assert torch.equal(part, whole[rows][:, columns])


@pytest.mark.parametrize("size", [(230, 252), (311, 450)], ids=str)
def test_bricks_keep_their_courses_across_all_joints(size: tuple[int, int]) -> None:
    """The mortar of running bond lies on straight lines, a whole number of them, at equal distances."""
    quilt = brick_quilt()
    pixels = painted(quilt, 1, size)[0].float().mean(2)
    lines = pixels.mean(1)  # mortar is light
    spectrum = torch.fft.rfft(lines - lines.mean()).abs()
    courses = 2 * round(size[0] / 32)  # a period is two courses high
    assert int(spectrum.argmax()) == courses
    assert float(spectrum[courses] ** 2 / spectrum[1 : courses * 3 // 2].square().sum()) > 0.9


def test_all_parts_of_a_regular_swatch_are_shown_about_alike_in_one_texture() -> None:
    """A texture of two swatch areas, six seeds. With the price of the nearest repeat alone the spread is 0.73."""
    quilt, size = brick_quilt(), Size(320, 288)
    height, width = quilt.settings.plan
    spreads = []
    for seed in range(6):
        rows, columns = quilt.sources(seed, size, size.whole).flatten(0, 1).unbind(-1)
        inside = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        shown = torch.bincount(inside, minlength=height * width).float()
        spreads.append(float(shown.std() / shown.mean()))
    assert sum(spreads) / len(spreads) < 0.70


def test_precisions_paint_the_same_bytes() -> None:
    cpu = torch.device("cpu")
    exact, fast = (prepare(colour_quilt(), cpu, precision) for precision in ("exact", "fast"))
    assert torch.equal(texture(exact, 4, (200, 210)), texture(fast, 4, (200, 210)))


def test_seeds_at_once_are_those_alone() -> None:
    quilt = colour_quilt()
    together = texture(quilt, [1, 2, 3, 4], (120, 130))
    alone = torch.cat([texture(quilt, seed, (120, 130)) for seed in (1, 2, 3, 4)])
    assert torch.equal(together, alone)
    assert not torch.equal(together[0], together[1])


CODE = """
import hashlib, sys, torch
torch.set_num_threads(int(sys.argv[2]))
from pathlib import Path
from server.network.model_file import read_model
from server.network.texture import texture_bytes
from server.model.torus import Size, Window
quilt = read_model(Path(sys.argv[1])).texture_generator()
planes = texture_bytes(quilt, 6, Size(200, 220), Window(180, 10, 100, 150))
print(hashlib.sha256(b"".join(plane.numpy().tobytes() for plane in planes)).hexdigest())
"""


def test_thread_counts_and_files_paint_the_same_bytes(tmp_path: Path) -> None:
    quilt = set_quilt()
    path = tmp_path / "set.safetensors"
    facts = SwatchFacts(name="pebbles.png", sha256="0" * 64, height=128, width=144)
    thumbnail = torch.zeros(8, 8, 3, dtype=torch.uint8)
    model = Model(name="set", generator=quilt, training={}, descriptor="none", swatch=facts, thumbnail=thumbnail)
    write_model(path, model)
    assert isinstance(read_model(path).generator, Quilt)
    told = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", CODE, str(path), threads]
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
        assert ended.returncode == 0, ended.stderr
        told.add(ended.stdout)
    assert len(told) == 1


@pytest.mark.gpu
def test_cpu_and_gpu_paint_the_same_bytes() -> None:
    for quilt in (colour_quilt(), set_quilt()):
        size, window = Size(500, 410), Window(460, 400, 300, 300)
        cpu, gpu = (prepare(quilt, torch.device(name)) for name in ("cpu", "cuda"))
        pair = zip(texture_bytes(cpu, 8, size, window), texture_bytes(gpu, 8, size, window), strict=True)
        assert all(torch.equal(a.int(), b.int()) for a, b in pair)
