"""How much memory painting takes: peak resident memory of a fresh process per case, above the loaded program.

usage: python benchmarks/memory.py [--large 16384]

Cases: a 256 x 256 sample (the paper reports 170 MB on its GPU), 1024 x 1024, and a large texture written to a TIFF file
band by band, whose memory and time per pixel are compared with those of 1024 x 1024 in the same run.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from blender_addon.pictures.image_file import open_image
from server.model.architecture import PRESETS
from server.model.maps import BASE_COLOUR
from server.model.torus import Size
from server.network.devices import prepare
from server.network.generator import Generator
from server.network.texture import bands


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def case(side: int, repeats: int) -> dict[str, float]:
    """Paint side x side `repeats` times into a file; megabytes and seconds. Runs in a process of its own."""
    torch.manual_seed(0)
    generator = prepare(Generator(PRESETS["taper"], [BASE_COLOUR]), torch.device("cpu"))
    loaded = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        times = []
        for seed in range(repeats):
            start = time.perf_counter()
            with open_image(Path(folder) / "x.tif", width=side, height=side, channels=3) as file:
                for (band,) in bands(generator, seed, Size(side, side)):
                    file.write_rows(band.numpy().data)
            times.append(time.perf_counter() - start)
    return {"loaded": loaded, "added": peak_mb() - loaded, "ns_per_pixel": min(times) / side**2 * 1e9}


def fresh(side: int, repeats: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--case", str(side), str(repeats)], capture_output=True, check=True
    )
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", type=int, default=16384)
    parser.add_argument("--case", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(case(*options.case)))
        return
    base = fresh(1024, 10)
    for side, found in ((256, fresh(256, 10)), (1024, base), (options.large, fresh(options.large, 1))):
        print(
            f"{side:6} x {side:<6} {found['loaded']:5.0f} MB loaded, {found['added']:5.0f} MB above that, "
            f"{found['added'] - base['added']:+5.0f} MB against 1024, {found['ns_per_pixel']:6.1f} ns per pixel "
            f"({found['ns_per_pixel'] / base['ns_per_pixel']:.2f}x of 1024)"
        )


if __name__ == "__main__":
    main()
