"""One training: what was asked for, what has become of it, and its folder, so that it survives the server.

models/.training/NUMBER/              for the server's user alone (0700)
    job.json                          what this module writes
    wall.tif, normal.tif, ...         the maps as they came, until the training has ended
    out/wall.safetensors              what the trainer writes; moved into the models folder in the end
    picture.rgb                       the latest picture of the growing texture
    said.jsonl, wrong.txt             what the trainer says (server/service/module_run.py)
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from blender_addon.pictures.image_file import open_image
from blender_addon.protocol import wire
from blender_addon.protocol.training import BASE, ENDED, STYLE, TEXTURE
from server.errors import TexserverError
from server.model.header import SUFFIX
from server.replace_file import replace_file

FORMAT = 1
RECORD, OUT, PICTURE = "job.json", "out", "picture.rgb"
PIECE_BYTES = 2 * 2**20  # of a map, written at once
PICTURE_SIDE = 512  # pixels, at most
_NOT_KEPT = {"folder", "unstored"}
_OWN_FIELDS = {"id", "token", "name", "kind", "buffers"}  # of the request, which are not among the job's options


@dataclass(kw_only=True, eq=False)
class TrainingJob:
    """`unstored`: maps that are not in the folder yet; only while the server that took them runs."""

    folder: Path
    key: str  # name of the key of who asked
    token: str
    name: str  # of the model
    kind: str = TEXTURE  # of the model; those of older servers tell none
    options: dict[str, Any]  # the other fields of the request
    maps: dict[str, str] = field(default_factory=dict)  # files in the folder, by part
    state: str = "waiting"
    fraction: float = 0.0
    text: str = ""
    sha256: str = ""
    picture: int = 0  # number of the latest
    picture_shape: tuple[int, int] = (0, 0)
    began: float = field(default_factory=time.time)  # seconds since the epoch, as is `ended`
    ended: float = 0.0
    attempts: int = 0  # how often its training was begun by a server that did not end it
    is_stored: bool = False
    is_placed: bool = False  # the model is in the models folder, or just about to be
    unstored: dict[str, tuple[wire.Buffer, ...]] = field(default_factory=dict)  # bands, by part

    @classmethod
    def of(cls, folder: Path, key: str, request: wire.Train) -> "TrainingJob":
        """A new one. Makes its folder; raises OSError."""
        folder.mkdir(mode=0o700, parents=True)
        named = {f.name: getattr(request, f.name) for f in fields(request)}
        options = {name: value for name, value in named.items() if name not in _OWN_FIELDS}
        maps = {part: f"{request.name if part == BASE else part}.tif" for part in request.maps}
        if len(set(maps.values())) < len(maps):  # the model has the name of a map
            maps[BASE] = f"{request.name}_.tif"
        job = cls(
            folder=folder,
            key=key,
            token=request.token,
            name=request.name,
            kind=request.kind,
            options=options,
            maps=maps,
            unstored=dict(request.maps),
        )
        job.keep()
        return job

    @classmethod
    def read(cls, folder: Path) -> "TrainingJob":
        """The one of this folder. Raises OSError, ValueError for what no server has written."""
        try:
            told = json.loads((folder / RECORD).read_bytes())
            if told.pop("format") != FORMAT:
                raise ValueError("another format")
            job = cls(folder=folder, **told)
            job.picture_shape = (int(job.picture_shape[0]), int(job.picture_shape[1]))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(str(error)) from None
        return job

    def keep(self) -> None:
        """Write the record. Raises UnusableOutput."""
        told = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _NOT_KEPT}
        replace_file(self.folder / RECORD, json.dumps({"format": FORMAT} | told).encode(), 0o600, durable=False)

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def held_bytes(self) -> int:
        """Of maps in memory."""
        return sum(memoryview(each.data).nbytes for bands in self.unstored.values() for each in bands)

    @property
    def model(self) -> Path:
        """Where the trainer writes the model."""
        return self.folder / OUT / f"{self.name}{SUFFIX}"

    def end(self, state: str, text: str) -> None:
        """It has ended. What it needed is removed; what became of it is kept."""
        self.state, self.text, self.ended, self.unstored = state, text, time.time(), {}
        with suppress(TexserverError):
            self.keep()
        for each in self.folder.iterdir():
            if each.name in (RECORD, PICTURE):
                continue
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)

    def storing(self) -> Iterator[None]:
        """Write the maps to the folder, a piece at a time. Raises ImageFileError, UnusableOutput."""
        while self.unstored:
            part, bands = next(iter(self.unstored.items()))
            _, width, channels = bands[0].shape
            with open_image(
                self.folder / self.maps[part],
                width=width,
                height=sum(each.shape[0] for each in bands),
                channels=channels,
                depth=8 * wire.ITEM_BYTES[bands[0].dtype],
                format="tiff",
                durable=False,
            ) as file:
                for band in bands:
                    data = memoryview(band.data).cast("B")
                    row_bytes = len(data) // band.shape[0]
                    piece_bytes = max(1, PIECE_BYTES // row_bytes) * row_bytes
                    for start in range(0, len(data), piece_bytes):
                        file.write_rows(data[start : start + piece_bytes])
                        yield
            del self.unstored[part], bands, band, data  # their memory is free, before the next map is written
        self.is_stored = True
        self.keep()

    def arguments(self) -> list[str]:
        """For `python -m trainer`."""
        options = self.options
        given: list[str] = ["--colour", "--progress-lines", "--model-only", "--leave-with-parent", "--device", "cpu"]
        given += ["--swatch", str(self.folder / self.maps[BASE]), "--out", str(self.model)]
        if self.kind == STYLE:
            given += ["--kind", STYLE]
        for top, left, height, width in options.get("leave_out", ()):
            given += ["--leave-out", f"{left!r},{top!r},{width!r},{height!r}"]
        for part, file in self.maps.items():
            if part != BASE:
                given += ["--map", f"{part}={self.folder / file}"]
        if options.get("corners"):
            points = zip(options["corners"][::2], options["corners"][1::2], strict=True)
            given += ["--corners", ";".join(f"{y!r},{x!r}" for y, x in points)]
            if options.get("aspect"):
                given += ["--aspect", repr(options["aspect"])]
        if options.get("metres"):
            given += ["--metres", repr(options["metres"])]
        if options.get("category"):
            given += [f"--category={options['category']}"]
        if options.get("swatch_size"):
            given += ["--swatch-size", str(options["swatch_size"])]
        if options.get("derive"):
            given += ["--derive", ",".join(options["derive"])]
        return given + (["--keep-light"] if options.get("keep_light") else [])

    def hear(self, line: dict[str, Any]) -> None:
        """What the trainer says of itself. Lines that make no sense are ignored."""
        fraction, text = line.get("fraction"), line.get("text")
        if isinstance(fraction, int | float) and 0 <= fraction <= 1:
            self.fraction = max(self.fraction, float(fraction))
        if isinstance(text, str):
            self.text = self.for_people(text)
        if isinstance(line.get("picture"), str):
            self._take_picture(Path(line["picture"]), line.get("height"), line.get("width"))

    def for_people(self, text: str) -> str:
        """Without the server's own paths."""
        text = text.replace(f"{self.folder}/", "").replace(str(self.folder), "")
        return "".join(each if each.isprintable() else " " for each in text)[: wire.MAX_TEXT].strip()

    def _take_picture(self, path: Path, height: object, width: object) -> None:
        if not (isinstance(height, int) and isinstance(width, int) and 1 <= min(height, width) <= PICTURE_SIDE):
            return
        if max(height, width) > PICTURE_SIDE or path.parent != self.folder / OUT:
            return
        with suppress(OSError):
            path.replace(self.folder / PICTURE)
            self.picture, self.picture_shape = self.picture + 1, (height, width)

    def told(self, id: int, seen: int | None = None) -> wire.Job:
        """For a client; with the picture if that is newer than the one of number `seen`."""
        height, width = self.picture_shape
        buffers: tuple[wire.Buffer, ...] = ()
        if seen is not None and self.picture > seen:
            with suppress(OSError):
                data = (self.folder / PICTURE).read_bytes()
                if len(data) == height * width * 3:
                    shape = (height, width, 3)
                    buffers = (wire.Buffer(name="picture", dtype="uint8", shape=shape, data=data, colour_space="srgb"),)
        return wire.Job(id=id, picture=self.picture, buffers=buffers, **self.listed())

    def listed(self) -> dict[str, Any]:
        """For a list."""
        return {name: getattr(self, name) for name in ("token", "name", "kind", "state", "fraction", "text", "sha256")}
