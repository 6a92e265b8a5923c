"""A picture in a style: `pixels = stylize(generator, content, seed, strength)`, at any size, in bounded memory.

A style generator needs its picture's means and deviations. They are taken once, from a thumbnail. The picture is then
painted block by block with these numbers frozen, as in URST (Chen et al. 2021, arXiv 2103.11784). So the result does
not depend on the blocks, a window equals that part of the whole, and frames with the same statistics differ only where
their contents do. Noise is a field over the screen (server/network/noise.py), the same for every frame and size.

Pictures are (height, width, channels) on the CPU: 1 channel (grey), 3 (RGB) or 4 (RGB and alpha), in sRGB. They are
uint8, uint16, or floats in [0, 1]; floats outside count as 0 or 1. The result has the content's type (floats: float32)
and three channels, or four if the content has alpha, which is copied.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from server.errors import BadRequest
from server.model.style_blocks import block_rows, check_window, looked_at, mirrored_places
from server.model.torus import MAX_SIDE, Window, check_seed
from server.network.noise import Field
from server.network.style_generator import FrozenStyle, Statistics, StyleGenerator

# The side of a block in pixels. Halos cost little at this size, and a block takes a few hundred megabytes at most
# (benchmarks/stylize.py). A graphics card is faster with fewer and larger blocks.
BLOCK = 1024
BLOCK_ON_CUDA = 2048
THUMBNAIL_SIDE = 512  # pixels, the long side of the thumbnail from which statistics are taken
MAX_NOISE = 10.0
PIXELS_AT_ONCE = 2**21  # that are scaled down at once

_NOISE_MEAN = 0.5
_NOISE_STD = 12.0**-0.5  # of a uniform variable
_WHITE = {torch.uint8: 255, torch.uint16: 65535}
_LUMINANCE = (0.299, 0.587, 0.114)  # of R'G'B', Recommendation ITU-R BT.601


def stylize(
    generator: StyleGenerator,
    content: Tensor,
    seed: int,
    strength: float,
    *,
    keep_colours: bool = False,
    statistics: Statistics | None = None,
    window: Window | None = None,
    noise: float = 1.0,
    block: int | None = None,
) -> Tensor:
    """The content in the generator's style, or a window of it, equal to the bit to that part of the whole.

    `seed` in [0, 2^64): of the noise. `strength`: from 0, the content, to 1, the style. `keep_colours`: take only the
    brightness of the result, and the colours of the content. `statistics`: from `measure`, the same for all frames of a
    sequence; by default the content's own. `noise`: its magnitude, from 0 to 10; 1 as in training. `block`: about the
    side of a block in pixels; it bounds the memory and changes the result by less than 1/255. Raises BadRequest.
    """
    size = checked(content)
    window = check_window(size, window)
    if statistics is None:
        statistics = measure(generator, content, seed, strength, noise=noise)
    frozen = freeze(generator, statistics, strength)
    channels = 4 if content.shape[2] == 4 else 3
    dtype = content.dtype if content.dtype in _WHITE else torch.float32
    result = torch.empty(window.height, window.width, channels, dtype=dtype)
    done = 0
    for band in stylized_bands(
        frozen, content, seed, keep_colours=keep_colours, window=window, noise=noise, block=block
    ):
        result[done : done + len(band)] = band
        done += len(band)
    return result


def measure(
    generator: StyleGenerator, content: Tensor, seed: int, strength: float, *, noise: float = 1.0
) -> Statistics:
    """The content's statistics, from a thumbnail; they hold for this strength and magnitude. Raises BadRequest."""
    checked(content)
    check_numbers(strength, noise)
    small = thumbnail(content).to(generator.skip.device)
    height, width = small.shape[2:]
    wide = mirrored(small, generator.halo, generator.stride)
    part = Window(0, 0, wide.shape[2] - 2 * generator.halo, wide.shape[3] - 2 * generator.halo)
    return generator.measured(wide, noise_for(generator, [seed], part, noise), strength, (height, width))


def freeze(generator: StyleGenerator, statistics: Statistics, strength: float) -> FrozenStyle:
    """The generator for pictures of these statistics at this strength. Raises BadRequest."""
    check_numbers(strength, 0)
    return generator.frozen(statistics, strength)


def stylized_bands(
    frozen: FrozenStyle,
    content: Tensor,
    seed: int,
    *,
    keep_colours: bool = False,
    window: Window | None = None,
    noise: float = 1.0,
    block: int | None = None,
) -> Iterator[Tensor]:
    """`stylize` from top to bottom, in bands of at most a block's height. Raises BadRequest at the first band."""
    size = checked(content)
    generator = frozen.generator
    most = (BLOCK_ON_CUDA if generator.skip.device.type == "cuda" else BLOCK) if block is None else block
    if most < 1:
        raise BadRequest(f"block: it is {most!r}; it must be at least one pixel.")
    for row in block_rows(size, check_window(size, window), generator.stride, most):
        parts = []
        for each in row:
            part = looked_at(size, each.place, generator.halo)
            seen = content[part.top : part.top + part.height, part.left : part.left + part.width]
            painted = paint_block(frozen, seen, part, size, each.place, seed, keep_colours=keep_colours, noise=noise)
            parts.append(painted[each.source])
        yield torch.cat(parts, 1)


def paint_block(
    frozen: FrozenStyle,
    seen: Tensor,
    part: Window,
    size: tuple[int, int],
    place: Window,
    seed: int,
    *,
    keep_colours: bool = False,
    noise: float = 1.0,
) -> Tensor:
    """One block of server/model/style_blocks.py: the unit of work from which all windows are cut.

    `seen`: the pixels of the content in `part`, which `looked_at` gives for `place`. `size`: of the whole content.
    Returns (place.height, place.width, 3 or 4). Raises BadRequest.
    """
    check_numbers(0, noise)
    generator = frozen.generator
    halo = generator.halo
    rows, columns = (
        torch.tensor([pixel - first for pixel in mirrored_places(start - halo, start + count + halo, side)])
        for start, count, first, side in (
            (place.top, place.height, part.top, size[0]),
            (place.left, place.width, part.left, size[1]),
        )
    )
    # torch selects no uint16
    pixels = (seen.to(torch.int32) if seen.dtype == torch.uint16 else seen)[rows][:, columns]
    content = as_rgb(pixels.to(generator.skip.device), _WHITE.get(seen.dtype))
    painted = frozen(content, noise_for(generator, [seed], place, noise)).nan_to_num_(0.0).clamp_(0, 1)
    middle = slice(halo, halo + place.height), slice(halo, halo + place.width)
    if keep_colours:
        painted = recoloured(painted, content[:, :, *middle])
    result = as_pixels(painted, seen.dtype)
    if seen.shape[2] == 4:
        alpha = pixels[middle][..., 3:]
        result = torch.cat((result, alpha.to(result.dtype)), 2)
    return result


def noise_for(generator: StyleGenerator, seeds: Sequence[int], window: Window, magnitude: float = 1.0) -> list[Tensor]:
    """The noise for one window with its margins, on every level: see `StyleGenerator.forward`. One sample per seed.

    The window's corner and sides must be multiples of the stride. Raises BadRequest.
    """
    for seed in seeds:
        check_seed(seed)
    architecture, device = generator.architecture, generator.skip.device
    levels = []
    for level, (channels, cell, margin) in enumerate(
        zip(architecture.noise, architecture.cells, architecture.margins, strict=True)
    ):
        top, left = window.top // cell - margin, window.left // cell - margin
        rows, columns = window.height // cell + 2 * margin, window.width // cell + 2 * margin
        fields = [Field(seed=seed, level=level, height=MAX_SIDE, width=MAX_SIDE) for seed in seeds]
        samples = torch.cat([field.window(top, left, rows, columns, channels, device) for field in fields])
        levels.append(samples.sub_(_NOISE_MEAN).mul_(magnitude / _NOISE_STD))
    return levels


# ------------------------------------------------------------------------------------------------------------- pixels


def mirrored(content: Tensor, halo: int, multiple: int = 1) -> Tensor:
    """Continue the pictures as their mirror image for `halo` pixels on every side: (B, C, H + 2 halo, W + 2 halo).

    First H and W grow at their ends to the next multiple of `multiple`, in the same way.
    """
    rows, columns = (
        torch.tensor(mirrored_places(-halo, -(-side // multiple) * multiple + halo, side), device=content.device)
        for side in content.shape[2:]
    )
    return content[:, :, rows[:, None], columns]


def thumbnail(content: Tensor) -> Tensor:
    """The content as floats, (1, 3, H, W) in [0, 1], averaged down to at most 512 pixels on its long side."""
    height, width = content.shape[:2]
    white = _WHITE.get(content.dtype)
    if max(height, width) <= THUMBNAIL_SIDE:
        return as_rgb(content, white)
    small_height, small_width = (max(1, round(side * THUMBNAIL_SIDE / max(height, width))) for side in (height, width))
    rows = max(1, PIXELS_AT_ONCE // width)
    narrow = [
        F.adaptive_avg_pool2d(part := as_rgb(content[top : top + rows], white), (part.shape[2], small_width))
        for top in range(0, height, rows)
    ]
    return F.adaptive_avg_pool2d(torch.cat(narrow, 2), (small_height, small_width))


def recoloured(painted: Tensor, content: Tensor) -> Tensor:
    """The luminance of `painted` with the colours of `content`, (B, 3, H, W) in [0, 1].

    The hue is always the content's. Its saturation is reduced only where no colour of that luminance has so much.
    """
    weights = painted.new_tensor(_LUMINANCE)[:, None, None]
    light = (painted * weights).sum(1, keepdim=True)
    chroma = content - (content * weights).sum(1, keepdim=True)
    up, down = chroma.amax(1, keepdim=True), -chroma.amin(1, keepdim=True)
    share = torch.minimum((1 - light) / up.clamp(min=1e-6), light / down.clamp(min=1e-6)).clamp(max=1)
    return (light + share * chroma).clamp_(0, 1)


def white_of(pixels: Tensor) -> int | None:
    """The sample that means 1; None for floats."""
    return _WHITE.get(pixels.dtype)


def as_rgb(pixels: Tensor, white: int | None) -> Tensor:
    """(H, W, 1 | 3 | 4) to (1, 3, H, W) float32 in [0, 1], channels last."""
    colours = pixels[..., :3].float()
    colours = colours.nan_to_num(0.0).clamp(0, 1) if white is None else colours / white
    return colours.permute(2, 0, 1)[None].expand(-1, 3, -1, -1)


def as_pixels(painted: Tensor, dtype: torch.dtype) -> Tensor:
    """(1, 3, H, W) in [0, 1] to (H, W, 3) of the type, rounded to nearest, on the CPU."""
    colours = painted[0].permute(1, 2, 0)
    if (white := _WHITE.get(dtype)) is None:
        return colours.contiguous().cpu()
    whole = (colours * white + 0.5).to(torch.int32 if dtype == torch.uint16 else torch.uint8)
    return whole.cpu().to(dtype).contiguous()


# ------------------------------------------------------------------------------------------------------------- checks


def checked(content: Tensor) -> tuple[int, int]:
    """Height and width of a content that can be stylized. Raises BadRequest."""
    if content.ndim != 3 or content.shape[2] not in (1, 3, 4):
        raise BadRequest(
            f"content: its shape is {list(content.shape)[:9]}; it must be height x width x 1, 3 or 4 channels."
        )
    if content.dtype not in _WHITE and not content.dtype.is_floating_point:
        raise BadRequest(f"content: its type is {content.dtype}; it must be uint8, uint16 or a float.")
    height, width = content.shape[:2]
    check_window((height, width), None)
    return height, width


def check_numbers(strength: float, noise: float) -> None:
    """Raises BadRequest for a strength or a magnitude of noise that makes no sense."""
    for name, value, most in (("strength", strength, 1.0), ("noise", noise, MAX_NOISE)):
        if not (isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= most):
            raise BadRequest(f"{name}: it is {value!r}; it must be a number from 0 to {most:g}.")
