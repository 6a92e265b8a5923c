"""The model file: one NAME.safetensors per model, data only. Nothing in it is code and nothing is unpickled.

    tensors    generator.…   float32, the state of a frozen `server.generator.Generator`
               thumbnail     uint8 (height, width, 3), sRGB, at most 256 pixels a side
    metadata   texserver     JSON: format, kind, maps, architecture, lattice, training, descriptor, swatch

Written with the safetensors library. Differs: read here and in server/model_header.py, since a stranger's file is
checked in full, against the shapes its architecture must have, before anything is allocated for it.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from server.generator import Generator
from server.model_header import (
    FORMAT,
    GENERATOR,
    KEY,
    MAX_TEXT,
    THUMBNAIL,
    Fact,
    SwatchFacts,
    check_weights,
    explained,
    parse_file,
    read_file,
)
from server.replace_file import replace_file, unwritten


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A model as the file holds it: a frozen float32 generator on the CPU, and where it comes from.

    `name` is the file's stem and stands nowhere in it. `sha256`, of the file's bytes, is the key for caches; "" for a
    model that was not read from a file. `thumbnail` is uint8 (height, width, 3), sRGB, at most 256 pixels a side.
    """

    name: str
    generator: Generator
    training: Mapping[str, Fact]
    descriptor: str
    swatch: SwatchFacts
    thumbnail: Tensor
    sha256: str = ""


# ------------------------------------------------------------------------------------------------------------ writing


def write_model(path: Path, model: Model) -> None:
    """Write the model in one step: `path` is the old file or the complete new one at any time. Makes the folder.

    The same model gives the same bytes. Characters of facts that cannot be printed become "?", and numbers that are not
    finite become null. Raises UnusableOutput when the disk refuses, BrokenModel for what `read_model` would not accept,
    such as weights that are not finite or not frozen.
    """
    state = model.generator.state_dict()
    tensors = {GENERATOR + name: value.detach().cpu().contiguous() for name, value in state.items()}
    tensors[THUMBNAIL] = model.thumbnail.detach().cpu().contiguous()
    data = safetensors.torch.save(tensors, {KEY: json.dumps(_metadata(model), separators=(",", ":"))})
    with explained(path):
        parse_model(path.stem, data)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritten(path, error) from error
    replace_file(path, data)


def _metadata(model: Model) -> dict[str, Any]:
    generator, swatch = model.generator, model.swatch
    architecture, lattice = generator.architecture, generator.lattice
    return {
        "format": FORMAT,
        "kind": "texture",
        "maps": [{"name": m.name, "channels": m.channels, "colour_space": m.colour_space} for m in generator.maps],
        "architecture": {"name": architecture.name, "widths": architecture.widths, "noise": architecture.noise},
        "lattice": lattice and {"basis": lattice.basis, "harmonics": lattice.harmonics, "strength": lattice.strength},
        "training": {key: _storable(value) for key, value in model.training.items()},
        "descriptor": _storable(model.descriptor),
        "swatch": {
            "name": _storable(swatch.name),
            "sha256": swatch.sha256,
            "height": swatch.height,
            "width": swatch.width,
        },
    }


def _storable(value: Fact) -> Fact:
    if isinstance(value, str):
        return "".join(char if char.isprintable() else "?" for char in value)[:MAX_TEXT]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ------------------------------------------------------------------------------------------------------------ reading


def read_model(path: Path) -> Model:
    """Read and check a model file. Raises BrokenModel, and nothing else, for whatever is wrong with it."""
    with explained(path):
        return parse_model(path.stem, read_file(path))


def parse_model(name: str, data: bytes) -> Model:
    """The model in the bytes of a whole file. Raises ValueError with the reason, in words that follow "it"."""
    header, body = parse_file(data)
    for _ in check_weights(header, body):
        pass
    state = {}
    for tensor, place in header.places.items():
        if tensor != THUMBNAIL:
            values = np.frombuffer(body[place], "<f4").astype(np.float32)  # a copy: aligned, writable, in native order
            state[tensor.removeprefix(GENERATOR)] = torch.from_numpy(values.reshape(header.shapes[tensor]))
    with torch.device("meta"):  # shapes without memory
        generator = Generator(header.architecture, header.maps, header.lattice)
    generator.load_state_dict(state, assign=True)
    pixels = np.frombuffer(body[header.places[THUMBNAIL]], np.uint8).copy()
    return Model(
        name=name,
        generator=generator.eval().requires_grad_(False),
        training=header.training,
        descriptor=header.descriptor,
        swatch=header.swatch,
        thumbnail=torch.from_numpy(pixels.reshape(header.shapes[THUMBNAIL])),
        sha256=hashlib.sha256(data).hexdigest(),
    )
