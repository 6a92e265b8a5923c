"""Things fall on what lies there, hide it, and are seen on both sides of the border; stones and leaves are bodies."""

import numpy as np

from trainer.starter.fields import Canvas, Field
from trainer.starter.leaf import SPECIES, STATES, Leaf
from trainer.starter.pile import FINE, Pile, Points
from trainer.starter.stones import Stone
from trainer.starter.surface import Surface
from trainer.starter.textures import Textures

CANVAS = Canvas(side=64, metres=0.2)
RED = np.array([0.5, 0.1, 0.1], np.float32)


def pile(ground: Field | None = None) -> Pile:
    flat = np.zeros((64, 64), np.float32) if ground is None else ground
    return Pile(CANVAS, Surface(height=flat, colour=np.full((64, 64, 3), 0.05, np.float32), roughness=flat + 0.9))


def drop(onto: Pile, stone: Stone, y: float, x: float) -> float:
    """Drop a red stone and return how high its middle lies."""
    patch = onto.canvas.patch(y, x, stone.reach)
    upper, lower = stone.sides(patch.y, patch.x)
    level = onto.rest(patch, lower, upper > lower, 1)
    seen = onto.put(patch, upper + np.float32(level), upper > lower)
    onto.paint(patch, seen, np.broadcast_to(RED, (int(seen.sum()), 3)), 0.5)
    return level


def test_a_stone_over_the_corner_is_seen_in_all_four_corners_and_is_the_same_as_in_the_middle() -> None:
    seen = []
    for at in (0.0, 0.1):
        onto = pile()
        drop(onto, Stone(np.random.default_rng(3), 0.03, faces=11, worn=0.4), at, at)
        shift = round((0.1 - at) / onto.canvas.pixel)
        seen.append(np.roll(onto.surface().colour, (shift // FINE, shift // FINE), (0, 1)))
    assert np.array_equal(seen[0], seen[1])
    assert (np.roll(seen[0], (32, 32), (0, 1))[[0, 0, -1, -1], [0, -1, 0, -1], 0] > 0.4).all()


def test_a_stone_rests_on_the_stone_below_and_hides_it() -> None:
    onto = pile()
    random = np.random.default_rng(5)
    first = drop(onto, Stone(random, 0.03, faces=11, worn=0.4), 0.1, 0.1)
    before = onto.height.copy()
    second = drop(onto, Stone(random, 0.02, faces=11, worn=0.4), 0.1, 0.1)
    assert second > first + 0.01
    assert (onto.height >= before).all()
    assert onto.height.max() > before.max() + 0.01


def test_a_stone_has_a_lower_side_and_stays_within_its_reach() -> None:
    random = np.random.default_rng(1)
    for worn in (0.0, 0.5, 1.0):
        stone = Stone(random, 0.02, faces=10, worn=worn)
        patch = CANVAS.patch(0.1, 0.1, 0.09)
        upper, lower = stone.sides(patch.y, patch.x)
        inside = upper > lower
        assert inside[len(inside) // 2, len(inside) // 2]
        assert not inside[np.hypot(patch.y, patch.x) > 1.5 * stone.reach].any()
        assert 0.005 < (upper - lower)[inside].max() < 0.05


def test_a_leaf_lies_on_the_ground_and_follows_it() -> None:
    hill = (0.06 * np.cos(2 * np.pi * CANVAS.y / 0.2)).astype(np.float32)
    onto = pile(hill)
    textures = Textures(CANVAS, (0.04, 0.006, 1.5), (0.008, 0.0014, 0.7), (0.0026, 0.0, 0.2))
    leaf = Leaf(np.random.default_rng(2), textures, 0.66 * onto.canvas.pixel, STATES[0], SPECIES[0])
    y, x, z = leaf.points
    lying = onto.lie(Points(y + np.float32(0.1), x + np.float32(0.1), z), 0.9)
    before = onto.surface().height
    onto.scatter(lying, leaf.colour, leaf.roughness)
    risen = onto.surface().height - before
    assert (risen >= 0).all()
    assert 0.02 < (risen > 0).mean() < 0.3  # of 0.04 m2
    assert np.median(risen[risen > 0]) < 0.005  # one that stayed flat would hang at 0.008
