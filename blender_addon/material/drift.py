"""Slow variation: over metres the colours of a surface wander a little, as those of real walls and floors do.

It lies in the world and not on the object, so that it goes on from one piece of a wall to the next, and copies of an
object differ. An object that moves, moves through it.
"""

from typing import Any, Final

from .wiring import Value, Wiring

_GAIN: Final = 5.0  # Blender's noise stays near its middle; so much of it fills -1 to 1
_SMALLEST: Final = 1e-3


def drift(wiring: Wiring, hue: Value, brightness: Value, size: Value) -> tuple[Any, Any]:
    """What to add to the hue, and what to multiply the value with. `size`: of the patches, in units of length."""
    position = wiring.node("ShaderNodeNewGeometry").outputs["Position"]
    scale = wiring.math("DIVIDE", 1.0, wiring.math("MAXIMUM", size, _SMALLEST))
    noise = wiring.node("ShaderNodeTexNoise", wiring.scale(position, scale))
    for name, given in (("Scale", 1.0), ("Detail", 1.0), ("Roughness", 0.5)):
        wiring.set(noise.inputs[name], given)
    centred = wiring.vector("SUBTRACT", noise.outputs["Color"], (0.5, 0.5, 0.5))
    wide = wiring.vector("MULTIPLY", centred, (_GAIN, _GAIN, _GAIN))
    within = wiring.vector("MAXIMUM", wiring.vector("MINIMUM", wide, (1, 1, 1)), (-1, -1, -1))
    one, other, _ = wiring.separate(within)
    return wiring.math("MULTIPLY", one, hue), wiring.math("MULTIPLY_ADD", other, brightness, 1.0)
