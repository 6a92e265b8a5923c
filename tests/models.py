"""Models for the tests.

Tiny networks: a few narrow levels, random weights, scaled so that the pixels vary within [0, 1]. Tiny quilts: of a
swatch that is drawn here. And one that is large but takes hardly any of the disk, since its pixels are all black.
"""

import dataclasses
import json
import math
import struct
from array import array
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from server.model.architecture import Architecture
from server.model.header import GENERATOR, KEY, THUMBNAIL, SwatchFacts
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, HEIGHT, MATERIAL, NORMAL, ROUGHNESS, Map
from server.model.quilt import QuiltArchitecture
from server.model.style_architecture import StyleArchitecture
from server.model.style_quilt import StyleQuiltArchitecture
from server.model.torus import Size, Window
from server.network.generator import Generator
from server.network.model_file import Model, write_model
from server.network.style_generator import StyleGenerator
from server.network.texture import paint, texture, to_bytes
from server.quilt.quilt import Quilt
from server.strokes.painter import StyleQuilt
from trainer.quilt.learning import learn_prices, unpriced
from trainer.strokes.learning import learn_components
from trainer.strokes.learning import learn_prices as learn_style_prices

TINY = {
    "taper": Architecture(name="taper", widths=(10, 8, 6), noise=(4, 3, 2)),
    "smooth": Architecture(name="taper", widths=(10, 8, 6), noise=(4, 3, 2), smooth=2),
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
    swatch: str | None = None,
) -> Path:
    """Write a tiny model into the folder and return its path. `swatch`: the name of the picture it was made from."""
    path = folder / f"{name}.safetensors"
    model = tiny_model(seed, name=name, lattice=lattice, maps=maps)
    if swatch:
        model = dataclasses.replace(model, swatch=dataclasses.replace(model.swatch, name=swatch))
    write_model(path, model)
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


def blots(height: int, width: int, seed: int) -> torch.Tensor:
    """Smooth blots of many sizes: (3, height, width) uint8."""
    draws = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, 3, height, width)
    for cells in (3, 8, 24, 60):
        noise = torch.rand(1, 3, cells, cells, generator=draws)
        total += F.interpolate(noise, size=(height, width), mode="bicubic") / cells**0.3
    total = (total - total.amin()) / (total.amax() - total.amin())
    return (total[0] * 255).to(torch.uint8)


def tiny_quilted_style(seed: int = 1, *, name: str = "oil", height: int = 150, width: int = 190) -> Model:
    """A quilted style of a painting of blots."""
    painting, usable = blots(height, width, seed), torch.ones(height, width, dtype=torch.uint8)
    sizes = StyleQuiltArchitecture(height=height, width=width, factor=1)
    learned = learn_components(painting, usable, sizes) | learn_style_prices(painting, sizes)
    return Model(
        name=name,
        generator=StyleQuilt(sizes, {"painting": painting, "usable": usable, **learned}),
        training={"arch": "quilt"},
        descriptor="none",
        swatch=SwatchFacts(name=f"{name}.jpg", sha256="ba" * 32, height=height, width=width),
        thumbnail=torch.full((32, 48, 3), 77, dtype=torch.uint8),
    )


# -------------------------------------------------------------------------------------------------------------- quilts

QUILT_MAPS = (BASE_COLOUR, NORMAL, ROUGHNESS, HEIGHT)
LARGE_MAPS = (*MATERIAL, Map(name="emission", channels=3, colour_space="srgb"))
LARGE_THUMBNAIL = bytes([7]) * (16 * 16 * 3)
_ITEM_BYTES = {"U16": 2, "I16": 2, "U8": 1, "I8": 1}


@cache
def tiny_quilt(
    seed: int = 0, *, side: tuple[int, int] = (96, 128), maps: Sequence[Map] = QUILT_MAPS, factor: int = 1
) -> Quilt:
    """A quilt of a drawn swatch, its height of 16 bits; with a `factor`, planned at that part of its size."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, sum(each.channels for each in maps), side[0] // 8, side[1] // 8, generator=generator)
    smooth = F.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)[0]
    pixels = smooth.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    pixels = (0.9 * pixels + 0.1 * torch.rand(pixels.shape, generator=generator)).clamp(0, 1)
    parts = torch.split(pixels, [each.channels for each in maps])
    stored = [
        (part * 65535).round().int().to(torch.uint16) if each.depth == 16 else (part * 255).round().to(torch.uint8)
        for each, part in zip(maps, parts, strict=True)
    ]
    quilt = unpriced(stored, tuple(maps), (False, False), None)
    for _ in learn_prices(quilt, 1):
        pass
    return quilt


def save_tiny_quilt(folder: Path, name: str = "pebbles", seed: int = 0, **of: object) -> Path:
    """Write a tiny quilt into the folder and return its path."""
    return save_quilt(folder, tiny_quilt(seed, **of), name, seed)  # type: ignore[arg-type]


def save_quilt(folder: Path, quilt: Quilt, name: str, seed: int = 0) -> Path:
    """Write a quilt into the folder and return its path."""
    path = folder / f"{name}.safetensors"
    swatch = SwatchFacts(name="pebbles.jpg", sha256="ef" * 32, height=quilt.settings.height, width=quilt.settings.width)
    thumbnail = torch.full((32, 48, 3), 10 + seed, dtype=torch.uint8)
    facts = {"arch": "quilt", "seed": seed}
    write_model(
        path,
        Model(name=name, generator=quilt, training=facts, descriptor="none", swatch=swatch, thumbnail=thumbnail),
    )
    return path


def save_large(folder: Path, name: str = "large", side: int = 4096) -> Path:
    """Write a quilt of seven maps of 4096 x 4096, all black: 220 MB, of which the disk holds a few."""
    architecture = QuiltArchitecture(
        height=side, width=side, factor=4, cell=16, pitch=256, overlap=64, features=6, most=64, variance=100,
        deep=("height",),
    )  # fmt: skip
    tensors = {GENERATOR + key: tensor for key, tensor in architecture.tensors(LARGE_MAPS).items()}
    tensors[THUMBNAIL] = "U8", (16, 16, 3)
    table, places, done = {}, {}, 0
    for key, (kind, shape) in tensors.items():
        size = math.prod(shape) * _ITEM_BYTES[kind]
        table[key] = {"dtype": kind, "shape": shape, "data_offsets": [done, done + size]}
        places[key], done = done, done + size
    facts = {
        "format": 1,
        "kind": "texture",
        "architecture": dataclasses.asdict(architecture),
        "maps": [dataclasses.asdict(each) for each in LARGE_MAPS],
        "lattice": None,
        "training": {"arch": "quilt"},
        "descriptor": "none",
        "swatch": {"name": "large.png", "sha256": "ab" * 32, "height": side, "width": side},
    }
    header = json.dumps(table | {"__metadata__": {KEY: json.dumps(facts)}}).encode()
    header += b" " * (-len(header) % 8)
    path = folder / f"{name}.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + done)
        for key, content in (
            (f"{GENERATOR}chances", array("H", [1]) * math.prod(architecture.places)),
            (THUMBNAIL, LARGE_THUMBNAIL),
        ):
            file.seek(8 + len(header) + places[key])
            file.write(content)
    return path
