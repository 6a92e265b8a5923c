"""Textures of several models, for scripts: which models, and a mask as a numpy array. No torch.

from server.client.blended import blending

mask = numpy.zeros((256, 256), "u1")                # 0 shows the first model, 255 the second
mask[:, 128:] = 255
client.save("wall.png", blending(["brick", "moss"], mask), seed=7, size=2048)
"""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from blender_addon.client.blending import Blending
from blender_addon.protocol.blending import MASK_CHANNELS, MAX_BLENDED, MAX_MASK_SIDE, MIN_BLENDED
from server.errors import BadRequest


class BlendParameters(TypedDict, total=False):
    """How the models meet; each from 0 to 1."""

    softness: float  # of the borders: 0 is a hard edge
    heights: float  # how much the higher material is preferred near a border
    reach: float  # how far a border may leave the mask's, to follow what is there


def blending(models: Sequence[str], mask: NDArray[Any], **parameters: Unpack[BlendParameters]) -> Blending:
    """What Client.texture(), save() and paint() take in place of a model's name. Raises BadRequest.

    `mask`: (height, width) uint8 for two models, (height, width, 3) for three, (height, width, 4) for four. It covers
    the whole texture, whatever its size.
    """
    array = np.asarray(mask)
    array = array[..., None] if array.ndim == 2 else array
    if not MIN_BLENDED <= len(models) <= MAX_BLENDED or len(set(models)) < len(models):
        raise BadRequest(f"models: {MIN_BLENDED} to {MAX_BLENDED} different models are blended, not {len(models)}.")
    channels = MASK_CHANNELS[len(models)]
    if array.ndim != 3 or array.shape[2] != channels or array.dtype != np.uint8 or not array.size:
        raise BadRequest(
            f"mask: for {len(models)} models it must be height x width x {channels} of uint8, not "
            f"{list(array.shape)[:9]} of {array.dtype}."
        )
    height, width = array.shape[:2]
    if max(height, width) > MAX_MASK_SIDE:
        raise BadRequest(f"mask: it has {width} x {height} pixels; make it at most {MAX_MASK_SIDE} a side.")
    for name, value in parameters.items():
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise BadRequest(f"{name}: it is {value!r}; it must be a number from 0 to 1.")
    return Blending(models=tuple(models), mask=array.tobytes(), shape=(height, width, channels), **parameters)
