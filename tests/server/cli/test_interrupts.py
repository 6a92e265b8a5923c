"""Facts about Ctrl-C that comes while an object is being freed."""

import subprocess
import sys
import threading
import time

import pytest

from server.cli import interrupts
from server.cli.interrupts import lost_interrupts_come_again
from tests.server.session import PATIENCE_S, ROOT

AMONG_MESSAGES = """
import time
from _thread import interrupt_main
from threading import Timer
import zmq
from server.cli.interrupts import lost_interrupts_come_again

def receive():
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind("inproc://messages")
        there.connect("inproc://messages")
        end = time.monotonic() + 10
        Timer(0.03, interrupt_main).start()
        while time.monotonic() < end:
            there.send_multipart([bytes(1000)] * 5)
            sum(len(frame.buffer) for frame in here.recv_multipart(copy=False))

heard = 0
for _ in range(25):
    with lost_interrupts_come_again():
        try:
            receive()
        except KeyboardInterrupt:
            heard += 1
print(heard, "heard")
"""


class Interrupted:
    """Ctrl-C comes while it is freed."""

    def __del__(self) -> None:
        raise KeyboardInterrupt


class Slow:
    """Takes its time to be freed."""

    def __del__(self) -> None:
        spend(0.2)


class Broken:
    def __del__(self) -> None:
        raise ValueError("as ever")


def spend(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.001)


def interrupted_and_goes_on(*, slowly: bool) -> None:
    Interrupted()
    Interrupted()  # pressed twice
    if slowly:
        Slow()
    spend(PATIENCE_S)


@pytest.mark.parametrize("slowly", [False, True], ids=["once", "in the next finaliser, too"])
def test_a_lost_interrupt_comes_again(slowly: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with lost_interrupts_come_again(), pytest.raises(KeyboardInterrupt):
        interrupted_and_goes_on(slowly=slowly)
    assert capsys.readouterr().err == ""


def test_none_is_lost_among_messages_of_zeromq() -> None:
    """A quarter of them would be: found by counting."""
    command = [sys.executable, "-c", AMONG_MESSAGES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert (done.stdout, done.stderr) == ("25 heard\n", "")


def test_what_ended_meanwhile_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "AGAIN_S", 1000.0)
    hooks = sys.unraisablehook, sys.excepthook
    others = threading.enumerate()
    with lost_interrupts_come_again():
        Interrupted()
        (timer,) = (each for each in threading.enumerate() if each not in others)
    timer.join(PATIENCE_S)
    assert not timer.is_alive()
    assert (sys.unraisablehook, sys.excepthook) == hooks


def test_any_other_error_of_a_finaliser_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    with lost_interrupts_come_again():
        Broken()
    assert told == [ValueError]
