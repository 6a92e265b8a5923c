"""Facts about the close look at the places that a search found."""

import torch
from torch import Tensor

from server.model.grid import patch_axis
from server.model.maps import BASE_COLOUR
from server.quilt.parts import make_parts
from server.quilt.patches import Patches
from server.quilt.refine import refined
from tests import drawn
from tests.server.quilt.swatches import bytes_of
from trainer.quilt.learning import unpriced

INDEX = torch.tensor([[1, 1], [1, 3], [3, 1], [3, 3]])  # of the second colour: between four patches that stand


def on_a_copy() -> tuple[Patches, Tensor]:
    """Patches of a swatch that tiles, on a torus of its size, which all show what the swatch shows there. With them the
    places of all.
    """
    quilt = unpriced([bytes_of(drawn.blobs(256, 256)[0])], (BASE_COLOUR,), (True, True), None)
    axis = patch_axis(256, quilt.settings)
    patches = Patches(quilt.tables, quilt.settings, 0, (axis, axis), make_parts((axis, axis), None))
    line = torch.tensor([(axis.corner(patch) - axis.overlap) % 256 for patch in range(axis.patches)])
    patches.places[:] = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    return patches, patches.places.clone()


def test_of_many_places_the_one_that_continues_is_found_to_the_pixel() -> None:
    patches, places = on_a_copy()
    index = INDEX % torch.tensor(patches.shape)
    there = places[index[:, 0], index[:, 1]]
    generator = torch.Generator().manual_seed(3)
    for number in (0, 17, 31):
        found = torch.randint(256, (len(index), 32, 2), generator=generator)
        found[:, number] = (there + torch.tensor([1, -1])) % 256
        assert torch.equal(refined(patches, index, found, 1) % 256, there)


def test_of_equal_places_the_one_that_is_liked_most_is_taken() -> None:
    patches, places = on_a_copy()
    index = INDEX % torch.tensor(patches.shape)
    there = places[index[:, 0], index[:, 1]]
    again = torch.stack([there, there + 256], 1)  # the same, a swatch further
    assert torch.equal(refined(patches, index, again, 1), there)
