"""What a training is for: on a drawn brick wall the texture keeps the bond and comes nearer than a blur. Minutes."""

import pytest
import torch
import torch.nn.functional as F

from server.network.texture import texture
from tests.drawn import running_bond
from trainer.descriptor.descriptors import BuiltinDescriptor
from trainer.judge.measures import floor, lattice_kept, patch_distance, patch_statistics, seam
from trainer.swatch.periods import find_lattice
from trainer.training.recipe import Recipe
from trainer.training.texture import TextureTraining

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_the_default_recipe_without_weights_learns_a_running_bond() -> None:
    swatch = running_bond(384, 384)
    lattice = find_lattice(swatch)
    assert lattice
    training = TextureTraining(
        swatch, lattice, BuiltinDescriptor(), Recipe(arch="taper", iterations=700), device=torch.device("cpu")
    )
    for _ in training.run():
        pass
    sample = texture(training.finished(), 1, (512, 512))

    kept = lattice_kept(sample, swatch, lattice)
    assert kept is not None
    assert kept >= 0.85
    # A joint may lie on the wrap; so the wrap is compared with all places where joints lie.
    assert seam(sample) <= 1.02 * max(seam(sample.roll((-shift, -shift), (2, 3))) for shift in range(4, 508, 4))

    target = patch_statistics(swatch)
    own = floor(swatch, patch_statistics, patch_distance)
    reached, blurred = (patch_distance(patch_statistics(image), target) / own for image in (sample, blur(swatch)))
    assert reached < blurred


def blur(image: torch.Tensor, side: int = 5) -> torch.Tensor:
    """A box blur: what a generator that learns only the mean of everything comes to."""
    reach = side // 2
    return F.avg_pool2d(F.pad(image, (reach,) * 4, mode="circular"), side, 1)
