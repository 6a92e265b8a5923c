"""Which models the files and folders that people name make, and what is told of every file that makes none."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from blender_addon.pictures.map_names import PARTS
from tests.drawn import gravel
from trainer.swatch.map_set import read_map_set
from trainer.swatch.materials import Found, find_materials
from trainer.swatch.swatch import UnusableSwatch, read_swatch

Sorted = dict[str, tuple[str, dict[str, str]]]


def save(path: Path, pixels: Tensor) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray((pixels[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8).squeeze()).save(path)
    return path


COLOURS = gravel(96, 96, seed=1) * torch.tensor([1.0, 0.5, 0.1])[:, None, None]
GREY = gravel(96, 96, seed=3)[:, :1]
slopes = gravel(98, 98, seed=4)[:, :1]
across, down = slopes[..., 1:-1, 2:] - slopes[..., 1:-1, :-2], slopes[..., 2:, 1:-1] - slopes[..., :-2, 1:-1]
NORMALS = F.normalize(torch.cat([-across, down, torch.ones_like(down)], 1), dim=1) / 2 + 0.5
LOOKS = {"colours": COLOURS, "grey": GREY, "grey rgb": GREY.expand(-1, 3, -1, -1), "normals": NORMALS}


def folder_of(folder: Path, files: dict[str, str]) -> Path:
    """`files`: what each looks like."""
    for name, looks in files.items():
        save(folder / name, LOOKS[looks])
    return folder


def told(found: Found) -> Sorted:
    """By the model's name: the base colour, and the other maps."""
    return {
        each.name: (each.path.name, {part: path.name for part, path in each.parts.items()}) for each in found.materials
    }


def left(found: Found) -> dict[str, str]:
    return {path.name: why for path, why in found.left_out.items()}


def test_a_folder_of_one_set_makes_one_model_of_the_folder_s_name(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "Old Stone",
        {"stone_diff_1k.png": "colours", "stone_rough_1k.png": "grey", "stone_nor_gl_1k.png": "normals"},
    )
    found = find_materials([folder])
    assert told(found) == {
        "old_stone": ("stone_diff_1k.png", {"normal_gl": "stone_nor_gl_1k.png", "roughness": "stone_rough_1k.png"})
    }
    assert found.left_out == {}


def test_sets_and_photographs_of_one_folder_each_make_a_model(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "all",
        {
            "brick_diff.png": "colours", "brick_disp.png": "grey", "Rock058_1K-JPG_Color.jpg": "colours",
            "Rock058_1K-JPG_Roughness.jpg": "grey rgb", "leaves.png": "colours",
        },
    )  # fmt: skip
    assert told(find_materials([folder])) == {
        "rock058": ("Rock058_1K-JPG_Color.jpg", {"roughness": "Rock058_1K-JPG_Roughness.jpg"}),
        "brick": ("brick_diff.png", {"height": "brick_disp.png"}),
        "leaves": ("leaves.png", {}),
    }


def test_photographs_whose_names_end_as_maps_do_are_photographs(tmp_path: Path) -> None:
    files = dict.fromkeys(["wall_color.jpg", "rusty_metal.jpg", "stone_rough.jpg", "stone_d.jpg"], "colours")
    found = find_materials([folder_of(tmp_path / "photos", files)])
    assert sorted(told(found)) == ["rusty_metal", "stone_d", "stone_rough", "wall_color"]
    assert all(not each.parts for each in found.materials)
    assert found.left_out == {}


def test_a_colourful_map_of_a_set_is_left_out_and_told(tmp_path: Path) -> None:
    files = {"stone_diff.png": "colours", "stone_rough.png": "colours", "stone_disp.png": "grey"}
    found = find_materials([folder_of(tmp_path / "x", files)])
    assert told(found) == {"x": ("stone_diff.png", {"height": "stone_disp.png"})}
    assert "roughness map of" in left(found)["stone_rough.png"]


def test_photographs_told_apart_by_letters_are_no_set(tmp_path: Path) -> None:
    """Though d, n and r are Unreal's letters for maps."""
    names = [f"house_{letter}.png" for letter in "abcdefghijklmnopqrs"]
    found = find_materials([folder_of(tmp_path / "houses", dict.fromkeys(names, "colours"))])
    assert [each.path.name for each in found.materials] == names
    assert found.left_out == {}


def test_maps_of_two_materials_are_never_one_set_and_are_told(tmp_path: Path) -> None:
    found = find_materials(
        [folder_of(tmp_path / "mixed", {"brick_diff_1k.jpg": "colours", "wood_nor_gl_1k.jpg": "normals"})]
    )
    assert told(found) == {"brick_diff_1k": ("brick_diff_1k.jpg", {})}
    assert "looks like a normal map" in left(found)["wood_nor_gl_1k.jpg"]


@pytest.mark.parametrize(
    ("name", "looks", "what"),
    [
        ("brick_rough.png", "grey", "roughness map"),
        ("brick_Roughness.jpg", "grey rgb", "roughness map"),
        ("brick_nor.png", "normals", "normal map"),
        ("IMG_0042.png", "normals", "normal map"),
        ("brick_ORM.png", "colours", "orm map"),
        ("brick_cavity.png", "grey", "cavity map"),
    ],
)
def test_what_looks_like_data_is_learned_as_colours_only_where_that_is_asked_for(
    tmp_path: Path, name: str, looks: str, what: str
) -> None:
    path = save(tmp_path / name, LOOKS[looks])
    with pytest.raises(UnusableSwatch, match=rf"{what} without a base colour of the same name: name it so\."):
        find_materials([path], advice="name it so")
    (found,) = find_materials([path], as_colours=True).materials
    assert (found.path, found.parts) == (path, {})


@pytest.mark.parametrize("name", ["brick.png", "brick_N.png", "d.png", "brick_color.png", "gravel_final_rough_cut.png"])
def test_grey_pictures_of_other_names_are_photographs(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, GREY)
    assert [each.path for each in find_materials([path]).materials] == [path]


def test_grey_of_sixteen_bits_is_taken_for_a_height(tmp_path: Path) -> None:
    deep = Image.fromarray((GREY[0, 0].numpy() * 65535).astype(np.uint16))
    deep.save(tmp_path / "IMG_0042.png")
    with pytest.raises(UnusableSwatch, match="looks like a height map"):
        find_materials([tmp_path / "IMG_0042.png"])
    assert len(find_materials([tmp_path / "IMG_0042.png"], as_colours=True).materials) == 1
    folder = folder_of(tmp_path / "x", {"rock_rough.png": "grey", "rock_diff.png": "grey"})
    deep.save(folder / "rock.png")
    found = find_materials([folder])
    assert told(found) == {"x": ("rock_diff.png", {"roughness": "rock_rough.png"})}
    assert list(left(found)) == ["rock.png"]


def test_every_file_that_is_not_used_is_named_with_the_reason(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "slab",
        {
            "slab_COL_VAR1_3K.jpg": "colours", "slab_COL_VAR2_3K.jpg": "colours", "slab_GLOSS_3K.jpg": "grey",
            "slab_GLOSS_6K.jpg": "grey", "slab_NRM_3K.png": "normals", "slab_nor_dx.png": "normals",
            "slab_CAVITY_3K.jpg": "grey", "slab_preview.jpg": "colours", "slab.png": "colours",
        },
    )  # fmt: skip
    (folder / "slab.sbsar").write_bytes(b"x")
    (folder / "slab.dds").write_bytes(b"x")
    (folder / "readme.txt").write_text("x")
    found = find_materials([folder])
    assert told(found) == {
        "slab": ("slab_COL_VAR1_3K.jpg", {"normal": "slab_NRM_3K.png", "gloss": "slab_GLOSS_6K.jpg"})
    }
    reasons = {
        "slab_COL_VAR2_3K.jpg": "the same map is taken from",
        "slab_GLOSS_3K.jpg": "slab_GLOSS_6K.jpg",
        "slab_nor_dx.png": "slab_NRM_3K.png",
        "slab_CAVITY_3K.jpg": "no cavity map",
        "slab_preview.jpg": "preview",
        "slab.png": "slab_COL_VAR1_3K.jpg",
        "slab.sbsar": "a description of a material",
        "slab.dds": "save it as PNG",
    }
    assert left(found).keys() == reasons.keys()
    for name, why in reasons.items():
        assert why in left(found)[name]


def test_a_picture_with_the_bare_name_of_maps_is_their_base_colour(tmp_path: Path) -> None:
    files = {"rock.png": "colours", "rock_normal.png": "normals", "rock_height.png": "grey"}
    found = find_materials([folder_of(tmp_path / "x", files)])
    assert told(found) == {"x": ("rock.png", {"normal": "rock_normal.png", "height": "rock_height.png"})}


def test_files_that_are_named_one_by_one_make_sets_too(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "x", {"a_diff.png": "colours", "a_rough.png": "grey", "b.png": "colours"})
    found = find_materials(sorted(folder.iterdir()))
    assert told(found) == {"a": ("a_diff.png", {"roughness": "a_rough.png"}), "b": ("b.png", {})}


def test_a_style_or_colours_take_every_picture_as_it_is(tmp_path: Path) -> None:
    files = {"a_diff.png": "colours", "a_rough.png": "grey"}
    found = find_materials([folder_of(tmp_path / "x", files)], as_colours=True)
    assert told(found) == {"a_diff": ("a_diff.png", {}), "a_rough": ("a_rough.png", {})}


def test_folders_are_sorted_and_not_searched_deeper(tmp_path: Path) -> None:
    for name in ("slate.PNG", "brick.jpg", "notes.txt", ".brick.png", "._slate.PNG"):
        (tmp_path / name).write_bytes(b"no picture; its reading will tell")
    (tmp_path / "deeper.png").mkdir()
    found = find_materials([tmp_path])
    assert [each.path.name for each in found.materials] == ["brick.jpg", "slate.PNG"]


def test_a_folder_whose_pictures_lie_deeper_says_where(tmp_path: Path) -> None:
    """As Blender downloads of Poly Haven have them."""
    (tmp_path / "rock.blend").mkdir()
    save(tmp_path / "rock.blend" / "textures" / "rock_diff_1k.png", COLOURS)
    with pytest.raises(UnusableSwatch, match=r"rock.blend' holds no picture itself, but its folder 'textures' does"):
        find_materials([tmp_path / "rock.blend"])


def test_a_picture_named_twice_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "brick.jpg").write_bytes(b"x")
    (tmp_path / "odd.suffix").write_bytes(b"x")
    paths = [tmp_path / "odd.suffix", tmp_path / "brick.jpg", tmp_path, tmp_path / "deeper" / ".." / "brick.jpg"]
    assert [each.path for each in find_materials(paths).materials] == paths[1::-1][::-1]


def test_two_pictures_of_one_model_name_are_refused(tmp_path: Path) -> None:
    for name in ("brick.jpg", "Brick.png"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UnusableSwatch, match=r"Brick.png.*brick.jpg.*'brick': rename one"):
        find_materials([tmp_path])


def test_nothing_to_find_is_told(tmp_path: Path) -> None:
    for paths, says in [
        ([], "No swatch was given"),
        ([tmp_path], "holds no picture"),
        ([tmp_path / "none"], "no file"),
    ]:
        with pytest.raises(UnusableSwatch, match=says):
            find_materials(paths)


WORDS = st.sampled_from(
    [
        "brick",
        "Wood",
        "02",
        "Color",
        "diff",
        "nor_gl",
        "Normal",
        "rough",
        "GLOSS",
        "ORM",
        "bump",
        "disp",
        "spec",
        "n",
        "d",
        "preview",
        "2K",
        "VAR2",
        "metal",
        "木",
    ]
)


@given(names=st.lists(st.lists(WORDS, min_size=1, max_size=4).map("_".join), min_size=1, max_size=8), data=st.data())
@settings(max_examples=40)
def test_every_file_is_used_or_named_whatever_the_names_and_looks(names: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        looks = {f"{name}.png": data.draw(st.sampled_from(sorted(LOOKS))) for name in names}
        folder = folder_of(Path(place) / "x", looks)
        try:
            found = find_materials([folder])
        except UnusableSwatch:  # two models of one name, or nothing to learn
            return
        used = [path for each in found.materials for path in (each.path, *each.parts.values())]
        assert len(used) == len(set(used))
        assert not set(used) & set(found.left_out)
        assert {path.name for path in (*used, *found.left_out)} == looks.keys()
        assert all(found.left_out.values())
        for each in found.materials:
            shown = looks[each.path.name]
            assert shown != "normals"
            for part, path in each.parts.items():
                assert part in PARTS
                assert looks[path.name] != "colours" or len(PARTS[part]) > 1 or part.startswith("normal")


# Folders as libraries and programs leave them: what each file looks like, and the maps that come of it.
FOLDERS = {
    "Poliigon": (
        {"BricksRed001_COL_VAR1_3K.jpg": "colours", "BricksRed001_GLOSS_3K.jpg": "grey rgb",
         "BricksRed001_NRM_3K.jpg": "normals", "BricksRed001_DISP_3K.jpg": "grey"},
        "basecolor normal roughness height",
    ),
    "ShareTextures": (
        {"marble_3_basecolor-1K.png": "colours", "marble_3_roughness-1K.png": "grey",
         "marble_3_normal-1K.png": "normals", "marble_3_height-1K.png": "grey"},
        "basecolor normal roughness height",
    ),
    "Megascans": (
        {"xyz_2K_Albedo.jpg": "colours", "xyz_2K_Normal.jpg": "normals", "xyz_2K_Gloss.jpg": "grey",
         "xyz_2K_Cavity.jpg": "grey", "xyz_2K_Specular.jpg": "colours", "xyz_2K_Displacement.jpg": "grey"},
        "basecolor normal roughness height",
    ),
    "Unreal": (
        {"T_Brick_BC.png": "colours", "T_Brick_N.png": "normals", "T_Brick_R.png": "grey"},
        "basecolor normal roughness",
    ),
    "Unreal, packed": (
        {"T_Brick_D.png": "colours", "T_Brick_N.png": "normals", "T_Brick_ORM.png": "packed"},
        "basecolor normal roughness metallic ao",
    ),
    "Unity": (
        {"Crate_AlbedoTransparency.png": "colours", "Crate_MetallicSmoothness.png": "packed with alpha",
         "Crate_Normal.png": "normals"},
        "basecolor normal roughness metallic",
    ),
    "Unity HDRP": (
        {"Crate_BaseMap.png": "colours", "Crate_MaskMap.png": "packed with alpha", "Crate_Normal.png": "normals"},
        "basecolor normal roughness metallic ao",
    ),
    "glTF": (
        {"Box_baseColor.png": "colours", "Box_metallicRoughness.png": "packed", "Box_normal.png": "normals"},
        "basecolor normal roughness metallic",
    ),
    "Painter": (
        {"Mat_Base_Color.png": "colours", "Mat_Normal_DirectX.png": "normals", "Mat_Roughness.png": "grey",
         "Mat_Mixed_AO.png": "grey"},
        "basecolor normal roughness ao",
    ),
    "3dtextures": (
        {"Rock_044_BaseColor.jpg": "colours", "Rock_044_OCC.jpg": "grey", "Rock_044_NORM.jpg": "normals",
         "Rock_044_ROUGH.jpg": "grey", "Rock_044_DISP.png": "grey", "Material_2079.jpg": "colours"},
        "basecolor normal roughness ao height",
    ),
    "Poly Haven, everything": (
        {"brick_diff_1k.jpg": "colours", "brick_nor_gl_1k.jpg": "normals", "brick_nor_dx_1k.jpg": "normals",
         "brick_rough_1k.jpg": "grey", "brick_ao_1k.jpg": "grey", "brick_arm_1k.jpg": "packed",
         "brick_disp_1k.png": "grey"},
        "basecolor normal roughness metallic ao height",
    ),
    "Poly Haven, as it was": (
        {"mud_01_diff_8k.png": "colours", "mud_01_Nor_8k.png": "normals", "mud_01_bump_8k.png": "grey",
         "mud_01_spec_8k.png": "grey"},
        "basecolor normal height",
    ),
    "by hand": (
        {"rock.png": "colours", "rock_normal.png": "normals", "rock_roughness.png": "grey"},
        "basecolor normal roughness",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_as_libraries_and_programs_leave_it_gives_all_its_maps(tmp_path: Path, name: str) -> None:
    files, maps = FOLDERS[name]
    packed = torch.cat([gravel(96, 96, seed=seed)[:, :1] for seed in range(4)], 1)
    for file, looks in files.items():
        if looks.startswith("packed"):
            values = (packed[0, : 4 if "alpha" in looks else 3].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            Image.fromarray(values).save(tmp_path / file)
        else:
            save(tmp_path / file, LOOKS[looks])
    (material,) = (each for each in find_materials([tmp_path]).materials if each.parts)
    whole = read_map_set(read_swatch(material.path, None), material.parts)
    assert " ".join(each.name for each in whole.maps) == maps
