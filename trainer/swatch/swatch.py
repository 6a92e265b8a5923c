"""One swatch, read from disk and ready to train on: decoded once, converted to sRGB, scaled, checked.

A swatch is the photograph that a texture is learned from. A picture that is not plain 8-bit sRGB is either converted,
with a note (`Swatch.notes`), or refused in one sentence (`UnusableSwatch`). A picture that can be read but is unlikely
to work gets a warning (`Swatch.warnings`). The thresholds of the warnings were set on good photographs of brick,
leaves, tiles, onyx, peppers, slates, wood and rust, none of which may get one; the comments beside them give the
numbers.

Shapes: pixels are (1, 3, height, width), RGB, float32 in [0, 1], sRGB-encoded.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageStat
from torch import Tensor

from server.errors import TexserverError
from server.files.exr_file import is_exr
from server.files.picture_file import (
    UnusablePicture,
    guarded,
    in_srgb,
    picture_bytes,
    quoted,
    stored_picture,
)
from server.files.render_file import LINEAR, encoded
from trainer.swatch.samples import Samples, read_samples
from trainer.swatch.straighten import Straighten

# relu3_4, the deepest layer of VGG-19 that the descriptor uses, sees 48 x 48 pixels. On less than 64 pixels nearly all
# of its cells would see the padding around the picture, and its Gram matrix would describe the border.
MIN_SIDE_PX = 64
# Below this the descriptor's second image scale, half the size, has less than MIN_SIDE_PX.
USEFUL_SIDE_PX = 128

MOST_CHARACTERS = 64  # of a model's name
RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)),
}  # Windows

LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709, applied to encoded values: good enough to judge light by


class UnusableSwatch(TexserverError):
    """A swatch that cannot be trained on; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Swatch:
    """A picture ready to train on, with what people should know about it."""

    name: str  # of the model: a-z, 0-9, - and _, never empty
    path: Path
    pixels: Tensor  # (1, 3, height, width) float32 in [0, 1], sRGB-encoded
    original_size: tuple[int, int]  # (height, width) as seen upright and straightened, before scaling
    sha256: str  # of the file's bytes
    notes: tuple[str, ...]  # a sentence for each conversion
    warnings: tuple[str, ...]  # a sentence for each problem: what will suffer and what to do
    straighten: Straighten | None = None  # which part of the picture it is; the other maps are cut likewise
    angle: float = 0.0  # by which its top edge fell to the right in the picture, in radians


def model_name(path: Path) -> str:
    """The file's stem in a-z, 0-9, - and _, safe in paths and on the wire: "Grès rosé (2).JPG" is "gres_rose_2".

    Letters of other scripts are written in Latin ones. What this, or cutting a long name, loses is told apart by a few
    digits of a hash: "木目.jpg" is "mumu_" and four digits, always the same.
    """
    stem = unicodedata.normalize("NFC", path.stem)
    apart = unicodedata.normalize("NFKD", stem)
    plain = "".join(each for each in apart if not unicodedata.combining(each))
    whole = plain.isascii()
    name = re.sub(r"[^a-z0-9_-]+", "_", (plain if whole else _in_latin(stem)).lower()).strip("_-")
    if whole and name and len(name) <= MOST_CHARACTERS:
        return f"{name}_" if name in RESERVED else name
    digits = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:4]
    return f"{name[: MOST_CHARACTERS - 5].strip('_-') or 'swatch'}_{digits}"


def _in_latin(text: str) -> str:
    from anyascii import anyascii  # few names need it

    return anyascii(text)


def read_swatch(path: Path, size: int | None, straighten: Straighten | None = None) -> Swatch:
    """Read one picture and scale its shorter side down to `size` pixels (None: as it is). It is never scaled up.

    `straighten`: the part that is wanted, made a rectangle before.

    Scaling is Lanczos on sRGB-encoded values, as image editors do it.

    Raises UnusableSwatch for anything that is not a readable picture of at least MIN_SIDE_PX and at most MAX_PIXELS.
    """
    if size is not None and size < MIN_SIDE_PX:
        raise UnusableSwatch(
            f"A swatch scaled to {size} px is too small to learn from: ask for {MIN_SIDE_PX} px or more."
        )
    with _of_a_swatch():
        data = picture_bytes(path)
        with guarded(path):
            image, stored, notes = _decode(path, data)
    angle = 0.0
    if straighten is not None:
        angle = straighten.angle(image.height, image.width)
        image = straighten.picture(image)
        notes.append(f"The part between the corners was made {image.width} x {image.height} pixels.")
        if min(image.size) < MIN_SIDE_PX:
            raise UnusableSwatch(
                f"The part of {quoted(path)} between the corners has only {image.width} x {image.height} pixels: "
                f"choose one of at least {MIN_SIDE_PX} px on its shorter side, better {2 * USEFUL_SIDE_PX}."
            )
    width, height = image.size
    shorter = min(width, height)
    if size is not None and shorter > size:
        scaled = [max(size, round(side * size / shorter)) for side in (width, height)]
        image = image.resize((scaled[0], scaled[1]), Image.Resampling.LANCZOS)
    elif size is not None and shorter < size:
        notes.append(f"The picture's shorter side is {shorter} px, less than {size} px. It was not scaled up.")
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().div_(255).contiguous()
    content = content_warning(pixels)
    blocks = None if stored is None else jpeg_blocks(stored, min(image.size) / shorter)
    return Swatch(
        name=model_name(path),
        path=path,
        pixels=pixels,
        original_size=(height, width),
        sha256=hashlib.sha256(data).hexdigest(),
        notes=tuple(notes),
        warnings=tuple(said for said in (too_small(pixels), content, blocks) if said),
        straighten=straighten,
        angle=angle,
    )


# ---- from bytes to a picture


@contextmanager
def _of_a_swatch() -> Iterator[None]:
    """Raise UnusableSwatch in place of UnusablePicture."""
    try:
        yield
    except UnusablePicture as error:
        raise UnusableSwatch(str(error)) from error


def _decode(path: Path, data: bytes) -> tuple[Image.Image, Tensor | None, list[str]]:
    """The picture upright in 8-bit RGB, the stored grey values if it is a JPEG, and the notes."""
    small = f"too small to learn from: use a picture of at least {MIN_SIDE_PX} px on its shorter side, "
    small += f"better {2 * USEFUL_SIDE_PX}."
    if is_exr(data):
        notes: list[str] = []
        return _of_linear(path, read_samples(path, data, MIN_SIDE_PX, small), notes), None, notes
    stored = stored_picture(path, data, MIN_SIDE_PX, small)
    grey = _grey(stored.image) if stored.format in ("JPEG", "MPO") else None
    return _to_srgb(path, stored.upright(), stored.deep, stored.profile, stored.notes), grey, stored.notes


def _of_linear(path: Path, samples: Samples, notes: list[str]) -> Image.Image:
    """Linear light as 8-bit RGB in sRGB. What is brighter than white becomes white."""
    if not samples.is_rec709:
        raise UnusableSwatch(
            f"{quoted(path)} holds colours of a wide gamut (such as ACES): save it with the primaries of sRGB, as PNG."
        )
    light = samples.values[..., :3] if samples.values.shape[2] > 2 else samples.values[..., :1].repeat(3, 2)
    if not np.isfinite(light).all():
        raise UnusableSwatch(f"{quoted(path)} holds pixels that are infinite or no numbers (NaN): export it again.")
    notes.append(LINEAR)
    bright = float((light > 1).any(2).mean())
    if bright > 0.001:
        notes.append(f"{bright:.1%} of its pixels are brighter than white, and became white.")
    return Image.fromarray((encoded(light) * 255 + 0.5).astype(np.uint8))


def _to_srgb(path: Path, image: Image.Image, deep: bool, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Convert any of Pillow's modes to 8-bit RGB in sRGB. `deep`: the file has 16 bits a channel."""
    if image.mode in ("F", "LAB"):
        kind = "floating-point values, which have no fixed exposure" if image.mode == "F" else "L*a*b* colours"
        raise UnusableSwatch(f"{quoted(path)} holds {kind}: export it as 8-bit sRGB PNG.")
    if image.mode == "I" or image.mode.startswith("I;16"):
        image, deep = _eight_bits(path, image), True
    if deep:
        notes.append("The 16 bits of each channel were scaled to 8.")
    if image.mode == "P":
        notes.append("The palette was replaced by its colours.")
    if image.has_transparency_data:
        image = _flatten(path, image, notes)
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    grey, cmyk = image.mode == "L", image.mode == "CMYK"
    if profile:
        image = in_srgb(image, profile, notes)
    if grey:
        notes.append("The picture is grey; it was read as RGB with three equal channels.")
    if cmyk and image.mode == "CMYK":
        notes.append("The CMYK inks were converted to RGB without a colour profile; colours may differ from print.")
    return image.convert("RGB")


def _eight_bits(path: Path, image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits. Pillow's own convert("L") would clip it."""
    values = np.asarray(image).astype(np.int32)
    if values.min() < 0 or values.max() > 65535:
        raise UnusableSwatch(f"{quoted(path)} holds 32-bit integers of unknown range: export it as 8-bit sRGB PNG.")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _flatten(path: Path, image: Image.Image, notes: list[str]) -> Image.Image:
    """Lay a transparent picture over the mean colour of its opaque pixels, which adds no new colour."""
    image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
    alpha = image.getchannel("A")
    lowest, highest = (int(bound) for bound in ImageStat.Stat(alpha).extrema[0])
    if highest == 0:
        raise UnusableSwatch(f"{quoted(path)} is fully transparent: export it with its transparency removed.")
    opaque = image.convert(image.mode[:-1])
    if lowest == 255:
        return opaque
    solid = alpha.point([255 if value > highest // 2 else 0 for value in range(256)])
    mean = tuple(round(channel) for channel in ImageStat.Stat(opaque, solid).mean)
    ground = Image.new(opaque.mode, opaque.size, mean if len(mean) > 1 else mean[0])
    ground.paste(opaque, mask=alpha)
    notes.append("Transparent parts were filled with the mean colour of the opaque ones.")
    return ground


def _grey(image: Image.Image) -> Tensor:
    """The upper left 2048 x 2048 stored pixels, where the 8 x 8 grid begins: (height, width) float32 in [0, 255]."""
    corner = image.crop((0, 0, min(image.width, 2048), min(image.height, 2048)))
    return torch.from_numpy(np.array(corner.convert("L"))).float()


# ---- what makes a swatch unlikely to work


def content_warning(pixels: Tensor) -> str | None:
    """What will suffer from what the picture shows. Shapes: (1, 3, H, W)."""
    # One cause, one warning: a flat picture has no statistics to compare, and uneven light upsets the quarters too.
    return flat(pixels) or unevenly_lit(pixels) or not_stationary(pixels)


def too_small(pixels: Tensor) -> str | None:
    """Warn of less than USEFUL_SIDE_PX. Shapes: (1, 3, H, W)."""
    shorter = min(pixels.shape[2:])
    if shorter >= USEFUL_SIDE_PX:
        return None
    return (
        f"The swatch's shorter side is only {shorter} px: large shapes and their arrangement will be lost; "
        f"use a picture, or a swatch size, of {2 * USEFUL_SIDE_PX} px or more."
    )


def flat(pixels: Tensor) -> str | None:
    """Warn of almost one colour. Shapes: (1, 3, H, W)."""
    # Sensor noise and JPEG rounding on a plain wall give 1 to 3 of 255. The flattest good swatch gives 25.
    deviation = float(pixels.std(dim=(2, 3)).max())
    if deviation >= 3 / 255:
        return None
    return (
        f"The swatch is almost one flat colour (it varies by {deviation:.1%} of the range): "
        "the texture will be noise on that colour; use a picture with visible structure or raise its contrast."
    )


def unevenly_lit(pixels: Tensor) -> str | None:
    """Warn if a quadratic surface explains most of the blurred brightness. Shapes: (1, 3, H, W)."""
    luma = (pixels * pixels.new_tensor(LUMA)[None, :, None, None]).sum(1, keepdim=True)
    cells = F.adaptive_avg_pool2d(luma, 16).flatten().double()  # blur: 16 x 16 cells
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, 16, dtype=torch.float64)] * 2, indexing="ij")
    terms = torch.stack([torch.ones_like(u), u, v, u * u, u * v, v * v], -1).reshape(-1, 6)
    fit = terms @ torch.linalg.lstsq(terms, cells[:, None]).solution[:, 0]
    share = 1 - float((cells - fit).square().sum() / (cells - cells.mean()).square().sum().clamp_min(1e-9))
    darkest, brightest = (float(value) for value in torch.quantile(fit, fit.new_tensor([0.05, 0.95])))
    ratio = brightest / max(darkest, 1 / 255)
    # Good swatches: such a surface explains at most 0.41, and has a ratio of 1.2. With light that falls to a half
    # across them, 0.72 to 1.0 and a ratio of 1.8 to 2. Large shapes can hide uneven light from this test (red peppers:
    # 0.2); the comparison of quarters catches some of it.
    if share < 0.6 or ratio < 1.4:
        return None
    surface = fit.reshape(16, 16)
    places = {
        "the left": surface[:, 0].mean(),
        "the right": surface[:, -1].mean(),
        "the top": surface[0].mean(),
        "the bottom": surface[-1].mean(),
        "the middle": surface[6:10, 6:10].mean(),
    }
    brightest_place = max(places, key=lambda place: float(places[place]))
    return (
        f"The light is uneven, brightest at {brightest_place} ({ratio:.1f} times the darkest part): "
        "the texture will lose this shading or repeat it as blotches; "
        "even out the light, or crop to an evenly lit part."
    )


def not_stationary(pixels: Tensor) -> str | None:
    """Warn if the quarters differ in mean colour or in contrast, as sky and ground do. Shapes: (1, 3, H, W)."""
    quarters = [part for half in pixels.tensor_split(2, dim=2) for part in half.tensor_split(2, dim=3)]
    means = torch.stack([quarter.mean(dim=(0, 2, 3)) for quarter in quarters])
    contrasts = torch.stack([quarter.std(dim=(2, 3)).mean() for quarter in quarters])
    shift = float((means - means.mean(0)).abs().max() / pixels.std(dim=(2, 3)).mean().clamp_min(1 / 255))
    spread = float(contrasts.max() / contrasts.min().clamp_min(0.5 / 255))
    # Good swatches: means differ by at most 0.45 of the overall deviation (onyx), contrasts by a factor of 1.24
    # (brick). Paintings and still lifes: 0.5 to 0.8, or a factor of 1.5 to 5. Small crops, in which a quarter holds few
    # shapes, may get the warning (a third of the peppers: 1.0), and rightly.
    if shift < 0.7 and spread < 1.6:
        return None
    return (
        "Parts of the swatch differ a lot in colour or contrast: "
        "the texture will mix them everywhere and lose their arrangement; "
        "crop to one material unless that is wanted, as with a painting."
    )


def jpeg_blocks(grey: Tensor, scale: float) -> str | None:
    """Warn if brightness jumps at the 8 x 8 blocks of a JPEG.

    `grey`: (H, W) in [0, 255] as stored, the grid beginning at its corner; `scale`: training pixels per stored pixel.
    """
    if 8 * scale < 2:  # scaled down so far, the blocks have been averaged away
        return None
    ratios, jumps = [], []
    for rows in (grey, grey.T):
        steps = rows.diff(dim=1).abs().mean(0)  # between neighbouring columns; every eighth crosses a block border
        phases = steps[: len(steps) // 8 * 8].reshape(-1, 8).mean(0)
        inside = phases[:7].median()
        ratios.append(float(phases[7] / inside.clamp_min(0.1)))
        jumps.append(float(phases[7] - inside))
    # Unchanged photographs: ratio up to 1.28 (an old scan), jump up to 2.2 levels; saved at quality 75, up to 1.4 and
    # 2.2. At quality 10: ratio from 1.5, jump from 4. Both must be high: on a smooth picture an invisible jump gives a
    # large ratio.
    if sum(ratios) / 2 < 1.4 or sum(jumps) / 2 < 3:
        return None
    return (
        "The picture shows the 8 x 8 blocks of strong JPEG compression: the texture will learn them as a faint grid; "
        "use the original, a JPEG of quality 90 or more, or a larger picture scaled down."
    )
