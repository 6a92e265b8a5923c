"""`python -m trainer.evaluate MODEL --swatch FILE`: how good a model is, in numbers and, with --sheet, in a picture.

`Figures` says what the numbers mean, and so does --help. trainer/judge/measures.py computes them, for quilts with
trainer/judge/quilt_measures.py. A picture may take the place of a model, so that results of other methods can be
measured in the same way.

Exit codes: 0 done; 2 it cannot be done, and one sentence on stderr says why and what to do.
"""

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from server import __version__
from server.console import print_anything
from server.errors import TexserverError
from server.model.header import SUFFIX
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR
from server.model.torus import Size, Window
from server.network.devices import choose_device, paintable
from server.network.model_file import Model, read_model
from server.network.texture import TextureGenerator, texture
from server.precision import PRECISIONS, Precision
from server.quilt.quilt import Quilt
from server.replace_file import replace_file
from trainer.descriptor.vgg19 import LAYERS, VGG19, receptive_field
from trainer.descriptor.weights import NAME_A_FILE, UnusableWeights, WeightsUnavailable, find_weights
from trainer.judge import measures, quilt_measures
from trainer.judge.map_measures import MapFigures, MapJudge
from trainer.judge.pictures import Picture, as_picture, laid_out, write_picture
from trainer.swatch.map_set import read_map_set
from trainer.swatch.materials import find_materials
from trainer.swatch.periods import find_lattice
from trainer.swatch.swatch import read_swatch

GRAM_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
DEEP_LAYERS = ("relu4_1", "relu5_1")
MIN_SIDE = 128  # the coarsest patches are compared at an eighth of the size
ZOOM = 3
ZOOMED_PX = 128
TIMINGS = 3


class NotMeasurable(TexserverError):
    """The model or picture cannot be measured; the text says what to do."""


def _figure(meaning: str) -> float | None:
    return field(default=None, metadata={"help": meaning})


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The measurements of one model or picture. None is printed as n/a and written as null."""

    gram: float | None = _figure(
        "distance of Gram matrices (which features of VGG-19 occur together), relu1_1 to relu3_4; 1: as another "
        "piece of the swatch"
    )
    deep: float | None = _figure("the same for relu4_1 and relu5_1, if the weights have these layers")
    patch: float | None = _figure("distance of the distributions of 7 x 7 patches, four scales; 1: as another piece")
    colour: float | None = _figure("distance of the distributions of colours; 1: as another piece")
    seam: float | None = _figure("step across the wrap over the steps inside; up to 1: no seam")
    lattice: float | None = _figure("share of the swatch's regularity kept; 1: as regular; n/a: it has no lattice")
    grid: float | None = _figure("strongest mark of the pixel grid; 1: none beyond the swatch's own")
    cells: float | None = _figure("how much shapes keep to the generator's coarsest cells, times chance; 1: not at all")
    copying: float | None = _figure("share of pieces copied from the swatch; 0: none; n/a: a quilt holds the swatch")
    diversity: float | None = _figure("difference of the seeds; 1: as unrelated pieces of the swatch, 0: one picture")
    repeats: float | None = _figure("how much more a texture of twice the size repeats than the swatch; 0: no more")
    seen: float | None = _figure("quilts: how often a pixel's source is shown, over the average; 1: all alike")
    never: float | None = _figure("quilts: share of the swatch never shown on 16 of its areas; 0: none")
    nearest: float | None = _figure("quilts: median distance to a pixel's nearest copy, in sides of the swatch")
    joints: float | None = _figure("quilts: steps at joints over the swatch's own; 1: invisible, below 1: soft")
    seconds: float | None = _figure("to paint one texture, after the first")
    memory_mb: float | None = _figure("peak memory above the loaded program, painting one texture in a fresh process")


FIGURES = tuple(each.name for each in dataclasses.fields(Figures))


@dataclass(frozen=True, eq=False)
class Judge:
    """Measures textures against one swatch, (1, 3, H, W)."""

    swatch: Tensor
    lattice: Lattice | None
    distances: dict[str, Callable[[Tensor], float]]

    @classmethod
    def of(cls, swatch: Tensor, lattice: Lattice | None, network: VGG19 | None) -> "Judge":
        """`lattice` None: the one found in the swatch, if any. `network` None: no VGG-19, so no gram and deep."""
        patches = measures.multiple(swatch, measures.patch_statistics, measures.patch_distance)
        colours = measures.multiple(
            swatch, lambda image: measures.patch_statistics(image, 1, 1), measures.patch_distance
        )
        distances = {"patch": patches, "colour": colours}
        for name, layers in (("gram", GRAM_LAYERS), ("deep", DEEP_LAYERS)):
            if network and set(layers) <= set(network.layers):
                distances[name] = measures.multiple(swatch, _grams(network, layers), measures.gram_distance)
        return cls(swatch, lattice or find_lattice(swatch), distances)

    def figures(self, samples: Tensor, large: Tensor | None = None, *, holds_swatch: bool = False) -> Figures:
        """All figures but the costs and those of quilts. `samples` (seeds, 3, H, W) on the CPU.

        `large` (1, 3, 2 H, 2 W) is for repeats. `holds_swatch`: do not measure copying. Most figures are averages over
        the seeds; copying is measured on the first seed only.
        """
        each = [sample[None] for sample in samples]
        found = {name: _mean([distance(one) for one in each]) for name, distance in self.distances.items()}
        return Figures(
            **found,
            seam=max(measures.seam(one) for one in each),
            lattice=_mean([measures.lattice_kept(one, self.swatch, self.lattice) for one in each])
            if self.lattice
            else None,
            grid=measures.grid(samples, self.swatch, self.lattice),
            cells=measures.coarse_grid(samples, self.lattice),
            copying=None if holds_swatch else measures.copying(each[0], self.swatch),
            diversity=measures.diversity(samples, self.swatch, self.lattice),
            repeats=measures.repeats(each[0] if large is None else large, self.swatch),
        )


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that could be measured; None if none could."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _grams(network: VGG19, layers: Sequence[str]) -> Callable[[Tensor], measures.Statistics]:
    smallest = receptive_field(max(layers, key=LAYERS.index))
    device = next(network.parameters(), torch.empty(0)).device

    def features(image: Tensor) -> dict[str, Tensor]:
        found = network(image.to(device))
        return {layer: found[layer] for layer in layers}

    return lambda image: measures.gram_statistics(image, features, smallest)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """One model or picture, measured."""

    path: Path
    swatch_path: Path
    swatch: Tensor
    sample: Tensor  # (1, 3, H, W), the first seed's
    figures: Figures
    holds_swatch: bool = False
    maps: Mapping[str, MapFigures] = field(default_factory=dict)  # by map, if model and swatch are both map sets


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    print_anything()
    options = _parser().parse_args(arguments)
    try:
        evaluations = _evaluate(options)
        if options.json:
            replace_file(options.json, _as_json(evaluations, options).encode())
        if options.sheet:
            write_picture(options.sheet, sheet(evaluations))
    except (TexserverError, ValueError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print(table(evaluations))
    for each in evaluations:
        if each.holds_swatch:
            print(f"{each.path.name} contains the photograph it was made of, so copying is not measured.")
        if each.maps:
            print(f"\n{each.path.name}, map by map\n{map_table(each.maps)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.evaluate",
        description="Measures how near models come to their swatch, how their seeds differ, and what they cost.",
        epilog="figures:\n"
        + "\n".join(f"  {each.name:10} {each.metadata['help']}" for each in dataclasses.fields(Figures)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "models", metavar="MODEL", type=Path, nargs="+", help="model file, or a picture to measure in the same way"
    )
    parser.add_argument(
        "--swatch",
        type=Path,
        help="photograph or folder of maps that the model was trained on (default: NAME.swatch.png beside the model)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, for programs")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write a picture to this file: swatch, sample, both enlarged"
    )
    parser.add_argument(
        "--size", type=_size, default=Size(512, 512), help="WIDTHxHEIGHT of the samples (default: 512x512)"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="number of samples of each model (default: 3)"
    )
    parser.add_argument("--vgg-weights", type=Path, metavar="FILE", help="VGG-19's weights (or set TEXTURE_VGG19)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="arithmetic of the painting (default: auto)"
    )
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _size(text: str) -> Size:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write WIDTHxHEIGHT, such as 512x512")
    try:
        return Size(int(height), int(width))
    except TexserverError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


@torch.no_grad()
def _evaluate(options: argparse.Namespace) -> list[Evaluation]:
    """Measure each model against its own swatch; models of one swatch share the judge."""
    if min(options.size.height, options.size.width) < MIN_SIDE:
        raise NotMeasurable(f"Samples must have at least {MIN_SIDE} px a side. Choose a larger --size.")
    if options.seeds < 1:
        raise NotMeasurable(f"--seeds {options.seeds} is too few. Give at least 1, or 2 to measure the diversity.")
    device = choose_device(options.device)
    models = {path: read_model(path) if path.suffix == SUFFIX else None for path in options.models}
    if styles := [path for path, model in models.items() if model and model.kind != "texture"]:
        raise NotMeasurable(
            f"The model {styles[0]} stylizes pictures, and only textures can be measured. Name other models."
        )
    network = _network(options.vgg_weights, device)
    judges: dict[tuple[Path, int | None], Judge] = {}
    evaluations = []
    for path, model in models.items():
        swatch_path = options.swatch or path.with_name(f"{path.stem}.swatch.png")
        if not swatch_path.exists():
            raise NotMeasurable(f"There is no swatch {swatch_path} to measure {path} against. Name one with --swatch.")
        parts: Mapping[str, Path] = {}
        if swatch_path.is_dir():
            found = find_materials([swatch_path]).materials
            if len(found) > 1:
                raise NotMeasurable(
                    f"The folder {swatch_path} holds {len(found)} materials. Name one picture, or the folder of one "
                    "material, with --swatch."
                )
            swatch_path, parts = found[0].path, found[0].parts
        # With --swatch all are measured alike, pictures too: against the swatch at the size the first model was trained
        # on.
        peers = [each for each in (models.values() if options.swatch else (model,)) if each]
        key = swatch_path, min(peers[0].swatch.height, peers[0].swatch.width) if peers else None
        if key not in judges:
            lattices = (each.texture_generator().lattice for each in peers)
            lattice = next((each for each in lattices if each), None)
            judges[key] = Judge.of(_measurable(key[0], key[1]), lattice, network)
        samples, large, others = _samples(path, model, options)
        holds_swatch = model is not None and isinstance(model.generator, Quilt)
        figures = judges[key].figures(samples, large, holds_swatch=holds_swatch)
        evaluations.append(
            Evaluation(
                path=path,
                swatch_path=swatch_path,
                swatch=judges[key].swatch,
                sample=samples[:1],
                figures=dataclasses.replace(figures, **others),
                holds_swatch=holds_swatch,
                maps=_map_figures(key, parts, model, network, options) if model and parts else {},
            )
        )
    return evaluations


def _map_figures(
    swatch: tuple[Path, int | None],
    parts: Mapping[str, Path],
    model: Model,
    network: VGG19 | None,
    options: argparse.Namespace,
) -> Mapping[str, MapFigures]:
    """The figures of each map, from the first seed."""
    whole = read_map_set(read_swatch(*swatch), parts, keep_hills=isinstance(model.generator, Quilt))
    judge = MapJudge(whole.pixels, whole.maps, _grams(network, GRAM_LAYERS) if network else None)
    painter = paintable(model, options.device, options.precision)
    return judge.figures(texture(painter, 0, options.size), painter.maps)


def _measurable(path: Path, side: int | None) -> Tensor:
    pixels = read_swatch(path, side).pixels
    if min(pixels.shape[2:]) < MIN_SIDE:
        raise NotMeasurable(f"{path} is too small to be measured. Use a picture of {MIN_SIDE} px or more on each side.")
    return pixels


def _network(file: Path | None, device: torch.device) -> VGG19 | None:
    try:
        weights = find_weights(file, download=False)
    except WeightsUnavailable as error:
        print(f"evaluate: gram and deep cannot be measured. {error.fault} {NAME_A_FILE}.", file=sys.stderr)
        return None
    except UnusableWeights as error:
        raise NotMeasurable(
            f"{error.fault} {NAME_A_FILE}, or leave both out: gram and deep are then not measured."
        ) from error
    if not set(GRAM_LAYERS) <= set(weights.layers):
        print(f"evaluate: gram and deep cannot be measured: the weights end at {weights.layers[-1]}.", file=sys.stderr)
        return None
    deep = DEEP_LAYERS if set(DEEP_LAYERS) <= set(weights.layers) else ()
    return VGG19(weights, (*GRAM_LAYERS, *deep)).to(device)


def _samples(
    path: Path, model: Model | None, options: argparse.Namespace
) -> tuple[Tensor, Tensor | None, dict[str, float | None]]:
    """Samples of several seeds, one of twice the size, costs and figures of quilts. A picture is its own sample."""
    if model is None:
        return _measurable(path, None), None, {}
    if BASE_COLOUR not in model.texture_generator().maps:
        raise NotMeasurable(
            f"The model {path} paints no {BASE_COLOUR.name} map, which is needed to measure it. Name another model."
        )
    painter = paintable(model, options.device, options.precision)
    size: Size = options.size
    samples = _base_colour(painter, range(options.seeds), size)
    large = _base_colour(painter, [options.seeds], Size(2 * size.height, 2 * size.width))
    others = painting_costs(path, size, options.device, options.precision)
    if isinstance(painter, Quilt):
        others |= _quilt_figures(painter, options.seeds, large)
    return samples, large, others


def _quilt_figures(quilt: Quilt, seed: int, sample: Tensor) -> dict[str, float | None]:
    """What is measured of quilts alone. `sample`: (1, 3, H, W), painted with this seed."""
    field = quilt_measures.shown(quilt, seed)
    size = Size(*sample.shape[2:])
    number = quilt.maps.index(BASE_COLOUR)
    swatch = quilt.pixels[number][None].float() / 255
    sources = quilt.sources(seed, size, Window(0, 0, *size))
    return {
        "seen": quilt_measures.seen_over_due(field),
        "never": quilt_measures.never_shown(field),
        "nearest": quilt_measures.nearest_copy(field),
        "joints": quilt_measures.joints(sample, sources, swatch, quilt.settings.wraps),
    }


def _base_colour(generator: TextureGenerator, seeds: Sequence[int], size: Size) -> Tensor:
    first = sum(each.channels for each in generator.maps[: generator.maps.index(BASE_COLOUR)])
    return texture(generator, seeds, size)[:, first : first + BASE_COLOUR.channels]


# --------------------------------------------------------------------------------------------------------------- costs


def painting_costs(path: Path, size: Size, device: str, precision: Precision) -> dict[str, float | None]:
    """Seconds and memory in MB to paint one texture, measured in a fresh process that has only loaded the model."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            seconds, memory_mb = pool.submit(_paint_and_measure, path, size, device, precision).result()
        except BrokenProcessPool:
            print(
                f"evaluate: the process that painted {path} to measure its costs was killed, so they are missing.",
                file=sys.stderr,
            )
            return {"seconds": None, "memory_mb": None}
    return {"seconds": seconds, "memory_mb": memory_mb}


def _paint_and_measure(path: Path, size: Size, device: str, precision: Precision) -> tuple[float, float | None]:
    """Median seconds of later textures, and memory of the first one, its pixels included."""
    painter = paintable(read_model(path), device, precision)
    where = choose_device(device)
    before = _start_of_peak(where)
    texture(painter, 0, size)
    peak = _peak_bytes(where)
    memory_mb = None if before is None or peak is None else (peak - before) / 1e6
    seconds = []
    for seed in range(TIMINGS):
        start = time.perf_counter()
        texture(painter, seed, size)  # the pixels come to the CPU, so that a GPU has finished
        seconds.append(time.perf_counter() - start)
    return median(seconds), memory_mb


def _start_of_peak(device: torch.device) -> int | None:
    """Start counting the peak. Returns the bytes in use now, or None if the system does not tell."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts anew, proc_pid_clear_refs(5)
        return _status_bytes("VmRSS")
    except OSError:
        return None


def _peak_bytes(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        return _status_bytes("VmHWM")
    except OSError:
        return None


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


# -------------------------------------------------------------------------------------------------------------- output


def table(evaluations: Sequence[Evaluation]) -> str:
    """The figures in aligned columns. Several rows get their median below."""
    rows = [[str(each.path.name), *_words(each.figures)] for each in evaluations]
    if len(rows) > 1:
        columns = zip(*(dataclasses.astuple(each.figures) for each in evaluations), strict=True)
        known = [[value for value in column if value is not None] for column in columns]
        rows.append(["median", *_words(Figures(**dict(zip(FIGURES, (_median(each) for each in known), strict=True))))])
    rows.insert(0, ["", *FIGURES])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {word:>{width}}" for word, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def map_table(maps: Mapping[str, MapFigures]) -> str:
    """One line for each map. trainer/judge/map_measures.py says what the columns mean."""
    names = [each.name for each in dataclasses.fields(MapFigures)]
    lines = [f"{'':12}" + "".join(f"{name:>8}" for name in names)]
    for map, figures in maps.items():
        values = [getattr(figures, name) for name in names]
        lines.append(f"{map:12}" + "".join(f"{'n/a' if value is None else f'{value:.2f}':>8}" for value in values))
    return "\n".join(lines)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _words(figures: Figures) -> list[str]:
    values = dataclasses.asdict(figures)
    return [
        "n/a" if value is None else f"{value:.{0 if name == 'memory_mb' else 2}f}" for name, value in values.items()
    ]


def _finite_of(figures: Figures | MapFigures) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in dataclasses.asdict(figures).items()}


def _as_json(evaluations: Sequence[Evaluation], options: argparse.Namespace) -> str:
    results = [
        {
            "path": str(each.path),
            "kind": "model" if each.path.suffix == SUFFIX else "picture",
            "swatch": str(each.swatch_path),
            "swatch_size": list(each.swatch.shape[2:]),
            "size": list(each.sample.shape[2:]),
            "contains_swatch": each.holds_swatch,
            "figures": _finite_of(each.figures),
            "maps": {name: _finite_of(figures) for name, figures in each.maps.items()},
        }
        for each in evaluations
    ]
    content = {
        "format": 1,
        "texserver": __version__,
        "seeds": options.seeds,
        "device": options.device,
        "precision": options.precision,
        "results": results,
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def sheet(evaluations: Sequence[Evaluation]) -> Picture:
    """A row for each: swatch, sample, and the middle of both enlarged, to judge grain and marks of the pixel grid."""
    rows: list[list[tuple[str, Picture]]] = []
    for each in evaluations:
        pair = zip(FIGURES, _words(each.figures), strict=True)
        words = ",  ".join(f"{name} {word}" for name, word in pair if word != "n/a")
        swatch, sample = as_picture(each.swatch), as_picture(each.sample)
        rows.append([(words, np.zeros((1, 1, 3), np.uint8))])
        rows.append(
            [
                (f"the swatch, {swatch.shape[1]} x {swatch.shape[0]}", swatch),
                (f"{each.path.name}, {sample.shape[1]} x {sample.shape[0]}", sample),
                (f"the swatch, {ZOOM} x", _enlarged(swatch)),
                (f"the sample, {ZOOM} x", _enlarged(sample)),
            ]
        )
    return laid_out(rows, ", ".join(each.path.stem for each in evaluations)[:120])


def _enlarged(picture: Picture) -> Picture:
    top, left = ((side - min(side, ZOOMED_PX)) // 2 for side in picture.shape[:2])
    middle = picture[top : top + ZOOMED_PX, left : left + ZOOMED_PX]
    return middle.repeat(ZOOM, 0).repeat(ZOOM, 1)


if __name__ == "__main__":
    sys.exit(main())
