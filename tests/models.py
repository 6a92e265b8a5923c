"""Tiny models for the tests: a few narrow levels, random weights, scaled so that the pixels vary within [0, 1]."""

from collections.abc import Sequence
from pathlib import Path

import torch

from server.model.architecture import Architecture
from server.model.header import SwatchFacts
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, Map
from server.model.style_architecture import StyleArchitecture
from server.model.torus import Size, Window
from server.network.generator import Generator
from server.network.model_file import Model, write_model
from server.network.style_generator import StyleGenerator
from server.network.texture import paint, texture, to_bytes

TINY = {
    "taper": Architecture(name="taper", widths=(10, 8, 6), noise=(4, 3, 2)),
    "pyramid": Architecture(name="pyramid", widths=(3, 3, 3), noise=(2, 2, 2)),
}
TINY_STYLES = {
    "residual": StyleArchitecture(name="residual", widths=(4, 6, 8), blocks=1, noise=(2,)),
    "pyramid": StyleArchitecture(name="pyramid", widths=(3, 3), blocks=0, noise=(2, 2)),
}
TINY_LATTICE = Lattice(basis=((0.0, 1 / 16), (1 / 24, 0.0)), harmonics=((1, 0), (0, 1), (1, 1)), strength=0.8)


def tiny_generator(
    seed: int = 0, *, architecture: str = "taper", lattice: bool = False, maps: Sequence[Map] = (BASE_COLOUR,)
) -> Generator:
    """A frozen float32 generator on the CPU; the same arguments give the same weights."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        generator = Generator(TINY[architecture], maps, TINY_LATTICE if lattice else None)
        for parameter in generator.levels.parameters():
            if parameter.ndim == 4:
                torch.nn.init.kaiming_normal_(parameter, a=0.2)
        raw = paint(generator, [seed], Size(64, 64), Window(0, 0, 64, 64))
        std, mean = torch.std_mean(raw, (0, 2, 3))
        generator.paint.weight.mul_(0.2 / std[:, None, None, None])
        generator.paint.bias.sub_(mean).mul_(0.2 / std).add_(0.5)
        names = [each.name for each in maps for _ in range(each.channels)]
        if "normal" in names:  # looks up everywhere
            up = names.index("normal") + 2
            generator.paint.weight[up], generator.paint.bias[up] = 0, 0.95
    return generator.eval().requires_grad_(False)


def tiny_model(
    seed: int = 0,
    *,
    name: str = "tiny",
    architecture: str = "taper",
    lattice: bool = False,
    maps: Sequence[Map] = (BASE_COLOUR,),
) -> Model:
    generator = tiny_generator(seed, architecture=architecture, lattice=lattice, maps=maps)
    return Model(
        name=name,
        generator=generator,
        training={"iterations": 500, "loss": 0.024, "lattice": lattice, "resumed": None, "recipe": "test"},
        descriptor="vgg19",
        swatch=SwatchFacts(name="tiny.jpg", sha256="ab" * 32, height=256, width=320),
        thumbnail=to_bytes(texture(generator, 0, (32, 48)))[0, :, :, :1].expand(-1, -1, 3).contiguous(),
    )


def save_tiny(
    folder: Path,
    name: str = "tiny",
    seed: int = 0,
    *,
    lattice: bool = False,
    maps: Sequence[Map] = (BASE_COLOUR,),
) -> Path:
    """Write a tiny model into the folder and return its path."""
    path = folder / f"{name}.safetensors"
    write_model(path, tiny_model(seed, name=name, lattice=lattice, maps=maps))
    return path


def tiny_style(seed: int = 0, *, name: str = "ink", architecture: str = "residual") -> Model:
    """A model that stylizes, at strength 1 beyond recognition; the same arguments give the same weights."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        generator = StyleGenerator(TINY_STYLES[architecture])
        for each in generator.parameters():
            each.add_(0.1 * torch.randn(each.shape))
    return Model(
        name=name,
        generator=generator.eval().requires_grad_(False),
        training={"iterations": 900, "loss": 0.5},
        descriptor="vgg19",
        swatch=SwatchFacts(name="ink.jpg", sha256="cd" * 32, height=256, width=320),
        thumbnail=torch.full((32, 48, 3), 99, dtype=torch.uint8),
    )


def save_tiny_style(folder: Path, name: str = "ink", seed: int = 0, *, architecture: str = "residual") -> Path:
    """Write a tiny model of a style into the folder and return its path."""
    path = folder / f"{name}.safetensors"
    write_model(path, tiny_style(seed, name=name, architecture=architecture))
    return path
