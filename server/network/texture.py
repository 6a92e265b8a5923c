"""The one idea: a texture is a pure function, `pixels = texture(generator, seed, size, window)`.

`size` is the period: the texture lives on a torus of exactly that size. `window` is the part wanted, by default all of
it. The same four values always give the same pixels: every window is cut from canonical tiles (server/model/torus.py),
each tile is computed alone, and nothing in a frozen generator looks at the whole image.

Quilts also paint textures with common edges (blender_addon/protocol/edges.py): variants of a tile, and Wang sets.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from blender_addon.protocol.edges import Edges, edges_of
from server.errors import BadRequest
from server.model.common_edges import check_edges
from server.model.maps import Depth, Map, depths_of
from server.model.torus import Axis, Piece, Size, Span, Window, check_seed, pieces
from server.network.generator import Generator, Line, Parents
from server.network.noise import Field
from server.network.normals import finished
from server.network.waves import waves
from server.quilt.quilt import Quilt

TextureGenerator = Generator | Quilt

_DTYPES = {8: torch.uint8, 16: torch.uint16}
_NOISE_MEAN = 0.5
_NOISE_STD = 12.0**-0.5  # of a uniform variable


def texture(
    generator: TextureGenerator,
    seed: int | Sequence[int],
    size: Size | tuple[int, int],
    window: Window | None = None,
    *,
    variant: int | None = None,
    wang: int = 0,
) -> Tensor:
    """Paint a window of a texture, or the same window of one texture per seed.

    `seed` in [0, 2^64); `size` (height, width) in pixels. Returns (seeds, channels of all maps, height, width)
    float32 in [0, 1] on the CPU, channels in the order of `generator.maps`. `variant` in [0, 9999]: one of the textures
    that are equal along their edges and different inside; None is the plain texture. `wang` = 2: a Wang set, whose
    `size` is that of the atlas. Raises BadRequest for values out of range.
    """
    size, edges = _size(size), edges_of(variant, wang)
    window = window or size.whole
    seeds = list(seed) if isinstance(seed, Sequence) else [seed]
    for each in seeds:
        check_seed(each)
    channels = sum(each.channels for each in generator.maps)
    result = torch.empty(len(seeds), channels, window.height, window.width)
    for image, each in zip(result, seeds, strict=True):  # one by one: batch mates must not change a rounding
        for piece, tile in _tiles(generator, each, size, window, edges):
            image[:, *piece.target] = tile[:, *piece.source]
    return result


def texture_bytes(
    generator: TextureGenerator,
    seed: int,
    size: Size,
    window: Window,
    depth: Depth | None = None,
    edges: Edges | None = None,
) -> list[Tensor]:
    """`texture` of one seed, in the form of files and messages: one tensor (height, width, channels) for each map.

    Values are rounded to the nearest uint8, or uint16 at a depth of 16 bits. By default each map has its own depth.
    """
    depths = depths_of(generator.maps, depth)
    result = [
        torch.empty(window.height, window.width, each.channels, dtype=_DTYPES[bits])
        for each, bits in zip(generator.maps, depths, strict=True)
    ]
    for piece in pieces(size, window):
        if isinstance(generator, Quilt):  # the same bytes in any window, so no more is painted than wanted
            check_seed(seed)
            samples = generator.samples(seed, size, piece.part, depths, edges)
        else:
            tile = tile_bytes(generator, seed, size, piece.tile, depths, edges)
            samples = [part[piece.source] for part in tile]
        for plane, part in zip(result, samples, strict=True):
            plane[piece.target] = part
    return result


def tile_bytes(
    generator: TextureGenerator,
    seed: int,
    size: Size,
    tile: Window,
    depths: Sequence[Depth],
    edges: Edges | None = None,
) -> list[Tensor]:
    """One canonical tile (server/model/torus.py), as `texture_bytes`: the unit of work of which all windows are cut."""
    check_seed(seed)
    return window_bytes(generator, seed, size, tile, depths, edges)


def window_bytes(
    generator: TextureGenerator,
    seed: int,
    size: Size,
    window: Window,
    depths: Sequence[Depth],
    edges: Edges | None = None,
) -> list[Tensor]:
    """One window as `texture_bytes`, painted in one piece, on which the last bit of a network depends: use tiles."""
    if isinstance(generator, Quilt):
        return generator.samples(seed, size, window, depths, edges)
    if edges:
        check_edges(generator.architecture, generator.lattice, size, edges)
    return map_bytes(painted(generator, seed, size, window), generator.maps, depths)


def bands(
    generator: TextureGenerator,
    seed: int,
    size: Size,
    window: Window | None = None,
    depth: Depth | None = None,
    edges: Edges | None = None,
) -> Iterator[list[Tensor]]:
    """The window from top to bottom in bands of at most a tile's height, each as `texture_bytes`.

    Memory is bounded by one band, whatever the height.
    """
    window = window or size.whole
    done = 0
    for piece in pieces(size, Window(window.top, window.left, window.height, 1)):
        rows = piece.target[0].stop - piece.target[0].start
        band = Window(window.top + done, window.left, rows, window.width)
        yield texture_bytes(generator, seed, size, band, depth, edges)
        done += rows


def to_bytes(pixels: Tensor, depth: Depth = 8) -> Tensor:
    """Float pixels in [0, 1] to uint8 or uint16, rounded to nearest: (B, C, H, W) -> (B, H, W, C), contiguous."""
    whole = (pixels * (2**depth - 1) + 0.5).to(torch.int32) if depth == 16 else pixels * 255 + 0.5
    return whole.to(_DTYPES[depth]).permute(0, 2, 3, 1).contiguous()


def map_bytes(pixels: Tensor, maps: Sequence[Map], depths: Sequence[Depth]) -> list[Tensor]:
    """Pixels of one texture, (1, channels of all maps, H, W), as the samples of each map: (H, W, channels)."""
    parts = torch.split(pixels, [each.channels for each in maps], 1)
    return [to_bytes(part, depth)[0] for part, depth in zip(parts, depths, strict=True)]


def _size(size: object) -> Size:
    if isinstance(size, Size):
        return size
    if not isinstance(size, Sequence) or len(size) != 2:
        raise BadRequest(f"size: it is {size!r}; it must be two whole numbers of pixels, height and width.")
    return Size(*size)


def _tiles(
    generator: TextureGenerator, seed: int, size: Size, window: Window, edges: Edges | None
) -> Iterator[tuple[Piece, Tensor]]:
    """The canonical tiles that the window is cut from, each (channels, height, width) float32 in [0, 1] on the CPU."""
    for piece in pieces(size, window):
        yield piece, _tile(generator, seed, size, piece.tile, edges)


def _tile(generator: TextureGenerator, seed: int, size: Size, tile: Window, edges: Edges | None) -> Tensor:
    check_seed(seed)
    if isinstance(generator, Quilt):
        depths = generator.depths
        samples = generator.samples(seed, size, tile, depths, edges)
        parts = [
            part.to(torch.int32).permute(2, 0, 1) / (2**bits - 1) for part, bits in zip(samples, depths, strict=True)
        ]
        return torch.cat(parts)
    if edges:
        check_edges(generator.architecture, generator.lattice, size, edges)
    return painted(generator, seed, size, tile)[0]


def painted(generator: Generator, seed: int, size: Size, window: Window) -> Tensor:
    """One window in one piece, with unit normals: (1, channels, height, width) float32 in [0, 1] on the CPU."""
    return finished(paint(generator, [seed], size, window), generator.maps).clamp_(0, 1).cpu()


@torch.no_grad()
def paint(generator: Generator, seeds: Sequence[int], size: Size, window: Window) -> Tensor:
    """Run the generator once over one window: `paint_with_gradients` without the gradients."""
    return paint_with_gradients(generator, seeds, size, window)


def paint_with_gradients(generator: Generator, seeds: Sequence[int], size: Size, window: Window) -> Tensor:
    """Run the generator once over one window, computing each level only where the next needs it.

    Returns (len(seeds), channels, window.height, window.width) float32, not clamped, on the generator's device.
    """
    levels = generator.architecture.levels
    axes = Axis(size.height, levels), Axis(size.width, levels)
    wanted = Span(window.top, window.top + window.height), Span(window.left, window.left + window.width)
    wanted = wanted[0].grown(generator.paint_margin), wanted[1].grown(generator.paint_margin)
    weight = next(generator.parameters())
    own: list[Tensor] = []
    parents: list[Parents] = []
    for level in reversed(range(levels)):
        own_margin, margin = generator.margins(level)
        halo = wanted[0].grown(own_margin), wanted[1].grown(own_margin)
        own.append(_own(generator, seeds, size, axes, level, halo).to(weight.dtype))
        read = wanted[0].grown(margin), wanted[1].grown(margin)
        if level == 0:
            break
        smooth = level <= generator.architecture.smooth
        wanted = tuple(  # type: ignore[assignment]
            axis.around(level, span) if smooth else axis.parents(level, span)
            for axis, span in zip(axes, read, strict=True)
        )
        lines = zip(axes, read, wanted, strict=True)
        parents.append(
            Parents(*(_parents(axis, level, span, coarser, weight, smooth) for axis, span, coarser in lines))
        )
    return generator(own[::-1], parents[::-1])  # type: ignore[no-any-return]


def _parents(axis: Axis, level: int, span: Span, coarser: Span, weight: Tensor, smooth: bool) -> Line:
    """Where in the coarser result the cells of a span are read, along one axis."""
    cells = range(span.start, span.stop)
    if not smooth:
        return Line(torch.tensor([axis.parent(level, cell) - coarser.start for cell in cells]).to(weight.device))
    found = [axis.between(level, cell) for cell in cells]
    return Line(
        torch.tensor([first - coarser.start for first, _ in found]).to(weight.device),
        torch.tensor([share for _, share in found]).to(weight),
    )


def _own(
    generator: Generator,
    seeds: Sequence[int],
    size: Size,
    axes: tuple[Axis, Axis],
    level: int,
    spans: tuple[Span, Span],
) -> Tensor:
    """Noise and waves of one level, zero mean and unit variance: (len(seeds), C, rows, columns), channels last."""
    device = next(generator.parameters()).device
    rows, columns = spans
    channels = generator.architecture.noise[level]
    noise = torch.cat(
        [
            Field(seed=seed, level=level, height=axes[0].cells(level), width=axes[1].cells(level)).window(
                rows.start, columns.start, rows.count, columns.count, channels, device
            )
            for seed in seeds
        ]
    )
    noise.sub_(_NOISE_MEAN).mul_(1 / _NOISE_STD)
    harmonics = generator.harmonics[level]
    if generator.lattice and harmonics:
        wave = waves(generator.lattice, harmonics, size, axes, level, spans, device) * 2**0.5
        noise = torch.cat((noise, wave.expand(len(seeds), -1, -1, -1)), 1)
    return noise.contiguous(memory_format=torch.channels_last)
