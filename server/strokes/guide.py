"""What a picture asks for: its luminance by the painting's, its directions, its edges, and how much each counts.

The luminance is brought to the painting's distribution by one curve from the picture's statistics, so the frames of a
sequence with the same statistics have the same curve. The curve is nowhere steeper than STEEPEST: noise of a plain sky
stays noise. What is cut there makes the rest of the curve steeper. Edges and thin things are then set off from what
lies around them, so that towers and masts stand out from lively strokes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.style_quilt import CELLS, LARGEST_LIGHT, LIGHTS, PATCHES
from server.strokes import strays
from server.strokes.canvas import MARGIN
from server.strokes.light import (
    DIRECTION_CELLS,
    LIGHT_CELLS,
    Looks,
    boxes,
    edges,
    gathered,
    largest,
    luminance,
    same,
    thin,
)
from server.strokes.search import BUSY, MOST_LIGHT, Wanted

STEEPEST = 8  # a flat print has few tones between dark and light
GAINS = tuple(1 + step / 8 for step in range(57))  # of the rest of the curve, where its steepest parts are cut
BOOST, AROUND = 3.5, 33  # contrast of edges against the so many pixels around them is raised by so much
EDGE_FULL = 3  # mean edges above the mean: a full edge
THIN_NONE, THIN_FULL = 10 * 16, 40 * 16  # a thin structure that stands out so much: no edge yet, a full edge
SCORE = 255  # of a full edge
BESIDE, BESIDE_COUNTS = 33, 0.5  # pixels: so wide around an edge plain areas count as well, so much
EDGES_COUNT = 4  # weight of the light of a full edge's cell
MEAN = 24  # weight of the mean light of a patch


@dataclass(frozen=True, eq=False)
class Lights:
    """A picture's statistics: quantiles of luminance (LIGHTS,) int64 in [0, 4080], and its mean edge."""

    quantiles: Tensor
    mean_edge: int


def curve(picture: Tensor, painting: Tensor) -> Tensor:
    """A table from luminance to luminance, (4081,) int64, that brings quantiles (LIGHTS,) to those of the painting."""
    steps = torch.arange(LIGHTS).double() * (LARGEST_LIGHT / 2**20)  # a rising line where many are equal
    ends = picture.double() + steps / LIGHTS
    values = torch.arange(LARGEST_LIGHT + 1).double()
    after = torch.searchsorted(ends, values).clamp(1, LIGHTS - 1)
    share = ((values - ends[after - 1]) / (ends[after] - ends[after - 1])).clamp(0, 1)
    wanted = painting.double()
    matched = wanted[after - 1] + (wanted[after] - wanted[after - 1]) * share
    rises, room = matched.diff().clamp(min=0), float(wanted[-1] - wanted[0])
    gain = next((each for each in GAINS if float((rises * each).clamp(max=STEEPEST).cumsum(0)[-1]) >= room), GAINS[-1])
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), (rises * gain).clamp(max=STEEPEST).cumsum(0)])
    return (wanted[0] + sums + (room - sums[-1]) / 2).round().clamp(0, LARGEST_LIGHT).long()


class Guide:
    """What a picture asks for. `pixels`: (3, H, W) uint8 in plan pixels. `lights`: the painting's quantiles.

    `emphasis`: how much luminance counts, from 1 to 6. Corners of patches are multiples of a cell of their light.
    """

    def __init__(self, pixels: Tensor, statistics: Lights, lights: Tensor, emphasis: int) -> None:
        self.size = pixels.shape[1], pixels.shape[2]
        self.emphasis = emphasis
        rows, columns = (mirrored(side) for side in self.size)
        wide = pixels[:, rows][:, :, columns]
        light = luminance(wide)
        table = curve(statistics.quantiles, lights)
        matched = table[light.long()].double()
        plain = Looks(light, statistics.mean_edge, aligned=True)
        self.plain = plain
        strong = (edges(plain.tensor[2].double()) / statistics.mean_edge - 1) * (SCORE / EDGE_FULL)
        narrow = (thin(light) - THIN_NONE) * SCORE / (THIN_FULL - THIN_NONE)
        scores = torch.maximum(strong, narrow).clamp(0, SCORE).floor().float()
        around = (boxes(same(matched, AROUND // 2), AROUND) / AROUND**2).round()
        matched = matched + ((matched - around) * scores.double() * (BOOST / SCORE)).round()
        matched = matched.clamp(0, LARGEST_LIGHT)
        self.looks = Looks(matched, 1, aligned=True)
        margin = BESIDE // 2
        beside = largest(F.pad(scores, (margin, margin, margin, margin)), BESIDE)
        self._scores = torch.maximum(scores, (beside * BESIDE_COUNTS).floor()).double()
        self._matched = matched
        self._boxes: dict[str, tuple[int, Tensor]] = {}

    def wanted(self, number: int, corners: Tensor, cells: Tensor, known: Tensor) -> Wanted:
        """What patches of a level ask for; corners in the picture, `cells` and `known` as in Wanted."""
        side, at = PATCHES[number], corners + MARGIN
        ways, busy = self.plain.directions(at, side)
        length = ways.square().sum(1).sqrt()
        return Wanted(
            cells=cells,
            known=known,
            lights=self.looks.lights(at, side),
            light_weights=self.weights(number, corners),
            mean_weights=torch.full((len(corners),), float(MEAN * self.emphasis)),
            ways=ways,
            way_weights=(length / 4).floor().clamp(max=8),
            busy=busy,
            busy_weights=(busy > 0).float() * BUSY,
            stray_weights=self.stray_weights(number, corners),
        )

    def scores(self, number: int, corners: Tensor) -> Tensor:
        """How much of an edge the cells of patches hold: (n, 6, 6) float32, whole numbers in [0, SCORE]."""
        cell = PATCHES[number] // LIGHT_CELLS
        return gathered(self._means("scores", self._scores, cell), corners + MARGIN, LIGHT_CELLS, cell, cell)

    def weights(self, number: int, corners: Tensor) -> Tensor:
        """How much the luminance of cells counts: (n, 6, 6), whole numbers from 0 to MOST_LIGHT."""
        scores = EDGES_COUNT * self.scores(number, corners) / SCORE
        return (self.emphasis * scores).floor().clamp(0, MOST_LIGHT)

    def stray_weights(self, number: int, corners: Tensor) -> Tensor:
        """How much it counts that parts of plain cells do not leave their light: (n, 3, 3), whole numbers."""
        scores = F.avg_pool2d(self.scores(number, corners), LIGHT_CELLS // DIRECTION_CELLS)
        return (strays.WEIGHT * (SCORE - scores) / SCORE).floor()

    def fine_lights(self, number: int, corners: Tensor) -> Tensor:
        """Luminance of the cells in which colours are compared: (n, count, count) float32 in [0, 255]."""
        cell = PATCHES[number] // CELLS[number]
        table = self._means("lights", self._matched, cell, 16)
        return gathered(table, corners + MARGIN, CELLS[number], cell, cell)

    def _means(self, name: str, values: Tensor, side: int, parts: int = 1) -> Tensor:
        found = self._boxes.get(name)
        if found is None or found[0] != side:  # a level is done before the next, so one of each is kept
            found = self._boxes[name] = side, (boxes(values, side, side) / (parts * side**2)).floor().float()
        return found[1]


def mirrored(side: int) -> Tensor:
    """Which pixel of a picture's side shows at each place of the canvas."""
    places = torch.arange(-MARGIN, side + 2 * MARGIN).remainder(2 * side)
    return torch.where(places >= side, 2 * side - 1 - places, places)
