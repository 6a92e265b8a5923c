"""A material from a picture: the maps go to the server once, the growing texture comes back, then the finished one."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender_addon.protocol import wire
from blender_addon.tasks.catalogue import ListedModel
from blender_addon.tasks.session import AddonSession
from blender_addon.tasks.texture_task import TextureOrder
from blender_addon.tasks.training_task import NoMaps, TrainingOrder, TrainingTask, _grown
from tests.blender_addon.fake_server import SHA256, FakeServer, refusal, result
from trainer.quilt.learning import choose_sizes

pytestmark = pytest.mark.timeout(60)
ORDER = TrainingOrder(name="brick", metres=2.0, category="Masonry")
PICTURE = wire.Buffer(name="basecolor", dtype="uint8", shape=(20, 30, 3), data=bytes(range(180)) * 10)


class Trainer:
    """What a server does with one training: `states` are told one after the other, the last again and again."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.asked: list[wire.Train] = []
        self.cancelled: list[str] = []
        self.forgets = False

    def __call__(self, request: wire.Request) -> Iterable[wire.Reply] | None:
        if isinstance(request, wire.Train):
            self.asked.append(request)
            return [self.job(request, "waiting")]
        if isinstance(request, wire.CancelJob):
            self.cancelled.append(request.token)
            return [self.job(request, "cancelled")]
        if isinstance(request, wire.GetJob):
            if self.forgets:
                self.forgets = False
                return [refusal(request, "not_found")]
            return [self.job(request, self.states.pop(0) if len(self.states) > 1 else self.states[0])]
        if isinstance(request, wire.ListJobs):
            entry = {"token": "0" * 32, "name": "old", "state": "done"}
            return [wire.Jobs(id=request.id, jobs=(entry,))]
        if isinstance(request, wire.ListModels):
            done = self.states[0] == "done"
            maps = [{"name": "basecolor", "channels": 3, "colour_space": "srgb"}]
            told = {"name": "brick", "state": "ready", "sha256": SHA256, "maps": maps, "swatch": [512, 1024]}
            return [wire.Models(id=request.id, models=(told,) if done else (), total=int(done), after="")]
        if isinstance(request, wire.Generate):
            return [result(request)]
        return None

    def job(self, request: Any, state: str) -> wire.Job:
        seen = getattr(request, "seen", 0)
        grey = wire.Buffer(name="picture", dtype="uint8", shape=(8, 16, 3), data=bytes([99]) * 384)
        new = state == "running" and seen < 1
        return wire.Job(
            id=request.id,
            token=request.token,
            name="brick",
            state=state,
            fraction=0.5,
            text="The picture is too dark." if state == "failed" else "Looking.",
            picture=int(state == "running"),
            buffers=(grey,) if new else (),
        )


class Source:
    """Gives the picture after some steps."""

    def __init__(self, fail: str = "") -> None:
        self.buffers: list[wire.Buffer] = []
        self.closed = False
        self._fail = fail
        self._left = 5

    def step(self) -> bool:
        self._left -= 1
        if self._left == 0:
            if self._fail:
                raise NoMaps(self._fail)
            self.buffers.append(PICTURE)
        return self._left > 0

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def trainer() -> Trainer:
    return Trainer("waiting", "running", "running", "done")


@pytest.fixture
def server(trainer: Trainer) -> Iterator[FakeServer]:
    with FakeServer(script=trainer) as running:
        running.features = (*running.features, "train")
        yield running


@pytest.fixture
def session(server: FakeServer, tmp_path: Path) -> Iterator[AddonSession]:
    with closing(AddonSession(tmp_path / "session", lambda: server.pairing)) as session:
        yield session


def begin(session: AddonSession, **options: Any) -> TrainingTask:
    def paint(model: ListedModel) -> TextureOrder:
        return TextureOrder(model=model.name, seed=0, size=(32, 32), maps=("basecolor",))

    return session.learn(ORDER, source=options.pop("source", Source()), paint=paint, **options)


def until(session: AddonSession, holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        session.tick()
        time.sleep(0.002)


def finish(session: AddonSession, task: TrainingTask) -> list[Any]:
    """To the end: all previews."""
    previews: list[Any] = []

    def ended() -> bool:
        if task.preview and task.preview not in previews:
            previews.append(task.preview)
        return task.ended

    until(session, ended)
    return previews


def test_from_the_picture_to_the_texture(session: AddonSession, trainer: Trainer) -> None:
    source = Source()
    task = begin(session, source=source)
    previews = finish(session, task)
    assert (task.state, task.message) == ("done", "brick is painted.")
    assert source.closed
    (asked,) = trainer.asked
    assert (asked.name, asked.metres, asked.category, asked.corners, asked.replace) == (
        "brick",
        2.0,
        "Masonry",
        None,
        False,
    )
    assert bytes(asked.buffers[0].data) == PICTURE.data
    assert task.result
    assert task.result.painting.size == (32, 32)
    assert task.texels == 512  # the swatch's 1024 pixels are two metres
    own, grown = previews[:2]
    assert own.painting.size == (341, 512)  # the picture itself
    assert np.asarray(Image.open(grown.files["basecolor"])).tolist() == [[[99] * 3] * 16] * 8


def test_corners_are_sent_as_the_protocol_has_them(session: AddonSession, trainer: Trainer) -> None:
    corners = ((0.1, 0.2), (0.9, 0.3), (0.8, 0.9), (0.2, 0.7))
    task = session.learn(TrainingOrder(name="brick", metres=1, corners=corners), source=Source())
    finish(session, task)
    assert trainer.asked[0].corners == (0.2, 0.1, 0.3, 0.9, 0.9, 0.8, 0.7, 0.2)
    assert task.message == "brick is in the gallery."
    assert task.result is None


def test_cancelling_ends_the_training_on_the_server(session: AddonSession, trainer: Trainer) -> None:
    trainer.states = ["running"]
    task = begin(session)
    until(session, lambda: task.picture)
    task.cancel()
    assert task.state == "cancelled"
    until(session, lambda: trainer.cancelled)
    assert trainer.cancelled == [trainer.asked[0].token]


def test_leaving_lets_the_server_go_on(session: AddonSession, trainer: Trainer) -> None:
    trainer.states = ["running"]
    task = begin(session)
    until(session, lambda: task.picture)
    task.leave()
    until(session, lambda: session.server_jobs.jobs)
    assert task.ended
    assert trainer.cancelled == []


def test_a_failed_training_says_why(session: AddonSession, trainer: Trainer) -> None:
    trainer.states = ["running", "failed"]
    task = begin(session)
    finish(session, task)
    assert (task.state, task.message) == ("failed", "The picture is too dark.")


def test_without_pixels_nothing_is_sent(session: AddonSession, trainer: Trainer) -> None:
    task = begin(session, source=Source("There is no picture. Choose one."))
    finish(session, task)
    assert (task.state, task.message) == ("failed", "There is no picture. Choose one.")
    assert trainer.asked == []


def test_a_training_that_the_server_lost_is_sent_again(session: AddonSession, trainer: Trainer) -> None:
    trainer.forgets = True
    task = begin(session)
    finish(session, task)
    assert task.state == "done"
    assert len(trainer.asked) == 2
    assert trainer.asked[0].token == trainer.asked[1].token


def test_two_trainings_do_not_hold_up_a_texture(session: AddonSession, trainer: Trainer) -> None:
    trainer.states = ["running"]
    trainings = [begin(session), begin(session), begin(session)]
    until(session, lambda: all(each.picture for each in trainings))
    texture = session.order(TextureOrder(model="brick", seed=1, size=(16, 16), maps=("basecolor",)))
    until(session, lambda: texture.ended)
    assert texture.state == "done"


def test_the_server_s_trainings_are_listed(session: AddonSession) -> None:
    session.refresh()
    until(session, lambda: session.server_jobs.jobs)
    (job,) = session.server_jobs.jobs
    assert (job.name, job.state, job.ended) == ("old", "done", True)


def test_the_detail_that_is_kept_is_asked_for_unless_it_is_the_usual() -> None:
    ask = partial(TrainingOrder, name="brick", metres=2.0)
    asked = [ask(swatch_size=each).request([PICTURE], id=1, token="0" * 32).swatch_size for each in (1024, 4096)]
    assert asked == [None, 4096]


@pytest.mark.parametrize(
    ("height", "width", "swatch", "share"),
    [
        (256, 256, 1024, 1),
        (512, 1024, 1024, 0.5),
        (1024, 1024, 1024, 0.5),
        (3000, 4000, 1024, 0.375),
        (400, 100, 1024, 1),
        (1024, 2048, 1024, 0.5),
        (4096, 4096, 4096, 0.5),
        (3000, 3000, 8192, 512 / 750),
    ],
)
def test_the_growing_texture_is_laid_out_as_large_as_what_it_shows(
    height: int, width: int, swatch: int, share: float
) -> None:
    """The trainer shows a square of at most 512 pixels of those on which it plans."""
    assert _grown(height, width, swatch) == pytest.approx(share)
    settings = choose_sizes(*(round(side * min(1, swatch / min(height, width))) for side in (height, width)))
    shown = min(512, *settings.plan) / min(settings.plan)
    assert _grown(height, width, swatch) == pytest.approx(shown * min(height, width) / width, rel=0.01)
