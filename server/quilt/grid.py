"""Where the patches of a torus lie: one axis at a time, in whole numbers. No torch here."""

from dataclasses import dataclass

from server.model.quilt import QuiltArchitecture


@dataclass(frozen=True, kw_only=True)
class PatchAxis:
    """One axis of a torus of patches.

    `side`: the period in pixels. `patches`: how many in a period: 1, or an even number, so that patches can have the
    four colours of a checkerboard of 2 x 2. `overlap`: half the width of an overlap, in pixels.
    """

    side: int
    patches: int
    overlap: int

    def corner(self, patch: int) -> int:
        """The first pixel of a patch's own part; unwrapped in, unwrapped out."""
        rounds, index = divmod(patch, self.patches)
        return rounds * self.side + index * self.side // self.patches

    def middle(self, patch: int) -> int:
        """The pixel in the middle of a patch's own part."""
        return (self.corner(patch) + self.corner(patch + 1)) // 2

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


def patch_axis(side: int, settings: QuiltArchitecture) -> PatchAxis:
    """The patches along a period of `side` pixels: pitches of about `settings.pitch`, from 0.5 to 1.5 of it."""
    pitch, overlap = settings.pitch * settings.factor, settings.overlap * settings.factor
    patches = 1 if side < pitch else 2 * max(1, (side + pitch) // (2 * pitch))
    narrow = 3 * side // (8 * patches * settings.factor) * settings.factor  # where patches are small
    return PatchAxis(side=side, patches=patches, overlap=max(settings.factor, min(overlap, narrow)))
