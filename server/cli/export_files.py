"""Writes textures as sets for game engines and other programs: texget NAME --for unreal.

A texture is painted into a temporary folder beside the result, as TIFF, which is read fastest, and then packed as
Blender's *Export Set* packs it (blender_addon/pictures/export_set.py). So memory stays small at any size.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from blender_addon.client.blending import Blending
from blender_addon.client.sinks import FileSink, Painting, Sink
from blender_addon.pictures.export_set import export_set, plain_name
from blender_addon.pictures.materialx import Look
from blender_addon.pictures.texture_sets import Engine, Sources
from server.files.output_file import make_folder
from server.model.torus import Size


class Painter(Protocol):
    """What paints: a client of a server, or this process."""

    def paint(
        self,
        model: str | Blending,
        *,
        seed: int,
        size: tuple[int, int],
        sink: Sink,
        window: tuple[int, int, int, int] | None,
        maps: Sequence[str] | None,
        depth: Any,
        variant: int | None = None,
        wang: int = 0,
        progress: Callable[[int], None],
    ) -> None:
        """Paint a texture into the sink."""


class _RememberingSink(FileSink):
    """Keeps what was painted."""

    painting: Painting | None = None

    def begin(self, painting: Painting) -> None:
        self.painting = painting
        super().begin(painting)


def export_files(
    painter: Painter,
    model: str,
    engine: Engine,
    folder: Path,
    *,
    seed: int,
    several: bool,
    size: Size,
    texels_per_metre: float | None,
    progress: Callable[[int], None],
) -> list[Path]:
    """Paint one texture and write its set into the folder. Its files. `several` seeds come into their names.

    Raises what the painter raises, UnusableOutput, NotPacked or ImageFileError.
    """
    with ExitStack() as stack:

        def named(maps: Sequence[str]) -> list[Path]:
            make_folder(folder)  # only now: the request may make no sense
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix=".texget-", dir=folder))
            return [Path(temporary, f"{index}.tif") for index, _ in enumerate(maps)]

        sink = _RememberingSink(named, durable=False)
        painter.paint(model, seed=seed, size=size, sink=sink, window=None, maps=None, depth=None, progress=progress)
        assert sink.painting
        told = sink.painting.provenance(sink.painting.maps[0])
        del told["Map"]
        metres = (size.width / texels_per_metre, size.height / texels_per_metre) if texels_per_metre else None
        name = plain_name(f"{model}_{seed:04}" if several else model)
        return export_set(engine, name, Sources(maps=sink.paths, metadata=told), Look(size_m=metres), folder)
