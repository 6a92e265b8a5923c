"""An asset library of the server's models: published, kept up to date, and what is dropped from it."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.material import library_use
from bl_ext.user_default.texserver.panel import library_orders, preferences
from bl_ext.user_default.texserver.tasks import state
from bl_ext.user_default.texserver.tasks.library import CATALOGUES, LISTED, TEXTURES, Library, LibraryEntry
from inside import connect, generate, refusal, turn, until
from pictures import difference, of_image
from scenery import everything, live, ours, plane, textures, value

MODELS = ["stone", "tiles", "tiny"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Chosen for the library; small textures."""
    chosen = preferences.get()
    chosen.library_folder, chosen.library_side = str(tmp_path / "library"), "512"
    connect()
    return tmp_path / "library"


@pytest.fixture
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with all models, once one is published: that takes seconds."""
    return tmp_path_factory.getbasetemp() / "published"


@pytest.fixture
def library(folder: Path, kept: Path) -> Path:
    """All models published."""
    if not kept.exists():
        publish()
        shutil.copytree(folder, kept)
    else:
        shutil.copytree(kept, folder)
    return folder


def publish(**given: Any) -> None:
    assert bpy.ops.texserver.publish_library(**given) == {"FINISHED"}


def append(folder: Path, name: str, *, link: bool = False) -> Any:
    """A material of the library, as a drop from the Asset Browser appends it."""
    data: Any = bpy.data
    with data.libraries.load(str(folder / f"{name}.blend"), link=link) as (there, wanted):
        wanted.materials = list(there.materials)
    (material,) = wanted.materials
    return material


def test_each_model_is_an_asset_with_its_maps_beside_it(folder: Path, kept: Path) -> None:
    before = everything()
    publish()
    assert everything() == before, "the artist's file was changed"
    shutil.copytree(folder, kept)
    assert sorted(path.stem for path in folder.glob("*.blend")) == MODELS
    assert not list(folder.rglob("*.part*"))
    assert set(Library(folder).entries) == set()
    material = append(folder, "stone")
    assert (material.name, material.asset_data is not None) == ("stone", True)
    data = material.asset_data
    assert {each.name for each in data.tags} == {"texserver", "stone", "Other"}
    assert "seed 0" in data.description
    assert f"{value(material, 'Size'):.3g} m wide" in data.description
    lines = (folder / CATALOGUES).read_text().splitlines()
    assert "VERSION 1" in lines
    assert f"{data.catalog_id}:Texserver/Other:Texserver-Other" in lines
    assert live(material).node_tree["texserver"]["projection"] == "BOX"
    shown = textures(material)
    assert set(shown) == {"basecolor", "normal", "roughness", "metallic", "height", "ao"}
    for each in shown.values():
        path = Path(bpy.path.abspath(each.image.filepath, library=each.image.library))
        assert path.parent == folder / TEXTURES
        assert each.image.size[0] == 512
        assert each.image["texserver"]["seed"] == "0"
    assert value(material, "Size") == 512 / 1024


def test_the_preview_shows_the_material_on_a_ball(library: Path) -> None:
    for name in ("stone", "tiny"):
        preview = append(library, name).preview
        assert tuple(preview.image_size) == (256, 256)
        pixels = np.array(preview.image_pixels_float[:]).reshape(256, 256, 4)
        ball, corner = pixels[96:160, 96:160], pixels[:8, :8]
        assert ball[..., 3].min() > 0.9
        assert corner[..., 3].max() < 0.1
        assert ball[..., :3].mean() > 0.05
        assert ball[..., :3].std() > 0.02


def test_only_what_has_changed_is_published_again(library: Path) -> None:
    times = {path.name: path.stat().st_mtime_ns for path in library.glob("*.blend")}
    assert library_orders.overview() == library_orders.Overview(published=3)
    assert "up to date" in refusal(bpy.ops.texserver.publish_library)
    listed = Library(library)
    listed.look()
    change(listed, "tiny", sha256="0" * 64)
    assert [each.name for each in library_orders.overview().changed] == ["tiny"]
    publish()
    again = {path.name: path.stat().st_mtime_ns for path in library.glob("*.blend")}
    assert {name for name in times if times[name] != again[name]} == {"tiny.blend"}
    assert library_orders.overview().changed == ()
    preferences.get().library_side = "1024"
    assert len(library_orders.overview().changed) == 3
    listed.look()
    for name in ("stone", "tiles"):  # as if they were: each takes seconds
        change(listed, name, side=1024)
    publish()
    assert append(library, "tiny").name == "tiny"
    assert len(list((library / TEXTURES).iterdir())) == 6 + 1 + 1, "textures of the other size stay behind"


def change(library: Library, name: str, **fields: Any) -> None:
    """Say something else of how a model's files were made."""
    entry = library.entries[name]
    told = {each: getattr(entry, each) for each in LibraryEntry.__dataclass_fields__}
    library.add(LibraryEntry(**(told | fields)))


def test_models_that_are_gone_are_removed_when_asked_and_nothing_else(library: Path) -> None:
    listed = Library(library)
    listed.look()
    told = {each: getattr(listed.entries["tiny"], each) for each in LibraryEntry.__dataclass_fields__}
    (library / "old.blend").write_bytes(b"")
    (library / "mine.blend").write_bytes(b"")
    listed.add(LibraryEntry(**(told | {"model": "old", "file": "old.blend"})))
    with (library / CATALOGUES).open("a") as file:
        file.write("11111111-2222-3333-4444-555555555555:Mine:Mine\n")
    assert [each.model for each in library_orders.overview().gone] == ["old"]
    assert bpy.ops.texserver.drop_gone() == {"FINISHED"}
    assert sorted(path.stem for path in library.glob("*.blend")) == ["mine", *MODELS]
    assert len(list((library / TEXTURES).iterdir())) == 8
    assert "555555555555:Mine:Mine" in (library / CATALOGUES).read_text()
    with pytest.raises(RuntimeError, match="The server has all models"):
        bpy.ops.texserver.drop_gone()


def test_a_library_is_listed_in_the_preferences_once(folder: Path) -> None:
    libraries = bpy.context.preferences.filepaths.asset_libraries
    before = len(libraries)
    assert bpy.ops.texserver.register_library() == {"FINISHED"}
    assert library_orders.registered().name.startswith("Texserver")
    with pytest.raises(RuntimeError, match="shows it already"):
        bpy.ops.texserver.register_library()
    assert len(libraries) == before + 1
    bpy.ops.preferences.asset_library_remove(index=len(libraries) - 1)


def test_what_is_dropped_finds_its_server_for_other_seeds_and_sizes(library: Path) -> None:
    thing = plane()
    thing.active_material = append(library, "stone")
    bpy.context.scene.texserver.model = "tiny"
    assert bpy.ops.texserver.match_material() == {"FINISHED"}
    chosen = bpy.context.scene.texserver
    assert (chosen.model, chosen.seed) == ("stone", 0)
    material = generate("stone", seed=9, width=64, height=64)
    assert material == thing.active_material
    assert material.name == "stone"
    assert material.asset_data is None
    assert textures(material)["basecolor"].image["texserver"]["seed"] == "9"
    assert value(material, "Size") == 64 / 1024
    assert len(ours(bpy.data.images)) == 6
    chosen.variations = 2
    bpy.ops.texserver.variations()
    bpy.ops.texserver.step_variation(step=1)
    assert textures(material)["basecolor"].image.size[0] == 512
    bpy.ops.texserver.take_off_variation()
    assert textures(material)["basecolor"].image["texserver"]["seed"] == "9"


def test_what_is_linked_stays_and_the_object_gets_a_material_of_its_own(library: Path) -> None:
    thing = plane()
    linked = append(library, "stone", link=True)
    thing.active_material = linked
    material = generate("stone", seed=9, width=64, height=64)
    assert material != linked
    assert "is linked from another file" in state.session().tasks[-1].note


def test_a_cancelled_job_leaves_no_process_and_no_draft(library: Path) -> None:
    listed = Library(library)
    listed.look()
    change(listed, "tiny", sha256="0" * 64)
    task = library_orders.prepare().begin()
    until(lambda: task._builder.started or task.ended, "the second Blender")
    process = task._builder._process
    assert process
    assert process.poll() is None
    task.cancel()
    turn()
    end = time.monotonic() + 20
    while process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert task.state == "cancelled"
    assert not list(library.glob("*.part*"))
    assert [each.name for each in library_orders.overview().changed] == ["tiny"]
    publish()
    assert library_orders.overview() == library_orders.Overview(published=3)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: (folder / LISTED).write_text("{"), "is damaged"),
        (lambda folder: (folder / LISTED).write_text('{"format": 99}'), "is damaged, or belongs to another version"),
    ],
)
def test_a_library_that_cannot_be_read_is_left_alone(folder: Path, spoil: Callable[[Path], None], why: str) -> None:
    folder.mkdir()
    spoil(folder)
    before = (folder / LISTED).read_bytes()
    assert why in refusal(bpy.ops.texserver.publish_library)
    assert (folder / LISTED).read_bytes() == before


def test_a_material_is_assigned_to_selected_faces(folder: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    thing = bpy.context.object
    generate("tiny", width=64, height=64)
    bpy.data.materials.new("Other")
    for each in thing.data.polygons:
        each.select = each.index == 4
    bpy.context.tool_settings.mesh_select_mode = (False, False, True)
    with pytest.raises(RuntimeError, match="Go into Edit Mode"):
        bpy.ops.texserver.assign_to_faces(material="Other")
    bpy.ops.object.mode_set(mode="EDIT")
    assert "no material 'Wood'" in refusal(lambda: bpy.ops.texserver.assign_to_faces(material="Wood"))
    assert "Select a material in the Asset Browser" in refusal(bpy.ops.texserver.assign_to_faces)
    assert bpy.ops.texserver.assign_to_faces(material="Other") == {"FINISHED"}
    bpy.ops.mesh.select_all(action="DESELECT")
    assert "No face is selected" in refusal(lambda: bpy.ops.texserver.assign_to_faces(material="Other"))
    bpy.ops.object.mode_set(mode="OBJECT")
    assert [each.material_index for each in thing.data.polygons] == [0, 0, 0, 0, 1, 0]
    assert [slot.material.name for slot in thing.material_slots] == ["tiny", "Other"]


class Asset:
    """As the Asset Browser gives it."""

    id_type = "MATERIAL"
    local_id = None

    def __init__(self, path: Path, name: str) -> None:
        self.full_library_path, self.name = str(path), name


def test_an_asset_is_appended_once(library: Path) -> None:
    asset = Asset(library / "stone.blend", "stone")
    first = library_use.of_asset(asset)
    assert library_use.of_asset(asset) == first
    assert first.library is None
    assert first.asset_data is None
    assert difference(*(of_image(textures(each)["basecolor"].image) for each in (first, append(library, "stone")))) == 0
