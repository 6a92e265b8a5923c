"""Whether a model can paint textures with common edges at a size; if not, a sentence that says what can be done.

Shared by everyone who accepts such a request, before anything is computed. No torch here.
"""

from collections.abc import Iterator

from blender_addon.protocol.edges import Edges
from server.errors import BadRequest
from server.model.fitting import fitted, stretched_settings
from server.model.grid import LEAST_PATCHES, common_band, edged_axis
from server.model.lattice import Lattice
from server.model.quilt import QuiltArchitecture
from server.model.torus import MAX_SIDE, Size


def check_edges(architecture: object, lattice: Lattice | None, size: Size, edges: Edges) -> None:
    """Raises BadRequest unless a model of this architecture can paint tiles with common edges on a torus of `size`."""
    if not isinstance(architecture, QuiltArchitecture):
        raise BadRequest(
            "variant: this model is a network. Only quilts can paint textures with common edges; train it as a quilt."
        )
    for name, side in zip(("height", "width"), size, strict=True):
        if side % edges.across:
            raise BadRequest(
                f"size: the {name} of a Wang set is that of {edges.across} tiles, so a multiple of {edges.across} "
                f"pixels, not {side}."
            )
    tile = Size(size.height // edges.across, size.width // edges.across)
    settings = _fitted(architecture, lattice, tile)
    if settings is None:
        larger = next((each for each in _larger(tile) if _fitted(architecture, lattice, each)), None)
        raise BadRequest(
            f"size: a tile of {tile.width}x{tile.height} pixels does not hold whole periods of this regular material; "
            + (f"one of {larger.width}x{larger.height} does." if larger else "choose a larger one.")
        )
    if least := max(least_tile(side, settings) for side in tile):
        raise BadRequest(
            f"size: a tile of {tile.width}x{tile.height} pixels is too small for common edges with this model; "
            + (f"a side must be at least {least} pixels." if least <= MAX_SIDE else "its swatch is too small.")
        )


def _fitted(settings: QuiltArchitecture, lattice: Lattice | None, tile: Size) -> QuiltArchitecture | None:
    """The sizes of the quilt when its swatch is stretched for a tile; None if that would be too much."""
    if lattice is None:
        return settings
    found = fitted(lattice, tile, settings)
    return stretched_settings(settings, found[0]) if found else None


def _larger(tile: Size) -> Iterator[Size]:
    """Tiles of about the same shape, up to five times as large."""
    for step in range(1, 65):
        sides = [side + side * step // 16 for side in tile]
        if max(sides) <= MAX_SIDE:
            yield Size(*sides)


def least_tile(side: int, settings: QuiltArchitecture) -> int:
    """0 if tiles of this side can have common edges, else about the least side that can."""
    if _is_enough(side, settings):
        return 0
    first, step = max(side, _least(settings)), settings.cell * settings.factor
    return next((each for each in range(first, first + 64 * step, step) if _is_enough(each, settings)), MAX_SIDE + 1)


def _least(settings: QuiltArchitecture) -> int:
    """The side of a tile whose patches have half the usual size."""
    return -(-LEAST_PATCHES * settings.pitch * settings.factor // 2)


def _is_enough(side: int, settings: QuiltArchitecture) -> bool:
    """Patches of half the usual size at least, and a band that all tiles share."""
    return side >= _least(settings) and common_band(edged_axis(side, settings, 1), settings) >= settings.factor
