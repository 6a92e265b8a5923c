"""What systemd would be told, read from a real socket as systemd reads it."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.service.service_manager import ServiceManager
from tests.models import save_tiny
from tests.server.session import PATIENCE_S, Session, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(tmp_path / "notify"))
        reader.setblocking(False)
        yield reader


def told(reader: socket.socket) -> list[str]:
    """All that has come, line by line."""
    lines: list[str] = []
    while True:
        try:
            lines += reader.recv(4096).decode().splitlines()
        except BlockingIOError:
            return lines


def test_it_tells_each_state_once_and_again_and_again_that_it_lives(systemd: socket.socket, tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    manager = ServiceManager(environ)
    manager.tell("starting", 0.0)
    assert told(systemd) == ["STATUS=starting", "WATCHDOG=1"]
    manager.tell("ready", 0.5)
    manager.tell("ready", 0.9)
    assert told(systemd) == ["STATUS=ready", "READY=1"]
    manager.tell("ready", 1.0)
    manager.tell("draining", 1.1)
    assert told(systemd) == ["WATCHDOG=1", "STATUS=draining", "STOPPING=1"]


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "x"}], ids=str
)
def test_without_anybody_who_listens_nothing_happens(environ: dict[str, str]) -> None:
    manager = ServiceManager(environ)
    manager.tell("ready", 0.0)
    manager.tell("draining", 1e9)


def test_a_watchdog_of_another_process_is_not_ours(systemd: socket.socket, tmp_path: Path) -> None:
    ours = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    ServiceManager(ours).tell("ready", 0.0)
    assert told(systemd) == ["STATUS=ready", "READY=1"]


def test_what_did_not_fit_is_told_later(systemd: socket.socket, tmp_path: Path) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3"})
    for number in range(600):  # nobody reads
        manager.tell("starting", float(number))
    manager.tell("ready", 1000.0)
    assert "READY=1" not in told(systemd)
    manager.tell("ready", 1001.0)
    assert "READY=1" in told(systemd)


@pytest.mark.slow
def test_a_server_says_when_it_is_ready_lives_and_stops(systemd: socket.socket, tmp_path: Path) -> None:
    save_tiny(tmp_path / "models", "brick")
    variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
    said: list[str] = []

    def has(line: str) -> bool:
        said.extend(told(systemd))
        return line in said

    with Session(tmp_path / "models", tmp_path, "--log-format", "json", variables=variables) as server:
        eventually(lambda: has("READY=1"), "READY=1")
        said.clear()
        eventually(lambda: said.count("WATCHDOG=1") > 2 or has("nothing"), "signs of life")
        server.signal(signal.SIGTERM)
        eventually(lambda: has("STOPPING=1"), "STOPPING=1")
        assert server.ended(PATIENCE_S) == 0
