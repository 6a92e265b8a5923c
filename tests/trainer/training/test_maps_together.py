"""What holds maps together: derived ones, the losses that look at several, and the measures of it."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, ROUGHNESS, Map, channels_of
from server.model.torus import Size, Window
from tests.drawn import clouds, gravel
from trainer.descriptor.descriptors import BuiltinDescriptor
from trainer.judge.map_measures import MapJudge, relief_angle, steepness_of
from trainer.loss.losses import Place
from trainer.loss.map_losses import CONTRAST, MIXTURES, ReliefLoss, Views
from trainer.swatch.derive import derived, parse_names

MAPS = (BASE_COLOUR, NORMAL, ROUGHNESS, HEIGHT)
WHOLE = Place(Size(128, 128), Window(0, 0, 128, 128), 3)


def normals_of(height: Tensor, steepness: float) -> Tensor:
    """Of a height that wraps, (1, 1, H, W)."""
    right = (height.roll(-1, 3) - height.roll(1, 3)) / 2
    down = (height.roll(-1, 2) - height.roll(1, 2)) / 2
    slope = torch.cat([-steepness * right, steepness * down, torch.ones_like(right)], 1)
    return F.normalize(slope, dim=1).add(1).div(2)


def material(seed: int, *, height_seed: int | None = None, steepness: float = 6.0) -> Tensor:
    """Gravel whose light stones are high and rough; the height may be another gravel's."""
    colour = gravel(128, 128, seed=seed, stone=9)
    height = F.avg_pool2d(F.pad(colour.mean(1, keepdim=True), (2, 2, 2, 2), mode="circular"), 5, 1)
    other = height if height_seed is None else material(height_seed)[:, 7:8]
    return torch.cat([colour, normals_of(height, steepness), 0.3 + 0.5 * colour[:, :1], other], 1)


@pytest.fixture(scope="module")
def swatch() -> Tensor:
    return material(1)


def test_derived_maps_agree_with_each_other() -> None:
    colour = gravel(128, 128, seed=2, stone=9)
    maps = derived(colour, ("normal", "height", "roughness"))
    assert {name: each.shape[1] for name, each in maps.items()} == {"height": 1, "normal": 3, "roughness": 1}
    assert all(each.min() >= 0 and each.max() <= 1 for each in maps.values())
    pixels = torch.cat([maps["normal"], maps["height"]], 1)
    both = (NORMAL, HEIGHT)
    assert relief_angle(pixels, both, steepness_of(pixels, both)) < 1
    assert (maps["normal"] * 2 - 1).mean((0, 2, 3))[2] > 0.7
    dark = colour.mean(1, keepdim=True) < colour.mean() - colour.std()
    assert maps["height"][dark].mean() < maps["height"][~dark].mean() - 0.1


class Nothing(nn.Module):
    """A loss that keeps what it was built around and how often it was asked about that."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.picture, self.asked = picture, 0

    def forward(self, images: Tensor, place: Place) -> Tensor:
        self.asked += bool(images.equal(self.picture))
        return images.sum() * 0 + 1


@pytest.mark.parametrize(
    ("maps", "per_step"), [(MAPS, 3), ((BASE_COLOUR, NORMAL), 2), ((BASE_COLOUR, ROUGHNESS, HEIGHT), 2)], ids=str
)
def test_normals_are_looked_at_in_every_step_as_they_are_and_other_maps_by_turns_stretched(
    swatch: Tensor, maps: Sequence[Map], per_step: int
) -> None:
    pixels = torch.cat([swatch[:, channels_of(MAPS, each.name)] for each in maps], 1)
    looks: list[Nothing] = []

    def look(picture: Tensor) -> Nothing:
        looks.append(Nothing(picture))
        return looks[-1]

    loss = Views(pixels, maps, look, seed=0)
    steps = 2 * MIXTURES
    for step in range(steps):
        assert loss(pixels, Place(WHOLE.size, WHOLE.window, step)) == per_step
    for each in maps[1:]:
        picture = pixels[:, channels_of(maps, each.name)]
        if each != NORMAL:
            picture = (0.5 + CONTRAST * (picture - picture.mean()) / picture.std()).expand(-1, 3, -1, -1)
        (found,) = [look for look in looks if torch.allclose(look.picture, picture, atol=1e-4)]
        assert found.asked == (steps if each == NORMAL else steps / 2)
        looks.remove(found)
    assert [each.asked for each in looks] == [2] * MIXTURES


@pytest.mark.parametrize("text", ["", "normal,normal", "ao", "height;normal"])
def test_derive_names_are_checked(text: str) -> None:
    with pytest.raises(ValueError, match="--derive"):
        parse_names(text)


def test_the_relief_loss_sees_normals_that_are_not_the_height_s(swatch: Tensor) -> None:
    loss = ReliefLoss(swatch, MAPS)
    own, other = loss(material(5), WHOLE), loss(material(5, height_seed=6), WHOLE)
    assert own < 0.05
    assert other > 1
    steep = loss(material(5, steepness=12.0), WHOLE)
    assert own < steep


def test_the_relief_loss_has_a_slope_for_both(swatch: Tensor) -> None:
    images = material(5, height_seed=6).requires_grad_()
    ReliefLoss(swatch, MAPS)(images, WHOLE).backward()
    assert images.grad is not None
    for each in (NORMAL, HEIGHT):
        assert images.grad[:, channels_of(MAPS, each.name)].abs().sum() > 0
    assert images.grad[:, :3].abs().sum() == 0


def test_the_objective_prefers_maps_that_belong_together(swatch: Tensor) -> None:
    """Each map by itself is as good in both; only how they lie to each other differs."""
    objective = BuiltinDescriptor().objective(swatch, None, 96, 0, MAPS)
    together = material(1).roll((16, 32), (2, 3))
    apart = torch.cat([together[:, :3], together[:, 3:].roll((40, 24), (2, 3))], 1)
    assert set(objective.names) >= {"features", "patch", "maps", "relief"}
    for step in range(4):
        place = Place(WHOLE.size, WHOLE.window, step)
        assert objective(together, place) < 0.5 * objective(apart, place)


def test_colour_alone_is_looked_at_as_before() -> None:
    colour = gravel(128, 128, seed=1)
    assert BuiltinDescriptor().objective(colour, None, 96, 0).names == ["features", "patch", "grid"]


def test_measures_tell_aligned_maps_from_others(swatch: Tensor) -> None:
    judge = MapJudge(swatch, MAPS, None)
    own, apart = judge.figures(material(7), MAPS), judge.figures(_apart(material(7)), MAPS)
    assert own.keys() == {each.name for each in MAPS}
    for name in ("normal", "height", "roughness"):
        assert 0.75 < _edges(own, name) < 1.25
        assert _edges(apart, name) < 0.5
    assert own["normal"].relief is not None
    assert own["normal"].relief < 1.3
    assert _relief(judge.figures(material(7, height_seed=8), MAPS)) > 3
    strange = torch.cat([clouds(128, 128, seed=1), material(7)[:, 3:]], 1)
    assert judge.figures(strange, MAPS)["basecolor"].patch > 2 * own["basecolor"].patch


def _apart(pixels: Tensor) -> Tensor:
    return torch.cat([pixels[:, :3], pixels[:, 3:].roll((40, 24), (2, 3))], 1)


def _edges(figures, name: str) -> float:  # type: ignore[no-untyped-def]
    value = figures[name].edges
    assert value is not None
    return float(value)


def _relief(figures) -> float:  # type: ignore[no-untyped-def]
    value = figures["normal"].relief
    assert value is not None
    return float(value)


def test_a_map_that_the_swatch_has_not_is_passed_over(swatch: Tensor) -> None:
    some: Sequence[Map] = (BASE_COLOUR, ROUGHNESS)
    judge = MapJudge(swatch[:, [0, 1, 2, 6]], some, None)
    assert set(judge.figures(material(7), MAPS)) == {"basecolor", "roughness"}
