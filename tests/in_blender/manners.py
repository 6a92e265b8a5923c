"""What one expects of any tool in Blender: menus, presets, reasons for grey buttons, other languages."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import addon_utils
import bpy
import pytest
from bl_ext.user_default.texserver.panel import menus, presets, settings, translations
from inside import EXTENSION, connect, generate
from scenery import select, textures
from strict_layout import StrictLayout, draw, names

SMALL = {"width": 64, "height": 64}
PACKAGE = Path(menus.__file__).parents[1]


def extended(name: str) -> list[Any]:
    """Our functions in one of Blender's menus."""
    functions = getattr(getattr(bpy.types, name).draw, "_draw_funcs", ())
    return [each for each in functions if each.__module__.startswith(EXTENSION)]


# --------------------------------------------------------------------------------------------------------------- menus


def test_the_menu_has_everything_that_is_done_to_objects() -> None:
    """F3 searches the menus."""
    shown = names(draw(menus.TEXSERVER_MT_object, bpy.context))
    wanted = {"generate", "generate_new_seed", "variations", "unwrap", "measure", "upgrade", "mark_asset", "export_set"}
    assert {f"texserver.{each}" for each in wanted} <= shown


def test_the_menus_are_there_once_and_go_with_the_extension() -> None:
    for _ in range(2):
        assert [len(extended(name)) for name, _ in menus._PLACES] == [1] * 6
        addon_utils.disable(EXTENSION)
        assert [len(extended(name)) for name, _ in menus._PLACES] == [0] * 6
        addon_utils.enable(EXTENSION)


def test_the_entries_can_be_drawn() -> None:
    for _, entry in menus._PLACES:
        layout = StrictLayout()
        over = SimpleNamespace(object=bpy.context.object, button_pointer=bpy.context.object.material_slots[0])
        entry(SimpleNamespace(layout=layout), over)
        assert layout.drawn


def test_the_right_mouse_button_over_something_else_has_no_entry_of_ours() -> None:
    layout = StrictLayout()
    menus._in_button_menu(SimpleNamespace(layout=layout), SimpleNamespace(button_pointer=bpy.context.object))
    assert layout.drawn == []


def test_another_seed_is_painted_from_the_menu() -> None:
    chosen = bpy.context.scene.texserver
    chosen.model, chosen.size, chosen.width, chosen.height = "tiny", "CUSTOM", 64, 64
    assert bpy.ops.texserver.generate_new_seed() == {"FINISHED"}
    (texture,) = textures(bpy.context.object.active_material).values()
    assert texture.image["texserver"]["seed"] == str(chosen.seed) != "0"


# ------------------------------------------------------------------------------------------------------- why it is grey


@pytest.mark.parametrize(
    ("operator", "prepare", "why"),
    [
        ("generate", lambda: select(), "Select the object for the texture"),
        ("generate", lambda: select(bpy.data.objects["Camera"]), "The active object cannot have a material"),
        ("unwrap", lambda: select(bpy.data.objects["Camera"]), "Select a mesh that is not linked"),
        ("unwrap", lambda: bpy.ops.object.mode_set(mode="EDIT"), "Leave Edit Mode first"),
        ("upgrade", lambda: None, "was not made by an earlier version"),
        ("mark_asset", lambda: None, "was not made by Texserver"),
        ("export_set", lambda: None, "shows no textures of Texserver"),
        ("show_material", lambda: None, "This works in the 3D View"),
    ],
)
def test_a_grey_button_says_why(operator: str, prepare: Any, why: str) -> None:
    prepare()
    with pytest.raises(RuntimeError, match=why):
        getattr(bpy.ops.texserver, operator)()
    if bpy.context.object and bpy.context.object.mode == "EDIT":
        bpy.ops.object.mode_set(mode="OBJECT")


def test_a_view_that_shows_no_materials_is_switched_to_one_that_does() -> None:
    generate(**SMALL)
    window = bpy.context.window_manager.windows[0]
    area = max((each for each in window.screen.areas if each.type == "VIEW_3D"), key=lambda each: each.width)
    area.spaces.active.shading.type = "SOLID"
    with bpy.context.temp_override(window=window, area=area):
        assert bpy.ops.texserver.show_material() == {"FINISHED"}
    assert area.spaces.active.shading.type == "MATERIAL"


# ------------------------------------------------------------------------------------------------------------- presets


def test_a_preset_can_be_added_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpy.utils, "preset_paths", lambda folder: [])
    assert names(draw(presets.TEXSERVER_PT_presets, bpy.context)) == {"preset_name", "texserver.preset_add"}


def test_settings_are_kept_as_a_preset_and_come_back() -> None:
    chosen = bpy.context.scene.texserver
    connect()
    chosen.model, chosen.size, chosen.seed, chosen.mapping, chosen.texels = "stone", "2048", 7, "BOX", 300
    chosen.maps = {"basecolor", "height"}
    assert bpy.ops.texserver.preset_add(name="Walls of Stone") == {"FINISHED"}
    path = bpy.utils.preset_find("Walls_of_Stone", "texserver", ext=".py")
    try:
        chosen.model, chosen.size, chosen.seed, chosen.mapping, chosen.texels = "tiny", "512", 8, "UV", 9
        chosen.maps = {"normal"}
        bpy.ops.script.execute_preset(filepath=path, menu_idname="TEXSERVER_PT_presets")
        assert (chosen.model, chosen.size, chosen.mapping, chosen.texels) == ("stone", "2048", "BOX", 300)
        assert chosen.maps == {"basecolor", "height"}
        assert chosen.seed == 8  # which makes each piece another one
    finally:
        bpy.ops.texserver.preset_add(name="Walls of Stone", remove_name=True)
    assert not bpy.utils.preset_find("Walls_of_Stone", "texserver", ext=".py")


# ----------------------------------------------------------------------------------------------------------- languages


def test_every_translation_is_of_a_text_that_is_there() -> None:
    """Or it would be left behind when a label changes."""
    written = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name != "translations.py":
            written |= set(re.findall(r'"((?:[^"\\\n])*)"', path.read_text("utf-8")))
    assert set(translations.TEXTS) - written == set()


def test_every_button_and_setting_has_a_translation() -> None:
    """Of those that a panel shows by their own names."""
    operators = [each for each in dir(bpy.ops.texserver) if not each.startswith("_")]
    labels = {getattr(bpy.ops.texserver, each).get_rna_type().name for each in operators}
    for each in settings.CLASSES:
        labels |= {own.name for own in each.bl_rna.properties if own.identifier not in ("rna_type", "name")}
    missing = (
        labels
        - set(translations.TEXTS)
        - {
            *("", "Texserver", "style", "blending", "more", "regions"),  # not shown
            *("Texels per Metre", "Whole Periods"),
        }
    )
    assert missing == set()


def test_labels_and_buttons_have_the_same_words() -> None:
    told = translations.messages()
    assert set(told) == {"de", "fr"}
    for words in told.values():
        assert words[("*", "Generate")] == words[("Operator", "Generate")] != "Generate"
        assert all(words.values())
