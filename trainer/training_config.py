"""What can be chosen for a training. The flags of the trainer's command line are made from these fields."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from blender_addon.pictures.map_names import PARTS
from server.config_flags import flag
from server.model.header import MAX_CATEGORY, METRES
from server.model.lattice import Vector
from trainer.descriptor.descriptors import CHOICES
from trainer.shard import Shard, read_list
from trainer.strokes.hygiene import Share, left_out
from trainer.swatch.derive import CAN, parse_names
from trainer.swatch.map_set import parse_map
from trainer.swatch.periods import parse_lattice
from trainer.swatch.straighten import Straighten
from trainer.swatch.swatch import UnusableSwatch
from trainer.training.recipe import KINDS, STYLE, SWATCH_SIZES, Recipe

ONLY_NETWORKS = ("iterations", "batch", "size", "rate", "descriptor", "vgg_weights")  # options that a quilt ignores


def _default(name: str) -> str:
    """The defaults of a field of Recipe, for --help."""
    other = f", for a style {STYLE[name]}" if name in STYLE else ""
    return f"(default: {getattr(Recipe, name)}{other})"


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The choices for one run of the trainer. Raises ValueError or a TexserverError for what makes no sense.

    What shapes the training itself is None where the default of its kind is meant: see `recipe`.
    """

    swatch: tuple[Path, ...] = field(
        default=(), metadata=flag("photographs, or folders of them; one model each", metavar="FILE")
    )
    swatch_list: Path | None = field(
        default=None,
        metadata=flag("a text file that names more of them, one a line, from its own folder on", metavar="FILE"),
    )
    shard: str | None = field(
        default=None,
        metadata=flag(
            "make a share of the models, such as 3/16, as one task of a render farm; a training that was cut off goes "
            "on",
            metavar="N/M",
        ),
    )
    out: Path | None = field(
        default=None,
        metadata=flag("model file, or folder for several (default: models/NAME.safetensors)", metavar="FILE"),
    )
    swatch_size: int | None = field(
        default=None,
        metadata=flag(
            "shorter side the swatch is scaled down to, in pixels "
            f"(default: {SWATCH_SIZES['quilt']}, for a network {SWATCH_SIZES['texture']}, "
            f"for a style {SWATCH_SIZES['style quilt']}, for its network {SWATCH_SIZES['style']})",
            metavar="PX",
        ),
    )
    metres: float | None = field(
        default=None,
        metadata=flag("how wide the swatch is in reality; programs then know the texture's scale", metavar="M"),
    )
    category: str | None = field(
        default=None, metadata=flag("what kind of material it is, such as Masonry, for lists", metavar="NAME")
    )
    corners: str | None = field(
        default=None,
        metadata=flag(
            "the part to learn, made a rectangle: four points y,x;y,x;y,x;y,x as fractions of the picture, clockwise "
            "from top left",
            metavar="POINTS",
        ),
    )
    aspect: float | None = field(
        default=None,
        metadata=flag("width over height of that part in reality (default: as its sides say)", metavar="N"),
    )
    keep_light: bool = field(
        default=False, metadata=flag("for a quilt: leave slow light and drift of colour in the swatch")
    )
    kind: str = field(default="texture", metadata=flag("what is learned (default: %(default)s)", choices=KINDS))
    iterations: int | None = field(
        default=None,
        metadata=flag(
            "steps of training (default: 1000 with VGG-19, 2000 with the built-in network; for a map set 0.8 times as "
            f"many; for a style {STYLE['iterations']})",
            metavar="N",
        ),
    )
    batch: int | None = field(default=None, metadata=flag(f"samples per step {_default('batch')}", metavar="N"))
    size: int | None = field(
        default=None,
        metadata=flag(f"side of a sample in pixels; a map set has wider ones {_default('size')}", metavar="PX"),
    )
    seed: int | None = field(
        default=None, metadata=flag(f"of everything random in the training {_default('seed')}", metavar="N")
    )
    arch: str | None = field(
        default=None,
        metadata=flag(
            "quilt: pieces of the photograph or painting, sewn together, in seconds; taper, pyramid, for a style "
            f"residual, pyramid: networks that invent and hold no photograph (default: {Recipe.arch})",
            metavar="NAME",
        ),
    )
    rate: float | None = field(
        default=None, metadata=flag(f"the highest learning rate {_default('rate')}", metavar="RATE")
    )
    map: tuple[str, ...] = field(
        default=(),
        metadata=flag(
            f"another map of the material, NAME one of {', '.join(PARTS)}; a folder of a whole set needs none of it",
            metavar="NAME=FILE",
        ),
    )
    colour: bool = field(
        default=False, metadata=flag("learn every swatch as a picture, also one that looks like a normal or other map")
    )
    derive: str | None = field(
        default=None, metadata=flag(f"maps to guess from the swatch: a list of {', '.join(CAN)}", metavar="MAPS")
    )
    content: Path | None = field(
        default=None,
        metadata=flag("for the network of a style: pictures to learn on (default: drawn ones)", metavar="DIR"),
    )
    leave_out: tuple[str, ...] = field(
        default=(),
        metadata=flag(
            "for a quilted style: a part of the painting never to be shown, such as a caption: left, top, width and "
            "height as fractions of the picture; after FILE= of this one alone",
            metavar="[FILE=]X,Y,W,H",
        ),
    )
    keep_writing: bool = field(
        default=False,
        metadata=flag("for a quilted style: leave out no captions and signatures but those that --leave-out names"),
    )
    together: str | None = field(
        default=None,
        metadata=flag(
            "for a quilted style: learn all paintings, of one hand, as one style of this name", metavar="NAME"
        ),
    )
    device: str = field(
        default="auto", metadata=flag("auto, cpu, cuda, cuda:N or mps (default: %(default)s)", metavar="NAME")
    )
    descriptor: str = field(
        default="auto",
        metadata=flag(
            "what looks at the pictures (default: %(default)s, VGG-19 where its weights are at hand)", choices=CHOICES
        ),
    )
    vgg_weights: Path | None = field(
        default=None, metadata=flag("file with VGG-19's weights (or set TEXTURE_VGG19)", metavar="FILE")
    )
    lattice: str = field(
        default="auto",
        metadata=flag(
            "auto, none, or two periods of the swatch in pixels as y1,x1;y2,x2 (default: %(default)s)",
            metavar="PERIODS",
        ),
    )
    again: bool = field(
        default=False, metadata=flag("make models again that are up to date, and replace those of other pictures")
    )
    json: Path | None = field(
        default=None, metadata=flag("write what became of each model to this file, for programs", metavar="FILE")
    )
    ray: str | None = field(
        default=None,
        metadata=flag(
            "train on the machines of the Ray cluster at this address; auto is that of this machine", metavar="ADDRESS"
        ),
    )
    estimate: bool = field(
        default=False, metadata=flag("say how many models there are to make, how long that takes and what memory")
    )
    resume: bool = field(default=False, metadata=flag("go on from the checkpoint of a training that was cut off"))
    quiet: bool = field(default=False, metadata=flag("say nothing but errors"))
    model_only: bool = field(default=False, metadata=flag("write the model without pictures beside it"))
    progress_lines: bool = field(
        default=False, metadata=flag("for programs: tell the progress on standard output, one JSON object a line")
    )
    result_lines: bool = field(
        default=False,
        metadata=flag("for programs: tell what became of each model on standard output, one JSON object a line"),
    )
    openjd: bool = field(
        default=False, metadata=flag("for render farms: tell progress, status and failure as Open Job Description does")
    )
    leave_with_parent: bool = field(
        default=False, metadata=flag("exit when standard input closes: the program that started it has ended")
    )

    def __post_init__(self) -> None:
        if not (self.swatch or self.swatch_list):
            raise UnusableSwatch("No swatch was given: name a picture or a folder of pictures.")
        _ = self.recipe, self.periods, self.map_files, self.guessed, self.straighten  # each raises what makes no sense
        _ = self.share, self.rectangles
        if self.progress_lines and self.openjd:
            raise ValueError("--progress-lines and --openjd tell the same in two ways. Leave one of them out.")
        if self.ray is not None and (self.shard is not None or self.resume or self.progress_lines or self.openjd):
            raise ValueError("--ray makes shards of its own, which go on by themselves and tell results alone.")
        if self.aspect is not None and self.corners is None:
            raise ValueError("--aspect belongs to --corners. Name the corners, or leave it out.")
        if self.corners is not None and self.kind != "texture":
            raise ValueError("--corners is for textures; a style is learned from a whole picture.")
        if self.kind != "texture" and (self.map_files or self.guessed):
            raise ValueError("--map and --derive are for textures; a style is learned from one picture.")
        if self.leave_out and (self.kind != "style" or self.recipe.arch != "quilt"):
            raise ValueError("--leave-out is for quilted styles; crop the picture instead.")
        if self.keep_writing and (self.kind != "style" or self.recipe.arch != "quilt"):
            raise ValueError("--keep-writing is for quilted styles; other models learn from all of a picture.")
        if self.together is not None and (self.kind != "style" or self.recipe.arch != "quilt"):
            raise ValueError("--together is for quilted styles; other models are learned from one picture each.")
        if self.metres is not None and self.kind != "texture":
            raise ValueError("--metres is for textures; a style has no scale.")
        if self.metres is not None and not METRES[0] <= self.metres <= METRES[1]:
            raise ValueError(f"--metres is {self.metres:g}; it must be from {METRES[0]:g} to {METRES[1]:g}.")
        if self.category is not None and not (0 < len(self.category) <= MAX_CATEGORY and self.category.isprintable()):
            raise ValueError(f"--category must be 1 to {MAX_CATEGORY} printable characters.")

    @cached_property
    def share(self) -> Shard | None:
        """The share of the models that is to be made; None: all of them."""
        return None if self.shard is None else Shard.parse(self.shard)

    @property
    def swatches(self) -> tuple[Path, ...]:
        """All files and folders that were named. Raises UnusableSwatch."""
        return (*self.swatch, *(read_list(self.swatch_list) if self.swatch_list else ()))

    @property
    def names_file(self) -> bool:
        """Whether `out` is the file of the one model, and not a folder."""
        return self.out is not None and self.out.suffix == ".safetensors"

    @cached_property
    def recipe(self) -> Recipe:
        """What shapes the training. Its steps may yet depend on the descriptor."""
        return Recipe.of(**{each.name: getattr(self, each.name) for each in dataclasses.fields(Recipe)})

    @cached_property
    def periods(self) -> tuple[Vector, Vector] | Literal["auto"] | None:
        """The lattice that was asked for: "auto", None, or two periods in pixels."""
        return parse_lattice(self.lattice)

    @cached_property
    def map_files(self) -> Mapping[str, Path]:
        """The files of `map`, by what they hold (trainer/swatch/map_set.py)."""
        files: dict[str, Path] = {}
        for name, path in map(parse_map, self.map):
            if name in files:
                raise ValueError(f"--map {name} is given twice. Name one file for each map.")
            files[name] = path
        return files

    @cached_property
    def straighten(self) -> Straighten | None:
        """The part of the pictures that is learned; None: all of them."""
        return None if self.corners is None else Straighten.parse(self.corners, self.aspect)

    @cached_property
    def guessed(self) -> tuple[str, ...]:
        """The names of maps to be guessed from the swatch."""
        return parse_names(self.derive) if self.derive else ()

    @cached_property
    def rectangles(self) -> tuple[Share, ...]:
        """The parts of a painting that must not be shown."""
        return tuple(map(left_out, self.leave_out))

    @property
    def told(self) -> Mapping[str, str | float]:
        """What the user tells of the material, as training facts of the model file."""
        told = {"metres": self.metres, "category": self.category}
        return {name: value for name, value in told.items() if value is not None}

    @property
    def ignored(self) -> list[str]:
        """The flags that were given although a quilt, which is to be made, ignores them."""
        if self.recipe.arch != "quilt":
            return []
        defaults = {each.name: each.default for each in dataclasses.fields(self)}
        given = (name for name in ONLY_NETWORKS if getattr(self, name) != defaults[name])
        return [f"--{name.replace('_', '-')}" for name in given]
