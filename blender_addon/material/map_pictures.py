"""Reads the maps of a material as raw samples, step by step: from files, and from images that Blender holds.

Blender decodes, and writes uncompressed TIFFs (map_file.py), which are then read in bands. Large files are decoded by a
second Blender without a window, so that this one stays usable. Images without an unchanged file (packed, painted,
generated, rendered) are written here: one call of Blender each, about 0.2 s for 4096 x 4096 pixels of 8 bits.

A picture that its camera has marked as turned is turned upright, as every viewer shows it. Blender ignores the mark, so
an image that it holds stays as it is seen there.

What is read is kept in bpy.app.tempdir until close(). Nothing of Blender's is held between two steps.
"""

import json
import subprocess
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import bpy

from ..pictures.channels import Taking, take
from ..pictures.draft import ImageFileError
from ..pictures.image_file import open_image
from ..pictures.map_files import FileMaterial
from ..pictures.map_names import BASE_COLOUR, PARTS
from ..pictures.orientation import UPRIGHT, orientation_of, swaps, turned_rows
from ..pictures.picture_reader import PictureError
from ..pictures.picture_rows import PictureRows
from ..pictures.picture_size import sample_bytes
from ..protocol.wire import Buffer
from ..tasks.training_task import NoMaps
from . import map_file
from .content import kept_output
from .references import Reference

BAND_PIXELS: Final = 2**20
LARGE_BYTES: Final = 6 * 2**20  # of samples: above, a file is read by the second Blender; this takes about 0.1 s here
LARGE_FILE_BYTES: Final = 2**20  # the same, of a file that does not tell


@dataclass(frozen=True, kw_only=True)
class MapSource:
    """Where the pixels of a map are: in a file, or in an image of this Blender."""

    taking: Taking
    path: Path | None = None
    image: Reference | None = None

    @property
    def name(self) -> str:
        """For people."""
        return self.path.name if self.path else self.image.name if self.image else ""


def of_files(material: FileMaterial) -> list[MapSource]:
    """The maps in the files of a material."""
    found = {BASE_COLOUR: MapSource(taking=Taking(map=BASE_COLOUR), path=material.path)}
    for part, takes in PARTS.items():
        for each in takes if part in material.parts else ():
            taking = Taking(map=each.map, channel=each.channel, inverted=each.inverted, down=part == "normal_dx")
            found.setdefault(each.map, MapSource(taking=taking, path=material.parts[part]))
    return list(found.values())


def of_image(image: Any) -> list[MapSource]:
    """The one map that an image is: the base colour."""
    return [MapSource(taking=Taking(map=BASE_COLOUR), image=Reference.to("images", image))]


@dataclass(eq=False)
class _Picture:
    """One picture that holds one map or more."""

    sources: list[MapSource]
    target: Path  # of the TIFF
    given: Path | None = None  # the file to decode; None: an image of this Blender
    orientation: int = UPRIGHT  # of the file

    @property
    def colour(self) -> bool:
        return any(each.taking.map == BASE_COLOUR for each in self.sources)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What each map may have, in pixels. Larger ones are scaled down."""

    side: int
    pixels: int


class MapPictures:
    """A PictureSource (tasks/training_task.py)."""

    def __init__(self, sources: Sequence[MapSource], scene: Any, bounds: Bounds) -> None:
        self.buffers: list[Buffer] = []
        self._sources = list(sources)
        self._scene = Reference.to("scenes", scene)
        self._bounds = bounds
        self._folder = Path(bpy.app.tempdir)
        self._pictures = self._by_picture()
        self._child: subprocess.Popen[bytes] | None = None
        self._steps = self._read()

    def step(self) -> bool:
        """Do one thing more; False when all maps are in `buffers`. Raises NoMaps."""
        try:
            next(self._steps)
        except StopIteration:
            return False
        except PictureError as error:
            raise NoMaps(str(error)) from error
        return True

    def close(self) -> None:
        """End, and remove what was written."""
        self._steps.close()
        if self._child and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._child = None
        for each in self._pictures:
            for path in (each.target, each.given):
                if path and path.parent == self._folder and path.name.startswith("texserver-"):
                    with suppress(OSError):
                        path.unlink()

    def _by_picture(self) -> list[_Picture]:
        pictures: dict[object, _Picture] = {}
        for each in self._sources:
            key = each.path or each.image
            if key not in pictures:
                orientation = orientation_of(each.path) if each.path else UPRIGHT
                pictures[key] = _Picture([], self._new_path(".tif"), each.path, orientation)
            pictures[key].sources.append(each)
        return list(pictures.values())

    def _new_path(self, suffix: str) -> Path:
        return self._folder / f"texserver-{token_hex(6)}{suffix}"

    def _read(self) -> Generator[None, None, None]:
        for each in self._pictures:
            if each.given is None:
                self._write_image(each)
                yield
        waiting = [each for each in self._pictures if each.given]
        if second_blender() and any(_is_large(each.given) for each in waiting):
            yield from self._decode_elsewhere(waiting)
        for each in waiting:
            if not each.target.is_file():  # small, or the second Blender could not
                self._decode(each)
                yield
        for each in self._pictures:
            if each.orientation != UPRIGHT:
                yield from self._turn(each)
            yield from self._take(each)

    # -------------------------------------------------------------------------------------------------------- decoding

    def _write_image(self, picture: _Picture) -> None:
        """Write an image of this Blender as it is now; what is too large is scaled later, from that file."""
        source = picture.sources[0]
        image = source.image.get() if source.image else None
        if image is None:
            raise NoMaps(f"The image {source.name} no longer exists. Choose another one.")
        _check(image)
        picture.given = self._file_of(image, picture)
        if picture.given:
            return
        with self._output() as scene:
            try:
                map_file.write(image, str(picture.target), scene, colour=picture.colour)
            except RuntimeError as error:
                raise NoMaps(f"The image {image.name!r} cannot be read: {_said(error)}. Choose another one.") from error
        width, height = image.size
        if not picture.target.is_file():
            raise NoMaps(f"The image {image.name!r} has no pixels. Its file may be missing. Choose another image.")
        space = image.colorspace_settings
        if not picture.colour and not (space.is_data or image.is_float):
            picture.sources = [
                replace(each, taking=replace(each.taking, linear=each.taking.map != "normal"))
                for each in picture.sources
            ]
        if width * height > self._bounds.pixels or max(width, height) > self._bounds.side:
            picture.given, picture.target = picture.target, self._new_path(".tif")

    def _file_of(self, image: Any, picture: _Picture) -> Path | None:
        """A file with exactly the pixels of an image, read in the same colour space; None if there is none."""
        space = image.colorspace_settings
        if image.source != "FILE" or image.is_dirty or not (space.name == "sRGB" if picture.colour else space.is_data):
            return None
        path = Path(bpy.path.abspath(image.filepath))
        if not image.packed_file:
            return path if path.is_file() else None
        copy = self._new_path(path.suffix)
        copy.write_bytes(image.packed_file.data)
        return copy

    def _decode(self, picture: _Picture) -> None:
        with self._output() as scene:
            try:
                map_file.write_file(
                    str(picture.given),
                    str(picture.target),
                    scene,
                    colour=picture.colour,
                    most_pixels=self._bounds.pixels,
                    most_side=self._bounds.side,
                )
            except (RuntimeError, ValueError) as error:
                name = picture.sources[0].name
                raise NoMaps(f"Blender cannot read {name} as a picture. Choose another file.") from error
        if not picture.target.is_file():
            raise NoMaps(f"Blender cannot write to {self._folder}. Is the disk full?")

    @contextmanager
    def _output(self) -> Iterator[Any]:
        scene = self._scene.get() or bpy.context.scene
        with kept_output(scene):
            yield scene

    def _decode_elsewhere(self, pictures: Sequence[_Picture]) -> Iterator[None]:
        """By a second Blender. Whatever goes wrong there is done here again, and told then."""
        wanted = [
            {
                "source": str(each.given),
                "target": str(each.target),
                "colour": each.colour,
                "most_pixels": self._bounds.pixels,
                "most_side": self._bounds.side,
            }
            for each in pictures
        ]
        try:
            self._child = subprocess.Popen(
                [*second_blender(), "--", json.dumps(wanted)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError:
            return
        while self._child.poll() is None:
            yield
        if self._child.returncode:
            for each in pictures:  # perhaps cut off
                with suppress(OSError):
                    each.target.unlink()

    # ---------------------------------------------------------------------------------------------------------- taking

    def _turn(self, picture: _Picture) -> Iterator[None]:
        """Write the picture anew, upright."""
        stored = bytearray()
        with PictureRows(picture.target, any_alpha=True) as rows:
            raster = rows.raster
            while band := rows.read(max(1, BAND_PIXELS // raster.width)):
                stored += band
                yield
        swapped = swaps(picture.orientation)
        height, width = (raster.width, raster.height) if swapped else (raster.height, raster.width)
        upright = turned_rows(memoryview(stored), raster.height, raster.width, picture.orientation)
        target, picture.target = picture.target, self._new_path(".tif")
        try:
            with open_image(
                picture.target,
                width=width,
                height=height,
                channels=raster.channels,
                depth=raster.depth,
                format="tiff",
                durable=False,
            ) as file:
                while band := b"".join(islice(upright, max(1, BAND_PIXELS // width))):
                    file.write_rows(band)
                    yield
        except ImageFileError as error:
            raise NoMaps(str(error)) from error
        finally:
            target.unlink(missing_ok=True)

    def _take(self, picture: _Picture) -> Iterator[None]:
        with PictureRows(picture.target, any_alpha=True) as rows:
            raster = rows.raster
            if raster.channels != 4:
                raise NoMaps(f"{picture.sources[0].name} cannot be read. Save it in another format.")
            taken: list[bytearray] = [bytearray() for _ in picture.sources]
            while band := rows.read(max(1, BAND_PIXELS // raster.width)):
                for source, samples in zip(picture.sources, taken, strict=True):
                    samples += take(band, f"uint{raster.depth}", source.taking)
                yield
        for source, samples in zip(picture.sources, taken, strict=True):
            shape = (raster.height, raster.width, source.taking.channels)
            dtype = f"uint{raster.depth}"
            self.buffers.append(Buffer(name=source.taking.map, dtype=dtype, shape=shape, data=samples))


def second_blender() -> list[str]:
    """The command of a Blender that runs map_file.py; empty where Blender is a module of another program."""
    options = ["--background", "--factory-startup", "--python-exit-code", "1", "--python", map_file.__file__]
    return [bpy.app.binary_path, *options] if bpy.app.binary_path else []


def _check(image: Any) -> None:
    """Raises NoMaps for an image that is not one picture."""
    if image.source in ("TILED", "MOVIE", "SEQUENCE"):
        kind = {"TILED": "UDIM tiles", "MOVIE": "a movie", "SEQUENCE": "a sequence"}[image.source]
        raise NoMaps(f"The image {image.name!r} is {kind}. Choose a single picture.")
    if image.type not in ("IMAGE", "UV_TEST"):
        raise NoMaps(f"The image {image.name!r} is a result that Blender makes anew. Save it as a picture first.")


def _is_large(path: Path | None) -> bool:
    """Whether Blender takes long for a file."""
    if path is None:
        return False
    samples = sample_bytes(path)
    if samples is not None:
        return samples > LARGE_BYTES
    with suppress(OSError):
        return path.stat().st_size > LARGE_FILE_BYTES
    return False


def _said(error: RuntimeError) -> str:
    return str(error).strip().removeprefix("Error: ").rstrip(".")
