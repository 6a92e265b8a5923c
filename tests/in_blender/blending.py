"""Several models in one texture, by masks: painted in Blender, spots that are drawn by us, or what the mesh says."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.material import recipes
from bl_ext.user_default.texserver.panel import command, gallery, panels, preferences
from bl_ext.user_default.texserver.tasks import state
from inside import connect, fresh_seed, generate
from pictures import of_image
from scenery import add, plane, textures, value
from strict_layout import draw, names, texts

SIZE = {"width": 192, "height": 128}


def mask(width: int = 24, height: int = 16) -> Any:
    """White in its right half, of three channels and alpha, as a brush leaves it."""
    image: Any = bpy.data.images.new("Painted", width, height, is_data=True)
    pixels = np.zeros((height, width, 4), np.float32)
    pixels[:, width // 2 :] = 1
    pixels[..., 3] = 1
    image.pixels.foreach_set(pixels.ravel())
    return image


def blend(**given: Any) -> Any:
    """By the operator, as a script does; the material of the active object afterwards."""
    assert bpy.ops.texserver.blend(model="stones", second="moss", **given) == {"FINISHED"}
    return bpy.context.object.active_material


def shown(material: Any, map: str = "basecolor") -> np.ndarray:
    return of_image(textures(material)[map].image)


def test_each_model_lies_where_the_mask_wants_it_in_all_maps() -> None:
    plane()
    seed = fresh_seed()
    wanted: dict[str, list[np.ndarray]] = {"basecolor": [], "height": []}
    for name in ("stones", "moss"):
        alone = generate(name, seed=seed, **SIZE)
        for map, pictures in wanted.items():
            pictures.append(shown(alone, map))
    before = mask().name
    material = blend(seed=seed, image=before, **SIZE)
    assert set(textures(material)) >= {"basecolor", "normal", "roughness", "height"}
    for map, (first, second) in wanted.items():
        mixed = shown(material, map)
        np.testing.assert_array_equal(mixed[:, 24:72], first[:, 24:72])
        np.testing.assert_array_equal(mixed[:, 120:168], second[:, 120:168])
    assert [each.name for each in bpy.data.images if each.name.startswith("Painted")] == [before], "a copy stays behind"


def test_a_blend_is_in_the_history_and_is_painted_again_from_there() -> None:
    plane()
    first = shown(blend(seed=fresh_seed(), image=mask().name, **SIZE))
    (entry, *_) = state.session().history.entries
    assert (entry.model, entry.blend["models"]) == ("stones + moss", ["stones", "moss"])
    bpy.data.images.remove(bpy.data.images["Painted"])
    plane("Another")
    assert bpy.ops.texserver.again(index=0) == {"FINISHED"}
    np.testing.assert_array_equal(shown(bpy.context.object.active_material), first)


def test_a_file_without_pixels_gets_its_blends_and_udim_squares_back_byte_for_byte(tmp_path: Path) -> None:
    preferences.get().storage = "PACK"
    path = tmp_path / "scene.blend"
    plane("Blended")
    blend(seed=fresh_seed(), image=mask().name, softness=0.37, **SIZE)
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    before = {each.name: bytes(each.packed_file.data) for each in bpy.data.images if each.packed_file}
    assert len(before) == 4
    strip()
    chosen = bpy.context.scene.texserver
    chosen.model, chosen.seed, chosen.size, chosen.width, chosen.height = "moss", 7, "CUSTOM", 64, 64
    assert bpy.ops.texserver.paint_udim() == {"FINISHED"}
    textures_of_file = tmp_path / "textures"
    squares = {each.name: each.read_bytes() for each in textures_of_file.iterdir()}
    assert len(squares) == 8, "two squares of four maps"
    assert bpy.ops.texserver.recipes_only(keep_files=False) == {"FINISHED"}
    bpy.ops.wm.save_mainfile()
    for each in textures_of_file.iterdir():
        each.unlink()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert sum(len(each.maps) for each in recipes.find().missing) == 12

    assert command.main(["paint"]) == 0
    found = {each.name: each.read_bytes() for each in textures_of_file.iterdir()}
    assert {name: found[name] for name in squares} == squares
    assert {name: found[Path(bpy.data.images[name].filepath).name] for name in before} == before

    one = sorted(squares)[0]
    (textures_of_file / one).unlink()
    assert command.main(["paint", "--missing-only"]) == 0
    assert (textures_of_file / one).read_bytes() == squares[one]
    assert command.main(["paint", "--size-factor", "2", "--out", str(tmp_path / "large")]) == 0
    sizes = {tuple(image_size(each)) for each in (tmp_path / "large").iterdir()}
    assert sizes == {(256, 384), (128, 128)}
    assert not recipes.find().missing


def test_packed_udim_squares_give_their_pixels_up_and_get_them_back(tmp_path: Path) -> None:
    path = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    strip()
    chosen = bpy.context.scene.texserver
    chosen.model, chosen.seed, chosen.size, chosen.width, chosen.height = "moss", 7, "CUSTOM", 64, 64
    chosen.maps = {"basecolor"}
    assert bpy.ops.texserver.paint_udim() == {"FINISHED"}
    squares = {each.name: each.read_bytes() for each in (tmp_path / "textures").iterdir()}
    bpy.ops.file.pack_all()
    (tmp_path / "textures").rename(tmp_path / "before")
    assert recipes.find().packed
    assert bpy.ops.texserver.recipes_only(keep_files=False) == {"FINISHED"}
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert command.main(["paint"]) == 0
    assert {each.name: each.read_bytes() for each in (tmp_path / "textures").iterdir()} == squares


def strip() -> None:
    """A plane two squares wide."""
    thing = plane("Strip")
    for each in thing.data.uv_layers.active.data:
        each.uv[0] *= 2


def image_size(path: Path) -> tuple[int, int]:
    """Height and width."""
    image: Any = bpy.data.images.load(str(path))
    width, height = image.size
    bpy.data.images.remove(image)
    return height, width


def test_other_masks_have_other_files() -> None:
    plane()
    seed = fresh_seed()
    one = shown(blend(seed=seed, mask="SPOTS", spots_seed=1, **SIZE))
    other = shown(blend(seed=seed, mask="SPOTS", spots_seed=2, **SIZE))
    assert (one != other).any()
    again = shown(blend(seed=seed, mask="SPOTS", spots_seed=1, **SIZE))
    np.testing.assert_array_equal(again, one)


def test_a_painted_mask_covers_the_uv_map_once() -> None:
    plane()
    assert bpy.context.object.data.uv_layers
    assert value(blend(seed=fresh_seed(), image=mask().name, **SIZE), "Size") == pytest.approx(1.0)  # metres, its side


def roof() -> Any:
    """A level square and an upright one above its right edge, side by side in the UV square."""
    mesh = bpy.data.meshes.new("Roof")
    mesh.from_pydata(
        [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)], [], [(0, 1, 2, 3), (1, 4, 5, 2)]
    )
    places = [(0, 0), (0.5, 0), (0.5, 1), (0, 1), (0.5, 0), (1, 0), (1, 1), (0.5, 1)]
    for loop, place in zip(mesh.uv_layers.new().data, places, strict=True):
        loop.uv = place
    return add("Roof", mesh)


def shows(pixels: np.ndarray, seed: int, name: str, columns: slice) -> bool:
    """Whether a blend shows a model alone there."""
    alone = shown(generate(name, seed=seed, **SIZE))
    return bool((pixels[:, columns] == alone[:, columns]).all())


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"mask": "SLOPE"}, "moss"),
        ({"mask": "SLOPE", "invert": True}, "stones"),
        ({"mask": "HEIGHT", "level": 0.5}, "stones"),
        ({"mask": "ATTRIBUTE"}, "moss"),
        ({"mask": "ATTRIBUTE", "attribute": "age", "invert": True}, "stones"),
    ],
    ids=str,
)
def test_the_mesh_says_where_a_model_lies(given: dict[str, Any], left: str) -> None:
    thing = roof()
    thing.data.color_attributes.new("Painted", "BYTE_COLOR", "CORNER")
    thing.data.attributes.new("age", "FLOAT", "CORNER")
    colours, age = (thing.data.attributes[each] for each in ("Painted", "age"))  # a new one moves the others
    for number in range(4):
        colours.data[number].color_srgb = (1, 1, 1, 1)
        colours.data[number + 4].color_srgb = (0, 0, 0, 1)
        age.data[number].value = 1
    seed = fresh_seed()
    pixels = shown(blend(seed=seed, **given, **SIZE))
    assert value(thing.active_material, "Size") == pytest.approx(2.0), "it covers the UV map once"
    assert shows(pixels, seed, left, slice(24, 72))
    right = slice(166, 180)  # the upper half of what stands upright, with its margin
    assert shows(pixels, seed, {"moss": "stones", "stones": "moss"}[left], right)


def test_layers_lie_on_each_other_and_become_images_to_paint_on() -> None:
    roof()
    blending = bpy.context.scene.texserver.blending
    blending.second, blending.mask = "moss", "SLOPE"
    for _ in range(2):
        assert bpy.ops.texserver.add_blend_layer() == {"FINISHED"}
    with pytest.raises(RuntimeError, match="3 layers at most"):
        bpy.ops.texserver.add_blend_layer()
    assert bpy.ops.texserver.remove_blend_layer(layer=2) == {"FINISHED"}
    (sand,) = blending.more
    sand.second, sand.mask, sand.level = "sand", "HEIGHT", 0.5
    seed = fresh_seed()
    bpy.context.scene.texserver.model = "stones"
    assert bpy.ops.texserver.blend(seed=seed, **SIZE) == {"FINISHED"}
    pixels = shown(bpy.context.object.active_material)
    assert state.session().history.entries[0].blend["models"] == ["stones", "moss", "sand"]
    assert shows(pixels, seed, "moss", slice(24, 72))
    assert shows(pixels, seed, "sand", slice(166, 180))
    for layer in (0, 1):
        assert bpy.ops.texserver.mask_to_image(layer=layer) == {"FINISHED"}
    assert [blending.mask, sand.mask] == ["IMAGE", "IMAGE"]
    assert blending.image != sand.image
    assert bpy.ops.texserver.blend(seed=seed, **SIZE) == {"FINISHED"}
    assert (shown(bpy.context.object.active_material) != pixels).mean() < 0.02, "about the same mask"
    sand.second = "moss"
    with pytest.raises(RuntimeError, match="Two layers are moss"):
        bpy.ops.texserver.blend(seed=seed, **SIZE)


def test_what_a_mesh_lacks_for_a_mask_is_said() -> None:
    thing = roof()
    chosen = bpy.context.scene.texserver
    given = {"model": "stones", "second": "moss", **SIZE}
    with pytest.raises(RuntimeError, match="no vertex colours; it has: none"):
        bpy.ops.texserver.blend(mask="ATTRIBUTE", **given)
    chosen.mapping = "BOX"
    with pytest.raises(RuntimeError, match="Choose UV as the mapping"):
        bpy.ops.texserver.blend(mask="SLOPE", **given)
    chosen.mapping = "UV"
    thing.data.uv_layers.active.data[0].uv = (-0.5, 0)
    with pytest.raises(RuntimeError, match="leaves its square"):
        bpy.ops.texserver.blend(mask="SLOPE", **given)
    thing.data.uv_layers.remove(thing.data.uv_layers.active)
    with pytest.raises(RuntimeError, match="no UV map for the mask"):
        bpy.ops.texserver.blend(mask="HEIGHT", **given)


def test_what_is_missing_is_said() -> None:
    plane()
    connect()
    for given, said in (
        ({"model": "stones"}, "Choose the second model"),
        ({"model": "stones", "second": "stones"}, "Both models are stones"),
        ({"model": "stones", "second": "network"}, "network is a network, and only quilts can be blended"),
        ({"model": "network", "second": "stones"}, "network is a network, and only quilts can be blended"),
        ({"model": "stones", "second": "moss", "mask": "IMAGE"}, "press New Mask"),
        ({"model": "stones", "second": "moss", "image": "None"}, "There is no image 'None'"),
    ):
        with pytest.raises(RuntimeError, match=said):
            bpy.ops.texserver.blend(**given, **SIZE)
    bpy.ops.object.select_all(action="DESELECT")
    bpy.context.view_layer.objects.active = None
    with pytest.raises(RuntimeError, match="Select the object"):
        bpy.ops.texserver.blend()


def test_the_panel_shows_what_the_mask_needs() -> None:
    plane()
    connect()
    (panel,) = [each for each in panels.CLASSES if each.bl_label == "Blend" and each.bl_space_type == "VIEW_3D"]
    blending = bpy.context.scene.texserver.blending
    assert {"scale", "share"} <= set(names(draw(panel, bpy.context)))
    assert bpy.ops.texserver.new_mask() == {"FINISHED"}
    assert blending.mask == "IMAGE"
    assert tuple(blending.image.size) == (1024, 1024)
    assert bpy.context.tool_settings.image_paint.canvas == blending.image
    assert {"image", "cover"} <= set(names(draw(panel, bpy.context)))
    for kind, shows in (("SLOPE", "slope"), ("HEIGHT", "level"), ("ATTRIBUTE", "attribute")):
        blending.mask = kind
        assert {shows, "invert"} <= set(names(draw(panel, bpy.context)))


def test_networks_are_not_offered_and_the_panel_says_so_where_one_is_below() -> None:
    plane()
    connect()
    settings = bpy.context.scene.texserver
    assert gallery.search_models(settings, bpy.context, "") == ["moss", "network", "sand", "stones"]
    assert gallery.search_blended(settings.blending, bpy.context, "") == ["moss", "sand", "stones"]
    assert gallery.search_blended(settings.blending, bpy.context, "st") == ["stones"]
    (panel,) = [each for each in panels.CLASSES if each.bl_label == "Blend" and each.bl_space_type == "VIEW_3D"]
    for model, said in (("stones", False), ("network", True)):
        settings.model = model
        assert ("only quilts can be blended" in texts(draw(panel, bpy.context))) == said


def test_the_dice_gives_other_spots() -> None:
    blending = bpy.context.scene.texserver.blending
    seeds = set()
    for _ in range(5):
        assert bpy.ops.texserver.spots_dice() == {"FINISHED"}
        seeds.add(blending.spots_seed)
    assert len(seeds) > 1
