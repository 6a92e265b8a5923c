"""Recipes: what an image of ours says of how to paint it again, and the task that paints it so. No bpy here.

A texture is a pure function, so an image needs no pixels where the model is to be had: the hash of the model file, the
seed, the size and the map give the same samples again. A blend also takes its mask, which its images keep. An image of
UDIM squares is a recipe for each of them, since each is a file. The file also gets the same text as before (model,
server), so that the same version of zlib gives the same bytes.

What was changed by hand cannot be painted again. A stamp (file_stamp.py) tells a file that is as it was painted from
another one.
"""

import hashlib
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..client.blend_download import BlendDownload
from ..client.blending import Blending, identity_of
from ..client.connection import Connection
from ..client.sinks import FileSink, Painting
from ..client.texture_download import TextureDownload
from ..pictures.draft import ImageFileError, advice
from ..pictures.udim import TOKEN, UdimSet, file_of
from ..protocol import wire
from ..protocol.blending import MASK_CHANNELS, hash_of_all
from ..protocol.edges import COLOURS
from ..protocol.errors import BadRequest, Refused
from .file_stamp import stamp_of
from .masks import MOST_BYTES
from .painted import Painted
from .placement import Size, size_text
from .task import PATIENCE_S, Task


@dataclass(frozen=True, kw_only=True)
class RecipeMap:
    """One map of a recipe: its file, and what that was like when it was painted first."""

    path: Path
    depth: int  # bits per sample, 8 or 16
    stamp: str = ""  # "": an earlier version painted it, which noted none

    @property
    def is_missing(self) -> bool:
        """Whether there is no file."""
        return not self.path.exists()

    @property
    def is_changed(self) -> bool:
        """Whether there is a file that may be another one than was painted."""
        try:
            return stamp_of(self.path) != self.stamp
        except OSError:
            return self.path.exists()


@dataclass(frozen=True, kw_only=True)
class BlendRecipe:
    """What a recipe says of several models and their mask."""

    hashes: tuple[str, ...]  # of the model files
    parameters: Mapping[str, Any]  # as of Blending.parameters
    packed: bytes = field(repr=False)  # the samples of the mask, compressed

    def blending(self, names: Sequence[str]) -> Blending:
        """For a server that calls the models so. Raises Refused for a mask that is not what it was."""
        told = self.parameters
        try:
            mask = zlib.decompressobj().decompress(self.packed, MOST_BYTES)
        except zlib.error:
            mask = b""
        if hashlib.sha256(mask).hexdigest() != told["mask"]:
            raise Refused("", "The mask of this texture is damaged. Blend it again from the panel Blend.")
        height, width, channels = told["shape"]
        return Blending(
            models=tuple(names),
            mask=mask,
            shape=(height, width, channels),
            softness=told["softness"],
            heights=told["heights"],
            reach=told["reach"],
            hashes=self.hashes,
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One texture to paint as it was painted before, or one UDIM square of it."""

    model: str  # what the model was called then
    sha256: str  # of the model file; of a blend, of all together
    seed: int
    size: Size  # height, width
    precision: str
    server: str  # that painted it first
    software: str
    wang: int = 0  # corner colours of a set of tiles, whose atlas it is
    blend: BlendRecipe | None = None
    squares: UdimSet | None = None  # all that were painted together
    square: int = 0  # the one of this recipe
    maps: Mapping[str, RecipeMap] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For one line."""
        if self.squares:
            return f"{self.model} {size_text(self.squares.side)} #{self.seed}, UDIM {self.square}"
        return f"{self.model} {size_text(self.size)} #{self.seed}"

    @property
    def side(self) -> Size:
        """Height and width of its pictures."""
        return self.squares.side if self.squares else self.size

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of the model files that it takes."""
        return self.blend.hashes if self.blend else (self.sha256,)

    @property
    def identity(self) -> str:
        """As of its Painting: it names the files."""
        return identity_of(self.sha256, self.blend.parameters) if self.blend else self.sha256

    def only(self, wanted: Callable[[RecipeMap], bool]) -> "Recipe":
        """The same with those maps alone."""
        return replace(self, maps={name: each for name, each in self.maps.items() if wanted(each)})


def read_recipes(mark: Mapping[str, Any], path: Path) -> Iterator[tuple[Recipe, str]]:
    """The recipes of one image, and its map, from the provenance on it. None where that says too little.

    `path`: its file; of UDIM squares, with <UDIM> in place of the number.
    """
    told = wire.Fields(dict(mark))
    try:
        map, depth = told.text("map", 64), told.whole("depth", 8, 16)
        recipe = Recipe(
            model=told.text("model", wire.MAX_MODEL_NAME),
            sha256=told.text("sha256", 64),
            seed=int(told.text("seed", 20)),
            size=(told.whole("height", 1, wire.MAX_ID), told.whole("width", 1, wire.MAX_ID)),
            precision=told.text("precision", 64),
            server=told.text("server", 300, ""),
            software=told.text("software", 300, ""),
            wang=told.whole("wang", 0, COLOURS, 0),
            blend=_read_blend(told.object("blend")) if "blend" in mark else None,
            squares=_read_squares(told.object("udim")) if "udim" in mark else None,
        )
        stamp = told.text("stamp", 40, "")
        stamps = wire.Fields(told.object("stamps")) if recipe.squares else None
    except (Refused, BadRequest, ValueError):
        return
    if len(recipe.sha256) != 64 or depth not in (8, 16):
        return
    if recipe.blend and hash_of_all(recipe.blend.hashes) != recipe.sha256:
        return
    if recipe.squares is None or stamps is None:
        yield replace(recipe, maps={map: RecipeMap(path=path, depth=depth, stamp=stamp)}), map
        return
    for number in recipe.squares.numbers:
        own = RecipeMap(path=file_of(path, number), depth=depth, stamp=stamps.text(str(number), 40, ""))
        yield replace(recipe, square=number, maps={map: own}), map


def _read_blend(blend: Mapping[str, Any]) -> BlendRecipe:
    """What the mark of an image says of a blend. Raises Refused, ValueError."""
    told, packed = wire.Fields(blend), blend.get("packed")
    hashes = told.texts("hashes", wire.MAX_BLENDED) or ()
    shape = told.wholes("shape", 3, "height, width and channels")
    if not isinstance(packed, bytes) or MASK_CHANNELS.get(len(hashes)) != shape[2]:
        raise ValueError("an earlier version painted it, which kept no mask")
    parameters = {
        "models": list(told.texts("models", wire.MAX_BLENDED) or ()),
        "mask": told.text("mask", 64),
        "shape": list(shape),
        **{name: told.number(name, 0, 1, 0) for name in ("softness", "heights", "reach")},
    }
    return BlendRecipe(hashes=hashes, parameters=parameters, packed=packed)


def _read_squares(udim: Mapping[str, Any]) -> UdimSet:
    """What the mark of an image says of its squares. Raises Refused, BadRequest."""
    told, numbers = wire.Fields(udim), udim.get("numbers")
    count = len(numbers) if isinstance(numbers, list) else 0
    height, width = told.wholes("side", 2, "height and width")
    return UdimSet(numbers=told.wholes("numbers", count, "squares"), side=(height, width))


def pattern_of(path: Path, square: int) -> Path:
    """The name of the files of all squares, from that of one: <UDIM> in place of the number."""
    before, _, behind = path.name.rpartition(f".{square}.")
    return path.with_name(f"{before}.{TOKEN}.{behind}")


class RecipeTask(Task):
    """Paints the maps of one recipe, each into its own file.

    `named`: what the server calls the models now. `exact`: their samples are the same at any precision.
    """

    def __init__(
        self,
        id: int,
        recipe: Recipe,
        connection: Connection,
        *,
        named: Sequence[str],
        exact: bool = False,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s=patience_s, clock=clock)
        self.recipe = recipe
        self._named = named
        self._sink = _RecipeSink(recipe, any_precision=exact)
        self._download: TextureDownload | None = None

    @property
    def title(self) -> str:
        return self.recipe.title

    @property
    def fraction(self) -> float:
        return self._download.fraction if self._download else 0.0

    def _advance(self) -> None:
        if self._download is None:
            try:
                self._download = self._new_download()
            except Refused as error:
                self.fail(str(error))
                return
        self._download.tick()
        self.state, self.message = self._download.state, self._download.message
        if self.state == "done" and self._sink.painting:
            self.result = Painted(painting=self._sink.painting, files=self._sink.paths)
        self._watch(self._download)

    def _new_download(self) -> TextureDownload:
        """Raises Refused."""
        recipe = self.recipe
        depths = {each.depth for each in recipe.maps.values()}
        depth = depths.pop() if len(depths) == 1 else None
        window = recipe.squares.window(recipe.square) if recipe.squares else None
        if recipe.blend:
            blending = recipe.blend.blending(self._named)
            return BlendDownload(
                self._connection,
                blending,
                recipe.seed,
                recipe.size,
                self._sink,
                window=window,
                maps=tuple(recipe.maps),
                depth=depth,
            )
        return TextureDownload(
            self._connection,
            self._named[0],
            recipe.seed,
            recipe.size,
            self._sink,
            window=window,
            maps=tuple(recipe.maps),
            depth=depth,
            sha256=recipe.sha256,
            wang=recipe.wang,
        )

    def _stop(self) -> None:
        if self._download:
            self._download.cancel()


class _RecipeSink(FileSink):
    """Writes the files of a recipe, with the text that they had, and takes nothing but what it says."""

    def __init__(self, recipe: Recipe, *, any_precision: bool) -> None:
        super().__init__(lambda names: [recipe.maps[each].path for each in names], durable=False)
        self.painting: Painting | None = None
        self._recipe = recipe
        self._any_precision = any_precision

    def begin(self, painting: Painting) -> None:
        recipe = self._recipe
        if painting.sha256 != recipe.sha256:
            raise Refused("unknown_model", f"{recipe.title} was painted by another version of its model.")
        if painting.precision != recipe.precision and not self._any_precision:
            raise Refused(
                "",
                f"{recipe.title} was painted with the precision {recipe.precision}, but the server paints with "
                f"{painting.precision}. Start it with --precision {recipe.precision}.",
            )
        if any(each.depth != recipe.maps[each.name].depth for each in painting.maps):
            raise Refused("", f"The server paints {recipe.title} with other bits per sample. Update the server.")
        for each in recipe.maps.values():
            try:
                each.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ImageFileError(advice(error, each.path.parent)) from error
        self.painting = replace(
            painting,
            model=recipe.model,
            precision=recipe.precision,
            server=recipe.server,
            software=recipe.software,
        )
        super().begin(self.painting)


def without_model(recipe: Recipe) -> str:
    """What to say of a recipe whose model the server does not have."""
    which = " or ".join(f"{each[:12]}..." for each in recipe.hashes)
    return (
        f"{recipe.title}: no model of the server has the hash {which}, which {recipe.model!r} had when it was painted. "
        "Put that model file into the server's folder of models."
    )
