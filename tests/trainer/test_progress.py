"""Progress without a terminal: plain lines, not too often, and none where it is quiet."""

import pytest

from trainer import progress
from trainer.progress import Progress, spoken


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress.time, "monotonic", made)
    return made


def test_a_line_comes_every_few_seconds_and_says_how_long_it_will_take(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    with Progress(100, "steps", said.append, quiet=False) as shown:
        for step in range(1, 101):
            clock.now += 1
            shown.show(step, "loss 0.5")
    assert len(said) == 9
    assert said[0] == "  10 of 100 steps, about 90 s left (loss 0.5)"
    assert capsys.readouterr() == ("", "")


def test_what_was_done_before_does_not_count_as_fast(clock: Clock) -> None:
    said: list[str] = []
    with Progress(100, "steps", said.append, quiet=False, done=80) as shown:
        clock.now += 20
        shown.show(90)
    assert said == ["  90 of 100 steps, about 20 s left"]


def test_going_back_is_no_error(clock: Clock) -> None:
    said: list[str] = []
    with Progress(100, "steps", said.append, quiet=False, done=50) as shown:
        clock.now += 20
        shown.show(40)
    assert said == ["  40 of 100 steps"]


def test_quiet_says_nothing(clock: Clock) -> None:
    said: list[str] = []
    with Progress(100, "steps", said.append, quiet=True) as shown:
        clock.now += 60
        shown.show(50)
    assert not said


def test_times_are_for_people() -> None:
    assert [spoken(each) for each in (4.4, 99, 600, 7200)] == ["4 s", "99 s", "10 min", "2.0 h"]
