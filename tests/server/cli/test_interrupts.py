"""Facts about Ctrl-C that comes while an object is being freed."""

import sys
import time
from _thread import interrupt_main
from threading import Timer

import pytest
import zmq

from server.cli.interrupts import lost_interrupts_come_again


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
    spend(10)


@pytest.mark.parametrize("slowly", [False, True], ids=["once", "in the next finaliser, too"])
def test_a_lost_interrupt_comes_again(slowly: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with lost_interrupts_come_again(), pytest.raises(KeyboardInterrupt):
        interrupted_and_goes_on(slowly=slowly)
    assert capsys.readouterr().err == ""


def receive_until(end: float, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    """Messages as a client receives them, which frees them at once."""
    with context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind("inproc://messages")
        there.connect("inproc://messages")
        while time.monotonic() < end:
            there.send_multipart([bytes(1000)] * 5)
            sum(len(frame.buffer) for frame in here.recv_multipart(copy=False))


def test_none_is_lost_among_messages_of_zeromq(capsys: pytest.CaptureFixture[str]) -> None:
    """A quarter of them would be: found by counting."""
    with zmq.Context() as context:
        for _ in range(25):
            press = Timer(0.03, interrupt_main)
            press.start()
            with lost_interrupts_come_again(), pytest.raises(KeyboardInterrupt):
                receive_until(time.monotonic() + 10, context)
            press.join()
    assert capsys.readouterr().err == ""


def test_what_ended_meanwhile_is_not_interrupted() -> None:
    hooks = sys.unraisablehook, sys.excepthook
    with lost_interrupts_come_again():
        Interrupted()
    spend(0.2)
    assert (sys.unraisablehook, sys.excepthook) == hooks


def test_any_other_error_of_a_finaliser_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    with lost_interrupts_come_again():
        Broken()
    assert told == [ValueError]
