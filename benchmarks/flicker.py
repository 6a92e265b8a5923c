"""How much a stylized animation flickers: what differs between frames once the motion is taken out.

usage: python benchmarks/flicker.py MODEL [MODEL ...] [--frames FOLDER] [--pan FOLDER]

Frames: pictures of one size in a folder; their motion is estimated (scikit-image's TV-L1), and pixels that it does not
explain are left out. A pan: rendered by Blender with the motion of every pixel (benchmarks/inside_pan.py), into the
folder if it is empty. Flicker is the mean absolute difference, in 1/255, between a stylized frame and the next one
pulled back along the motion, at full strength.

The reference is the first model used as on single pictures: each frame by its own instance statistics and with noise
of its own. `own statistics` has the noise fixed to the screen; `sequence` has the first frame's statistics too. At
half the noise it is what texget and Blender do with an animation.
"""

import argparse
import itertools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from skimage.registration import optical_flow_tvl1
from torch import Tensor

from blender_addon.client.style_download import CALM
from server.network.devices import choose_device, prepare
from server.network.model_file import AnyStyle, read_model
from server.network.quilted import QuiltedPicture, Wish, quilted
from server.network.style_generator import StyleGenerator
from server.network.stylize import measure, stylize
from server.strokes.painter import StyleQuilt

SEED = 5
BLENDER = "4.5.15"
UNEXPLAINED = 6.0  # of 255: what the motion leaves of the content, above which a pixel is left out
Frame = NDArray[np.float32]  # (height, width, 3), 0 to 255
Motion = NDArray[np.float32]  # (height, width, 2): pixels right and down to where it lies in the next frame


def read_frames(folder: Path) -> list[Frame]:
    return [np.asarray(Image.open(path).convert("RGB"), np.float32) for path in sorted(folder.glob("*.png"))]


def pulled_back(frame: Frame, motion: Motion) -> Frame:
    """The next frame as it was when it lay here."""
    height, width = frame.shape[:2]
    y, x = np.mgrid[:height, :width]
    where = np.stack([2 * (x + motion[..., 0] + 0.5) / width - 1, 2 * (y + motion[..., 1] + 0.5) / height - 1], -1)
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
    moved = F.grid_sample(
        pixels, torch.from_numpy(where).float()[None], mode="bicubic", padding_mode="border", align_corners=False
    )
    return np.asarray(moved[0].permute(1, 2, 0))


def estimated(first: Frame, second: Frame) -> Motion:
    down, right = optical_flow_tvl1(first.mean(2) / 255, second.mean(2) / 255)
    return np.stack([right, down], -1).astype(np.float32)


def flicker(frames: Sequence[Frame], contents: Sequence[Frame], motions: Sequence[Motion]) -> float:
    found = []
    for index, motion in enumerate(motions):
        left = np.abs(pulled_back(contents[index + 1], motion) - contents[index]).mean(2)
        height, width = left.shape
        y, x = np.mgrid[:height, :width]
        inside = (x + motion[..., 0] >= 0) & (x + motion[..., 0] < width)
        inside &= (y + motion[..., 1] >= 0) & (y + motion[..., 1] < height)
        off = np.abs(pulled_back(frames[index + 1], motion) - frames[index]).mean(2)
        found.append(off[inside & (left < UNEXPLAINED)].mean())
    return float(np.mean(found))


def ways(generator: AnyStyle, contents: Sequence[Tensor]) -> dict[str, list[Frame]]:
    """The frames as single pictures, and as a sequence."""
    if isinstance(generator, StyleQuilt):
        single = [quilted(generator, each, Wish(seed=SEED + i, strength=1.0)) for i, each in enumerate(contents)]
        return {"frame by frame": [_floats(each) for each in single], "sequence": _carried(generator, contents)}
    return {
        "frame by frame": [_floats(stylize(generator, each, SEED + i, 1.0)) for i, each in enumerate(contents)],
        "own statistics": [_floats(stylize(generator, each, SEED, 1.0)) for each in contents],
        **{f"sequence, noise {noise:g}": _sequence(generator, contents, noise) for noise in (1.0, CALM, 0.0)},
    }


def _sequence(generator: StyleGenerator, contents: Sequence[Tensor], noise: float) -> list[Frame]:
    first = measure(generator, contents[0], SEED, 1.0, noise=noise)
    return [_floats(stylize(generator, each, SEED, 1.0, statistics=first, noise=noise)) for each in contents]


def _carried(style: StyleQuilt, contents: Sequence[Tensor]) -> list[Frame]:
    """As texget and Blender do with an animation in a quilted style."""
    frames, statistics, carry = [], b"", b""
    for content in contents:
        picture = QuiltedPicture(
            style, content, Wish(seed=SEED, strength=1.0, noise=CALM), statistics, carry, sequence=True
        )
        for _ in picture.planning():
            pass
        frames.append(_floats(torch.cat(list(picture.bands()))))
        statistics, carry = picture.statistics, picture.carry
    return frames


def _floats(pixels: Tensor) -> Frame:
    return np.asarray(pixels, np.float32)


def compare(name: str, contents: list[Frame], motions: list[Motion], models: Sequence[Path], show: Path | None) -> None:
    print(f"{name}: {len(contents)} frames of {contents[0].shape[1]} x {contents[0].shape[0]}")
    print(f"  the frames themselves                              {flicker(contents, contents, motions):6.2f}")
    reference = 0.0
    for path in models:
        generator = prepare(read_model(path).style_generator(), choose_device("auto"))
        for way, frames in ways(generator, [torch.from_numpy(each.astype(np.uint8)) for each in contents]).items():
            value = flicker(frames, contents, motions)
            reference = reference or value
            print(f"  {path.stem + ', ' + way:50} {value:6.2f}  {value / reference:5.2f}x")
            if show:
                Image.fromarray(frames[0].astype(np.uint8)).save(show / f"{name}-{path.stem}-{way}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="style models; the first one is the reference")
    parser.add_argument("--frames", type=Path, help="a folder of frames")
    parser.add_argument("--pan", type=Path, help="where the rendered pan is, or goes; by default it is thrown away")
    parser.add_argument("--show", type=Path, help="a folder for the first stylized frame of each way")
    options = parser.parse_args()
    if options.frames:
        frames = read_frames(options.frames)
        motions = [estimated(one, other) for one, other in itertools.pairwise(frames)]
        compare(options.frames.name, frames, motions, options.models, options.show)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.pan or Path(temporary)
        if not list(folder.glob("*.npy")):
            folder.mkdir(parents=True, exist_ok=True)
            python = Path(__file__).resolve().parents[1] / ".blender" / BLENDER / "bin" / "python"
            script = Path(__file__).with_name("inside_pan.py")
            subprocess.run([python, "-I", script, folder], check=True, stdout=subprocess.DEVNULL)
        frames = read_frames(folder)
        motions = [np.load(path) for path in sorted(folder.glob("*.npy"))][: len(frames) - 1]
        compare("pan", frames, motions, options.models, options.show)


if __name__ == "__main__":
    main()
