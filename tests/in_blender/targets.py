"""Which object, faces and material a texture goes to, and that nobody else's change; what is said of it."""

import shutil
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from bl_ext.user_default.texserver.loop import pump, status_bar
from bl_ext.user_default.texserver.panel import operator
from bl_ext.user_default.texserver.tasks import session, state
from inside import (
    LARGE,
    MODELS,
    Paused,
    begin,
    connect,
    fresh_seed,
    generate,
    turn,
    until,
    until_ended,
    until_previewed,
)
from scenery import everything, foreign_material, graph, links_of, ours, plane, select, textures

SMALL = {"width": 64, "height": 64}


def seed_of(thing: Any) -> str:
    """Of what an object shows."""
    return str(textures(thing.active_material)["basecolor"].image["texserver"]["seed"])


def note() -> str:
    """What was said of the last job."""
    return str(state.session().tasks[-1].note)


def duplicate(thing: Any, *, linked: bool) -> Any:
    """As Shift+D makes it, or Alt+D; selected alone."""
    twin = thing.copy()
    if not linked:
        twin.data = thing.data.copy()
    bpy.context.scene.collection.objects.link(twin)
    select(twin)
    return twin


# ---------------------------------------------------------------------------------------------------------- duplicates


@pytest.mark.parametrize("linked", [False, True], ids=["copy", "linked"])
def test_a_duplicate_gets_its_own_texture_and_the_original_keeps_its(linked: bool) -> None:
    original = plane("Original")
    before = generate(seed=1, **SMALL)
    twin = duplicate(original, linked=linked)
    after = generate(seed=2, **SMALL)
    assert (seed_of(original), seed_of(twin)) == ("1", "2")
    assert original.active_material == before != after
    assert "Original also uses" in note()
    assert generate(seed=3, **SMALL) == after  # in place, now that it is its own
    assert note() == ""
    assert (seed_of(original), seed_of(twin)) == ("1", "3")


def test_a_script_gives_each_linked_duplicate_its_own_seed() -> None:
    """As the one in the documentation."""
    first = plane("Plane 0")
    things = [first, *(duplicate(first, linked=True) for _ in range(3))]
    for seed, thing in enumerate(things):
        with bpy.context.temp_override(object=thing, active_object=thing, selected_objects=[thing]):
            bpy.ops.texserver.generate(model="tiny", seed=seed, **SMALL)
    assert [seed_of(each) for each in things] == ["0", "1", "2", "3"]
    assert len(ours(bpy.data.images)) == 4


def test_objects_that_are_painted_together_keep_sharing_their_material() -> None:
    first = plane("First")
    second = duplicate(first, linked=True)
    select(first, second)
    material = generate(seed=1, all_selected=True, **SMALL)
    assert generate(seed=2, all_selected=True, **SMALL) == material == second.active_material
    assert [slot.link for slot in first.material_slots] == ["DATA"]
    assert note() == ""


def test_a_cancelled_job_for_a_duplicate_takes_its_copy_back() -> None:
    original = plane("Original")
    generate(seed=1, **SMALL)
    for linked in (False, True):
        duplicate(original, linked=linked)
        before = everything()
        task = begin(seed=fresh_seed(), **LARGE)
        until_previewed(task)
        assert everything() != before
        task.cancel()
        turn()
        assert everything() == before


# -------------------------------------------------------------------------------------------------------------- assets


def test_an_asset_stays_as_it_is_and_the_object_gets_a_new_material() -> None:
    thing = plane()
    asset = generate("stone", seed=1, **SMALL)
    bpy.ops.texserver.mark_asset()
    before = graph(asset)
    material = generate("tiny", seed=2, **SMALL)
    assert material != asset
    assert graph(asset) == before
    assert (asset.name, asset.asset_data is not None) == ("stone", True)
    assert (material.name, material.asset_data) == ("tiny", None)
    assert "is an asset, so it stays as it is" in note()
    assert thing.active_material == material


def test_a_material_is_named_after_what_it_shows_unless_somebody_has_named_it() -> None:
    material = generate("stone", **SMALL)
    assert generate("tiny", **SMALL) == material
    assert material.name == "tiny"
    material.name = "Wall of the Kitchen"
    generate("stone", **SMALL)
    assert material.name == "Wall of the Kitchen"


def test_a_cancelled_job_gives_a_material_its_name_back() -> None:
    material = generate("stone", **SMALL)
    task = begin("tiny", seed=fresh_seed(), **LARGE)
    until_previewed(task)
    assert material.name == "tiny"
    task.cancel()
    turn()
    assert material.name == "stone"


# ------------------------------------------------------------------------------------------ into somebody's material


def test_what_was_added_to_a_material_is_told() -> None:
    thing = plane()
    brass = foreign_material()
    thing.data.materials.append(brass)
    generate("stone", target="ADD", **SMALL)
    assert note() == (
        "Added to Brass: Metallic and Normal. Base Color and Roughness kept what was linked there; Replace Links "
        "replaces it."
    )
    generate("stone", target="ADD", replace_links=True, **SMALL)
    assert note() == "Added to Brass: Base Color and Metallic and Roughness and Normal."


def test_where_nothing_is_seen_of_it_that_is_told() -> None:
    thing = plane()
    brass = foreign_material()
    thing.data.materials.append(brass)
    generate("tiny", target="ADD", **SMALL)
    assert note().startswith("Our node was added to Brass, but nothing is seen of it: Base Color kept")


def test_somebody_s_material_does_not_become_ours() -> None:
    thing = plane()
    brass = foreign_material()
    thing.data.materials.append(brass)
    generate("stone", target="ADD", **SMALL)
    assert "texserver" not in brass
    before = graph(brass)
    assert not bpy.ops.texserver.mark_asset.poll()
    material = generate("tiny", **SMALL)  # in the way that updates ours
    assert material != brass
    assert graph(brass) == before


def test_adding_again_changes_the_node_that_is_there() -> None:
    thing = plane()
    brass = foreign_material()
    thing.data.materials.append(brass)
    generate("stone", target="ADD", **SMALL)
    nodes = {each.name for each in brass.node_tree.nodes}
    generate("stone", seed=2, target="ADD", **SMALL)
    assert {each.name for each in brass.node_tree.nodes} == nodes
    assert links_of(brass) == {"Metallic": ["Metallic"], "Normal": ["Normal"]}
    assert {each.image["texserver"]["seed"] for each in textures(brass).values()} == {"2"}


# --------------------------------------------------------------------------------------------------------------- faces


@pytest.fixture
def cube() -> Any:
    """Blender's own, with a material of the artist's, in Edit Mode, and two of its six faces selected."""
    thing = bpy.context.object
    for each in thing.data.polygons:
        each.select = each.index < 2
    for each in thing.data.edges:
        each.select = False
    for each in thing.data.vertices:
        each.select = False
    bpy.context.tool_settings.mesh_select_mode = (False, False, True)
    bpy.ops.object.mode_set(mode="EDIT")
    return thing


def slots(thing: Any) -> tuple[list[int], list[str]]:
    """The slot of each face, and the materials in the slots."""
    bpy.ops.object.mode_set(mode="OBJECT")
    found = [each.material_index for each in thing.data.polygons]
    bpy.ops.object.mode_set(mode="EDIT")
    return found, [slot.material.name if slot.material else "" for slot in thing.material_slots]


def test_selected_faces_get_the_texture_in_a_slot_of_their_own(cube: Any) -> None:
    material = generate(seed=1, **SMALL)
    assert slots(cube) == ([1, 1, 0, 0, 0, 0], ["Material", "tiny"])
    assert cube.active_material == material


def test_the_same_faces_again_are_updated_in_place(cube: Any) -> None:
    material = generate(seed=1, **SMALL)
    assert generate(seed=2, **SMALL) == material
    assert slots(cube) == ([1, 1, 0, 0, 0, 0], ["Material", "tiny"])
    assert seed_of(cube) == "2"


def test_selected_faces_of_a_mesh_without_materials_leave_the_others_without() -> None:
    bpy.ops.mesh.primitive_cube_add()
    thing = bpy.context.object
    for each in thing.data.polygons:
        each.select = each.index == 3
    bpy.context.tool_settings.mesh_select_mode = (False, False, True)
    bpy.ops.object.mode_set(mode="EDIT")
    generate(seed=1, **SMALL)
    assert slots(thing) == ([0, 0, 0, 1, 0, 0], ["", "tiny"])


def test_all_faces_selected_are_the_whole_object(cube: Any) -> None:
    bpy.ops.mesh.select_all(action="SELECT")
    generate(seed=1, **SMALL)
    assert slots(cube) == ([0] * 6, ["tiny"])


def test_cancel_gives_selected_faces_their_material_back(cube: Any) -> None:
    before, faces = everything(), slots(cube)
    task = begin(seed=fresh_seed(), **LARGE)
    until_previewed(task)
    assert slots(cube) != faces
    task.cancel()
    turn()
    assert everything() == before
    assert slots(cube) == faces


def test_faces_that_are_others_now_are_told_of(cube: Any) -> None:
    task = begin(seed=fresh_seed(), **SMALL)
    bpy.ops.mesh.subdivide()
    until_ended(task)
    assert task.state == "failed"
    assert task.message == "The mesh of Cube has other faces now. Select them again and press Generate."


# ---------------------------------------------------------------------------------------------------- while a job runs


class Workspaces(list[Any]):
    """Stand-ins that keep what the status bar says in them."""

    def __init__(self, *names: str) -> None:
        super().__init__(SimpleNamespace(name=name, text=None) for name in names)
        for each in self:
            each.status_text_set = lambda text, it=each: setattr(it, "text", text)


def test_the_status_bar_is_cleared_in_the_workspace_in_which_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """And only there: other texts are other people's."""
    layout, shading = spaces = Workspaces("Layout", "Shading")
    monkeypatch.setattr(status_bar, "bpy", SimpleNamespace(data=SimpleNamespace(workspaces=spaces)))
    status_bar.say(layout, "Painting.")
    shading.text = "Somebody else's."
    status_bar.clear()
    assert (layout.text, shading.text) == (None, "Somebody else's.")
    status_bar.say(layout, "Painting.")
    pump.stop()  # the extension is disabled
    assert layout.text is None


def test_escape_counts_over_our_panel_alone() -> None:
    def region(kind: str, x: int, category: str = "") -> Any:
        return SimpleNamespace(type=kind, x=x, y=0, width=100, height=100, active_panel_category=category)

    view = SimpleNamespace(
        type="VIEW_3D", regions=[region("UI", 100, "Texserver"), region("WINDOW", 0)], spaces=SimpleNamespace()
    )
    other = SimpleNamespace(type="VIEW_3D", regions=[region("UI", 200, "Item")], spaces=SimpleNamespace())
    context = SimpleNamespace(window=SimpleNamespace(screen=SimpleNamespace(areas=[view, other])))
    over = [operator.over_our_panel(context, SimpleNamespace(mouse_x=x, mouse_y=50)) for x in (50, 150, 250, 350)]
    assert over == [False, True, False, False]


def test_escape_elsewhere_is_passed_on_and_the_job_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    connect()
    monkeypatch.setattr(operator, "over_our_panel", lambda context, event: event.over)
    with Paused():
        task = begin(seed=fresh_seed(), **LARGE)
        told = SimpleNamespace(task=task, timer=None, _leave=lambda context: None)
        press: Any = {"type": "ESC", "value": "PRESS"}
        modal = operator.PaintingOperator.modal
        assert modal(told, bpy.context, SimpleNamespace(**press, over=False)) == {"PASS_THROUGH"}
        assert not task.ended
        assert modal(told, bpy.context, SimpleNamespace(**press, over=True)) == {"CANCELLED"}
        assert task.state == "cancelled"


def test_new_models_are_listed_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "STATUS_EVERY_S", 0.1)
    connect()
    turn()
    assert state.session().catalogue.get("newcomer") is None
    shutil.copy(MODELS / "tiny.safetensors", MODELS / "newcomer.safetensors")
    try:
        until(lambda: state.session().catalogue.get("newcomer"), "a model that was added")
    finally:
        (MODELS / "newcomer.safetensors").unlink()
    until(lambda: not state.session().catalogue.get("newcomer"), "that it is gone")
