"""Each training ends in a model that is served or in a sentence, whatever trainer, disk and server do.

The trainer here is fake_trainer.py, in a real process.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender_addon.pictures.draft import ImageFileError
from blender_addon.protocol import wire
from server.errors import Refused
from server.front.origin import Origin
from server.front.shelf import Shelf
from server.service import module_run, training, training_job
from server.service.training import Training
from server.service.training_job import TrainingJob
from tests.models import save_tiny
from tests.server.session import eventually, runs

pytestmark = pytest.mark.timeout(120)

ANNA, BERT = Origin("anna", "127.0.0.1"), Origin("bert", "127.0.0.1")
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
HEIGHTS = np.random.default_rng(1).integers(0, 65536, (32, 40, 1)).astype("<u2")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the fake trainer."""
    folder = tmp_path / "fake"
    folder.mkdir()
    save_tiny(folder, "model")
    monkeypatch.setenv("FAKE_TRAINER", str(folder))
    return folder


@pytest.fixture
def models(tmp_path: Path, home: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


class Desk:
    """A service with its shelf; steps as the server does."""

    def __init__(self, models: Path, limits: wire.Limits, module: str) -> None:
        self.shelf = Shelf(models)
        self.service = Training(models, self.shelf, limits, lambda origin: "", module=module)

    def step(self) -> None:
        self.shelf.step()
        self.service.step()

    def take(self, token: str = "a", name: str = "wall", who: Origin = ANNA, **fields: Any) -> wire.Job:
        assert self.service.why_not(who) == ""
        return self.service.take(who, request(token, name, **fields))

    def look(self, token: str = "a", who: Origin = ANNA, seen: int = 0) -> wire.Job:
        self.step()
        return self.service.job(who.key, wire.GetJob(id=2, token=token * 32, seen=seen))

    def until(self, state: str, token: str = "a", who: Origin = ANNA) -> wire.Job:
        eventually(lambda: self.look(token, who).state in (state, *training_job.ENDED), f"{token} is {state}")
        job = self.look(token, who)
        assert job.state == state, job
        return job

    def cancel(self, token: str = "a") -> wire.Job:
        return self.service.cancel("anna", wire.CancelJob(id=3, token=token * 32))

    def all(self, who: Origin = ANNA) -> list[str]:
        return [each["name"] for each in self.service.jobs(who.key, wire.ListJobs(id=4)).jobs]


def request(token: str = "a", name: str = "wall", **fields: Any) -> wire.Train:
    height = wire.Buffer(name="height", dtype="uint16", shape=HEIGHTS.shape, data=HEIGHTS.tobytes())
    base = wire.Buffer(name="basecolor", dtype="uint8", shape=PIXELS.shape, data=PIXELS.tobytes())
    return wire.Train(id=1, token=token * 32, name=name, buffers=(base, height), **fields)


Open = Callable[..., Desk]


@pytest.fixture
def serve(models: Path) -> Iterator[Open]:
    """Begins a service; those before end as when a server ends."""
    begun: list[Desk] = []

    def begin(*, closing: bool = True, module: str = "tests.server.service.fake_trainer", **limits: int) -> Desk:
        if closing and begun:
            begun[-1].service.close()
        begun.append(Desk(models, wire.Limits(**limits), module))
        return begun[-1]

    yield begin
    for each in begun:
        each.service.close()


def pid_of(home: Path, name: str) -> int:
    path = home / f"{name}.pid"
    return int(eventually(lambda: path.exists() and path.read_text(), f"{name} runs"))


def folders(models: Path) -> list[Path]:
    return sorted(each for each in (models / ".training").iterdir() if each.is_dir())


# ------------------------------------------------------------------------------------------------------------ the way


def test_maps_become_a_model_that_is_served_and_nothing_else_is_left(serve: Open, models: Path, home: Path) -> None:
    desk = serve()
    first = desk.take(
        metres=2.0, category="-Masonry", corners=(0, 0, 0, 1, 1, 1, 1, 0.5), aspect=1.5, derive=("normal",)
    )
    assert (first.state, first.text) == ("waiting", "It is next.")
    done = desk.until("done")
    assert (done.fraction, done.name, done.picture) == (1, "wall", 1)
    assert desk.shelf.get("wall").sha256 == done.sha256
    (folder,) = folders(models)
    assert sorted(each.name for each in folder.iterdir()) == ["job.json", "picture.rgb"]
    assert (models / "wall.safetensors").read_bytes() == (home / "model.safetensors").read_bytes()
    told = " ".join(json.loads((home / "wall.argv").read_text()))
    assert f"--swatch {folder}/wall.tif" in told
    assert f"--map height={folder}/height.tif" in told
    wanted = ("--metres 2.0", "--category=-Masonry", "--corners 0,0;0,1;1,1;1,0.5", "--aspect 1.5", "--derive normal")
    assert all(each in told for each in wanted)
    assert "--keep-light" not in told


def test_a_painting_becomes_a_style_without_what_is_left_out(serve: Open, models: Path, home: Path) -> None:
    desk = serve()
    parts = ((0.0, 0.25, 0.5, 0.125), (0.5, 0.5, 0.25, 0.25))
    asked = replace(request(name="oil", kind="style", leave_out=parts), buffers=request().buffers[:1])
    assert desk.service.why_not(ANNA) == ""
    assert desk.service.take(ANNA, asked).kind == "style"
    assert desk.until("done").kind == "style"
    told = " ".join(json.loads((home / "oil.argv").read_text()))
    assert "--kind style --leave-out 0.25,0.0,0.125,0.5 --leave-out 0.5,0.5,0.25,0.25" in told
    desk = serve()  # and the next server knows what it is
    assert desk.look().kind == "style"
    (listed,) = desk.service.jobs("anna", wire.ListJobs(id=4)).jobs
    assert listed["kind"] == "style"


def test_a_job_of_a_server_before_that_told_no_kind_is_of_a_texture(serve: Open, models: Path) -> None:
    desk = serve()
    desk.take()
    desk.until("done")
    (folder,) = folders(models)
    record = json.loads((folder / "job.json").read_text())
    del record["kind"]
    (folder / "job.json").write_text(json.dumps(record))
    assert serve().look().kind == "texture"


def test_the_maps_are_kept_bit_for_bit_and_for_this_user_alone(serve: Open, models: Path) -> None:
    desk = serve()
    desk.take(name="slow")
    desk.until("running")
    (folder,) = folders(models)
    assert folder.stat().st_mode & 0o077 == (models / ".training").stat().st_mode & 0o077 == 0
    with Image.open(folder / "slow.tif") as image:
        assert np.array_equal(np.asarray(image), PIXELS)
    with Image.open(folder / "height.tif") as image:
        assert np.array_equal(np.asarray(image), HEIGHTS[..., 0])


def test_a_picture_is_sent_once(serve: Open) -> None:
    desk = serve()
    desk.take(name="slow")
    eventually(lambda: desk.look().picture, "a picture")
    (picture,) = desk.look().buffers
    assert (picture.name, picture.shape, bytes(picture.data)) == ("picture", (2, 2, 3), bytes(range(12)))
    assert desk.look(seen=1).buffers == ()
    assert desk.look(seen=1).picture == 1


def test_jobs_run_one_after_the_other_in_the_order_they_came(serve: Open) -> None:
    desk = serve()
    desk.take("a", "slow")
    desk.take("b", "brick", BERT)
    desk.take("c", "stone")
    desk.until("running")
    assert [desk.look(token, who).text for token, who in (("b", BERT), ("c", ANNA))] == [
        "Waiting: 1 before it.",
        "Waiting: 2 before it.",
    ]
    desk.cancel("a")
    assert desk.until("done", "c").name == "stone"
    assert desk.look("b", BERT).state == "done"
    assert (desk.all(), desk.all(BERT)) == (["stone", "slow"], ["brick"])


def test_a_job_is_known_to_its_key_alone(serve: Open) -> None:
    desk = serve()
    desk.take()
    with pytest.raises(Refused, match="no training") as error:
        desk.look("a", BERT)
    assert error.value.code == "not_found"
    with pytest.raises(Refused):
        desk.service.cancel("bert", wire.CancelJob(id=3, token="a" * 32))


# ------------------------------------------------------------------------------------------------------ what is refused


def test_the_same_token_is_the_same_job(serve: Open) -> None:
    desk = serve()
    desk.take()
    assert desk.take(name="other").name == "wall"
    assert desk.all() == ["wall"]
    desk.take(who=BERT, name="other")  # another key's token is another job


def test_a_name_is_taken_once_unless_it_is_to_be_replaced(serve: Open, models: Path) -> None:
    desk = serve()
    save_tiny(models, "brick", seed=3)
    desk.take("a", "wall")
    for name in ("brick", "wall"):
        with pytest.raises(Refused, match="name: ") as error:
            desk.take("b", name)
        assert error.value.code == "bad_request"
    old = (models / "brick.safetensors").read_bytes()
    desk.take("c", "brick", replace=True)
    desk.until("done", "c")
    assert (models / "brick.safetensors").read_bytes() != old


def test_a_model_that_came_meanwhile_is_not_replaced(serve: Open, models: Path) -> None:
    desk = serve()
    desk.take("a", "slow")
    desk.take("b", "wall")
    path = save_tiny(models, "wall", seed=3)
    old = path.read_bytes()
    desk.cancel("a")
    assert "Meanwhile there is another model 'wall'" in desk.until("failed", "b").text
    assert path.read_bytes() == old


def test_a_key_may_have_so_many_waiting_and_others_are_not_kept_from_it(serve: Open) -> None:
    desk = serve(max_train_jobs=2)
    desk.take("a", "slow")
    desk.take("b", "brick")
    with pytest.raises(Refused, match="may not be more") as error:
        desk.take("c", "stone")
    assert (error.value.code, error.value.retry_ms) == ("busy", training.RETRY_MS)
    desk.take("d", "tiles", BERT)
    desk.cancel("b")
    desk.take("c", "stone")


def test_all_together_may_have_so_many_waiting_and_so_much_unwritten(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = serve()
    monkeypatch.setattr(training, "HELD_BYTES", 2 * request().bytes)
    desk.take("a", "brick")
    desk.take("b", "stone")
    with pytest.raises(Refused, match="still writing"):
        desk.take("c", "tiles", BERT)
    monkeypatch.setattr(training, "HELD_BYTES", 2**30)
    monkeypatch.setattr(training, "MAX_WAITING", 2)
    with pytest.raises(Refused, match="too many trainings"):
        desk.take("c", "tiles", BERT)


# ---------------------------------------------------------------------------------------------------- what goes wrong


def test_a_cancelled_job_ends_at_once_whether_it_waits_or_runs(serve: Open, models: Path, home: Path) -> None:
    desk = serve()
    desk.take("a", "slow")
    desk.take("b", "brick")
    assert desk.cancel("b").state == "cancelled"
    desk.until("running")
    pid = pid_of(home, "slow")
    assert desk.cancel("a").state == "cancelled"
    assert not runs(pid)
    assert desk.cancel("a").state == "cancelled"
    assert all(not list(each.glob("*.tif")) for each in folders(models))


def test_figures_tell_of_the_trainings_of_all_keys(serve: Open) -> None:
    desk = serve()
    nothing = dict.fromkeys(("waiting", "running", "done", "failed", "cancelled", "interrupted"), 0)
    assert desk.service.figures() == nothing
    desk.take("a", "wall")
    desk.take("b", "fails", who=BERT)
    desk.take("c", "slow")
    assert desk.service.figures() == nothing | {"waiting": 3}
    desk.until("running", "c")
    assert desk.service.figures() == nothing | {"running": 1, "done": 1, "failed": 1}
    desk.cancel("c")
    assert desk.service.figures() == nothing | {"done": 1, "failed": 1, "cancelled": 1}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("dies", "ended by signal 9"),
        ("fails", "'fails'.tif is fully transparent."),
        ("odd", "without a model"),
        ("broken", "cannot be used: it is"),
    ],
)
def test_a_trainer_that_fails_is_told_in_a_sentence_without_paths(
    serve: Open, models: Path, name: str, why: str
) -> None:
    desk = serve()
    desk.take(name=name)
    job = desk.until("failed")
    assert why in job.text
    assert str(models) not in job.text
    desk.take("b", "wall")
    desk.until("done", "b")


def test_a_trainer_that_hangs_is_ended(serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_run.ModuleRun.__init__, "__kwdefaults__", {"silent_s": 1.0, "clock": time.monotonic})
    desk = serve()
    desk.take(name="slow")
    desk.until("running")
    assert desk.service._run is not None
    pid = desk.service._run[1].pid
    assert "was ended" in desk.until("failed").text
    assert not runs(pid)


def test_a_full_disk_is_a_failed_job(serve: Open, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise ImageFileError("The disk is full: /secret/wall.tif was not written.")

    desk = serve()
    monkeypatch.setattr(training_job, "open_image", full)
    desk.take()
    job = desk.until("failed")
    assert "its disk is full" in job.text
    assert "/" not in job.text
    monkeypatch.undo()
    desk.cancel()


def test_a_model_that_cannot_be_placed_is_told(serve: Open, models: Path) -> None:
    desk = serve()
    (models / "wall.safetensors").mkdir()
    desk.take(replace=True)
    assert "could not put the model" in desk.until("failed").text


def test_where_nothing_can_be_written_nobody_trains(serve: Open, models: Path) -> None:
    (models / ".training").touch()  # a folder that cannot be made, whoever runs the tests
    desk = serve()
    assert "cannot write to its models folder" in desk.service.why_not(ANNA)


def test_a_server_without_the_trainer_says_so(serve: Open) -> None:
    assert "lacks the trainer" in serve(module="no_such_trainer").service.why_not(ANNA)


def test_of_two_servers_of_one_folder_one_trains_and_the_other_when_it_has_ended(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "OPEN_EVERY_S", 0.0)
    one = serve()
    one.take(name="slow")
    two = serve(closing=False)
    assert "Another server" in two.service.why_not(ANNA)
    one.service.close()
    assert two.service.why_not(ANNA) == ""
    assert two.until("running").name == "slow"


# ------------------------------------------------------------------------------------------------- a server ends


def test_what_waited_goes_on_and_what_ran_begins_again_as_often_as_the_server_was_ended(
    serve: Open, models: Path, home: Path
) -> None:
    desk = serve()
    desk.take("a", "slow")
    desk.take("b", "brick")
    eventually(lambda: desk.look("b").state == "waiting" and all(map(stored, folders(models))), "all maps are written")
    for _ in range(training.ATTEMPTS + 1):
        desk.until("running")
        pid = pid_of(home, "slow")
        desk = serve()
        assert not runs(pid)
    desk.until("running")
    desk.cancel("a")
    assert desk.until("done", "b").name == "brick"
    assert [desk.look(token).state for token in "ab"] == ["cancelled", "done"]


def stored(folder: Path) -> bool:
    return TrainingJob.read(folder).is_stored


@contextmanager
def killed(desk: Desk) -> Iterator[None]:
    """Its server is killed: nothing is said to anybody, and the trainer's standard input closes."""
    service = desk.service
    if service._run is not None:
        _, run = service._run
        assert run._popen.stdin is not None
        run._popen.stdin.close()
        run._popen.wait()
    assert service._lock is not None
    service._lock.close()
    service._run = service._lock = None
    service._jobs.clear()
    yield


def test_what_ran_when_the_server_was_killed_is_begun_once_more_and_then_interrupted(serve: Open, home: Path) -> None:
    desk = serve()
    desk.take("a", "slow")
    desk.until("running")
    pid = pid_of(home, "slow")
    with killed(desk):
        assert not runs(pid)
        desk = serve()
    desk.until("running")
    with killed(desk):
        desk = serve()
    assert "ended twice" in desk.until("interrupted").text


def test_a_job_whose_maps_were_not_all_written_is_interrupted(serve: Open) -> None:
    desk = serve()
    desk.take()
    with killed(desk):
        desk = serve()
    assert "Send them again" in desk.until("interrupted").text


def test_a_model_placed_by_a_server_that_was_killed_is_done(serve: Open, models: Path, home: Path) -> None:
    desk = serve()
    desk.take()
    eventually(lambda: desk.look() and (models / "wall.safetensors").exists(), "the model is placed")
    if desk.look().state != "done":
        with killed(desk):
            desk = serve()
    assert desk.until("done").sha256


def test_what_is_no_job_is_removed_and_harms_none(serve: Open, models: Path) -> None:
    desk = serve()
    desk.take()
    desk.until("done")
    for name, content in (("1", b""), ("2", b"[]"), ("3", b'{"format": 1}'), ("4", b'{"format": 9}')):
        (models / ".training" / name).mkdir()
        (models / ".training" / name / "job.json").write_bytes(content)
    desk = serve()
    assert desk.all() == ["wall"]
    assert len(folders(models)) == 1


def test_what_became_of_a_job_is_told_for_a_day(serve: Open, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = serve()
    desk.take()
    desk.until("done")
    desk = serve()
    assert desk.look().state == "done"
    monkeypatch.setattr(training, "TIDY_EVERY_S", 0.0)
    now = time.time()
    monkeypatch.setattr(training.time, "time", lambda: now + training.KEPT_S + 1)
    with pytest.raises(Refused):
        eventually(lambda: desk.look() and False, "it is forgotten", within_s=5)
    assert folders(models) == []
    assert (models / "wall.safetensors").exists()


def test_a_list_is_bounded(serve: Open) -> None:
    desk = serve(max_train_jobs=200)
    for number in range(12):
        desk.service.take(ANNA, request(f"{number:x}", f"brick{number}"))
    job = next(iter(desk.service._jobs.values()))
    for each in desk.service._jobs.values():
        each.state, each.text = "failed", "é" * 500
    assert job.state == "failed"
    jobs = desk.service.jobs("anna", wire.ListJobs(id=4))
    assert 0 < len(jobs.jobs) <= 12
    wire.encode(jobs)  # fits into a header


def test_a_process_in_the_background_gives_way_to_others(serve: Open, home: Path) -> None:
    desk = serve()
    desk.take(name="slow")
    desk.until("running")
    assert os.getpriority(os.PRIO_PROCESS, pid_of(home, "slow")) >= module_run.NICE
    os.kill(pid_of(home, "slow"), signal.SIGTERM)
    assert "signal 15" in desk.until("failed").text
