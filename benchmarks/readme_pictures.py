"""Makes the pictures of the README that show quilts, from real photographs, by the trainer's defaults.

    python benchmarks/readme_pictures.py SWATCHES MAPS OUT

SWATCHES is a folder with leaves_forest_ground.jpg, castle_brick_broken_06.jpg, rosewood_veneer1.jpg,
rustymetal053c.jpg, long_white_tiles.jpg and roof_slates_02.jpg (Poly Haven and ambientCG, CC0), MAPS one with the maps
of ambientCG's Rock058. Writes headline.jpg, quilts.jpg, networks.jpg (with NETWORKS=1: trains for minutes), maps.jpg,
lattice.jpg, courses.jpg and sheet.jpg into OUT.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from server.model.torus import Size, Window
from server.network.model_file import read_model
from server.network.texture import texture_bytes
from trainer.judge.pictures import Picture

PAPER = (245, 245, 242)
GAP = 12


def trained(swatch: Path, folder: Path, *options: str) -> Path:
    """The model that the trainer makes of a photograph, or of a folder of maps."""
    path = folder / f"{swatch.stem}-{'-'.join(options).strip('-') or 'quilt'}.safetensors"
    command = [sys.executable, "-m", "trainer", "--swatch", str(swatch), "--out", str(path), "--quiet", *options]
    subprocess.run(command, check=True)
    return path


def painted(model: Path, size: tuple[int, int], seed: int = 1, map: int = 0) -> Picture:
    """One map of a texture."""
    planes = texture_bytes(read_model(model).texture_generator(), seed, Size(*size), Window(0, 0, *size), 8)
    return np.asarray(planes[map].expand(-1, -1, 3))


def beside(model: Path, what: str) -> Image.Image:
    """A picture that the trainer left beside the model."""
    return Image.open(model.with_name(f"{model.stem}.{what}.png")).convert("RGB")


def rows_of(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures in rows on paper."""
    width = max(sum(each.width + GAP for each in row) for row in rows) + GAP
    height = sum(max(each.height for each in row) + GAP for row in rows) + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    top = GAP
    for row in rows:
        left = GAP
        for each in row:
            sheet.paste(each, (left, top))
            left += each.width + GAP
        top += max(each.height for each in row) + GAP
    return sheet


def write(picture: Image.Image, path: Path, width: int = 1600) -> None:
    """As JPEG, at most `width` pixels wide."""
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    picture.save(path, quality=84)


def drawn_bricks(height: int, width: int) -> Image.Image:
    """Running bond, each brick of its own tone."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    course = y // 40
    shifted = x + 56 * (course % 2)
    tones = 0.75 + 0.5 * random.random((height // 40 + 1, width // 112 + 3))
    tone = tones[course, shifted // 112][..., None] * np.array([150, 72, 52])
    mortar = ((y % 40 < 6) | (shifted % 112 < 6))[..., None]
    picture = np.where(mortar, np.array([190, 182, 170]), tone) + random.normal(0, 7, (height, width, 1))
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def main() -> int:
    """The command."""
    swatches, maps, out = (Path(each) for each in sys.argv[1:4])
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        names = ("leaves_forest_ground", "castle_brick_broken_06", "rosewood_veneer1", "rustymetal053c")
        models = {name: trained(swatches / f"{name}.jpg", work) for name in names}
        leaves = models["leaves_forest_ground"]
        whole = beside(leaves, "swatch").resize((768, 768), Image.Resampling.LANCZOS)
        large = Image.fromarray(painted(leaves, (1024, 2560))).resize((1920, 768), Image.Resampling.LANCZOS)
        write(rows_of([[whole, large]]), out / "headline.jpg", 1900)
        pairs = []
        for model in models.values():
            piece = beside(model, "swatch").crop((256, 256, 768, 768))
            pairs.append([piece, Image.fromarray(painted(model, (512, 1024)))])
        write(rows_of([[*pairs[0], *pairs[1]], [*pairs[2], *pairs[3]]]), out / "quilts.jpg", 1900)
        write(beside(models["castle_brick_broken_06"], "sheet"), out / "sheet.jpg", 1400)
        write(beside(trained(maps, work), "maps"), out / "maps.jpg")
        drawn_bricks(640, 896).save(work / "bricks.png")
        tiles, bricks = trained(swatches / "long_white_tiles.jpg", work), trained(work / "bricks.png", work)
        lattice = [
            [beside(model, "swatch").crop((0, 0, 480, 480)), Image.fromarray(painted(model, (480, 1000)))]
            for model in (tiles, bricks)
        ]
        write(rows_of(lattice), out / "lattice.jpg", 1500)
        slates = trained(swatches / "roof_slates_02.jpg", work)
        piece, texture = beside(slates, "swatch").crop((0, 0, 480, 640)), Image.fromarray(painted(slates, (640, 1000)))
        write(rows_of([[piece, texture]]), out / "courses.jpg", 1500)
        if os.environ.get("NETWORKS"):
            network = trained(swatches / "castle_brick_broken_06.jpg", work, "--arch", "taper")
            shown = [models["castle_brick_broken_06"], network]
            write(rows_of([[Image.fromarray(painted(model, (600, 900))) for model in shown]]), out / "networks.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
