"""The pictures that one texget command paints: of several seeds and variants, UDIM squares, the tiles of a Wang set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blender_addon.pictures.udim import TOKEN, UdimSet, parse_udim
from blender_addon.protocol.edges import ACROSS, MAX_VARIANT, PLACES
from server.errors import BadRequest
from server.model.torus import Size, Window

TILE = "{tile}"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One of them. `template`: of its name. `tile`: its number in a Wang set, if it is one tile of it."""

    template: str
    seed: int
    window: Window
    variant: int | None = None
    tile: int | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """All of them, and how their files are named. `size` is the period: of a Wang set that of its atlas."""

    size: Size
    wang: int
    several_seeds: bool
    pictures: tuple[Picture, ...]

    @property
    def pixels(self) -> int:
        return sum(each.window.pixels for each in self.pictures)

    def named(self, picture: Picture, maps: Sequence[str]) -> list[Path]:
        """The files of one picture, by map: placeholders are filled in, missing ones added before the suffix where they
        are needed. One of several seeds has as many digits as the longest, so that names sort as seeds do.
        """
        path = Path(picture.template)
        if not path.name:
            raise BadRequest(f"output: {picture.template!r} is a folder; add a file name such as brick.png.")
        digits = max(len(str(each.seed)) for each in self.pictures) if self.several_seeds else 1
        added = f"-{picture.seed:04}" if self.several_seeds and "{seed}" not in path.name else ""
        if len({each.variant for each in self.pictures}) > 1 and "{variant}" not in path.name:
            added += "-v{variant}"
        if len(maps) > 1 and "{map}" not in path.name:
            added += "-{map}"
        name = f"{path.stem}{added}{path.suffix}".replace("{seed}", f"{picture.seed:0{digits}}")
        name = name.replace("{variant}", str(picture.variant or 0))
        if picture.tile is not None:
            name = name.replace(TILE, f"{picture.tile:02}")
        return [path.with_name(name.replace("{map}", each)) for each in maps]


def ordered(
    template: str,
    size: Size,
    window: Window | None,
    seeds: Sequence[int],
    variants: Sequence[int | None],
    wang: int,
    *,
    several_seeds: bool,
    udim: str | None,
) -> Order:
    """`size`: of a texture, of one UDIM square, or of one tile of a Wang set. Raises BadRequest."""
    by_tile = TILE in Path(template).name
    if by_tile and not wang:
        raise BadRequest(f"output: {TILE} in its name is for the tiles of a Wang set; add --wang 2, or leave it out.")
    if by_tile and window:
        raise BadRequest("--window has no meaning with a file for each tile; leave it out.")
    period = Size(size.height * ACROSS, size.width * ACROSS) if wang else size
    parts: list[tuple[str, int | None, Window]] = [(template, None, window or period.whole)]
    if by_tile:
        parts = [
            (template, number, Window(row * size.height, column * size.width, *size))
            for number, (row, column) in enumerate(PLACES)
        ]
    if udim is not None:
        squares = UdimSet(numbers=parse_udim(udim), side=(size.height, size.width))
        period = Size(*squares.size)
        template = template if TOKEN in template else f"{Path(template).with_suffix('')}.{TOKEN}{Path(template).suffix}"
        parts = [(template.replace(TOKEN, str(each)), None, Window(*squares.window(each))) for each in squares.numbers]
    pictures = tuple(
        Picture(template=named, seed=seed, window=part, variant=variant, tile=tile)
        for seed in seeds
        for variant in variants
        for named, tile, part in parts
    )
    return Order(size=period, wang=wang, several_seeds=several_seeds, pictures=pictures)


def parse_variants(one: str | None, count: str | None) -> list[int | None]:
    """`--variant` or `--variants`; [None] for neither. Raises BadRequest."""
    if count is not None:
        return list(range(_number("variants", count, 1, MAX_VARIANT + 1)))
    return [None if one is None else _number("variant", one, 0, MAX_VARIANT)]


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise BadRequest(f"{name}: {text[:60]!r} is not a whole number from {least} to {most}.")
    return int(text)
