"""Time and memory of a large set of maps painted from a large swatch, against 1024 x 1024 pixels in the same run.

usage: python benchmarks/large_quilt.py [--swatch 4096] [--side 8192] [--threads 2] [--folder DIR]

The swatches are drawn leaves and drawn bricks, four maps each, enlarged with some noise: only time and memory are
looked at. Bricks have a lattice, so their swatch is stretched. Each is painted in a process of its own, from a model
file that is mapped, in bands as into a picture file. Plans and cuts are made within the time. `anon`: memory of the
process itself at its peak, `file`: what was painted from, which the system may drop at any time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from server.model.header import SwatchFacts
from server.model.lattice import Lattice
from server.model.maps import MATERIAL, OCCLUSION
from server.model.starter import chosen
from server.model.torus import Size
from server.network.devices import prepare
from server.network.model_file import Model, read_model, write_model
from server.network.texture import bands
from trainer.job import scaled
from trainer.quilt.learning import learn_prices, unpriced
from trainer.quilt_job import reduced
from trainer.starter.library import draw
from trainer.swatch.periods import lattice_from_periods

DRAWN = 1024  # pixels a side
NOISE = 4  # of 255


def write_large(path: Path, name: str, side: int) -> None:
    """Write the model of a drawing, enlarged to `side` pixels."""
    drawn = draw(*chosen([name]), DRAWN)
    maps = tuple(each for each in MATERIAL if each.name in drawn.maps and each.name != OCCLUSION.name)
    small = [torch.from_numpy(drawn.maps[each.name]) for each in maps]
    pixels = [enlarged(each.permute(2, 0, 1) if each.ndim == 3 else each[None], side // DRAWN) for each in small]
    lattice: Lattice | None = None
    if drawn.periods:
        colour = small[0].permute(2, 0, 1)[None].float() / 255
        first, second = ((y * DRAWN / drawn.metres, x * DRAWN / drawn.metres) for y, x in drawn.periods)
        lattice = scaled(lattice_from_periods(colour, first, second), side // DRAWN)
    quilt = unpriced(pixels, maps, (False, False), lattice)
    planned = reduced(quilt)
    for _ in learn_prices(planned, 2):
        pass
    quilt.prices = planned.prices
    facts = SwatchFacts(name=name, sha256="0" * 64, height=side, width=side)
    shown = torch.zeros(8, 8, 3, dtype=torch.uint8)
    write_model(path, Model(name=name, generator=quilt, training={}, descriptor="none", swatch=facts, thumbnail=shown))


def enlarged(samples: Tensor, factor: int) -> Tensor:
    """Each sample `factor` times in both directions, with noise: (C, H, W) uint8 or uint16, of the same kind."""
    most, unit = (255, 1) if samples.dtype == torch.uint8 else (65535, 257)
    channels, height, width = samples.shape
    result = torch.empty(channels, height * factor, width * factor, dtype=samples.dtype)
    random = torch.Generator().manual_seed(0)
    for row in range(height):
        line = samples[:, row].to(torch.int32).repeat_interleave(factor, 1)[:, None].expand(-1, factor, -1)
        noise = torch.randint(-NOISE, NOISE + 1, line.shape, generator=random, dtype=torch.int32) * unit
        result[:, row * factor : (row + 1) * factor] = (line + noise).clamp(0, most).to(samples.dtype)
    return result


def megabytes(kind: str) -> float:
    """A line of this process's status: VmHWM, RssAnon or RssFile."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith(kind))


def painted(path: Path, side: int, threads: int) -> dict[str, float]:
    """Paint a small and a large texture of a model; what they took. Runs in a process of its own."""
    torch.set_num_threads(threads)
    quilt = prepare(read_model(path).texture_generator(), torch.device("cpu"))
    found = {"loaded": megabytes("RssAnon")}

    def timed(paint: Callable[[], None]) -> tuple[float, float]:
        start, used = time.perf_counter(), time.process_time()
        paint()
        return time.perf_counter() - start, time.process_time() - used

    def whole(seed: int, pixels: int) -> None:
        for _ in bands(quilt, seed, Size(pixels, pixels)):
            found["anon"] = max(found.get("anon", 0), megabytes("RssAnon"))

    whole(0, DRAWN)  # makes tables
    for name, pixels in (("small", DRAWN), ("large", side)):
        found[f"{name} wall"], found[f"{name} cpu"] = timed(lambda pixels=pixels: whole(1, pixels))
        found[f"{name} anon"], found["anon"] = found["anon"], 0
    return found | {"file": megabytes("RssFile")}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--swatch", type=int, default=4096, help="side of the swatches, a multiple of 1024")
    parser.add_argument("--side", type=int, default=8192, help="side of the large texture")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the models are kept from one run to the next")
    parser.add_argument("--case", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(painted(options.case, options.side, options.threads)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for name in ("leaves", "bricks"):
            path = folder / f"{name}-{options.swatch}.safetensors"
            if not path.exists():
                write_large(path, name, options.swatch)
            command = [sys.executable, __file__, "--side", str(options.side), "--threads", str(options.threads)]
            done = subprocess.run([*command, "--case", str(path)], stdout=subprocess.PIPE, check=True)
            found = json.loads(done.stdout)
            times = (options.side / DRAWN) ** 2
            print(
                f"{name}, {options.swatch} x {options.swatch}, four maps: {options.side} x {options.side} in "
                f"{found['large wall']:.1f} s, {found['large cpu']:.1f} s of processors, for a pixel "
                f"{found['large cpu'] / times / found['small cpu']:.2f} times as long as {DRAWN} x {DRAWN}; anon "
                f"{found['loaded']:.0f} MB loaded, {found['small anon']:.0f} at {DRAWN}, {found['large anon']:.0f} at "
                f"{options.side}; file {found['file']:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
