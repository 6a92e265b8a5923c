"""The message that asks for a texture of several models, which a mask puts in their places.

docs/PROTOCOL.md defines it; wire.py has the other messages. Standard library only, no bpy.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from .errors import Refused
from .fields import (
    MAX_BUFFERS,
    MAX_DEADLINE_MS,
    MAX_MODEL_NAME,
    MAX_SEED,
    Buffer,
    Data,
    Fields,
    Limits,
    read_buffers,
    read_size,
    read_window,
    wrong,
)

MIN_BLENDED, MAX_BLENDED = 2, 4  # models
MAX_MASK_SIDE: Final = 4096  # pixels
MASK_CHANNELS: Final = {2: 1, 3: 3, 4: 4}  # by number of models: grey for two, else one for each
SOFTNESS, HEIGHTS, REACH = 0.2, 0.25, 0.25  # where a request does not say


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Asks for a window of a texture of several models. Answered by a Result as Generate is.

    `mask` covers the whole texture, whatever its size: uint8, of one channel for two models, from 0, the first, to 255,
    the second; or of one channel for each model. The result has the maps that all models have, by default all of them.
    Its `sha256` is that of all the models together (`hash_of_all`).
    """

    op: ClassVar[str] = "blend"
    id: int
    models: tuple[str, ...]
    mask: Buffer
    seed: int
    size: tuple[int, int]  # height, width: the period of the texture
    window: tuple[int, int, int, int] | None = None  # top, left, height, width; it wraps; default: the whole texture
    softness: float = SOFTNESS  # of the borders: 0 is a hard edge, 1 a wide transition
    heights: float = HEIGHTS  # how much the higher material is preferred near a border
    reach: float = REACH  # how far a border may leave the mask's, to follow what is there
    maps: tuple[str, ...] | None = None
    depth: int | None = None  # bits per sample of all maps, 8 or 16; default: each map has its own
    sha256: str = ""  # only from model files of which this is the hash
    deadline_ms: int | None = None  # from arrival on; then it is answered by `expired`
    progress: bool = False  # whether Progress is wanted on the way

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "Blend":
        buffers = read_buffers(header, frames)
        if [each.name for each in buffers] != ["mask"]:
            raise Refused("bad_request", "buffers: there must be one, named 'mask'.")
        values = Fields(header)
        models = values.texts("models", MAX_BLENDED) or ()
        if len(models) < MIN_BLENDED:
            raise wrong("models", list(models), f"a list of {MIN_BLENDED} to {MAX_BLENDED} names of models")
        if any(len(each) > MAX_MODEL_NAME for each in models):
            raise Refused("unknown_model", f"models: no name is longer than {MAX_MODEL_NAME} characters.")
        _check_mask(buffers[0], len(models), limits)
        depth = values.maybe_whole("depth", 8, 16)
        if depth not in (None, 8, 16):
            raise wrong("depth", depth, "8 or 16")
        size = read_size(values, limits)
        return cls(
            id=id,
            models=models,
            mask=buffers[0],
            seed=values.whole("seed", 0, MAX_SEED),
            size=size,
            window=read_window(header, size, limits),
            softness=values.number("softness", 0, 1, SOFTNESS),
            heights=values.number("heights", 0, 1, HEIGHTS),
            reach=values.number("reach", 0, 1, REACH),
            maps=values.texts("maps", MAX_BUFFERS),
            depth=depth,
            sha256=values.text("sha256", 64, ""),
            deadline_ms=values.maybe_whole("deadline_ms", 1, MAX_DEADLINE_MS),
            progress=values.flag("progress"),
        )

    @property
    def model(self) -> str:
        """The material that the others are cut into."""
        return self.models[0]


def hash_of_all(hashes: Sequence[str]) -> str:
    """The one sha256 of several model files: of their own, as hexadecimal text, one after another."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _check_mask(mask: Buffer, models: int, limits: Limits) -> None:
    height, width, channels = mask.shape
    if mask.dtype != "uint8" or channels != MASK_CHANNELS[models]:
        wanted = f"uint8 samples of {MASK_CHANNELS[models]} channels for {models} models"
        raise wrong("mask", f"{mask.dtype}, {channels} channels", wanted)
    if max(height, width) > MAX_MASK_SIDE or height * width > limits.max_content_pixels:
        raise Refused(
            "too_large",
            f"mask: it is {width} x {height} pixels, and at most {MAX_MASK_SIDE} a side are taken; it is scaled to the "
            "texture, so send a smaller one.",
        )
