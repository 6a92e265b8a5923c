"""A server that was started with --leave-with-parent never outlives whoever started it, and loses nothing by that."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from blender_addon.protocol.pairing import read_connection_file
from tests.models import save_tiny
from tests.server.odd_worker import sleeping
from tests.server.session import (
    ODD_SERVER,
    PATIENCE_S,
    SERVER,
    Client,
    _parent,
    _processes,
    data_of,
    environment,
    eventually,
    kill,
    painted,
    runs,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")

# Starts the command with a pipe to its standard input, says its process id, and waits to be killed.
PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "brick")
    return folder


def command(models: Path, program: Sequence[str] = SERVER) -> list[str]:
    return [*program, "--models", str(models), "--device", "cpu", "--precision", "exact", "--leave-with-parent"]


def file_of(home: Path) -> Path:
    return home / "runtime" / "texserver" / "connection.json"


def client_of(home: Path) -> Client:
    eventually(file_of(home).exists, "a connection file")
    return Client(read_connection_file(file_of(home)))


@contextmanager
def child(models: Path, home: Path, program: Sequence[str] = SERVER) -> Iterator["subprocess.Popen[bytes]"]:
    with (home / "log").open("wb") as log:
        popen = subprocess.Popen(
            command(models, program),
            env=environment(home),
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    with popen:
        try:
            yield popen
        finally:
            popen.kill()


def workers(pid: int) -> list[int]:
    return [each for each in _processes() if _parent(each) == pid]


def close(popen: "subprocess.Popen[bytes]") -> None:
    assert popen.stdin
    popen.stdin.close()


def test_a_killed_parent_takes_the_server_and_its_workers_along(models: Path, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, *command(models)],
            env=environment(tmp_path),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    with parent:
        assert parent.stdout
        server = int(parent.stdout.readline())
        try:
            with client_of(tmp_path) as client:
                client.generate("brick", 7)
            pids = [server, *workers(server)]
            assert len(pids) == 2
            parent.send_signal(signal.SIGKILL)
            eventually(lambda: not any(runs(pid) for pid in pids), "nobody left", 20)
            assert not file_of(tmp_path).exists()
        finally:
            kill(server)


def test_what_is_accepted_is_done_when_the_parent_leaves(models: Path, tmp_path: Path) -> None:
    with child(models, tmp_path, ODD_SERVER) as server, client_of(tmp_path) as client:
        running = client.want("brick", sleeping(1.0))
        eventually(lambda: client.status()["queue"]["running"], "a request that runs")
        close(server)
        assert data_of(client.replies(1)[running]) == painted(models / "brick.safetensors", sleeping(1.0))
        assert server.wait(PATIENCE_S) == 0
        assert not file_of(tmp_path).exists()


def test_a_signal_after_that_ends_it_at_once(models: Path, tmp_path: Path) -> None:
    with child(models, tmp_path, ODD_SERVER) as server, client_of(tmp_path) as client:
        client.want("brick", sleeping(600.0))
        eventually(lambda: client.status()["queue"]["running"], "a request that runs")
        close(server)
        eventually(lambda: not file_of(tmp_path).exists(), "no connection file")
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def test_while_the_parent_is_there_it_stays_and_hears_signals_as_ever(models: Path, tmp_path: Path) -> None:
    with child(models, tmp_path) as server, client_of(tmp_path) as client:
        assert server.stdin
        server.stdin.write(b"whatever\n")
        server.stdin.flush()
        client.generate("brick", 7)
        time.sleep(0.3)
        assert client.hello().state == "ready"
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def test_a_parent_that_has_left_before_it_listens_is_noticed(models: Path, tmp_path: Path) -> None:
    with child(models, tmp_path) as server:
        close(server)
        assert server.wait(PATIENCE_S) == 0
        assert not file_of(tmp_path).exists()


def test_without_a_standard_input_it_leaves_too(models: Path, tmp_path: Path) -> None:
    closing = "import os, sys; os.close(0); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", closing, *command(models)],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert not file_of(tmp_path).exists()
