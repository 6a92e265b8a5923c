"""A drawing as a camera above it sees it: in the light of a low sun, with its shadows, and of a blue sky."""

from trainer.judge.pictures import Picture
from trainer.starter.light import developed, lit, unit
from trainer.starter.surface import Drawn


def photograph(drawing: Drawn) -> Picture:
    """(side, side, 3) uint8, sRGB."""
    maps = {name: unit(samples) for name, samples in drawing.maps.items()}
    return developed(lit(maps, drawing.relief, drawing.metres / len(next(iter(maps.values())))))
