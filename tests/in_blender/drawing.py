"""Panels and preferences, drawn in every state that they can be found in; strict_layout.py says what that proves."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import pytest
from bl_ext.user_default.texserver.loop import pump
from bl_ext.user_default.texserver.panel import drawing, gallery, panels, preferences
from bl_ext.user_default.texserver.protocol.pairing import Keys, Pairing, new_key
from bl_ext.user_default.texserver.tasks import favourites, state
from bl_ext.user_default.texserver.tasks.history import HistoryEntry
from bl_ext.user_default.texserver.tasks.texture_task import TextureOrder
from inside import LARGE, Paused, begin, begin_order, connect, fresh_seed, generate, turn, until, until_ended
from scenery import plane, select
from strict_layout import Drawn, StrictLayout, draw, names, texts

SMALL = {"width": 64, "height": 64}
MATERIAL = ("basecolor", "normal", "roughness", "metallic", "ao", "height")


@pytest.fixture(params=["VIEW_3D", "NODE_EDITOR"])
def editor(request: pytest.FixtureRequest) -> Iterator[str]:
    """In an area of this kind; the shader editor of the active object."""
    area = max(bpy.context.window_manager.windows[0].screen.areas, key=lambda area: area.width * area.height)
    before = area.ui_type
    area.ui_type = {"VIEW_3D": "VIEW_3D", "NODE_EDITOR": "ShaderNodeTree"}[request.param]
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area):
        yield request.param
    area.ui_type = before


def drawn(editor: str) -> dict[str, list[Drawn]]:
    """Each panel of this editor by its label."""
    found = {}
    for panel in panels.CLASSES:
        if panel.bl_space_type == editor:
            assert panel.poll(bpy.context)
            found[panel.bl_label] = draw(panel, bpy.context)
    assert list(found) == ["Texserver", "Material", "Variations", "Blend", "Library", "Recipes", "Jobs", "History"]
    return found


def said(drawn: dict[str, list[Drawn]], panel: str = "Texserver") -> str:
    return texts(drawn[panel])


# ------------------------------------------------------------------------------------------------------- the connection


def test_drawing_is_what_first_looks_for_the_server(editor: str) -> None:
    assert not state.session().wanted
    turn()
    assert state.session().connection.state == "connecting"
    drawn(editor)
    until(lambda: state.session().catalogue.settled, "the models")
    assert "6 models" in said(drawn(editor))


def test_while_connecting(editor: str) -> None:
    state.session().wanted = True
    panel = drawn(editor)
    assert "Looking for the texture server." in said(panel)
    assert "texserver.refresh" in names(panel["Texserver"])
    assert "texserver.generate" not in names(panel["Texserver"])


def test_without_a_server(editor: str, no_server: Path) -> None:
    state.session().wanted = True
    turn()
    panel = drawn(editor)
    assert "No texserver runs here" in said(panel)
    assert {"texserver.setup_server", "texserver.preferences"} <= names(panel["Texserver"])
    assert "texserver.generate" not in names(panel["Texserver"])


def test_with_a_server_that_has_no_models_yet(editor: str) -> None:
    connect()
    state.session().catalogue.models = ()
    panel = drawn(editor)
    assert "It has no models yet. Put .safetensors models into its folder." in said(panel)
    assert "texserver.generate" not in names(panel["Texserver"])


def test_ready(editor: str) -> None:
    connect()
    panel = drawn(editor)
    assert {"gallery", "model", "size", "seed", "texserver.dice", "texserver.generate"} <= names(panel["Texserver"])
    assert not {"width", "texserver.start_server", "texserver.retry"} & names(panel["Texserver"])
    assert {"target", "all_selected"} <= names(panel["Texserver"])
    assert {"mapping", "texels"} <= names(panel["Material"])
    assert said(panel, "Jobs") == "None yet."
    assert said(panel, "History") == "Finished textures are listed here."


def test_a_message_about_the_list_is_shown(editor: str) -> None:
    connect()
    state.session().catalogue._tell(of_list="The server's models could not be listed. Wait a little.")
    assert "The server's models could not be listed." in said(drawn(editor))


# --------------------------------------------------------------------------------------------------------- settings


def test_a_custom_size_has_two_sides(editor: str) -> None:
    connect()
    bpy.context.scene.texserver.size = "CUSTOM"
    assert {"width", "height"} <= names(drawn(editor)["Texserver"])


def test_a_regular_material_offers_whole_periods_and_says_which(editor: str) -> None:
    connect()
    settings = bpy.context.scene.texserver
    settings.model, settings.size, settings.width, settings.height = "tiles", "CUSTOM", 100, 100
    panel = drawn(editor)
    assert "whole_periods" in names(panel["Texserver"])
    (text,) = (each.text for each in panel["Texserver"] if each.name == "whole_periods")
    generate("tiles", width=100, height=100)
    width, height = next(each for each in bpy.data.images if "texserver" in each).size
    assert text == f"Whole Periods: {width} x {height}"


def test_maps_are_offered_where_there_are_several(editor: str) -> None:
    connect()
    for model, offered in (("stone", True), ("tiny", False)):
        bpy.context.scene.texserver.model = model
        assert ("maps" in names(drawn(editor)["Texserver"])) == offered


def test_only_maps_that_the_model_has_are_offered(editor: str) -> None:
    connect()
    bpy.context.scene.texserver.model = "stone"
    for model, kept in (("stone", MATERIAL), ("pair", ("basecolor", "height"))):
        catalogue = state.session().catalogue
        catalogue._by_name["pair"] = replace(catalogue.get("stone"), name="pair", maps=("basecolor", "height"))
        bpy.context.scene.texserver.model = model
        offered = [each.given["value"] for each in drawn(editor)["Texserver"] if each.name == "maps"]
        assert sorted(offered) == sorted(kept)


def test_one_line_tells_of_the_latest_job_and_nothing_moves_when_one_begins(editor: str) -> None:
    """Whatever lies under the mouse stays there."""
    connect()
    places = []
    for _ in range(2):
        kinds = [(each.kind, each.name) for each in drawn(editor)["Texserver"]]
        below = kinds[kinds.index(("operator", "texserver.generate")) + 1 :]
        places.append(len([kind for kind, name in below if kind in ("label", "progress")]))
        with Paused():
            task = begin(seed=fresh_seed(), **LARGE)
            turn()
            kinds = [(each.kind, each.name) for each in drawn(editor)["Texserver"]]
            below = kinds[kinds.index(("operator", "texserver.generate")) + 1 :]
            places.append(len([kind for kind, name in below if kind in ("label", "progress")]))
        until_ended(task)
    assert set(places) == {1}


def test_a_material_of_ours_is_changed_in_the_panel_itself(editor: str) -> None:
    material = generate("stone", **SMALL)
    shown = [each for each in drawn(editor)["Material"] if each.name]
    sockets = [each.text for each in shown if each.name == "default_value"]
    assert {"mapping", "displace", "texserver.mark_asset", "texserver.measure"} <= {each.name for each in shown}
    assert sockets[:4] == ["Size", "Offset X", "Offset Y", "Rotation"]
    surface = ["Hue", "Value", "AO", "Roughness Min", "Roughness Max", "Normal Strength", "Displacement"]
    drift = ["Hue Drift", "Value Drift", "Drift Size"]
    assert sockets[4:] == surface + drift
    assert "texserver.never_repeat" in {each.name for each in shown}
    assert "texserver.bake_surface" not in {each.name for each in shown}, "one texture is baked already"
    material.texserver_live.mapping = "BOX"
    assert "Blend" in [each.text for each in drawn(editor)["Material"]]
    generate("tiny", **SMALL)
    sockets = [each.text for each in drawn(editor)["Material"] if each.name == "default_value"]
    assert sockets == ["Size", "Offset X", "Offset Y", "Rotation", "Blend", "Hue", "Value", *drift]


def test_a_message_can_be_dismissed(editor: str) -> None:
    connect()
    task = begin_order(TextureOrder(model="tiny", seed=1, size=(64, 64)))
    task.fail("It did not work. Try again.")
    assert "It did not work. Try again." in said(drawn(editor))
    assert bpy.ops.texserver.dismiss(task_id=task.id) == {"FINISHED"}
    assert "It did not work" not in said(drawn(editor))


def test_variations_of_a_model_go_when_another_is_chosen(editor: str) -> None:
    connect()
    settings = bpy.context.scene.texserver
    settings.model = "stone"
    bpy.ops.texserver.variations()
    assert state.session().variations
    settings.model = "stone"
    assert state.session().variations
    settings.gallery = "tiny"
    assert state.session().variations == []


def test_displacement_is_offered_where_there_is_a_height_to_come(editor: str) -> None:
    settings = bpy.context.scene.texserver
    settings.model = "stone"
    offered = {"displace", "displacement"}
    assert not offered & names(drawn(editor)["Material"])  # no model is known yet
    connect()
    assert offered <= names(drawn(editor)["Material"])
    settings.maps = {"basecolor", "normal"}
    assert not offered & names(drawn(editor)["Material"])
    settings.model = "tiny"
    assert not offered & names(drawn(editor)["Material"])


def test_a_model_that_is_gone_is_told_of(editor: str) -> None:
    connect()
    bpy.context.scene.texserver.model = "granite"
    panel = drawn(editor)
    assert "The server has no model 'granite' for textures. Choose another one." in said(panel)
    assert "model" in names(panel["Texserver"])
    assert "texserver.generate" not in names(panel["Texserver"])


def test_settings_that_have_no_meaning_are_not_shown(editor: str) -> None:
    connect()
    settings = bpy.context.scene.texserver
    for target, mapping in (("UPDATE", "UV"), ("ADD", "BOX")):
        settings.target, settings.mapping = target, mapping
        shown = drawn(editor)
        assert ("replace_links" in names(shown["Texserver"])) == (target == "ADD")
        assert ("blend" in names(shown["Material"])) == (mapping == "BOX")


def test_without_an_object_all_is_drawn_as_well(editor: str) -> None:
    connect()
    select()
    assert "texserver.generate" in names(drawn(editor)["Texserver"])


def test_another_node_editor_has_no_panels() -> None:
    area = max(bpy.context.window_manager.windows[0].screen.areas, key=lambda area: area.width * area.height)
    before, area.ui_type = area.ui_type, "GeometryNodeTree"
    with bpy.context.temp_override(area=area):
        assert not any(each.poll(bpy.context) for each in panels.CLASSES if each.bl_space_type == "NODE_EDITOR")
    area.ui_type = before


# ---------------------------------------------------------------------------------------------- jobs, results, history


def test_jobs_under_way(editor: str) -> None:
    connect()
    with Paused():
        first, second = (begin(seed=fresh_seed(), **LARGE) for _ in range(2))
        turn()
        jobs = drawn(editor)["Jobs"]
        bars = [each for each in jobs if each.kind == "progress"]
        assert [each.text for each in bars] == [f"{task.order.title}  0 %" for task in (first, second)]
        cancels = [each.given["task_id"] for each in jobs if each.name == "texserver.cancel"]
        assert cancels == [first.id, second.id, 0]
    until_ended(first, second)


def test_every_turn_of_a_job_can_be_drawn(editor: str) -> None:
    connect()
    task = begin("stone", seed=fresh_seed(), **LARGE)
    seen = set()
    while not task.ended:
        pump.step()
        seen.add(texts(drawn(editor)["Jobs"]))
    pump.step()
    assert len(seen) > 2
    assert task.order.title in said(drawn(editor), "Jobs")


def test_a_job_that_waits_says_why(editor: str, no_server: Path) -> None:
    task = begin_order(TextureOrder(model="tiny", seed=1, size=(64, 64)))
    turn()
    assert not task.ended
    assert "No texserver runs here" in said(drawn(editor), "Jobs")


def test_a_failed_job_is_explained_and_can_be_tried_again(editor: str) -> None:
    connect()
    task = begin_order(TextureOrder(model="granite", seed=1, size=(64, 64)))
    until_ended(task)
    panel = drawn(editor)
    assert task.message in said(panel)
    for name, given in (("retry", {"task_id": task.id}), ("copy_error", {"text": task.message})):
        (button,) = (each for each in panel["Texserver"] if each.name == f"texserver.{name}")
        assert button.given == given
    assert "texserver.retry" in names(panel["Jobs"])
    generate(**SMALL)
    assert "texserver.retry" not in names(drawn(editor)["Texserver"])  # it is not the last one any more


def test_cancelled_jobs_can_be_tried_again(editor: str) -> None:
    task = begin(**LARGE)
    bpy.ops.texserver.cancel(task_id=task.id)
    assert "texserver.retry" in names(drawn(editor)["Jobs"])


def test_variations_are_pictures_with_their_seeds(editor: str) -> None:
    bpy.context.scene.texserver.seed = 40
    assert bpy.ops.texserver.variations() == {"FINISHED"}
    panel = drawn(editor)["Variations"]
    assert len([each for each in panel if each.kind == "template_icon"]) == 4
    assert [each.text for each in panel if each.name == "texserver.try_variation"] == ["40", "41", "42", "43"]


def test_variations_that_are_on_their_way_or_failed_are_drawn_too(editor: str) -> None:
    connect()
    session = state.session()
    with Paused():
        session.vary([TextureOrder(model="tiny", seed=fresh_seed(), size=(64, 64))])
        turn()
        assert names(drawn(editor)["Variations"]) >= {"texserver.try_variation"}
    session.vary([TextureOrder(model="granite", seed=1, size=(64, 64))])
    until(lambda: session.variations[0].ended, "an error")
    panel = drawn(editor)["Variations"]
    assert "Failed" in texts(panel)
    assert session.variations[0].message in texts(panel)


def test_a_variation_that_is_tried_on_is_marked_and_can_be_kept_or_taken_off(editor: str) -> None:
    chosen = bpy.context.scene.texserver
    chosen.model, chosen.seed = "stone", 40
    bpy.ops.texserver.variations()
    assert "Click a seed to try it on the object" in texts(drawn(editor)["Variations"])
    bpy.ops.texserver.try_variation(seed=41)
    panel = drawn(editor)["Variations"]
    assert "#41 on Cube" in texts(panel)
    assert names(panel) >= {f"texserver.{each}_variation" for each in ("keep", "take_off", "step")}


def test_the_gallery_shows_what_is_searched_for_and_always_the_chosen_one(editor: str) -> None:
    connect()
    chosen = bpy.context.scene.texserver
    chosen.model = "tiny"

    def shown() -> list[str]:
        return [each[0] for each in gallery.items(chosen, bpy.context)]

    assert shown() == ["stone", "tiles", "tiny"]
    chosen.search = "til"
    assert shown() == ["tiles", "tiny"]
    assert chosen.gallery == "tiny"
    chosen.gallery = "tiles"
    assert chosen.model == "tiles"
    chosen.search = ""
    chosen.favourites = True
    assert shown() == ["tiles"]
    assert bpy.ops.texserver.favourite(model="stone") == {"FINISHED"}
    try:
        assert shown() == ["stone", "tiles"]
        assert favourites.Favourites(preferences.folder() / "favourites.json").names == {"stone"}
    finally:
        bpy.ops.texserver.favourite(model="stone")
    assert shown() == ["tiles"]
    chosen.model, chosen.favourites, chosen.search = "", False, "granite"
    assert shown() == ["NONE"]
    assert chosen.gallery == "NONE"
    assert {"search", "favourites", "texserver.favourite"} <= names(drawn(editor)["Texserver"])


def test_the_gallery_shows_models_of_one_kind(editor: str) -> None:
    connect()
    catalogue, chosen = state.session().catalogue, bpy.context.scene.texserver
    assert "category_shown" not in names(drawn(editor)["Texserver"])
    catalogue.models = tuple(
        replace(each, category={"stone": "Masonry", "tiles": "Floors"}.get(each.name, "")) for each in catalogue.models
    )
    catalogue.version += 1
    assert "category_shown" in names(drawn(editor)["Texserver"])
    assert [each[0] for each in gallery.categories(chosen, bpy.context)] == ["ALL", "Floors", "Masonry"]
    chosen.category_shown = "Masonry"
    chosen.model = "stone"
    assert [each[0] for each in gallery.items(chosen, bpy.context)] == ["stone"]
    chosen.category_shown = "ALL"
    assert len(gallery.items(chosen, bpy.context)) == 3


def test_the_library_says_what_is_new(editor: str, tmp_path: Path) -> None:
    preferences.get().library_folder = str(tmp_path / "library")
    connect()
    panel = drawn(editor)["Library"]
    assert "0 published, 3 new or changed" in texts(panel)
    assert {"texserver.publish_library", "texserver.register_library"} <= names(panel)
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "texserver_library.json").write_text("{")
    assert "is damaged" in texts(drawn(editor)["Library"])


def test_history(editor: str) -> None:
    for seed in (1, 2):
        generate(seed=seed, width=96, height=64)
    panel = drawn(editor)["History"]
    assert "tiny 96 x 64 #2" in texts(panel)
    again = [(each.given["index"], each.given["side"]) for each in panel if each.name == "texserver.again"]
    assert again == [(0, 0), (0, 4096), (1, 0), (1, 4096)]
    assert "texserver.clear_history" in names(panel)


def test_history_of_a_server_that_had_other_seeds_and_models(editor: str) -> None:
    """As texget asks for: a seed that no property of Blender's holds."""
    entry = HistoryEntry(
        model="elsewhere",
        sha256="ab" * 32,
        seed=2**64 - 1,
        size=(64, 64),
        maps=("basecolor",),
        depth=8,
        when=0.0,
        place="there:1",
    )
    state.session().history.add(entry)
    assert f"#{2**64 - 1}" in said(drawn(editor), "History")


# ------------------------------------------------------------------------------------------------------------- gallery


def test_the_gallery_has_a_picture_of_every_model() -> None:
    assert len(gallery.items(bpy.context.scene.texserver, bpy.context)) == 1  # none yet
    connect()
    catalogue = state.session().catalogue
    until(lambda: all(catalogue.thumbnail(name) for name in ("stone", "tiles", "tiny")), "thumbnails")
    settings = bpy.context.scene.texserver
    items = gallery.items(settings, bpy.context)
    assert [(name, number) for name, _, _, _, number in items] == [("stone", 0), ("tiles", 1), ("tiny", 2)]
    # Without a window every icon has the number 0.
    assert set(gallery._icons) == {str(catalogue.thumbnail(name)) for name in ("stone", "tiles", "tiny")}
    assert all(tuple(each.image_size) == (48, 32) for each in gallery._icons.values())


def test_gallery_and_model_are_one_choice() -> None:
    connect()
    settings = bpy.context.scene.texserver
    settings.gallery = "tiny"
    assert settings.model == "tiny"
    settings.model = "tiles"
    assert settings.gallery == "tiles"
    settings.model = "granite"
    assert settings.gallery == "stone"  # the first, where it is not there


def test_the_gallery_without_a_server_has_something_to_show(no_server: Path, capfd: Any) -> None:
    settings = bpy.context.scene.texserver
    settings.model = "tiny"
    ((identifier, text, *_),) = gallery.items(settings, bpy.context)
    assert settings.gallery == identifier
    assert text == "No models yet"
    settings.gallery = identifier
    assert settings.model == "tiny"
    assert gallery.search_models(settings, bpy.context, "") == []
    assert "WARN" not in "".join(capfd.readouterr())


def test_models_are_found_by_any_part_of_their_names() -> None:
    connect()
    assert gallery.search_models(None, bpy.context, "TI") == ["tiles", "tiny"]


# --------------------------------------------------------------------------------------------------------- preferences


def shown_preferences() -> list[Drawn]:
    return draw(preferences.get(), bpy.context)


def test_preferences() -> None:
    shown = names(shown_preferences())
    assert {"pairing", "server_command", "models_folder", "storage", "file_format", "cache_gb", "patience_s"} <= shown
    assert "texserver.start_server" in shown
    assert "found automatically" in texts(shown_preferences())


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "Paired with 127.0.0.1:7441."), ("gpu-box.example", "online access is off")]
)
def test_preferences_with_a_pairing_line(host: str, said: str) -> None:
    pairing = Pairing(host=host, port=7441, keys=Keys(server=new_key(), client=new_key()))
    preferences.get().pairing = pairing.line
    shown = shown_preferences()
    assert said in texts(shown)
    assert pairing.line not in texts(shown)
    assert ("use_online_access" in names(shown)) == (host != "127.0.0.1")


def test_preferences_with_a_wrong_pairing_line() -> None:
    preferences.get().pairing = "hello"
    assert "This is not a pairing line." in texts(shown_preferences())


def test_preferences_of_a_local_server_that_failed(tmp_path: Path) -> None:
    server = state.local_server()
    server.start(str(tmp_path / "nothing"), tmp_path)
    assert server.state == "failed"
    shown = shown_preferences()
    assert server.message in texts(shown)
    assert "texserver.start_server" in names(shown)


def test_a_title_that_is_too_long_keeps_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_room", lambda icons: 22 - icons)
    monkeypatch.setattr(drawing, "_length", len)
    assert drawing.fitting("brick 512 #3", 1) == "brick 512 #3"
    assert drawing.fitting("brick_of_a_wall 16K #42  12 %", 1) == "brick_… 16K #42  12 %"


# ------------------------------------------------------------------------------------------------- the layout itself


@pytest.mark.parametrize(
    "call",
    [
        lambda layout: layout.label(text="a", icon="NO_SUCH_ICON"),
        lambda layout: layout.label(txt="a"),
        lambda layout: layout.labels(text="a"),
        lambda layout: layout.prop(bpy.context.scene.texserver, "sizes"),
        lambda layout: layout.prop(bpy.context.scene.texserver, "seed", expand=True),
        lambda layout: layout.operator("texserver.generates"),
        lambda layout: setattr(layout.operator("texserver.cancel"), "task", 1),
        lambda layout: setattr(layout.operator("texserver.cancel"), "task_id", "1"),
        lambda layout: setattr(layout, "scale", 2),
        lambda layout: setattr(layout, "operator_context", "INVOKE"),
        lambda layout: layout.progress(text="a", factor=1.5),
    ],
)
def test_the_layout_refuses_what_blender_would_not_know(call: Any) -> None:
    """Or the tests above would show nothing."""
    with pytest.raises((AssertionError, KeyError)):
        call(StrictLayout())


def test_several_objects_do_not_change_what_is_drawn(editor: str) -> None:
    connect()
    select(plane("One"), plane("Other"))
    assert "all_selected" in names(drawn(editor)["Texserver"])
