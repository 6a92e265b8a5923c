"""texget: paints a texture into an image file, without a server.

    texget brick --seed 7 --size 4096x2048 -o brick.png      width x height, any from 16 to 65536
    texget brick --window 900,600,300x200                    left, top, width x height: a part of the same texture
    texget brick --seeds 0-15 -o brick.png                   brick-0000.png, brick-0001.png, …
    texget                                                   lists the models

Pictures go to the disk band by band, so memory stays small at any size, and appear under their name when complete.
What was made can be made again: the file says which model, seed, size and window it shows.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import NoReturn

from PIL import Image
from tqdm import tqdm

from blender_addon.image_file import ImageFile, ImageFileError, format_of, open_image
from server import __version__
from server.devices import PRECISIONS, Precision, choose_device, choose_precision, prepare
from server.errors import BadRequest, TexserverError
from server.library import Entry, Library
from server.maps import Map
from server.model_file import Model, read_model, replace_file
from server.texture import bands
from server.torus import Size, Window, check_seed

JPEG_SUFFIXES = (".jpg", ".jpeg")
JPEG_SIDE = 65500  # libjpeg's own limit
JPEG_PIXELS = 64_000_000  # the whole picture is held in memory
JPEG_QUALITY = 95
MAX_SEEDS = 10_000
LISTED_SIDES = (256, 512, 1024, 2048, 4096)

INTERRUPTED = 130  # as shells report a command that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 when done, 2 after one sentence on stderr, 130 after Ctrl-C."""
    try:
        arguments = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
        library = Library(Path(arguments.models))
        if arguments.model is None:
            _list(library)
        else:
            _paint(library, arguments)
    except (TexserverError, ImageFileError) as error:
        print(f"texget: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("texget: stopped; no unfinished picture was left behind.", file=sys.stderr)
        return INTERRUPTED
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, as the rest of the command does, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise BadRequest(f"{message}; see texget --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="texget",
        description="Paints a texture of a trained model into a PNG, TIFF or JPEG file; without a model, lists them.",
    )
    parser.add_argument("model", nargs="?", help="the model's name, as `texget --models DIR` lists it")
    parser.add_argument("--models", default="models", metavar="DIR", help="folder of the models (default: %(default)s)")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", default="0", metavar="N", help="which of the endless textures (default: %(default)s)")
    seeds.add_argument("--seeds", metavar="N-M", help="several, one file each: 0-15 or 3,5,9-12")
    parser.add_argument("--size", default="1024x1024", metavar="WxH", help="period in pixels (default: %(default)s)")
    parser.add_argument("--window", metavar="LEFT,TOP,WxH", help="only this part; it wraps, and may start below zero")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="PNG, TIFF or JPEG by its suffix; {seed} and {map} are filled in (default: MODEL-SEED-WxH.png)",
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="exact: float32; fast: bfloat16, a few 1/255 off (default: fast where the processor has bfloat16)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _joined(argv: Sequence[str]) -> list[str]:
    """`--window -5,0,8x8` as `--window=-5,0,8x8`: argparse takes a value that begins with a dash for an option."""
    result = list(argv)
    for index in range(len(result) - 1):
        if result[index] == "--window" and re.match(r"-[0-9]", result[index + 1]):
            result[index : index + 2] = [f"--window={result[index + 1]}"]
            break
    return result


# ----------------------------------------------------------------------------------------------------------- painting


def _paint(library: Library, arguments: argparse.Namespace) -> None:
    size = parse_size(arguments.size)
    window = parse_window(arguments.window) if arguments.window is not None else None
    seeds = parse_seeds(arguments.seeds) if arguments.seeds is not None else [parse_seed(arguments.seed)]
    model = read_model(library.path(arguments.model))
    template = arguments.output or _default_output(model.name, size, window)
    painter = Painter(
        model=model,
        size=size,
        window=window or Window(0, 0, size.height, size.width),
        device=arguments.device,
        precision=arguments.precision,
    )
    several = arguments.seeds is not None
    jobs = [(seed, [_named(template, seed, several, each, model) for each in model.generator.maps]) for seed in seeds]
    for path in jobs[0][1]:
        painter.check_output(path)
    pixels = painter.window.height * painter.window.width
    with tqdm(
        total=pixels * len(jobs), unit="px", unit_scale=True, desc=model.name, disable=arguments.quiet, file=sys.stderr
    ) as bar:
        for seed, paths in jobs:
            for rows in painter.paint(seed, paths):
                bar.update(rows * painter.window.width)


class Painter:
    """Paints the same window of one model into files, seed by seed. Raises NoSuchDevice."""

    def __init__(self, model: Model, size: Size, window: Window, device: str, precision: Precision) -> None:
        self.model = model
        self.size = size
        self.window = window
        chosen = choose_device(device)
        self._precision = choose_precision(chosen, precision)
        self._generator = prepare(model.generator, chosen, self._precision)

    def check_output(self, path: Path) -> None:
        """Raise, before minutes of work, for a format that cannot be had and a folder that is not there."""
        if path.suffix.lower() not in JPEG_SUFFIXES:
            try:
                format_of(path)
            except ImageFileError as error:
                raise BadRequest(
                    f"output: {str(path)!r} says no format; end it in .png, .tif, .tiff, .jpg or .jpeg."
                ) from error
        elif max(self.window.height, self.window.width) > JPEG_SIDE:
            raise BadRequest(f"output: a JPEG is at most {JPEG_SIDE} pixels a side; end the name in .png or .tif.")
        elif self.window.height * self.window.width > JPEG_PIXELS:
            raise BadRequest(
                f"output: a JPEG is held in memory, so at most {JPEG_PIXELS // 10**6} megapixels; "
                "end the name in .png or .tif."
            )
        if not path.parent.is_dir():
            raise BadRequest(f"output: there is no folder {path.parent}; create it or choose another.")

    def paint(self, seed: int, paths: Sequence[Path]) -> Iterator[int]:
        """Paint one texture into one file per map. Yields the rows of each band when it is done."""
        maps = self.model.generator.maps
        with ExitStack() as stack:
            files = [self._open(stack, path, each, seed) for path, each in zip(paths, maps, strict=True)]
            for band in bands(self._generator, seed, self.size, self.window):
                first = 0
                for file, each in zip(files, maps, strict=True):
                    file.write_rows(band[..., first : first + each.channels].contiguous().numpy().data)
                    first += each.channels
                yield band.shape[0]

    def _open(self, stack: ExitStack, path: Path, each: Map, seed: int) -> "ImageFile | _Jpeg":
        metadata = self._provenance(seed, each)
        if path.suffix.lower() in JPEG_SUFFIXES:
            return stack.enter_context(_Jpeg(path, self.window, each.channels, metadata))
        width, height, srgb = self.window.width, self.window.height, each.colour_space == "srgb"
        return stack.enter_context(
            open_image(path, width=width, height=height, channels=each.channels, metadata=metadata, srgb=srgb)
        )

    def _provenance(self, seed: int, each: Map) -> dict[str, str]:
        return {
            "Software": f"texserver {__version__}",
            "Model": self.model.name,
            "Model SHA-256": self.model.sha256,
            "Map": each.name,
            "Seed": str(seed),
            "Size": f"{self.size.width}x{self.size.height}",
            "Window": f"{self.window.left},{self.window.top},{self.window.width}x{self.window.height}",
            "Precision": self._precision,
        }


class _Jpeg:
    """A JPEG, gathered in memory and written when complete: Pillow encodes no bands."""

    def __init__(self, path: Path, window: Window, channels: int, metadata: Mapping[str, str]) -> None:
        self._path = path
        self._mode = "L" if channels == 1 else "RGB"
        self._size = (window.width, window.height)
        self._metadata = metadata
        self._rows = bytearray()

    def write_rows(self, rows: memoryview) -> None:
        self._rows += rows.cast("B")

    def __enter__(self) -> "_Jpeg":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            return
        image = Image.frombuffer(self._mode, self._size, self._rows, "raw", self._mode, 0, 1)
        encoded = BytesIO()
        # 4:4:4: fine coloured grain is what textures are made of
        image.save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0, comment=json.dumps(dict(self._metadata)))
        replace_file(self._path, encoded.getvalue())


# -------------------------------------------------------------------------------------------------- names and numbers


def _default_output(name: str, size: Size, window: Window | None) -> str:
    part = f"-at-{window.left},{window.top}-{window.width}x{window.height}" if window else ""
    return f"{name}-{{seed}}-{size.width}x{size.height}{part}.png"


def _named(template: str, seed: int, several: bool, each: Map, model: Model) -> Path:
    """The file of one seed and map: placeholders filled in, and what would tell files apart added before the suffix."""
    path = Path(template)
    if not path.name:
        raise BadRequest(f"output: {template!r} is a folder; add a file name such as {model.name}.png.")
    added = ""
    if several and "{seed}" not in path.name:
        added += f"-{seed:04}"
    if len(model.generator.maps) > 1 and "{map}" not in path.name:
        added += f"-{each.name}"
    name = f"{path.stem}{added}{path.suffix}".replace("{seed}", str(seed)).replace("{map}", each.name)
    return path.with_name(name)


def parse_size(text: str) -> Size:
    """ "4096x2048", width x height. Raises BadRequest."""
    found = re.fullmatch(r"([0-9]{1,10})x([0-9]{1,10})", text)
    if not found:
        raise BadRequest(f"size: {text[:60]!r} is not WIDTHxHEIGHT, such as 2048x1024.")
    return Size(height=int(found[2]), width=int(found[1]))


def parse_window(text: str) -> Window:
    """ "900,600,300x200": left, top, width x height. Raises BadRequest."""
    found = re.fullmatch(r"(-?[0-9]{1,10}),(-?[0-9]{1,10}),([0-9]{1,10})x([0-9]{1,10})", text)
    if not found:
        raise BadRequest(f"window: {text[:60]!r} is not LEFT,TOP,WIDTHxHEIGHT, such as 900,600,300x200.")
    left, top, width, height = (int(number) for number in found.groups())
    return Window(top=top, left=left, height=height, width=width)


def parse_seed(text: str) -> int:
    """A whole number in [0, 2^64). Raises BadRequest."""
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise BadRequest(f"seed: {text[:60]!r} is not a whole number from 0 to 18446744073709551615.")
    check_seed(int(text))
    return int(text)


def parse_seeds(text: str) -> list[int]:
    """ "0-15" or "3,5,9-12", each seed once, in the order given. Raises BadRequest."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.partition("-")
        start = parse_seed(first)
        stop = parse_seed(last) if dash else start
        if stop < start:
            raise BadRequest(f"seeds: {part[:60]!r} runs backwards; write {stop}-{start}.")
        if len(seeds) + stop - start >= MAX_SEEDS:
            raise BadRequest(f"seeds: at most {MAX_SEEDS} at once.")
        seeds.update(dict.fromkeys(range(start, stop + 1)))
    return list(seeds)


# ------------------------------------------------------------------------------------------------------------ the list


def _list(library: Library) -> None:
    entries = library.entries()
    if not entries:
        print(f"No models in {library.folder}. Train one: python -m trainer --swatch PHOTO")
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.name:{width}}  {_described(entry)}")


def _described(entry: Entry) -> str:
    if entry.facts is None:
        return f"broken: {entry.reason}"
    swatch, lattice = entry.facts.swatch, entry.facts.lattice
    about = f"ready, swatch {swatch.width}x{swatch.height}"
    if lattice is None:
        return f"{about}, no lattice: any size"
    fitting = [f"{side}x{side}" for side in LISTED_SIDES if lattice.fits(Size(side, side))]
    return f"{about}, lattice: whole periods at {', '.join(fitting) or 'none of the usual sizes'}"


if __name__ == "__main__":
    sys.exit(main())
