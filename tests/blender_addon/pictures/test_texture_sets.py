"""Every pixel of a set stands where the engine looks for it, and nothing is half written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from blender_addon.pictures.draft import ImageFileError
from blender_addon.pictures.image_file import open_image
from blender_addon.pictures.picture_reader import PictureError
from blender_addon.pictures.texture_sets import ENGINES, Engine, NotPacked, Sources, files_of, pack

HEIGHT, WIDTH = 130, 48  # more than one band
RNG = np.random.default_rng(3)
PIXELS = {
    name: RNG.integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
    for name, channels in (("basecolor", 3), ("normal", 3), ("roughness", 1), ("metallic", 1), ("ao", 1))
}
PIXELS["height"] = RNG.integers(0, 65536, (HEIGHT, WIDTH, 1), np.uint16)


def write(folder: Path, maps: Mapping[str, NDArray[Any]], suffix: str = ".png") -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    paths = {}
    for name, pixels in maps.items():
        paths[name] = folder / f"{name}{suffix}"
        height, width, channels = pixels.shape
        depth = 8 * pixels.dtype.itemsize
        with open_image(paths[name], width=width, height=height, channels=channels, depth=depth) as file:
            file.write_rows(np.ascontiguousarray(pixels).data)
    return paths


def seen(path: Path) -> NDArray[Any]:
    """By another reader than ours; (height, width, channels)."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def packed(
    engine: Engine, tmp_path: Path, maps: Mapping[str, NDArray[Any]] = PIXELS, suffix: str = ".png", **more: Any
) -> dict[str, NDArray[Any]]:
    written = pack(engine, "wall", Sources(maps=write(tmp_path / "maps", maps, suffix), **more), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written)
    return {path.stem: seen(path) for path in written}


ORM = np.concatenate([PIXELS["ao"], PIXELS["roughness"], PIXELS["metallic"]], 2)
FLIPPED = np.stack([PIXELS["normal"][..., 0], 255 - PIXELS["normal"][..., 1], PIXELS["normal"][..., 2]], 2)
WHITE = np.full_like(PIXELS["ao"], 255)
MASK = np.concatenate([PIXELS["metallic"], PIXELS["ao"], WHITE, 255 - PIXELS["roughness"]], 2)
EXPECTED: dict[Engine, dict[str, NDArray[Any]]] = {
    "unreal": {
        "T_wall_BC": PIXELS["basecolor"],
        "T_wall_ORM": ORM,
        "T_wall_N": FLIPPED,
        "T_wall_H": PIXELS["height"],
    },
    "unity": {
        "wall_BaseColor": PIXELS["basecolor"],
        "wall_MaskMap": MASK,
        "wall_Normal": PIXELS["normal"],
        "wall_Height": PIXELS["height"],
    },
    "godot": {
        "wall_albedo": PIXELS["basecolor"],
        "wall_orm": ORM,
        "wall_normal": PIXELS["normal"],
        "wall_height": PIXELS["height"],
    },
    "gltf": {
        "wall_baseColor": PIXELS["basecolor"],
        "wall_occlusionRoughnessMetallic": ORM,
        "wall_normal": PIXELS["normal"],
    },
    "materialx": {f"wall_{name}": pixels for name, pixels in PIXELS.items()},
}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_pixel_stands_where_the_engine_looks_for_it(engine: Engine, suffix: str, tmp_path: Path) -> None:
    found = packed(engine, tmp_path, suffix=suffix)
    assert set(found) == set(EXPECTED[engine])
    for name, pixels in EXPECTED[engine].items():
        assert found[name].dtype == pixels.dtype, name
        np.testing.assert_array_equal(found[name], pixels, name)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_maps_are_rounded_where_they_are_packed_and_kept_where_they_are_not(suffix: str, tmp_path: Path) -> None:
    deep = {name: pixels.astype(np.uint16) * 256 + 200 for name, pixels in PIXELS.items() if name != "height"}
    found = packed("unreal", tmp_path, deep, suffix)
    rounded = np.rint(deep["roughness"] / 257).astype(np.uint8)
    np.testing.assert_array_equal(found["T_wall_ORM"][..., 1:2], rounded)
    # Pillow reads colours of 16 bits as 8: the high byte. Of 65535 - v it is 255 - the high byte of v.
    np.testing.assert_array_equal(found["T_wall_N"][..., 1], 255 - (deep["normal"][..., 1] >> 8))


def test_a_map_that_is_not_there_has_the_value_that_was_given(tmp_path: Path) -> None:
    few = {"basecolor": PIXELS["basecolor"], "roughness": PIXELS["roughness"]}
    found = packed("godot", tmp_path, few, without={"metallic": 1.0})
    assert set(found) == {"wall_albedo", "wall_orm"}
    assert (found["wall_orm"][..., 0] == 255).all()
    np.testing.assert_array_equal(found["wall_orm"][..., 1:2], PIXELS["roughness"])
    assert (found["wall_orm"][..., 2] == 255).all()
    (tmp_path / "two").mkdir()
    assert set(packed("unreal", tmp_path / "two", {"basecolor": PIXELS["basecolor"]})) == {"T_wall_BC"}


def test_the_range_of_the_roughness_is_written_into_the_map(tmp_path: Path) -> None:
    expected = np.rint((0.25 + 0.5 * PIXELS["roughness"] / 255) * 255).astype(np.uint8)
    found = packed("unreal", tmp_path, roughness=(0.25, 0.75))
    np.testing.assert_array_equal(found["T_wall_ORM"][..., 1:2], expected)
    (tmp_path / "two").mkdir()
    found = packed("materialx", tmp_path / "two", roughness=(0.25, 0.75))
    np.testing.assert_array_equal(found["wall_roughness"], expected)


def test_a_file_that_needs_no_change_is_copied_with_all_it_says(tmp_path: Path) -> None:
    maps = write(tmp_path / "maps", PIXELS)
    pack("gltf", "wall", Sources(maps=maps), tmp_path)
    assert (tmp_path / "wall_baseColor.png").read_bytes() == maps["basecolor"].read_bytes()


def test_packed_files_say_what_they_are(tmp_path: Path) -> None:
    pack("unity", "wall", Sources(maps=write(tmp_path / "m", PIXELS), metadata={"Model": "brick"}), tmp_path)
    with Image.open(tmp_path / "wall_MaskMap.png") as picture:
        assert picture.info["Model"] == "brick"
        assert picture.info["Channels"] == "metallic, ao, 1, 1 - roughness"


def test_progress_goes_up_to_one(tmp_path: Path) -> None:
    told: list[float] = []
    pack("unreal", "wall", Sources(maps=write(tmp_path / "m", PIXELS)), tmp_path, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_files_are_known_before_they_are_written() -> None:
    assert list(files_of("unreal", "wall", {"ao": 0})) == [Path("T_wall_ORM.png")]
    assert files_of("gltf", "wall", {"height": 0}) == {}


# ------------------------------------------------------------------------------------------------------ what goes wrong


def test_a_set_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    maps, out = write(tmp_path / "maps", PIXELS), tmp_path / "out"
    pack("unreal", "wall", Sources(maps=maps), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    maps["normal"].write_bytes(maps["normal"].read_bytes()[:500])
    write(tmp_path / "maps", {"basecolor": 255 - PIXELS["basecolor"]})
    with pytest.raises(PictureError, match=r"normal\.png cannot be read"):
        pack("unreal", "wall", Sources(maps=maps), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_maps_of_different_sizes_are_refused(tmp_path: Path) -> None:
    odd = {"roughness": PIXELS["roughness"], "ao": PIXELS["ao"][:64]}
    with pytest.raises(NotPacked, match="ao, roughness have different sizes"):
        packed("godot", tmp_path, odd)


def test_a_grey_normal_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotPacked, match="grey, so it has no directions"):
        packed("unreal", tmp_path, {"normal": PIXELS["ao"]})


def test_nothing_to_write_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotPacked, match="There is nothing to write for gltf: the texture has only height"):
        packed("gltf", tmp_path, {"height": PIXELS["height"]})


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageFileError, match=r"file/out"):
        pack("unreal", "wall", Sources(maps=write(tmp_path / "m", PIXELS)), tmp_path / "file" / "out")
