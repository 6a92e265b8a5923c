"""The files of a finished painting. No bpy and no zmq here: a second Blender, which has no zmq, reads them."""

from dataclasses import dataclass
from pathlib import Path

from ..client.sinks import Painting
from ..pictures.udim import UdimSet


@dataclass(frozen=True, kw_only=True)
class Painted:
    """The finished files of one painting, by map. With `squares`, each map has a file for each, its name has <UDIM>."""

    painting: Painting
    files: dict[str, Path]
    squares: UdimSet | None = None
