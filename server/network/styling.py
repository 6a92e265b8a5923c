"""Any style on one picture: networks (server/network/stylize.py) and quilted styles (server/network/quilted.py)."""

from collections.abc import Callable, Iterator

from torch import Tensor

from server.network.model_file import AnyStyle
from server.network.quilted import QuiltedPicture, Wish
from server.network.style_generator import Statistics
from server.network.stylize import freeze, measure, stylized_bands
from server.strokes.painter import StyleQuilt


def stylizing(
    style: AnyStyle, content: Tensor, wish: Wish, given: bytes = b"", carry: bytes | None = None
) -> tuple[bytes, Iterator[Tensor], Callable[[], bytes]]:
    """The statistics that are used, those `given` or the content's own, the picture in bands from top to bottom, and
    what the next frame takes from this one, after all bands. `carry`: that of the frame before, b"" for the first of a
    shot, None for a picture by itself.

    `content`: as in server/network/stylize.py. Raises BadRequest.
    """
    if isinstance(style, StyleQuilt):
        picture = QuiltedPicture(style, content, wish, given, carry or b"", sequence=carry is not None)
        return picture.statistics, _sewn(picture), bytes if carry is None else lambda: picture.carry
    used = (
        Statistics.from_bytes(given, style.architecture)
        if given
        else measure(style, content, wish.seed, wish.strength, noise=wish.noise)
    )
    frozen = freeze(style, used, wish.strength)
    bands = stylized_bands(frozen, content, wish.seed, keep_colours=wish.keep_colours, noise=wish.noise)
    return used.to_bytes(), bands, bytes


def _sewn(picture: QuiltedPicture) -> Iterator[Tensor]:
    for _ in picture.planning():
        pass
    yield from picture.bands()
