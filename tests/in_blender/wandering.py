"""Whatever an artist does, in whatever order: every job ends, and nothing is left over that nobody sees.

TEXSERVER_TEST_WALKS in the environment says how many walks, for a long search.
"""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy
import pytest
from bl_ext.user_default.texserver.loop import pump, trial
from bl_ext.user_default.texserver.material.assignment import NotAssigned
from bl_ext.user_default.texserver.panel import orders, preferences
from bl_ext.user_default.texserver.panel.orders import NotOrdered
from bl_ext.user_default.texserver.tasks import state
from bl_ext.user_default.texserver.tasks.texture_task import TextureTask
from inside import connect, drafts, turn, until
from scenery import foreign_material, live, ours, plane, select

STEPS = 50
MOST_OBJECTS = 6


class Artist:
    """Does one thing after the other, as the seed tells."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.tasks: list[TextureTask] = []
        self.done: list[str] = []
        self.told: list[str] = []
        self.left: set[int] = set()  # images without users, by the artist's own doing

    def step(self) -> None:
        what = self.random.choice(self.CAN)
        self.done.append(what.__name__)
        before = unused()
        what(self)
        if what in (Artist.delete_material, Artist.delete_nodes):
            self.left |= unused() - before
        pump.step()
        assert unused() <= self.left, self.done

    # ---------------------------------------------------------------------------------------------------------- steps

    def generate(self) -> None:
        """Begin, as a button does; sometimes one of a size that has a preview."""
        self._choose()
        width = self.random.choice((16, 64, 96, 520))
        given = {
            "model": self.random.choice(("tiny", "tiles", "stone")),
            "seed": self.random.randrange(8),
            "width": width,
            "height": self.random.choice((16, 48, 64)),
            "target": self.random.choice(("UPDATE", "UPDATE", "NEW", "ADD")),
            "mapping": self.random.choice(("UV", "BOX", "OBJECT")),
            "all_selected": self.random.random() < 0.3,
            "replace_links": self.random.random() < 0.3,
        }
        try:
            self.tasks.append(orders.prepare(bpy.context, **given).begin())
        except (NotAssigned, NotOrdered) as error:
            self.told.append(str(error))

    def generate_and_wait(self) -> None:
        self.generate()
        self.wait()

    def wait(self) -> None:
        """Until all is done."""
        until(lambda: not state.session().busy, "the end of all jobs")

    def go_on(self) -> None:
        turn(self.random.randrange(1, 30))

    def cancel(self) -> None:
        if self.tasks:
            bpy.ops.texserver.cancel(task_id=self.random.choice(self.tasks).id)

    def cancel_all(self) -> None:
        bpy.ops.texserver.cancel(task_id=0)

    def retry(self) -> None:
        """By the button, whatever state it is in."""
        ended = [task for task in state.session().tasks if task.ended]
        if ended and bpy.context.object:
            try:
                bpy.ops.texserver.retry(task_id=self.random.choice(ended).id)
            except RuntimeError as error:
                self.told.append(str(error).strip())

    def change_a_material(self) -> None:
        """In the panel, while a preview or a texture is shown in it."""
        for material in [each for each in bpy.data.materials if live(each)]:
            if self.random.random() < 0.5:
                material.texserver_live.mapping = self.random.choice(("UV", "BOX", "OBJECT"))
                material.texserver_live.displace = self.random.random() < 0.5
                live(material).inputs["Size"].default_value *= 2

    def vary(self) -> None:
        """Small textures of some seeds, now and then the next ones."""
        bpy.context.scene.texserver.model = self.random.choice(("tiny", "tiles", "stone"))
        bpy.context.scene.texserver.variations = 2
        more = state.session().variations and self.random.random() < 0.5
        (bpy.ops.texserver.next_variations if more else bpy.ops.texserver.variations)()

    def try_on(self) -> None:
        """One of them, on the objects that are chosen or on others."""
        if self.random.random() < 0.5:
            self._choose()
        bpy.context.scene.texserver.all_selected = self.random.random() < 0.3
        bpy.context.scene.texserver.target = self.random.choice(("UPDATE", "UPDATE", "NEW", "ADD"))
        self._call(bpy.ops.texserver.step_variation, step=self.random.choice((-1, 1)))

    def take_off(self) -> None:
        self._call(bpy.ops.texserver.take_off_variation)

    def keep(self) -> None:
        """As the button does, so that it may be cancelled."""
        bpy.context.scene.texserver.size = "512"
        if on := trial.current():
            try:
                self.tasks.append(orders.kept(bpy.context, on).begin())
            except (NotAssigned, NotOrdered) as error:
                self.told.append(str(error))

    def vary_per_object(self) -> None:
        """Another piece for each."""
        for material in [each for each in bpy.data.materials if live(each)]:
            material.texserver_live.vary = self.random.random() < 0.5
        self._choose()
        self._call(self.random.choice((bpy.ops.texserver.dice_piece, bpy.ops.texserver.clear_piece)))

    def use_a_library_s_material(self) -> None:
        """On faces, and its model and seed for what comes next."""
        names = [each.name for each in bpy.data.materials]
        if names:
            self._call(bpy.ops.texserver.assign_to_faces, material=self.random.choice(names))
        self._call(bpy.ops.texserver.match_material)

    def _call(self, operator: Any, **given: Any) -> None:
        """An operator, if it can be called; what it says is kept."""
        if operator.poll():
            try:
                operator(**given)
            except RuntimeError as error:
                self.told.append(str(error).strip())

    def unwrap(self) -> None:
        self._choose()
        if bpy.ops.texserver.unwrap.poll():
            bpy.ops.texserver.unwrap()

    def select_faces(self) -> None:
        """And go into Edit Mode, or out of it."""
        if bpy.context.object and bpy.context.object.type == "MESH":
            if bpy.context.object.mode == "OBJECT" and len(bpy.context.object.data.polygons) > 1:
                for each in bpy.context.object.data.polygons:
                    each.select = self.random.random() < 0.5
            with suppress(RuntimeError):  # another object edits the same mesh
                bpy.ops.object.mode_set(mode="OBJECT" if bpy.context.object.mode == "EDIT" else "EDIT")

    def add_object(self) -> None:
        if len(bpy.data.objects) < MOST_OBJECTS:
            thing = plane()
            if self.random.random() < 0.5:
                thing.data.materials.append(foreign_material())

    def delete_object(self) -> None:
        if bpy.data.objects:
            bpy.data.objects.remove(self.random.choice(list(bpy.data.objects)))

    def new_material(self) -> None:
        """In some slot, in place of whatever is there."""
        self._choose()
        if bpy.context.object and bpy.context.object.type == "MESH":
            bpy.context.object.active_material = self.random.choice((None, foreign_material()))

    def delete_material(self) -> None:
        if bpy.data.materials:
            bpy.data.materials.remove(self.random.choice(list(bpy.data.materials)))

    def delete_image(self) -> None:
        if bpy.data.images:
            bpy.data.images.remove(self.random.choice(list(bpy.data.images)))

    def delete_nodes(self) -> None:
        if materials := [each for each in bpy.data.materials if each.node_tree]:
            tree = self.random.choice(materials).node_tree
            for node in list(tree.nodes):
                if self.random.random() < 0.3:
                    tree.nodes.remove(node)

    def copy_object(self) -> None:
        """Linked, so that two have one mesh."""
        self._choose()
        if bpy.context.object and len(bpy.data.objects) < MOST_OBJECTS:
            twin = bpy.context.object.copy()
            bpy.context.scene.collection.objects.link(twin)

    def rename(self) -> None:
        for things in (bpy.data.objects, bpy.data.materials):
            for each in things:
                if self.random.random() < 0.3:
                    each.name = f"Name {self.random.randrange(5)}"

    def new_file(self) -> None:
        bpy.ops.wm.read_homefile(use_factory_startup=True)

    def save_and_reopen(self) -> None:
        path = self.folder / f"{self.random.randrange(3)}.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        bpy.ops.wm.open_mainfile(filepath=str(path))
        bpy.data.orphans_purge(do_recursive=True)  # of unused materials, Blender has saved the images

    def save_elsewhere(self) -> None:
        """And keep textures beside the file, or in it again."""
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / f"{self.random.randrange(3)}.blend"))
        preferences.get().storage = self.random.choice(("PACK", "FILES"))

    def clear(self) -> None:
        bpy.ops.texserver.clear_jobs()

    CAN: tuple[Callable[["Artist"], None], ...] = (
        *(6 * (generate, generate_and_wait)),
        *(4 * (go_on,)),
        *(cancel, cancel_all, retry),
        *(change_a_material, change_a_material, unwrap, select_faces, select_faces),
        *(vary, vary, try_on, try_on, try_on, try_on, take_off, keep, keep, vary_per_object),
        *(use_a_library_s_material, use_a_library_s_material),
        *(add_object, add_object, delete_object, copy_object, rename),
        *(new_material, delete_material, delete_image, delete_nodes),
        *(new_file, save_and_reopen, save_elsewhere, clear),
    )

    def _choose(self) -> None:
        things = list(bpy.context.scene.collection.all_objects)
        select(*self.random.sample(things, min(len(things), 2)))


def unused() -> set[int]:
    """Our images and node groups that nobody uses, by their session identifiers, but for what a job under way holds.

    It brings back what it replaced when it is cancelled, and loads its maps one by one before it shows them.
    """
    on = trial.current()
    assignments = [*(each.assignment for each in pump.pending()), *([on.assignment] if on else [])]
    kept = {each.uid for one in assignments for each in (*one._replaced, *one._loaded.values())}
    made = (*ours(bpy.data.images), *ours(bpy.data.node_groups))
    return {each.session_uid for each in made if each.users == 0} - kept


@pytest.mark.parametrize("seed", range(int(os.environ.get("TEXSERVER_TEST_WALKS", "3"))))
def test_nothing_is_left_over_after_any_walk(seed: int, tmp_path: Path) -> None:
    connect()
    artist = Artist(seed, tmp_path)
    for _ in range(STEPS):
        artist.step()
    artist.wait()
    until(lambda: not pump.pending(), "what becomes of the last one")
    pump.step()
    assert all(task.ended for task in artist.tasks), artist.done
    assert {task.state for task in artist.tasks} <= {"done", "failed", "cancelled"}
    assert pump.pending() == [], artist.done
    assert unused() <= artist.left, artist.done
    assert drafts() == []
    assert any(task.state == "done" for task in artist.tasks), artist.done
    for text in (*artist.told, *(task.message for task in artist.tasks)):
        assert text.endswith(".")
        assert "could not be put" not in text
