"""Files that were dropped or chosen together become materials by their names alone."""

from pathlib import Path

import pytest

from blender_addon.pictures.map_files import MOST_CHARACTERS, free_name, materials_of, plain_name
from blender_addon.protocol.training import NEW_NAME


def found(*names: str) -> dict[str, tuple[str, dict[str, str]]]:
    """By the material's name: its picture, and its other maps by part."""
    return {
        each.name: (each.path.name, {part: path.name for part, path in each.parts.items()})
        for each in materials_of([Path("maps", name) for name in names])
    }


def test_a_file_alone_is_a_photograph_whatever_it_is_called() -> None:
    assert found("rusty_metal.jpg") == {"rusty_metal": ("rusty_metal.jpg", {})}


def test_the_maps_of_a_set_come_together() -> None:
    maps = ("wall_diff_1k.jpg", "wall_nor_gl_1k.exr", "wall_nor_dx_1k.png", "wall_arm_1k.png", "wall_spec_1k.png")
    assert found(*maps) == {"wall": ("wall_diff_1k.jpg", {"normal_gl": "wall_nor_gl_1k.exr", "arm": "wall_arm_1k.png"})}


def test_of_several_files_of_a_map_the_largest_and_deepest_is_taken() -> None:
    maps = ("a_diff_1k.jpg", "a_diff_2k.jpg", "a_diff_2k.png", "a_rough_1k.jpg")
    assert found(*maps) == {"a": ("a_diff_2k.png", {"roughness": "a_rough_1k.jpg"})}


def test_sets_and_photographs_stand_beside_each_other_in_their_order() -> None:
    assert list(found("IMG_1.jpg", "b_diff.png", "b_nor.png", "a_col.png", "a_rough.png")) == ["img_1", "b", "a"]


def test_a_folder_of_bare_maps_is_named_as_the_folder() -> None:
    files = [Path("Old Wall", name) for name in ("albedo.png", "normal.png")]
    assert [each.name for each in materials_of(files)] == ["old_wall"]


@pytest.mark.parametrize("text", ["Grès rosé (2)", "木目", "x" * 200, "---", "Wall.Final_v2", "ÄÖÜ"])
def test_every_name_is_one_that_a_model_may_have(text: str) -> None:
    assert NEW_NAME.fullmatch(plain_name(text))
    assert plain_name(text) == plain_name(text)


def test_names_that_lose_letters_stay_distinct() -> None:
    assert plain_name("Grès rosé (2)") == "gres_rose_2"
    assert plain_name("木目") != plain_name("木紋")


def test_a_free_name_is_near_the_wanted_one() -> None:
    assert free_name("wall", set()) == "wall"
    assert free_name("wall", {"wall", "wall_2"}) == "wall_3"
    assert len(free_name("x" * MOST_CHARACTERS, {"x" * MOST_CHARACTERS})) <= MOST_CHARACTERS
