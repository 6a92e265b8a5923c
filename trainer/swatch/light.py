"""Slow light: a photograph's rise and fall of brightness, or drift of colour, from one side to the other, levelled.

A network would show such light as blotches, a quilt as dark pieces beside bright ones. A quadratic surface per channel
is fitted to the logarithm of linear light and removed, but only if it explains most of the differences between the
swatch's cells. Shapes, however large, do not follow such a surface. Surfaces of higher orders follow shapes too, and
were worse. The mean colour stays. Along an axis on which the swatch tiles there can be no slow light, and nothing is
removed.

Source: the parametric surfaces of retrospective shading correction (Likar, Maintz, Viergever & Pernus, Journal of
Microscopy 2000). Differs: a fit by least squares in place of entropy, used only if it explains the picture.

Shapes: pixels are (1, 3, height, width), RGB, float32 in [0, 1], sRGB-encoded.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.swatch.swatch import Swatch, content_warning

CELLS = 8  # along each side; the surface is fitted to their means
DARKEST = 0.03  # linear light; darker cells count as this
# Light is levelled if a quadratic surface explains this share of the differences between cells, and its brightest part
# is this many times its darkest. Photographs in even light: a share of up to 0.76 for a veneer that is darker in its
# middle, up to 0.61 for the others. Light that falls to a half across them: 0.7 to 1.0, but 0.3 to 0.5 for heaps of
# large things (peppers), where it cannot be seen.
EXPLAINED = 0.77
RATIO = 1.1
LOOKED_AT = 512  # the picture is reduced to this shorter side, or up to twice as much, before cells are taken
ROWS = 256


def levelled(swatch: Swatch, wraps: tuple[bool, bool] = (False, False)) -> Swatch:
    """The swatch with its light levelled and a note that says so, or the swatch itself if its light is even.

    `wraps`: whether it tiles down and across.
    """
    pixels, ratios = level(swatch.pixels, wraps)
    if not ratios:
        return swatch
    what = " and ".join(f"{name} ({ratio:.1f} times from one part to another)" for name, ratio in ratios.items())
    before, after = content_warning(swatch.pixels), content_warning(pixels)
    kept = [warning for warning in swatch.warnings if warning != before]
    return dataclasses.replace(
        swatch,
        pixels=pixels,
        notes=(*swatch.notes, f"Slow light was levelled: {what}; --keep-light leaves it."),
        warnings=(*kept, after) if after else tuple(kept),
    )


def level(pixels: Tensor, wraps: tuple[bool, bool] = (False, False)) -> tuple[Tensor, dict[str, float]]:
    """The levelled pixels, and what was levelled: "brightness", "colour", each with its ratio of bright to dark.

    If the light is even: the same tensor and an empty dict.
    """
    height, width = pixels.shape[2:]
    factor = max(1, min(height, width) // LOOKED_AT)
    cells = (CELLS, CELLS)
    means = (
        F.adaptive_avg_pool2d(_linear(F.avg_pool2d(pixels, factor)), cells)[0]
        .double()
        .clamp_min(DARKEST)
        .log()
        .flatten(1)
    )
    brightness = means.mean(0)
    differences = torch.stack([brightness, means[0] - means[1], means[2] - means[1]], 1)
    found = [
        share >= EXPLAINED and ratio >= RATIO
        for share, ratio in (_explained(differences[:, index], cells, wraps) for index in range(3))
    ]
    if not any(found):
        return pixels, {}
    near = _terms(cells, wraps)
    solution = torch.linalg.lstsq(near, differences).solution * torch.tensor(found, dtype=torch.float64)
    fit = near @ solution
    ratios = {}
    if found[0]:
        ratios["brightness"] = _ratio(fit[:, 0])
    if any(found[1:]):
        ratios["colour"] = max(_ratio(fit[:, index]) for index in (1, 2) if found[index])
    light, red, blue = solution.unbind(1)  # of brightness, red over green, blue over green
    green = light - (red + blue) / 3
    logs = torch.stack([green + red, green, green + blue], 1)
    even = torch.empty_like(pixels)
    before, after = torch.zeros(2, 3, dtype=torch.float64).unbind(0)
    for top in range(0, height, ROWS):  # neither a large swatch's surface nor its linear light is ever held whole
        rows = range(top, min(top + ROWS, height))
        surface = (_terms((height, width), wraps, rows) @ logs).view(len(rows), width, 3).permute(2, 0, 1)
        linear = _linear(pixels[0, :, rows.start : rows.stop])
        levelled_rows = linear * (-surface).exp().float()
        even[0, :, rows.start : rows.stop] = levelled_rows
        before += linear.double().sum((1, 2))
        after += levelled_rows.double().sum((1, 2))
    scale = (before / after.clamp_min(1e-9)).float()[:, None, None]
    for band in torch.split(even[0], ROWS, 1):
        band.copy_(_encoded(band * scale).clamp_(0, 1))
    return even, ratios


def _explained(values: Tensor, cells: tuple[int, int], wraps: tuple[bool, bool]) -> tuple[float, float]:
    """The share of the values' variance that a quadratic surface explains, and the surface's ratio."""
    terms = _terms(cells, wraps)
    fit = terms @ torch.linalg.lstsq(terms, values[:, None]).solution[:, 0]
    total = (values - values.mean()).square().sum()
    return 1 - float((values - fit).square().sum() / total.clamp_min(1e-12)), _ratio(fit)


def _ratio(fit: Tensor) -> float:
    low, high = torch.quantile(fit, fit.new_tensor([0.05, 0.95]))
    return float((high - low).exp())


def _terms(sides: tuple[int, int], wraps: tuple[bool, bool], rows: range | None = None) -> Tensor:
    """The terms of a quadratic surface at the middles of cells or pixels, (cells, terms), without axes that wrap.

    `rows`: some rows of them; None: all.
    """
    v, u = (((torch.arange(side, dtype=torch.float64) + 0.5) / side) * 2 - 1 for side in sides)
    if rows is not None:
        v = v[rows.start : rows.stop]
    products = [
        v[:, None] ** down * u[None, :] ** across
        for down in range(3)
        for across in range(3 - down)
        if not (down and wraps[0]) and not (across and wraps[1])
    ]
    return torch.stack([each.expand(len(v), len(u)) for each in products], -1).reshape(-1, len(products))


def _linear(encoded: Tensor) -> Tensor:
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Tensor) -> Tensor:
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp_min(1e-9) ** (1 / 2.4) - 0.055)
