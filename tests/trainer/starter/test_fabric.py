"""The weave of the tweed."""

import numpy as np

from trainer.starter.fabric import STRIPE, YARNS, _lifted


def test_every_yarn_goes_over_two_and_under_two_and_stripes_lean_to_opposite_sides() -> None:
    over = _lifted()
    assert over.shape == (YARNS, YARNS)
    assert (over != np.roll(over, 2, 1)).all()
    inside = np.arange(YARNS - 1) % STRIPE < STRIPE - 1  # neighbours within a stripe
    right = np.array([np.array_equal(over[i + 1], np.roll(over[i], -1)) for i in range(YARNS - 1)])
    left = np.array([np.array_equal(over[i + 1], np.roll(over[i], 1)) for i in range(YARNS - 1)])
    stripe = np.arange(YARNS - 1) // STRIPE % 2
    assert right[inside & (stripe == 0)].all()
    assert left[inside & (stripe == 1)].all()
