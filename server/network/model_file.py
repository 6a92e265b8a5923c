"""The model file: one NAME.safetensors per model, data only. Nothing in it is code and nothing is unpickled.

    tensors    generator.…   float32, the state of a frozen `server.network.generator.Generator` or of a
                             `server.network.style_generator.StyleGenerator`; for a `server.quilt.quilt.Quilt` or a
                             `server.strokes.painter.StyleQuilt`, pixels and small whole numbers
                             (server/model/quilt.py, server/model/style_quilt.py)
               thumbnail     uint8 (height, width, 3), sRGB, at most 256 pixels a side
    metadata   texserver     JSON: format, kind, architecture, training, descriptor, swatch; for a texture also maps and
                             lattice

The safetensors library writes it. Differs: it is read here and in server/model/, because a file from a stranger is
checked in full before memory is allocated for it. header.py compares it with the shapes that its architecture must
have, checking.py looks at every number.
"""

import dataclasses
import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from mmap import mmap
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from server.model.checking import SMALL_BYTES, Checked, checked
from server.model.header import (
    FORMAT,
    GENERATOR,
    KEY,
    MAX_TEXT,
    THUMBNAIL,
    Fact,
    Header,
    Kind,
    SwatchFacts,
    WrongKind,
    explained,
    opened,
)
from server.model.mapped_file import MAPS, MappedFile
from server.model.quilt import QuiltArchitecture
from server.model.style_architecture import StyleArchitecture
from server.model.style_quilt import StyleQuiltArchitecture
from server.network.generator import Generator
from server.network.style_generator import StyleGenerator
from server.quilt.quilt import Quilt
from server.replace_file import replace_file, unwritten
from server.strokes.painter import StyleQuilt

AnyTexture = Generator | Quilt
AnyStyle = StyleGenerator | StyleQuilt
AnyModel = AnyTexture | AnyStyle


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What a model file holds: a generator on the CPU (for a texture a frozen one), and facts about its training.

    `name` is the stem of the file, which does not contain it. `sha256` is of the file's bytes and the key for caches;
    "" for a model that was not read from a file. `thumbnail` is uint8 (height, width, 3), sRGB, at most 256 pixels a
    side. `place` is the file of a large model, which is painted from where it lies.
    """

    name: str
    generator: AnyModel
    training: Mapping[str, Fact]
    descriptor: str
    swatch: SwatchFacts
    thumbnail: Tensor
    sha256: str = ""
    place: MappedFile | None = None

    @property
    def kind(self) -> Kind:
        return "style" if isinstance(self.generator, AnyStyle) else "texture"

    def texture_generator(self) -> AnyTexture:
        """Raises WrongKind if this is the model of a style."""
        if isinstance(self.generator, AnyStyle):
            raise WrongKind(self.name, "style")
        return self.generator

    def style_generator(self) -> AnyStyle:
        """Raises WrongKind if this is the model of a texture."""
        if not isinstance(self.generator, AnyStyle):
            raise WrongKind(self.name, "texture")
        return self.generator


# ------------------------------------------------------------------------------------------------------------ writing


def write_model(path: Path, model: Model) -> None:
    """Write the model in one step: at any time `path` is the old file or the complete new one. Makes the folder.

    The same model gives the same bytes. In facts, characters that cannot be printed become "?" and numbers that are not
    finite become null. Raises UnusableOutput if it cannot be written, and BrokenModel if `read_model` would not accept
    it, for example because weights are not finite or not frozen.
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
    return {
        "format": FORMAT,
        "kind": model.kind,
        **_dimensions(model.generator),
        "training": {key: storable(value) for key, value in model.training.items()},
        "descriptor": storable(model.descriptor),
        "swatch": {
            "name": storable(model.swatch.name),
            "sha256": model.swatch.sha256,
            "height": model.swatch.height,
            "width": model.swatch.width,
        },
    }


def _dimensions(generator: AnyModel) -> dict[str, Any]:
    if isinstance(generator, AnyStyle):
        described = dataclasses.asdict(generator.architecture)
        if not described.get("paintings", True):  # others can be read by a texserver that knows one painting alone
            del described["paintings"]
        return {"architecture": described}
    architecture, lattice = generator.architecture, generator.lattice
    if isinstance(architecture, QuiltArchitecture):
        described = dataclasses.asdict(architecture)
        if not architecture.waves:  # others can be read by a texserver that does not know of waves
            del described["waves"]
    else:
        described = {"name": architecture.name, "widths": architecture.widths, "noise": architecture.noise}
        if architecture.smooth:  # others can be read by a texserver of before 0.2
            described["smooth"] = architecture.smooth
    return {
        "maps": [{"name": m.name, "channels": m.channels, "colour_space": m.colour_space} for m in generator.maps],
        "architecture": described,
        "lattice": lattice and {"basis": lattice.basis, "harmonics": lattice.harmonics, "strength": lattice.strength},
    }


def storable(value: Fact) -> Fact:
    """A fact as a model file keeps it: printable text of bounded length, or null for a number that is not finite."""
    if isinstance(value, str):
        return "".join(char if char.isprintable() else "?" for char in value)[:MAX_TEXT]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ------------------------------------------------------------------------------------------------------------ reading


def read_model(path: Path, sha256: str = "") -> Model:
    """Read and check a model file. `sha256`: the hash that it must have.

    A large file is mapped, so only the parts that are painted from take memory. `Model.place` then tells whether the
    file has changed since it was checked. Raises BrokenModel for everything that can be wrong with it.
    """
    with explained(path), opened(path) as (file, size):
        return _read(path.stem, file, size, sha256)


def _read(name: str, file: BinaryIO, size: int, sha256: str) -> Model:
    if size <= SMALL_BYTES or not MAPS:
        data = file.read(size + 1)
        if len(data) != size:
            raise ValueError("it changed while it was read; try again")
        model = parse_model(name, data)
    else:
        place = MappedFile(file, size)
        found = checked(file, size)
        place.sha256 = found.sha256
        place.check()
        model = _model(name, found, place.content, place)
    if sha256 and model.sha256 != sha256:
        raise ValueError("it was replaced by another version meanwhile")
    return model


def parse_model(name: str, data: bytes | mmap) -> Model:
    """The model in the bytes of a whole file, which must not change afterwards.

    Raises ValueError with the reason, in words that follow "it".
    """
    file = BytesIO(data) if isinstance(data, bytes) else data
    return _model(name, checked(file, len(data)), data)


def _model(name: str, found: Checked, content: bytes | mmap, place: MappedFile | None = None) -> Model:
    header, body = found.header, memoryview(content)[found.begin :]
    state = {
        tensor.removeprefix(GENERATOR): _tensor(header, tensor, body[part])
        for tensor, part in header.places.items()
        if tensor != THUMBNAIL
    }
    generator = _generator(header, state)
    pixels = np.frombuffer(found.thumbnail, np.uint8).copy()
    return Model(
        name=name,
        generator=generator,
        training=header.training,
        descriptor=header.descriptor,
        swatch=header.swatch,
        thumbnail=torch.from_numpy(pixels.reshape(header.shapes[THUMBNAIL])),
        sha256=found.sha256,
        place=place if isinstance(generator, Quilt | StyleQuilt) else None,  # weights of networks were copied
    )


_KINDS = {"F32": "<f4", "U16": "<u2", "I16": "<i2", "U8": "u1", "I8": "i1"}


def _tensor(header: Header, name: str, content: memoryview) -> Tensor:
    """Weights are copied, so that they are aligned, writable and in native order. Pixels of a swatch are not copied."""
    values = np.frombuffer(content, _KINDS[header.kinds[name]])
    if header.kinds[name] == "F32" or len(content) < 2**16 or not values.flags.aligned:
        values = values.astype(values.dtype.newbyteorder("="))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the warning that they are read-only
        return torch.from_numpy(values.reshape(header.shapes[name]))


def _generator(header: Header, state: Mapping[str, Tensor]) -> AnyModel:
    if isinstance(header.architecture, QuiltArchitecture):
        return Quilt.of_state(header.architecture, header.maps, header.lattice, state)
    if isinstance(header.architecture, StyleQuiltArchitecture):
        return StyleQuilt(header.architecture, state)
    network: Generator | StyleGenerator
    with torch.device("meta"):  # shapes without memory
        if isinstance(header.architecture, StyleArchitecture):
            network = StyleGenerator(header.architecture)
        else:
            network = Generator(header.architecture, header.maps, header.lattice)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
