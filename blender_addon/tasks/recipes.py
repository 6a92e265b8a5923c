"""Recipes: what an image of ours says of how to paint it again, and the task that paints it so. No bpy here.

A texture is a pure function, so an image needs no pixels where the model is to be had: the hash of the model file, the
seed, the size and the map give the same samples again. The file also gets the same text as before (model, server), so
that the same version of zlib gives the same bytes.

What was changed by hand cannot be painted again. A stamp (file_stamp.py) tells a file that is as it was painted from
another one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..client.connection import Connection
from ..client.sinks import FileSink, Painting
from ..client.texture_download import TextureDownload
from ..pictures.draft import ImageFileError, advice
from ..protocol import wire
from ..protocol.edges import COLOURS
from ..protocol.errors import Refused
from .file_stamp import stamp_of
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
class Recipe:
    """One texture to paint as it was painted before."""

    model: str  # what the model was called then
    sha256: str  # of the model file
    seed: int
    size: Size  # height, width
    precision: str
    server: str  # that painted it first
    software: str
    wang: int = 0  # corner colours of a set of tiles, whose atlas it is
    maps: Mapping[str, RecipeMap] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For one line."""
        return f"{self.model} {size_text(self.size)} #{self.seed}"

    def only(self, wanted: Callable[[RecipeMap], bool]) -> "Recipe":
        """The same with those maps alone."""
        return replace(self, maps={name: each for name, each in self.maps.items() if wanted(each)})


def read_recipe(mark: Mapping[str, Any], path: Path) -> tuple[Recipe, str] | None:
    """The recipe of one image, and its map, from the provenance on it. None where that says too little."""
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
            maps={map: RecipeMap(path=path, depth=depth, stamp=told.text("stamp", 40, ""))},
        )
    except (Refused, ValueError):
        return None
    return (recipe, map) if len(recipe.sha256) == 64 and depth in (8, 16) else None


class RecipeTask(Task):
    """Paints the maps of one recipe, each into its own file.

    `named`: what the server calls the model now. `exact`: its samples are the same at any precision.
    """

    def __init__(
        self,
        id: int,
        recipe: Recipe,
        connection: Connection,
        *,
        named: str,
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
            depths = {each.depth for each in self.recipe.maps.values()}
            self._download = TextureDownload(
                self._connection,
                self._named,
                self.recipe.seed,
                self.recipe.size,
                self._sink,
                maps=tuple(self.recipe.maps),
                depth=depths.pop() if len(depths) == 1 else None,
                sha256=self.recipe.sha256,
                wang=self.recipe.wang,
            )
        self._download.tick()
        self.state, self.message = self._download.state, self._download.message
        if self.state == "done" and self._sink.painting:
            self.result = Painted(painting=self._sink.painting, files=self._sink.paths)
        self._watch(self._download)

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
    return (
        f"{recipe.title}: no model of the server has the hash {recipe.sha256[:12]}..., which {recipe.model!r} had when "
        "it was painted. Put that model file into the server's folder of models."
    )
