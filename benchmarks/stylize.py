"""How fast a picture is stylized, against a network in the manner of Johnson et al. 2016 as one would write it: eager
PyTorch, float32, the whole picture at once; and how much memory a 4K picture takes.

usage: python benchmarks/stylize.py [--size 1024x768] [--rounds 7] [--device cpu] [--large 4096x2160] [--blocks]

The contenders are run in turn and the ratio is taken pair by pair, so that a machine whose speed drifts spoils neither.
Ours go from uint8 to uint8, the thumbnail's statistics included; the reference is the network alone. With frozen
statistics is what every further frame of a sequence costs. Memory is the peak of a fresh process above the loaded
program, content and result included. Weights are random: they do not change the time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from plain_johnson import PlainJohnson
from torch import Tensor

from server.model.style_architecture import PRESETS
from server.network.devices import choose_device, choose_precision, prepare
from server.network.style_generator import StyleGenerator
from server.network.stylize import measure, stylize

MEMORY_BAR_MB = 800
SPEED_BAR = 3.0


def picture(width: int, height: int) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)


def speed(width: int, height: int, rounds: int, device: torch.device, all_blocks: bool) -> None:
    reference = PlainJohnson().eval().to(device)
    content = picture(width, height)
    floats = content.permute(2, 0, 1)[None].contiguous().float().div(255).to(device)

    @torch.no_grad()
    def plain() -> None:
        reference(floats).cpu()

    contenders: dict[str, Callable[[], object]] = {"reference": plain}
    ours = prepare(StyleGenerator(PRESETS["residual"]), device)
    contenders["residual, as served"] = lambda: stylize(ours, content, 0, 1.0)
    known = measure(ours, content, 0, 1.0)
    contenders["residual, frozen statistics"] = lambda: stylize(ours, content, 0, 1.0, statistics=known)
    exact = prepare(StyleGenerator(PRESETS["residual"]), device, "exact")
    contenders["residual, exact"] = lambda: stylize(exact, content, 0, 1.0)
    pyramid = prepare(StyleGenerator(PRESETS["pyramid"]), device)
    contenders["pyramid"] = lambda: stylize(pyramid, content, 0, 1.0)
    for block in (256, 384, 512, 768, 1024, 2048) if all_blocks else ():
        contenders[f"frozen statistics, block {block}"] = lambda block=block: stylize(
            ours, content, 0, 1.0, statistics=known, block=block
        )

    print(f"{width} x {height} on {device}, {torch.get_num_threads()} threads, auto is {choose_precision(device)}")
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if turn:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    base = times.pop("reference")
    print(f"{'Johnson-style, eager float32':32} {statistics.median(base) * 1e3:8.1f} ms     1.0x (reference)")
    for name, taken in times.items():
        ratio = statistics.median(b / t for b, t in zip(base, taken, strict=True))
        bar = f"  bar {SPEED_BAR:.0f}x: {'met' if ratio >= SPEED_BAR else 'MISSED'}" if "as served" in name else ""
        print(f"{name:32} {statistics.median(taken) * 1e3:8.1f} ms  {ratio:6.1f}x{bar}")


def peak_mb() -> float:
    """The most this program had at once; Linux. Not by getrusage, where the parent's memory counts."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def memory_case(width: int, height: int, precision: str) -> dict[str, float]:
    """Megabytes and seconds of one picture. Runs in a process of its own."""
    generator = prepare(StyleGenerator(PRESETS["residual"]), torch.device("cpu"), precision)  # type: ignore[arg-type]
    stylize(generator, picture(8, 8), 0, 1.0)  # what torch loads at its first use belongs to the program
    loaded = peak_mb()
    start = time.perf_counter()
    stylize(generator, picture(width, height), 0, 1.0)
    return {"loaded": loaded, "added": peak_mb() - loaded, "seconds": time.perf_counter() - start}


def memory(width: int, height: int) -> None:
    for precision in ("fast", "exact"):
        case = [sys.executable, __file__, "--memory-case", precision, "--large", f"{width}x{height}"]
        found = json.loads(subprocess.run(case, capture_output=True, check=True).stdout)
        bar = "met" if found["added"] <= MEMORY_BAR_MB else "MISSED"
        print(
            f"{width} x {height}, {precision}: {found['loaded']:.0f} MB loaded, {found['added']:.0f} MB above that "
            f"(bar {MEMORY_BAR_MB} MB: {bar}), {found['seconds']:.1f} s"
        )


def sides(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=sides, default=(1024, 768), metavar="WxH")
    parser.add_argument("--large", type=sides, default=(4096, 2160), metavar="WxH")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--blocks", action="store_true", help="compare sizes of blocks, too")
    parser.add_argument("--memory-case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.memory_case:
        print(json.dumps(memory_case(*options.large, options.memory_case)))
        return
    speed(*options.size, options.rounds, choose_device(options.device), options.blocks)
    memory(*options.large)


if __name__ == "__main__":
    main()
