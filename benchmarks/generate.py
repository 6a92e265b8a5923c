"""How fast a texture is painted, against the paper's pyramid as one would write it: eager PyTorch, float32, whole
torus.

usage: python benchmarks/generate.py [--size 1024] [--rounds 7] [--device cpu]

The two are run in turn and the ratio is taken pair by pair, so that a machine whose speed drifts spoils neither.
Weights are random: they do not change the time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.model.architecture import PRESETS
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, MATERIAL
from server.model.torus import Size, Window
from server.network.devices import choose_device, choose_precision, prepare
from server.network.generator import Generator
from server.network.texture import texture, texture_bytes


class PlainPyramid(nn.Module):
    """The reference: the texture pyramid of Ulyanov et al. 2016 (K = 5 scales, 8 channels a scale), circular
    padding.
    """

    def __init__(self, scales: int = 5, channels: int = 8) -> None:
        super().__init__()
        self.noise_blocks = nn.ModuleList(self.block(3, channels) for _ in range(scales))
        self.join_blocks = nn.ModuleList(self.block(channels * (k + 1), channels * (k + 1)) for k in range(1, scales))
        self.paint = nn.Conv2d(channels * scales, 3, 1)

    @staticmethod
    def block(inputs: int, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for kernel in (3, 3, 1):
            conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="circular")
            layers += [conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
            inputs = outputs
        return nn.Sequential(*layers)

    def forward(self, noise: list[Tensor]) -> Tensor:
        result = self.noise_blocks[0](noise[0])
        for own, join, cells in zip(self.noise_blocks[1:], self.join_blocks, noise[1:], strict=True):
            result = join(torch.cat((F.interpolate(result, scale_factor=2), own(cells)), 1))
        return self.paint(result)  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    torch.manual_seed(0)
    reference = PlainPyramid().eval().to(device)
    wave = Lattice(basis=((1 / 27, 1 / 76), (1 / 27, -1 / 76)), harmonics=((1, 0), (0, 1), (1, 1), (1, -1)), strength=1)
    side = options.size

    @torch.no_grad()
    def plain() -> None:
        reference([torch.rand(1, 3, side >> k, side >> k, device=device) for k in (4, 3, 2, 1, 0)]).cpu()

    contenders: dict[str, Callable[[], object]] = {}
    for name, lattice in (("taper", None), ("taper with a lattice", wave), ("pyramid", None)):
        generator = prepare(Generator(PRESETS[name.split()[0]], [BASE_COLOUR], lattice), device)
        contenders[name] = lambda generator=generator: texture(generator, 0, (side, side))
    exact = prepare(Generator(PRESETS["taper"], [BASE_COLOUR]), device, "exact")
    contenders["taper, exact"] = lambda: texture(exact, 0, (side, side))
    whole = Size(side, side), Window(0, 0, side, side)
    for count in (1, 5):  # as bytes, as they are served
        painter = prepare(Generator(PRESETS["taper"], MATERIAL[:count]), device)
        contenders[f"taper, maps: {count}"] = lambda painter=painter: texture_bytes(painter, 0, *whole)

    print(f"{side} x {side} RGB on {device}, {torch.get_num_threads()} threads, auto is {choose_precision(device)}")
    times: dict[str, list[float]] = {name: [] for name in ("reference", *contenders)}
    for turn in range(options.rounds + 1):
        for name, run in (("reference", plain), *contenders.items()):
            start = time.perf_counter()
            run()
            if turn:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    base = times.pop("reference")
    print(f"{'plain v1 pyramid, eager float32':32} {statistics.median(base) * 1e3:8.1f} ms     1.0x (reference)")
    for name, taken in times.items():
        ratio = statistics.median(b / t for b, t in zip(base, taken, strict=True))
        print(f"{name:32} {statistics.median(taken) * 1e3:8.1f} ms  {ratio:6.1f}x")
    pairs = zip(times["taper, maps: 5"], times["taper, maps: 1"], strict=True)
    print(
        f"five maps take {statistics.median(five / one for five, one in pairs):.2f} times as long as the colour alone"
    )


if __name__ == "__main__":
    main()
