"""Which models are blended in one texture and how, and what is known of one that is painted. No bpy and no zmq here."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..protocol import blending
from ..protocol.fields import MAX_MODEL_NAME
from .sinks import PaintedMap, Painting


@dataclass(frozen=True, kw_only=True)
class Blending:
    """Which models are blended, and how.

    `mask`: rows from top to bottom of uint8 samples, interleaved; `shape` is its height, width and channels: 1 for two
    models (0 the first, 255 the second), else one for each model. It covers the whole texture.
    """

    models: tuple[str, ...]
    mask: bytes = field(repr=False)
    shape: tuple[int, int, int]
    softness: float = blending.SOFTNESS
    heights: float = blending.HEIGHTS
    reach: float = blending.REACH
    hashes: tuple[str, ...] = ()  # of the models' files, where they are known; what is painted does not depend on them

    @property
    def name(self) -> str:
        """For people and for files."""
        return " + ".join(self.models)[:MAX_MODEL_NAME]

    @property
    def parameters(self) -> dict[str, Any]:
        """All of it but the samples of the mask, of which there is the hash: plain values."""
        return {
            "models": list(self.models),
            "mask": hashlib.sha256(self.mask).hexdigest(),
            "shape": list(self.shape),
            "softness": self.softness,
            "heights": self.heights,
            "reach": self.reach,
        }


@dataclass(frozen=True, kw_only=True)
class BlendedPainting(Painting):
    """What is painted of several models. `sha256` is that of all their files together."""

    blend: Blending

    @property
    def identity(self) -> str:
        """Another one for every mask and every way to blend, too."""
        return identity_of(self.sha256, self.blend.parameters)

    def provenance(self, map: PaintedMap) -> dict[str, str]:
        """Metadata for the file of one map."""
        parameters = self.blend.parameters
        told = {
            "Mask SHA-256": parameters["mask"],
            "Blend": ", ".join(f"{name} {parameters[name]:g}" for name in ("softness", "heights", "reach")),
        }
        return super().provenance(map) | told


def identity_of(sha256: str, parameters: Mapping[str, Any]) -> str:
    """Of a blend: of all model files together, and how they are blended."""
    return hashlib.sha256(f"{sha256} {dict(parameters)}".encode()).hexdigest()
