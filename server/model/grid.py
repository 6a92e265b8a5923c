"""Where the patches of a torus lie: one axis at a time, in whole numbers. No torch here.

Where tiles have edges in common, these run through the middles of patches: of every `every`-th one. At either side of
an edge such a patch is alone for a while, and what it shows there depends on nothing else.
"""

from dataclasses import dataclass

from server.model.quilt import QuiltArchitecture

SHARP_REACH = 2  # plan pixels from a cut that the sharp bands of server/quilt/bands.py are feathered over
SLOW_REACH = 8  # nodes, likewise, of the slow bands
NODES_READ = 2  # away from a pixel, at most: it lies between two, and slopes look one further
LEAST_PATCHES = 4  # of a tile with common edges, along a side: one lies on the edge


@dataclass(frozen=True, kw_only=True)
class PatchAxis:
    """One axis of a torus of patches.

    `side`: the period in pixels. `patches`: how many in a period: 1, or an even number, so that patches can have the
    four colours of a checkerboard of 2 x 2. `overlap`: half the width of an overlap, in pixels. `every`: how many
    patches lie from one edge of a tile to the next; 0 where tiles have no edges in common.
    """

    side: int
    patches: int
    overlap: int
    every: int = 0

    def corner(self, patch: int) -> int:
        """The first pixel of a patch's own part; unwrapped in, unwrapped out."""
        rounds, index = divmod(patch, self.patches)
        return rounds * self.side + index * self.side // self.patches

    def middle(self, patch: int) -> int:
        """The pixel in the middle of a patch's own part."""
        return (self.corner(patch) + self.corner(patch + 1)) // 2

    def on_edge(self, patch: int) -> bool:
        """Whether an edge of tiles runs through a patch."""
        return bool(self.every) and patch % self.every == 0

    @property
    def edge(self) -> int:
        """The pixel of the torus at which its first tile begins."""
        return self.middle(0) if self.every else 0

    @property
    def tile(self) -> int:
        """The side of a tile."""
        return self.side * self.every // self.patches if self.every else self.side

    @property
    def alone(self) -> int:
        """How many pixels at either side of an edge only the patch on it can show."""
        middle = self.middle(0)
        return min(middle - self.corner(0) - self.overlap, self.corner(1) - self.overlap - middle)

    @property
    def longest(self) -> int:
        """The most pixels from one corner to the next."""
        return -(-self.side // self.patches)

    def patch_at(self, pixel: int) -> int:
        """The patch in whose own part a pixel lies; unwrapped in, unwrapped out."""
        rounds, rest = divmod(pixel, self.side)
        index = rest * self.patches // self.side
        while index + 1 < self.patches and (index + 1) * self.side // self.patches <= rest:
            index += 1
        return rounds * self.patches + index


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """The pixels of one axis at which slow bands are computed: every `step` pixels of a tile or a little more."""

    side: int  # of a tile
    step: int

    @property
    def count(self) -> int:
        """How many in a tile."""
        return max(1, self.side // self.step)

    @property
    def apart(self) -> int:
        """The most pixels from one to the next."""
        return -(-self.side // self.count)

    def pixel(self, node: int) -> int:
        rounds, index = divmod(node, self.count)
        return rounds * self.side + index * self.side // self.count


def nodes_of(axis: PatchAxis, settings: QuiltArchitecture) -> Nodes:
    """The nodes of an axis, the same in every tile."""
    return Nodes(side=axis.tile, step=settings.node * settings.factor)


def patch_axis(side: int, settings: QuiltArchitecture) -> PatchAxis:
    """The patches along a period of `side` pixels: pitches of about `settings.pitch`, from 0.5 to 1.5 of it."""
    pitch, overlap = settings.pitch * settings.factor, settings.overlap * settings.factor
    patches = 1 if side < pitch else 2 * max(1, (side + pitch) // (2 * pitch))
    narrow = 3 * side // (8 * patches * settings.factor) * settings.factor  # where patches are small
    return PatchAxis(side=side, patches=patches, overlap=max(settings.factor, min(overlap, narrow)))


def edged_axis(side: int, settings: QuiltArchitecture, tiles: int) -> PatchAxis:
    """The same for a period of several tiles with common edges, each of as many patches, about 3/4 of the usual pitch
    long: the smaller they are, the less of a tile lies on its edges and repeats.

    Overlaps are at most a quarter of a patch, so that an edge stays clear of them.
    """
    pitch, factor, tile = settings.pitch * settings.factor * 3 // 4, settings.factor, side // tiles
    every = max(LEAST_PATCHES, 2 * ((tile + pitch) // (2 * pitch)))
    narrow = tile // (4 * every * factor) * factor
    overlap = max(factor, min(settings.overlap * factor, narrow))
    return PatchAxis(side=side, patches=tiles * every, overlap=overlap, every=every)


def slow_reach(axis: PatchAxis, settings: QuiltArchitecture) -> int:
    """How many nodes slow bands are feathered over, so that what lies along an edge stays out of reach."""
    if not axis.every:
        return SLOW_REACH
    apart = nodes_of(axis, settings).apart
    return max(0, min(SLOW_REACH, (axis.alone - settings.cell // 2 * settings.factor) // apart - NODES_READ))


def common_band(axis: PatchAxis, settings: QuiltArchitecture) -> int:
    """How many pixels at either side of an edge all tiles share, to the byte; 0 or less if the tile is too small."""
    slow = (slow_reach(axis, settings) + NODES_READ) * nodes_of(axis, settings).apart
    return axis.alone - max(SHARP_REACH * settings.factor, slow)
