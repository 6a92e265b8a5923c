"""Reads pictures from files as people see them, upright and in sRGB, with Pillow.

What is not plain 8-bit sRGB is converted, which `Picture.notes` reports, or refused with UnusablePicture. The trainer
reads its swatches by the same steps (trainer/swatch/swatch.py). Pixels are (height, width, channels): 1 (grey), 3 (RGB)
or 4 (RGB and alpha), sRGB-encoded, uint8, or uint16 where the file has them and is grey. Pictures to be stylized keep
their depth in colour as well: content_file.py.
"""

import re
import stat
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from server.errors import TexserverError

# What a picture may be: formats that hold photographs. A closed list, since Pillow knows formats that start other
# programs (EPS runs Ghostscript). TGA is last because it has no signature: it is tried when no other format fits.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "PSD", "BMP", "GIF", "PPM", "TGA")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".psd", ".bmp", ".gif", ".ppm", ".pgm", ".tga"),
    *(".heic", ".heif", ".hif"),  # read by pillow-heif, if it is installed
)
# Files that people take for pictures too, and what they are. None of them is read.
FOREIGN: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".raw"), "a camera's raw file"
        ),
        **dict.fromkeys((".svg", ".ai", ".eps", ".pdf"), "a drawing or document"),
        **dict.fromkeys((".xcf", ".kra", ".psb", ".clip", ".afphoto"), "a painting program's own file"),
        **dict.fromkeys((".sbs", ".sbsar", ".mtlx"), "a description of a material"),
        **dict.fromkeys((".jxl", ".jp2", ".j2k"), "in a format of JPEG that is not read here"),
        **dict.fromkeys((".dds", ".ktx", ".ktx2", ".basis"), "a graphics card's own format"),
        **dict.fromkeys((".hdr", ".rgbe"), "linear light (Radiance HDR)"),
        **dict.fromkeys((".tx", ".rat", ".tex"), "a renderer's own format"),
        **dict.fromkeys((".ico", ".icns", ".cur"), "an icon"),
    }
)

MAX_PIXELS = 100_000_000  # 300 MB of RGB once decoded; about the largest single shot of a camera
MAX_FILE_BYTES = 1 << 30  # MAX_PIXELS of uncompressed 16-bit RGBA fit

_BITS_PER_SAMPLE, _PLANES = 258, 284  # tags of a TIFF
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_HEIF_HELP = "install what reads HEIC by pip install pillow-heif, or save it as PNG or JPEG"
_LINEAR = {b"\x76\x2f\x31\x01": "OpenEXR", b"#?RADIANCE": "Radiance HDR", b"#?RGBE": "Radiance HDR"}  # how they begin


class UnusablePicture(TexserverError):
    """A file that cannot be used as a picture. The text says why and what to do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture as it is seen."""

    pixels: NDArray[Any]
    notes: tuple[str, ...]  # conversions that were made, a sentence each


def read_picture(path: Path) -> Picture:
    """Reads one picture, with its alpha, and with its 16 bits where it is grey. Raises UnusablePicture."""
    data = picture_bytes(path)
    for begins, kind in _LINEAR.items():
        if data.startswith(begins):
            raise UnusablePicture(
                f"{quoted(path)} holds linear light ({kind}), which looks like nothing until a view transform is "
                "applied: save the render with it, as PNG, and use that."
            )
    with guarded(path):
        return picture_of(path, stored_picture(path, data))


def picture_of(path: Path, stored: "Stored") -> Picture:
    """The decoded picture as it is seen. Use it within `guarded`. Raises UnusablePicture."""
    notes = list(stored.notes)
    image = stored.upright()
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Picture(pixels=_sixteen_bits(path, image), notes=tuple(notes))
    if image.mode in ("F", "LAB"):
        raise UnusablePicture(
            f"{quoted(path)} holds {'floating-point values' if image.mode == 'F' else 'L*a*b* colours'}, which "
            "are linear or need a view transform: save it with that applied, as PNG, and use that."
        )
    if stored.deep:
        notes.append("The 16 bits of each channel were cut to 8.")
    pixels = np.array(_as_seen(image, stored.profile, notes))
    return Picture(pixels=pixels if pixels.ndim == 3 else pixels[..., None], notes=tuple(notes))


def _as_seen(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Any mode of Pillow as L, RGB or RGBA, sRGB-encoded."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        seen = _as_seen(image.convert("RGB"), profile, notes)
        seen.putalpha(alpha)
        return seen
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        image = in_srgb(image, profile, notes)
    if image.mode == "CMYK":
        notes.append("The CMYK inks were converted to RGB without a colour profile; colours may differ from print.")
        image = image.convert("RGB")
    return image


def _sixteen_bits(path: Path, image: Image.Image) -> NDArray[np.uint16]:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise UnusablePicture(f"{quoted(path)} holds 32-bit integers of unknown range: export it as sRGB PNG.")
    return values.astype(np.uint16)[..., None]


# ------------------------------------------------------------------------------------------------------ from the file


def pictures_in(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """Sorted by name; not searched deeper. Raises UnusablePicture when there is none.

    Hidden files are left out: some systems keep a shadow `._brick.jpg` beside every `brick.jpg`.
    """
    pictures = [each for each in _files_in(folder) if each.suffix.lower() in suffixes]
    if not pictures:
        for deeper in sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")):
            if any(each.suffix.lower() in suffixes for each in _files_in(deeper)):
                raise UnusablePicture(
                    f"The folder {quoted(folder)} holds no picture itself, but its folder {quoted(Path(deeper.name))} "
                    "does: name that one."
                )
        raise UnusablePicture(f"The folder {quoted(folder)} holds no picture: put {', '.join(suffixes)} files into it.")
    return pictures


def foreign_in(folder: Path) -> Mapping[Path, str]:
    """The files that people take for pictures and that are not read, each with the reason and what to do."""
    found = {each: FOREIGN.get(each.suffix.lower()) for each in _files_in(folder)}
    return {path: f"it is {what}, which is not read here: save it as PNG" for path, what in found.items() if what}


def _files_in(folder: Path) -> list[Path]:
    try:
        return [each for each in sorted(folder.iterdir()) if not each.name.startswith(".") and each.is_file()]
    except OSError as error:
        raise _unreadable(folder, error) from error


def picture_bytes(path: Path) -> bytes:
    """The whole file. Raises UnusablePicture."""
    mode = mode_of(path)
    if stat.S_ISDIR(mode):
        raise UnusablePicture(f"{quoted(path)} is a folder: name a picture inside it.")
    if not stat.S_ISREG(mode):  # a FIFO would make us wait for ever
        raise UnusablePicture(f"{quoted(path)} is not a regular file: name a picture.")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnusablePicture(
                f"{quoted(path)} is larger than {MAX_FILE_BYTES >> 20} MiB: save it as PNG or JPEG, scaled down."
            )
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not data:
        raise UnusablePicture(f"{quoted(path)} is empty: copy or export the picture again.")
    return data


def mode_of(path: Path) -> int:
    """The mode of the file, from `os.stat`. Raises UnusablePicture if there is no file."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UnusablePicture(f"There is no file {quoted(path)}: check the path.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> UnusablePicture:
    if isinstance(error, PermissionError):
        return UnusablePicture(f"{quoted(path)} may not be read: give yourself the permission or copy it elsewhere.")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UnusablePicture(f"{quoted(path)} cannot be read ({reason}): check the path.")


def quoted(path: Path) -> str:
    """For a sentence: line breaks and stray bytes in a name stay one printable line."""
    return repr(str(path))


# ------------------------------------------------------------------------------------------------------- from its bytes


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Inside, Pillow's errors become UnusablePicture.

    It warns of odd metadata and of sizes that we bound ourselves; neither is for the user.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except TexserverError:
        raise
    except (Image.DecompressionBombError, MemoryError):
        raise UnusablePicture(
            f"{quoted(path)} is too large to decode: "
            f"scale it below {MAX_PIXELS // 10**6} megapixels in an image editor."
        ) from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnusablePicture(
            f"{quoted(path)} is truncated or damaged ({detail}): export it again as PNG or JPEG."
        ) from error


@dataclass(kw_only=True, eq=False)
class Stored:
    """A decoded picture as its file holds it, and what the file says of it."""

    image: Image.Image
    format: str
    deep: bool  # 16 bits a channel in the file; Pillow may have cut it
    orientation: int  # EXIF, 1 (upright) to 8
    profile: bytes | None  # ICC
    notes: list[str] = field(default_factory=list)  # for the user, a sentence each

    def upright(self) -> Image.Image:
        """As EXIF asks for."""
        return ImageOps.exif_transpose(self.image) if self.orientation > 1 else self.image


def stored_picture(
    path: Path,
    data: bytes,
    least_side: int = 1,
    too_small: str = "",
    *,
    change: Callable[[ImageFile.ImageFile], object] = lambda image: None,
) -> Stored:
    """Decode the picture in these bytes, if its header promises no more than MAX_PIXELS. Use it within `guarded`.

    If a side is below `least_side`, the error says that it is `too_small`. `change`: done to the opened picture before
    it is decoded.
    """
    notes: list[str] = []
    opened = _opened(path, data)
    width, height = opened.size  # before anything is decoded: a few kilobytes can claim gigabytes
    if width * height > MAX_PIXELS:
        raise UnusablePicture(
            f"{quoted(path)} has {width} x {height} pixels: scale it below {MAX_PIXELS // 10**6} megapixels "
            "in an image editor."
        )
    if min(width, height) < least_side:
        raise UnusablePicture(f"{quoted(path)} is {width} x {height} px, {too_small}")
    tags = getattr(opened, "tag_v2", {})  # of a TIFF
    if tags.get(_PLANES) == 2 and max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8:  # Pillow takes them for 8 bits
        raise UnusablePicture(
            f"{quoted(path)} keeps its channels of 16 bits in separate planes, which is not read here: save it as "
            "16-bit PNG."
        )
    if getattr(opened, "is_animated", False):
        notes.append("The file holds several pictures; the first was taken.")
    # Both before load(): it empties the list of tiles, and turns a TIFF upright by itself.
    deep = bool(re.search(r"(?<!BGR);16", str(opened.tile)))  # "RGB;16B" and the like; "BGR;16" is 5 + 6 + 5 bits
    change(opened)
    orientation = _orientation(opened, notes)  # which may decode it
    opened.load()
    return Stored(
        image=opened,
        format=opened.format or "",
        deep=deep,
        orientation=orientation,
        profile=opened.info.get("icc_profile"),
        notes=notes,
    )


def _opened(path: Path, data: bytes) -> ImageFile.ImageFile:
    """Opened by its header, not yet decoded."""
    formats: tuple[str, ...] = FORMATS
    if _is_heif(data):
        if not _heif_is_read():
            raise UnusablePicture(f"{quoted(path)} is a HEIC picture: {_HEIF_HELP}.")
        formats = (*FORMATS, "HEIF")
    try:
        return Image.open(BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise UnusablePicture(f"{quoted(path)} {_why_unread(data)}.") from None


def _is_heif(data: bytes) -> bool:
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : min(64, int.from_bytes(data[:4], "big"))]
    return b"avif" not in brands and any(brand in brands for brand in _HEIF_BRANDS)


@cache
def _heif_is_read() -> bool:
    """Whether pillow-heif is installed; it is then made known to Pillow."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _why_unread(data: bytes) -> str:
    """What is the matter with a file that Pillow does not know, and what to do."""
    if kind := next((kind for begins, kind in _LINEAR.items() if data.startswith(begins)), None):
        return f"holds linear light ({kind}): save it as PNG, with the light as it should be seen"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return (
            "is a TIFF of a kind that is not read here, such as floating-point colours or 64 bits: save it as "
            "16-bit PNG or as OpenEXR"
        )
    if data.startswith(b"8BPS"):
        bits = int.from_bytes(data[22:24], "big")
        return f"is a Photoshop file of {bits} bits a channel, of which only those of 8 are read: save it as PNG"
    if data[4:8] == b"ftyp":  # AVIF, HEIC
        return "is truncated or damaged: export it again as PNG or JPEG"
    return "is not a picture that can be read here: save it as PNG or JPEG"


def _orientation(image: Image.Image, notes: list[str]) -> int:
    """How to turn the picture upright. Damaged EXIF is no reason to refuse good pixels."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:
        notes.append("The camera data (EXIF) cannot be read; the picture was taken as it is stored.")
        return 1
    if orientation not in range(2, 9):
        return 1
    notes.append("The picture was turned upright as its camera data (EXIF) asks.")
    return int(orientation)


def in_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Convert from an embedded ICC profile to sRGB. A profile that cannot be used is noted, and changes nothing."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        to_srgb = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        # Is it sRGB already? Names vary, so ask what it does: cameras' sRGB profiles move nothing beyond rounding.
        ramp = _colour_ramp(image.mode)
        moved = np.asarray(to_srgb.apply(ramp)).astype(int) - np.asarray(ramp.convert("RGB"))
        if abs(moved).max() <= 3:
            return image
        converted = to_srgb.apply(image)
        name = " ".join(ImageCms.getProfileDescription(source).split())[:60] or "unnamed"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("The embedded colour profile cannot be used; the colours were taken as sRGB.")
        return image
    notes.append(f"The colours were converted from the embedded profile ({name}) to sRGB.")
    return converted


def _colour_ramp(mode: str) -> Image.Image:
    """Six steps of every channel in every combination, as one row."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    steps = np.stack(np.meshgrid(*[np.arange(0, 256, 51)] * channels), -1).astype(np.uint8)
    return Image.frombytes(mode, (steps.size // channels, 1), steps.tobytes())
