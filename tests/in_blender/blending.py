"""Two models in one texture, by a mask: painted in Blender, or spots that are drawn by us."""

from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.material import recipes
from bl_ext.user_default.texserver.panel import panels
from bl_ext.user_default.texserver.tasks import state
from inside import connect, fresh_seed, generate
from pictures import of_image
from scenery import plane, textures, value
from strict_layout import draw, names

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
    assert recipes.all_of() == [], "no server could paint it from its name and hash alone"


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


def test_what_is_missing_is_said() -> None:
    plane()
    connect()
    for given, said in (
        ({"model": "stones"}, "Choose the second model"),
        ({"model": "stones", "second": "stones"}, "Both models are stones"),
        ({"model": "stones", "second": "network"}, "only quilts can be blended"),
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


def test_the_dice_gives_other_spots() -> None:
    blending = bpy.context.scene.texserver.blending
    seeds = set()
    for _ in range(5):
        assert bpy.ops.texserver.spots_dice() == {"FINISHED"}
        seeds.add(blending.spots_seed)
    assert len(seeds) > 1
