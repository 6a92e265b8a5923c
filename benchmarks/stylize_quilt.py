"""How long a quilted style takes, in processor time and by the clock, and how much memory a large picture takes.

usage: python benchmarks/stylize_quilt.py MODEL --content FILE [--sizes 1024x768 1920x1080 4096x2160] [--threads 2]

MODEL is the file of a quilted style. The content is brought to each size. Each size runs in a process of its own;
memory is its peak above the loaded program, tables, content and result included; Linux.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from stylize import peak_mb, sides

from server import PATIENT
from server.network.model_file import read_model
from server.network.quilted import Wish, quilted
from server.strokes.painter import StyleQuilt


def case(model: Path, content: Path, width: int, height: int, threads: int) -> dict[str, float]:
    """Seconds and megabytes of one picture, and of what is made once for all pictures of a style."""
    torch.set_num_threads(threads)
    style = read_model(model).style_generator()
    assert isinstance(style, StyleQuilt)
    pixels = torch.from_numpy(np.asarray(Image.open(content).convert("RGB").resize((width, height))).copy())
    quilted(style, pixels[:8, :8], Wish(seed=0, strength=0.0))  # what torch loads at its first use
    loaded, begin = peak_mb(), time.process_time()
    _ = style.tables
    tables, begin = time.process_time() - begin, time.process_time()
    clock = time.perf_counter()
    quilted(style, pixels, Wish(seed=0, strength=1.0))
    return {
        "tables": tables,
        "processor": time.process_time() - begin,
        "clock": time.perf_counter() - clock,
        "added": peak_mb() - loaded,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--sizes", type=sides, nargs="+", default=[(1024, 768), (1920, 1080), (4096, 2160)])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for width, height in options.sizes:
        if options.case:
            print(json.dumps(case(options.model, options.content, width, height, options.threads)))
            continue
        run = [sys.executable, __file__, str(options.model), "--content", str(options.content), "--case"]
        run += ["--threads", str(options.threads), "--sizes", f"{width}x{height}"]
        found = json.loads(subprocess.run(run, capture_output=True, check=True, env=PATIENT | os.environ).stdout)
        print(
            f"{width} x {height}: {found['processor']:.1f} s of processor, {found['clock']:.1f} s by the clock, "
            f"{options.threads} threads; {found['added']:.0f} MB above the program; tables of the style once "
            f"{found['tables']:.1f} s of processor",
            flush=True,
        )


if __name__ == "__main__":
    main()
