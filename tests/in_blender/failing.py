"""Whatever goes wrong is told in a sentence, ends cleanly, and leaves the file as it was."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import addon_utils
import bpy
import pytest
from bl_ext.user_default.texserver.loop import pump
from bl_ext.user_default.texserver.material import assignment
from bl_ext.user_default.texserver.material.assignment import NotAssigned
from bl_ext.user_default.texserver.panel import operator, orders, preferences
from bl_ext.user_default.texserver.panel.orders import NotOrdered
from bl_ext.user_default.texserver.protocol.pairing import ENVIRONMENT, Keys, Pairing, new_key, parse_pairing
from bl_ext.user_default.texserver.tasks import state
from bl_ext.user_default.texserver.tasks.texture_task import TextureOrder
from inside import (
    EXTENSION,
    LARGE,
    MODELS,
    PATIENCE_S,
    PYTHON,
    Paused,
    begin,
    begin_order,
    connect,
    drafts,
    fresh_seed,
    generate,
    pending,
    refusal,
    turn,
    until,
    until_ended,
    until_previewed,
)
from scenery import (
    add,
    everything,
    foreign_material,
    graph,
    live,
    node,
    ours,
    plane,
    select,
    source,
    textures,
    unused_images,
    value,
)

SMALL = {"width": 64, "height": 64}
TOLD_S = 3.0


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script does not wait so long for a server that seems to be away."""
    monkeypatch.setattr(operator, "FAILED_WAIT_S", 0.3)


def told(**given: Any) -> str:
    """What a script is told in time instead of a texture; nothing has changed."""
    before, started = everything(), time.monotonic()
    text = refusal(lambda: bpy.ops.texserver.generate(**{"model": "tiny", **SMALL, **given}))
    assert time.monotonic() - started < TOLD_S
    assert everything() == before
    assert not state.session().busy
    return text


# ------------------------------------------------------------------------------------------------------ without server


def test_without_a_server_a_script_is_told_so_in_time(no_server: Path) -> None:
    assert f"No texserver runs here: there is no {no_server}" in told()


def test_without_a_server_a_button_says_so_at_once(no_server: Path) -> None:
    state.session().wanted = True
    turn()
    with pytest.raises(NotOrdered, match="No texserver runs here"):
        orders.prepare(bpy.context, model="tiny")


def test_a_server_that_has_ended_is_told_of(no_server: Path, hasty: None) -> None:
    no_server.parent.mkdir()
    no_server.write_text(json.dumps({"format": 1, "pairing": "texserver://127.0.0.1:9"}))
    no_server.chmod(0o600)
    assert told().startswith("No texserver runs at 127.0.0.1:9. Start it there")


def test_a_server_that_comes_later_is_found(no_server: Path, hasty: None) -> None:
    told()
    no_server.parent.mkdir()
    shutil.copy(os.environ["TEXSERVER_CONNECTION_OF_TESTS"], no_server)
    until(lambda: state.session().connection.state == "ready", "a connection")
    generate(**SMALL)


def server_pairing() -> Pairing:
    content = json.loads(Path(os.environ["TEXSERVER_CONNECTION_OF_TESTS"]).read_text())
    return parse_pairing(content["pairing"])


def test_a_pairing_line_goes_before_the_server_of_this_machine(no_server: Path) -> None:
    preferences.get().pairing = f"  {server_pairing().line}\n"
    generate(**SMALL)


@pytest.mark.parametrize("line", ["hello", "texserver://", "texserver://127.0.0.1:7441/abc", "http://127.0.0.1:80"])
def test_a_pairing_line_that_is_none_is_told_of(line: str, hasty: None) -> None:
    preferences.get().pairing = line
    assert told().startswith("This is not a pairing line. Copy the whole line")


def test_an_old_pairing_is_told_of(hasty: None) -> None:
    pairing = server_pairing()
    assert pairing.keys
    keys = Keys(server=pairing.keys.server, client=new_key())
    preferences.get().pairing = Pairing(host=pairing.host, port=pairing.port, keys=keys).line
    assert "does not know this client's key" in told()


def test_another_server_than_the_one_paired_with_is_told_of(hasty: None) -> None:
    pairing = server_pairing()
    assert pairing.keys
    keys = Keys(server=new_key(), client=pairing.keys.client)
    preferences.get().pairing = Pairing(host=pairing.host, port=pairing.port, keys=keys).line
    assert "has another key than the paired one" in told()


@pytest.mark.parametrize("host", ["192.0.2.7", "gpu-box.example", "127.gpu-box.example", "[2001:db8::7]"])
def test_another_machine_is_not_called_while_online_access_is_off(host: str, hasty: None) -> None:
    assert not bpy.app.online_access
    keys = Keys(server=new_key(), client=new_key())
    preferences.get().pairing = Pairing(host=host, port=7441, keys=keys).line
    text = told()
    assert text.startswith(f"{host} is another machine, but Blender's online access is off. Allow it in Preferences")
    assert state.session().connection.sockets == []


def test_another_machine_is_called_when_online_access_is_on() -> None:
    bpy.context.preferences.system.use_online_access = True
    keys = Keys(server=new_key(), client=new_key())
    preferences.get().pairing = Pairing(host="192.0.2.7", port=7441, keys=keys).line
    assert "online access" not in told()


def test_after_a_wrong_pairing_the_right_one_helps(hasty: None) -> None:
    preferences.get().pairing = "hello"
    told()
    preferences.get().pairing = ""
    generate(**SMALL)


def test_choosing_another_server_ends_what_is_under_way() -> None:
    before = everything()
    task = begin(seed=fresh_seed(), **LARGE)
    until_previewed(task)
    with Paused():
        turn()
        preferences.get().pairing = server_pairing().line
        turn()
    assert task.state == "cancelled"
    assert "another server was chosen" in task.message
    assert everything() == before
    assert bpy.ops.texserver.retry(task_id=task.id) == {"FINISHED"}


# --------------------------------------------------------------------------------------------------- what is asked for


def test_a_model_that_the_server_does_not_have_is_told_of() -> None:
    assert told(model="granite") == "The server has no model 'granite' for textures. Choose another one."


def test_maps_that_the_model_does_not_have_are_told_of() -> None:
    bpy.context.scene.texserver.maps = {"metallic", "ao"}
    assert told() == "tiny has none of the chosen maps. It has: basecolor."


def test_a_texture_that_is_too_large_for_the_server_is_told_of() -> None:
    assert "16384" in told(width=65536, height=64)
    (task,) = state.session().tasks
    assert task.state == "failed"


def test_a_model_that_goes_between_click_and_server_fails_the_task() -> None:
    connect()
    task = begin_order(TextureOrder(model="granite", seed=1, size=(48, 528), preview=(48, 512)))
    before = everything()
    until_ended(task)
    assert task.state == "failed"
    assert "no model 'granite'" in task.message
    assert everything() == before


# ------------------------------------------------------------------------------------------------------------- objects


def test_without_an_object_the_button_is_grey_and_says_why() -> None:
    bpy.data.objects.remove(bpy.context.object)
    assert bpy.context.object is None
    for name in ("generate", "again", "use_variation"):
        operator = getattr(bpy.ops.texserver, name)
        assert not operator.poll()
        with pytest.raises(RuntimeError, match="Select the object for the texture"):
            operator()


OTHER_KINDS: dict[str, Callable[[], Any]] = {
    "CAMERA": lambda: bpy.data.cameras.new("Thing"),
    "LIGHT": lambda: bpy.data.lights.new("Thing", "POINT"),
    "ARMATURE": lambda: bpy.data.armatures.new("Thing"),
    "LATTICE": lambda: bpy.data.lattices.new("Thing"),
    "EMPTY": lambda: None,
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_an_object_that_has_no_material_is_told_of(kind: str) -> None:
    thing = add("Thing", OTHER_KINDS[kind]())
    assert thing.type == kind
    before = everything()
    with pytest.raises(RuntimeError, match="The active object cannot have a material"):
        bpy.ops.texserver.generate(model="tiny", **SMALL)
    with pytest.raises(NotAssigned, match="Thing is of a type without materials"):
        assignment.target_for([thing])
    assert everything() == before


def test_an_object_without_a_slot_gets_one() -> None:
    thing = plane()
    assert not thing.material_slots
    generate(**SMALL)
    assert len(thing.material_slots) == 1


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A file with a plane that has our texture and one that has nothing."""
    plane("Painted")
    generate(**SMALL)
    plane("Bare")
    path = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    return path


def link(path: Path, collection: str, name: str) -> Any:
    with bpy.data.libraries.load(str(path), link=True) as (_, wanted):
        setattr(wanted, collection, [name])
    return getattr(bpy.data, collection)[name]


def test_a_linked_object_is_told_of(library: Path) -> None:
    thing = link(library, "objects", "Painted")
    bpy.context.scene.collection.objects.link(thing)
    select(thing)
    assert told().startswith("Painted is linked from another file. Make it local")


def test_a_linked_object_among_others_is_told_of(library: Path) -> None:
    thing, active = link(library, "objects", "Painted"), bpy.context.object
    bpy.context.scene.collection.objects.link(thing)
    select(active, thing)
    assert told(all_selected=True).startswith("Painted is linked from another file")


def test_linked_data_without_a_slot_is_told_of(library: Path) -> None:
    add("Local", link(library, "meshes", "Bare"))
    assert told().startswith("The data of Local is linked from another file")


def test_linked_data_with_a_slot_gets_the_material_by_the_object(library: Path) -> None:
    mesh = link(library, "meshes", "Painted")
    linked = mesh.materials[0]
    before = graph(linked)
    thing = add("Local", mesh)
    material = generate(seed=9, **SMALL)
    assert material.library is None
    assert (thing.material_slots[0].link, thing.material_slots[0].material) == ("OBJECT", material)
    assert mesh.materials[0] == linked
    assert graph(linked) == before


def test_linked_data_is_as_before_after_a_cancelled_preview(library: Path) -> None:
    add("Local", link(library, "meshes", "Painted"))
    cancelled_after_preview()


def test_a_library_override_gets_the_material(library: Path) -> None:
    linked = link(library, "objects", "Painted")
    thing = linked.override_create(remap_local_usages=True)
    bpy.context.scene.collection.objects.link(thing)
    select(thing)
    assert generate(seed=9, **SMALL).library is None


# ------------------------------------------------------------------------------------------------------------- cancel


def cancelled_after_preview(**given: Any) -> None:
    """Begin, see the preview, cancel: all is as it was."""
    connect()
    before = everything()
    task = begin(seed=99, **LARGE, **given)
    until_previewed(task)
    assert everything() != before
    assert bpy.ops.texserver.cancel(task_id=task.id) == {"FINISHED"}
    assert task.state == "cancelled"
    assert everything() == before
    turn()
    assert everything() == before
    assert drafts() == []


def test_cancel_brings_back_another_s_material() -> None:
    bpy.context.object.active_material = foreign_material()
    cancelled_after_preview()


def test_cancel_brings_back_an_object_without_a_slot() -> None:
    plane()
    cancelled_after_preview()


def test_cancel_brings_back_an_empty_slot() -> None:
    bpy.context.object.active_material = None
    cancelled_after_preview()


def test_cancel_brings_back_what_our_own_material_showed() -> None:
    generate(seed=1, mapping="BOX", blend=0.4, texels=300, width=96, height=64)
    cancelled_after_preview()
    cancelled_after_preview(mapping="UV", texels=512)


def test_cancel_brings_back_a_material_of_fewer_maps() -> None:
    generate("tiny", **SMALL)
    cancelled_after_preview(model="stone")


def test_cancel_brings_back_a_material_of_more_maps() -> None:
    generate("stone", **SMALL)
    cancelled_after_preview(model="tiny")


def test_cancel_brings_back_links_that_the_preview_replaced() -> None:
    bpy.context.object.active_material = foreign_material()
    generate("tiny", target="ADD", **SMALL)
    cancelled_after_preview(model="stone", replace_links=True)


def test_cancel_brings_back_a_node_before_ours_and_all_values() -> None:
    material = generate(**SMALL)
    tree = material.node_tree
    number = tree.nodes.new("ShaderNodeValue")
    tree.links.new(number.outputs["Value"], live(material).inputs["Rotation"])
    live(material).inputs["Size"].default_value = 0.77
    live(material).inputs["Hue"].default_value = 0.1
    cancelled_after_preview()


def test_cancel_brings_back_all_selected_objects() -> None:
    active, other = plane("Active"), plane("Other")
    other.data.materials.append(foreign_material())
    twin = add("Twin", active.data)
    select(active, other, twin)
    cancelled_after_preview(all_selected=True)


def test_cancel_before_anything_came_changes_nothing() -> None:
    connect()
    before = everything()
    with Paused():
        tasks = [begin(seed=fresh_seed(), **LARGE) for _ in range(4)]
        turn()
        assert bpy.ops.texserver.cancel(task_id=0) == {"FINISHED"}
        assert {task.state for task in tasks} == {"cancelled"}
    turn()
    assert everything() == before
    assert not state.session().busy


def test_what_changed_after_the_preview_stays_so_on_cancel() -> None:
    thing = bpy.context.object
    task = begin(**LARGE)
    until_previewed(task)
    mine = bpy.data.materials.new("Mine")
    thing.active_material = mine
    task.cancel()
    turn()
    assert thing.active_material == mine
    assert ours(bpy.data.materials) == []
    assert ours(bpy.data.images) == []


def test_of_two_jobs_in_one_material_a_cancelled_one_does_no_harm() -> None:
    """Whichever is cancelled, the other's texture stays; when both are, what was before comes back."""
    thing = bpy.context.object
    original = thing.active_material
    connect()
    before = everything()
    for cancelled in ((0,), (1,), (0, 1), (1, 0)):
        jobs = [begin(seed=seed, **LARGE) for seed in (1, 2)]
        until_previewed(jobs[0])
        for index in cancelled:
            jobs[index].cancel()
            pump.step()
        until_ended(*jobs)
        if len(cancelled) == 2:
            assert everything() == before
        else:
            (texture,) = textures(thing.active_material).values()
            assert texture.image["texserver"]["seed"] == str(2 - cancelled[0])
            assert tuple(texture.image.size) == (LARGE["width"], LARGE["height"])
        assert unused_images() == []
        thing.active_material = original
        for each in ours(bpy.data.materials):
            bpy.data.materials.remove(each)
        for each in (*ours(bpy.data.node_groups), *ours(bpy.data.images)):
            bpy.data.batch_remove([each])


@pytest.mark.parametrize("painted_before", [False, True], ids=["new", "in place"])
@pytest.mark.parametrize("cancelled", [False, True], ids=["goes on", "cancelled"])
def test_a_job_that_overtakes_another_one_is_not_harmed_by_its_end(cancelled: bool, painted_before: bool) -> None:
    """Both are for one object; the one that began first has shown its preview."""
    if painted_before:
        generate(seed=1, **SMALL)
    slow = begin(seed=2, **LARGE)
    until_previewed(slow)
    quick = begin(seed=3, **SMALL)
    while not quick.ended:
        state.session().connection.tick()
        quick.tick()
    while pending(quick):
        pump.advance_deliveries()
    assert not slow.ended
    thing = bpy.context.object
    assert textures(thing.active_material)["basecolor"].image["texserver"]["seed"] == "3"
    if cancelled:
        slow.cancel()
        pump.step()
    until_ended(slow)
    (texture,) = textures(thing.active_material).values()
    assert texture.image["texserver"]["seed"] == ("3" if cancelled else "2")
    assert value(thing.active_material, "Size") == pytest.approx(texture.image.size[0] / 1024)
    assert unused_images() == []


# ------------------------------------------------------------------------------------------- what happens meanwhile


@pytest.mark.parametrize("previewed", [False, True], ids=["before", "after a preview"])
def test_an_object_that_is_deleted_meanwhile_ends_the_job(previewed: bool) -> None:
    task = begin(**LARGE)
    if previewed:
        until_previewed(task)
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    until_ended(task)
    assert task.state == "failed"
    assert task.message.startswith("Cube no longer exists. Select another object and press")
    assert unused_images() == []
    assert drafts() == []
    bpy.data.orphans_purge(do_recursive=True)
    assert ours(bpy.data.materials) == []
    assert ours(bpy.data.images) == []


def test_a_texture_whose_object_is_gone_can_be_had_from_the_history() -> None:
    """Where it was painted all the same; the sentence says so."""
    task = begin(seed=5, **LARGE)
    until_previewed(task)
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    until_ended(task)
    plane()
    assert bpy.ops.texserver.again(index=0) == {"FINISHED"}
    (texture,) = textures(bpy.context.object.active_material).values()
    assert texture.image["texserver"]["seed"] == "5"


def test_of_several_objects_those_that_are_left_are_painted() -> None:
    active, other = plane("Active"), plane("Other")
    select(active, other)
    task = begin(all_selected=True, **LARGE)
    until_previewed(task)
    bpy.data.objects.remove(active)
    until_ended(task)
    assert task.state == "done"
    assert tuple(textures(other.active_material)["basecolor"].image.size) == (LARGE["width"], LARGE["height"])


def test_a_material_that_is_deleted_meanwhile_is_made_again() -> None:
    task = begin(**LARGE)
    until_previewed(task)
    bpy.data.materials.remove(bpy.context.object.active_material)
    until_ended(task)
    assert task.state == "done"
    assert textures(bpy.context.object.active_material)


@pytest.mark.parametrize("what", ["image", "nodes", "slots"])
def test_parts_that_are_deleted_meanwhile_are_made_again(what: str) -> None:
    task = begin(**LARGE)
    until_previewed(task)
    thing = bpy.context.object
    if what == "image":
        bpy.data.images.remove(textures(thing.active_material)["basecolor"].image)
    elif what == "nodes":
        thing.active_material.node_tree.nodes.clear()
    else:
        thing.data.materials.clear()
    until_ended(task)
    assert task.state == "done", task.message
    material = thing.active_material
    assert source(node(material, "BSDF_PRINCIPLED").inputs["Base Color"]) == live(material)
    assert set(textures(material)) == {"basecolor"}
    assert unused_images() == []


@pytest.mark.parametrize("what", ["image", "nodes", "slots", "material", "object"])
def test_cancel_takes_whatever_is_gone_by_then(what: str) -> None:
    generate(**SMALL)
    task = begin(seed=1, **LARGE)
    until_previewed(task)
    thing = bpy.context.object
    if what == "image":
        bpy.data.images.remove(textures(thing.active_material)["basecolor"].image)
    elif what == "nodes":
        thing.active_material.node_tree.nodes.clear()
    elif what == "slots":
        thing.data.materials.clear()
    elif what == "material":
        bpy.data.materials.remove(thing.active_material)
    else:
        bpy.data.objects.remove(thing)
    task.cancel()
    turn()
    assert task.state == "cancelled"
    assert unused_images() == []


@pytest.mark.parametrize("previewed", [False, True], ids=["before", "after a preview"])
@pytest.mark.parametrize("opened", ["new", "other"])
def test_another_file_ends_the_jobs_of_this_one(opened: str, previewed: bool, tmp_path: Path) -> None:
    other = tmp_path / "other.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(other))
    task = begin(**LARGE)
    if previewed:
        until_previewed(task)
    if opened == "new":
        bpy.ops.wm.read_homefile(use_factory_startup=True)
    else:
        bpy.ops.wm.open_mainfile(filepath=str(other))
    before = everything()
    assert task.state == "cancelled"
    assert "another file was opened" in task.message
    turn()
    assert everything() == before
    assert ours(bpy.data.images) == []
    assert drafts() == []
    generate(seed=1, **SMALL)
    text = refusal(lambda: bpy.ops.texserver.retry(task_id=task.id))
    assert text.startswith("Cube no longer exists")
    assert task in state.session().tasks


def test_a_file_that_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.blend"
    broken.write_bytes(b"not a blend file")
    task = begin(**LARGE)
    until_previewed(task)
    with pytest.raises(RuntimeError):
        bpy.ops.wm.open_mainfile(filepath=str(broken))
    until_ended(task)
    assert task.state in ("done", "cancelled")
    for each in textures(bpy.context.object.active_material).values():
        assert tuple(each.image.size) == (LARGE["width"], LARGE["height"])
    assert unused_images() == []


@pytest.mark.parametrize("previewed", [False, True], ids=["before", "after a preview"])
@pytest.mark.parametrize("painted_before", [False, True], ids=["new", "in place"])
def test_the_extension_can_be_disabled_meanwhile(painted_before: bool, previewed: bool) -> None:
    if painted_before:
        generate(seed=1, **SMALL)
    connect()
    before = everything()
    task = begin(seed=2, **LARGE)
    if previewed:
        until_previewed(task)
    started = time.monotonic()
    addon_utils.disable(EXTENSION)
    assert time.monotonic() - started < 1
    try:
        assert task.state == "cancelled"
        assert everything() == before
        assert drafts() == []
    finally:
        addon_utils.enable(EXTENSION)
    generate(seed=3, **SMALL)


# -------------------------------------------------------------------------------------------- a server that goes away


class OwnServer:
    """One that may be killed. It takes the same place again when it is started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "connection.json"
        self.process: subprocess.Popen[bytes] | None = None
        shutil.copytree(MODELS, home / "models")
        (home / "models" / "broken.safetensors").write_bytes(b"no model")

    def start(self) -> None:
        command = [PYTHON, "-m", "server", "--models", str(self.home / "models"), "--device", "cpu"]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--connection-file", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        if self.process:
            print((self.home / "log").read_text())  # shown where a test fails
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path_factory.mktemp("own"))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def own(running: OwnServer, monkeypatch: pytest.MonkeyPatch) -> OwnServer:
    """The extension is connected to it."""
    monkeypatch.setenv(ENVIRONMENT, str(running.file))
    state.session().reconnect()
    state.session().wanted = True
    until(lambda: state.session().connection.state == "ready", "the server")
    until(lambda: state.session().catalogue.settled, "its models")
    return running


def test_a_model_that_is_broken_there_is_told_of(own: OwnServer) -> None:
    assert told(model="broken").startswith("The server has no model 'broken' for textures. Its file is broken: ")


def test_a_job_goes_on_when_the_server_is_back(own: OwnServer) -> None:
    before = everything()
    task = begin(**LARGE)
    until_previewed(task)
    shown = everything()
    own.kill()
    until(lambda: state.session().connection.state == "failed-for-now", "that it is noticed", TOLD_S)
    assert "No texserver runs" in state.session().state_line
    assert not task.ended
    assert everything() == shown != before
    own.start()
    until_ended(task)
    assert task.state == "done", task.message
    assert tuple(textures(bpy.context.object.active_material)["basecolor"].image.size) == (528, 48)


def test_a_job_whose_server_stays_away_fails_in_time_and_can_be_tried_again(
    own: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferences.get().patience_s = 5
    assert state.session().patience_s == 5
    before = everything()
    task = begin(**LARGE)
    until_previewed(task)
    own.kill()
    started = time.monotonic()
    until_ended(task)
    assert time.monotonic() - started < 5 + TOLD_S
    assert task.state == "failed"
    assert task.message.startswith("No pixels arrived for 5 seconds. No texserver runs")
    assert task.message.endswith("Then press Retry.")
    assert everything() == before
    assert drafts() == []
    text = refusal(lambda: bpy.ops.texserver.retry(task_id=task.id))
    assert "No texserver runs" in text
    assert state.session().tasks == [task]
    monkeypatch.setenv(ENVIRONMENT, os.environ["TEXSERVER_CONNECTION_OF_TESTS"])  # now there is one
    state.session().patience_s = PATIENCE_S
    until(lambda: state.session().connection.state == "ready", "the server")
    assert bpy.ops.texserver.retry(task_id=task.id) == {"FINISHED"}
    assert tuple(textures(bpy.context.object.active_material)["basecolor"].image.size) == (528, 48)


def test_a_server_that_answers_and_paints_nothing_is_given_up() -> None:
    connect()
    state.session().patience_s = 1
    before = everything()
    with Paused():
        task = begin(seed=fresh_seed(), **LARGE)
        until_ended(task)
    assert task.state == "failed"
    assert task.message.startswith("No pixels arrived for 1 seconds. The server accepts requests")
    assert everything() == before


def test_an_object_error_is_raised_where_it_belongs() -> None:
    add("Thing", None)
    connect()
    with pytest.raises(NotAssigned):
        orders.prepare(bpy.context, model="tiny")
