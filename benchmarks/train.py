"""How long a step of training takes: with the built-in descriptor, for colour and for a map set, against VGG-19.

usage: python benchmarks/train.py [--vgg-weights FILE] [--steps 20]

The reference is the same recipe with VGG-19 on the same swatch, a drawn one. The contenders take turns, step by step.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, ROUGHNESS
from server.network.devices import choose_device
from trainer.descriptor.descriptors import BuiltinDescriptor, VGG19Descriptor
from trainer.descriptor.distilled import LAYERS
from trainer.descriptor.vgg19 import VGG19
from trainer.descriptor.weights import find_weights
from trainer.swatch.derive import derived
from trainer.swatch.scenes import draw
from trainer.training.recipe import Recipe
from trainer.training.texture import TextureTraining


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vgg-weights", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    colour = torch.from_numpy(draw(7, 384)).permute(2, 0, 1)[None]
    maps = (BASE_COLOUR, NORMAL, ROUGHNESS, HEIGHT)
    others = derived(colour, [each.name for each in maps[1:]])
    whole = torch.cat([colour, *(others[each.name] for each in maps[1:])], 1)
    vgg19 = VGG19Descriptor(VGG19(find_weights(options.vgg_weights), LAYERS)).to(device)
    builtin = BuiltinDescriptor().to(device)
    trainings = {
        "VGG-19": TextureTraining(colour, None, vgg19, Recipe(arch="taper"), device=device),
        "built-in": TextureTraining(colour, None, builtin, Recipe(arch="taper"), device=device),
        "built-in, a set of four maps": TextureTraining(
            whole, None, builtin, Recipe(arch="taper"), maps=maps, device=device
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in trainings}
    for turn in range(options.steps + 2):
        for name, training in trainings.items():
            start = time.perf_counter()
            training._one_step()
            training.step += 1
            if turn > 1:  # the first ones warm up
                times[name].append(time.perf_counter() - start)
    print(f"a step of the default recipe on {device}, {torch.get_num_threads()} threads")
    for name, taken in times.items():
        ratio = statistics.median(own / reference for own, reference in zip(taken, times["VGG-19"], strict=True))
        print(f"  {name:32} {statistics.median(taken) * 1e3:8.0f} ms  {ratio:5.2f}x")


if __name__ == "__main__":
    main()
