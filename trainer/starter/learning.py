"""From a drawing to a quilt. What a photograph needs is left out: nothing is guessed, no light is levelled, and the
lattice is known.
"""

import hashlib
import time
from collections.abc import Iterator

import torch

from server import __version__
from server.model.header import SwatchFacts
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, MATERIAL
from server.model.starter import FACT, RELIEF
from server.network.model_file import Model
from trainer.judge.pictures import as_picture, base_colour, thumbnail
from trainer.quilt.learning import ROUNDS, learn_prices, unpriced
from trainer.starter.surface import Drawn
from trainer.swatch.periods import lattice_from_periods

CONTAINS = "a drawing"  # what such a model file contains, told among its training facts
SHOWN = 512  # side of the texture that is painted for the thumbnail


def learned(drawn: Drawn, made_from: str) -> Iterator[int | Model]:
    """Yields how many of ROUNDS rounds of learning are done, and the model at last."""
    began = time.monotonic()
    maps = tuple(each for each in MATERIAL if each.name in drawn.maps)
    pixels = [torch.from_numpy(drawn.maps[each.name]) for each in maps]
    stored = [each.permute(2, 0, 1).contiguous() if each.ndim == 3 else each[None] for each in pixels]
    quilt = unpriced(stored, maps, (True, True), _lattice(drawn))
    yield from learn_prices(quilt)
    colour = drawn.maps[BASE_COLOUR.name]
    yield Model(
        name=drawn.name,
        generator=quilt,
        training={
            "arch": "quilt",
            "contains": CONTAINS,
            FACT: drawn.name,
            "metres": drawn.metres,
            RELIEF: round(drawn.relief, 6),
            "category": drawn.category,
            "rounds": ROUNDS,
            "finished": True,
            "made_from": made_from,
            "seconds": round(time.monotonic() - began, 1),
            "trainer": __version__,
        },
        descriptor="none",
        swatch=SwatchFacts(
            name=f"{drawn.name}, drawn",
            sha256=hashlib.sha256(colour.tobytes()).hexdigest(),
            height=colour.shape[0],
            width=colour.shape[1],
        ),
        thumbnail=torch.from_numpy(thumbnail(as_picture(base_colour(quilt, 0, (SHOWN, SHOWN)))).copy()),
    )


def _lattice(drawn: Drawn) -> Lattice | None:
    if drawn.periods is None:
        return None
    colour = torch.from_numpy(drawn.maps[BASE_COLOUR.name]).permute(2, 0, 1)[None].float() / 255
    scale = colour.shape[3] / drawn.metres
    first, second = ((down * scale, across * scale) for down, across in drawn.periods)
    return lattice_from_periods(colour, first, second)
