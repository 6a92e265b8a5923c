"""Workers of a running server, here and on other machines: lost, stopped, short of memory, or not to be trusted."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import Pairing, parse_pairing
from server import __version__
from server.service.keys import keep_keys
from server.service.serve import WORKER_OF
from server.worker.worker import connected
from server.worker.worker_config import WorkerConfig
from tests.server.odd_worker import DIES, HOPELESS, RAISES, STARVES, sleeping
from tests.server.session import (
    PATIENCE_S,
    SERVER,
    Client,
    Session,
    client_status,
    code_of,
    data_of,
    environment,
    eventually,
    finish,
    free_port,
    kill,
    line_file,
    painted,
    run_server,
    runs,
    wait_for_workers,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
def test_a_worker_lost_mid_request_costs_time_and_not_a_pixel(odd: Session, number: signal.Signals) -> None:
    """One that is stopped is ended by the watchdog."""
    path = odd.models / "grass.safetensors"
    with odd.unharmed(workers=False), odd.client() as client, odd.client() as other:
        (pid,) = eventually(odd.workers, "a worker")
        first = client.want("grass", sleeping(0.4, number), (600, 1024))
        second = other.want("grass", 7, (600, 600))
        eventually(lambda: client_status(odd)["queue"]["running"], "a request that runs")
        kill(pid, number)
        assert data_of(client.replies(1)[first]) == painted(path, sleeping(0.4, number), (600, 1024))
        assert data_of(other.replies(1)[second]) == painted(path, 7, (600, 600))
        assert not runs(pid)
        assert client.status()["devices"][0]["restarts"] > 0
    wait_for_workers(odd)


@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.5])
def test_a_worker_that_is_stopped_while_it_starts_is_replaced(odd: Session, after_s: float) -> None:
    with odd.unharmed(workers=False), odd.client() as client:
        (pid,) = eventually(odd.workers, "a worker")
        kill(pid)
        (successor,) = eventually(lambda: [each for each in odd.workers() if each != pid], "its successor")
        time.sleep(after_s)
        kill(successor, signal.SIGSTOP)
        path = odd.models / "brick.safetensors"
        assert data_of(client.generate("brick", 40 + int(after_s))) == painted(path, 40 + int(after_s))
        assert not runs(successor)
    wait_for_workers(odd)


def test_a_request_that_kills_workers_is_alone_in_it(odd: Session) -> None:
    with odd.unharmed(workers=False), odd.client() as client, odd.client() as other:
        killer = client.want("brick", DIES)
        mine = client.want("brick", 21)
        theirs = [other.want("brick", seed) for seed in (22, 23, 24)]
        replies = client.replies(2)
        lost = replies[killer]
        assert code_of(lost) == "worker_lost"
        assert isinstance(lost, wire.Error)
        assert lost.retry_ms
        assert data_of(replies[mine]) == painted(odd.models / "brick.safetensors", 21)
        others = other.replies(3)
        for id, seed in zip(theirs, (22, 23, 24), strict=True):
            assert data_of(others[id]) == painted(odd.models / "brick.safetensors", seed)
    wait_for_workers(odd)


def test_too_little_memory_means_smaller_pieces_and_the_same_pixels(odd: Session) -> None:
    with odd.unharmed(), odd.client() as client:
        samples = data_of(client.generate("brick", STARVES, (512, 700)))
        expected = painted(odd.models / "brick.safetensors", STARVES, (512, 700))
        assert len(samples) == len(expected)
        apart = [abs(one - other) for one, other in zip(samples, expected, strict=True)]
        assert max(apart) <= 1  # the last bit of a rounding
        assert sum(apart) < len(apart) / 1000


def test_too_little_memory_for_the_smallest_piece_is_told(odd: Session) -> None:
    with odd.unharmed(), odd.client() as client:
        reply = client.ask(wire.Generate(id=1, model="brick", seed=HOPELESS, size=(512, 512)))
        assert code_of(reply) == "oom"


def test_a_fault_in_a_worker_stays_in_its_log(odd: Session) -> None:
    with odd.unharmed(), odd.client() as client:
        reply = client.ask(wire.Generate(id=1, model="brick", seed=RAISES, size=(64, 64)))
        assert code_of(reply) == "internal"
        assert "on purpose" not in reply.text  # type: ignore[union-attr]
        assert "on purpose" in odd.log


def test_workers_leave_with_a_server_that_was_killed(models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path, "--workers", "2") as session:
        workers = session.workers()
        assert len(workers) == 2
        session.signal(signal.SIGKILL)
        session.ended()
        eventually(lambda: not any(runs(pid) for pid in workers), "workers that leave", 20)


def test_the_line_comes_by_file_by_standard_input_or_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line without keys shows that it was read."""
    line = "texserver://127.0.0.1:7733"
    said = "That line has no keys"
    assert said in run_server(tmp_path, "--worker-of", str(line_file(tmp_path, line))).stderr
    assert said in run_server(tmp_path, "--worker-of", "-", said=f"{line}\n").stderr
    assert "not a pairing line" in run_server(tmp_path, "--worker-of", "-", said="nonsense\n").stderr
    started = subprocess.run(
        SERVER, env=environment(tmp_path) | {WORKER_OF: line}, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert (started.returncode, said in started.stderr) == (2, True)
    loose = line_file(tmp_path, line)
    loose.chmod(0o644)
    assert "chmod 600" in run_server(tmp_path, "--worker-of", str(loose)).stderr


def remote_worker(home: Path, line: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*SERVER, "--worker-of", str(line_file(home, line)), "--device", "cpu", *arguments],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize(
    "message",
    [
        {"say": "progress", "task": 1, "done": float("inf")},
        {"say": "here", "version": __version__, "name": ["a"], "device": "cpu", "precision": "exact", "memory_mb": 1},
        {"say": "here", "version": __version__, "name": "a", "device": "cpu", "precision": "exact", "memory_mb": b"1"},
        [],
    ],
    ids=["infinitely much is done", "a list for a name", "bytes for figures", "no map"],
)
def test_nonsense_from_a_worker_of_another_machine_harms_nothing(
    server: Session, client: Client, message: object
) -> None:
    config = worker_config(server.worker_line)
    context: zmq.Context[Any] = zmq.Context()
    try:
        with server.unharmed(), connected(context, config) as socket:
            for _ in range(3):
                socket.send(msgpack.packb(message))
            for _ in range(3):
                time.sleep(0.1)
                assert all(each["name"].startswith("cpu/") for each in client.status()["devices"])
    finally:
        context.destroy(linger=500)


def worker_config(line: str) -> WorkerConfig:
    pairing = parse_pairing(line)
    assert pairing.keys
    server_key, own_key = pairing.keys.server.hex(), pairing.keys.client.hex()
    return WorkerConfig(endpoint=pairing.endpoint, name="far", server_key=server_key, own_key=own_key)


def test_a_worker_of_another_machine_paints_the_same_pixels(server: Session, client: Client, tmp_path: Path) -> None:
    def remote() -> dict[str, Any]:
        others = [each for each in client.status()["devices"] if not each["name"].startswith("cpu/")]
        return others[0] if others else {}

    worker = remote_worker(tmp_path, server.worker_line, "--precision", "exact")
    try:
        eventually(remote, "a third worker")
        path = server.models / "brick.safetensors"
        for killed in (False, True):
            ids = {client.want("brick", seed + 10 * killed, (1024, 1024)): seed + 10 * killed for seed in (301, 302)}
            if killed:
                worker.kill()
                worker.wait()
            for id, reply in client.replies(2, 20).items():  # less than the watchdog's time
                assert id is not None
                assert data_of(reply) == painted(path, ids[id], (1024, 1024))
            assert killed or remote()["tiles"] > 0
    finally:
        worker.kill()
        finish(worker)


def test_workers_whose_key_is_revoked_are_disconnected(models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path, "--bind-workers", "tcp://127.0.0.1:*") as session:
        home = tmp_path / "far"
        home.mkdir()
        worker = remote_worker(home, session.worker_line, "--precision", "exact")
        try:
            eventually(lambda: len(client_status(session)["devices"]) == 2, "another worker")
            run_server(tmp_path, "keys", "revoke", "workers")
            eventually(lambda: len(client_status(session)["devices"]) == 1, "that it is disconnected")
            assert "its key is revoked" in session.log
            time.sleep(1.0)
            assert [each["name"] for each in client_status(session)["devices"]] == ["cpu/0"]
            session.check()
        finally:
            worker.kill()
            finish(worker)


def test_a_clients_line_makes_no_worker(server: Session, client: Client, tmp_path: Path) -> None:
    """Neither at the clients' port, where it is a client, nor at the workers', where its key opens nothing."""
    keys = server.pairing.keys
    assert keys is not None
    port = int(server.worker_line.rpartition(":")[2].partition("/")[0])
    line = Pairing(host="127.0.0.1", port=port, keys=keys).line
    with server.unharmed():
        outside = remote_worker(tmp_path, line)
        code, said = finish(remote_worker(tmp_path, server.pairing.line))
        assert code == 2
        assert "the line that texserver --pairing workers prints" in said
        assert "Traceback" not in said
        eventually(lambda: outside.stdout and "works for" in outside.stdout.readline(), "the other one's start")
        time.sleep(1.0)
        assert len(client.status()["devices"]) == 2
        outside.send_signal(signal.SIGINT)
        code, said = finish(outside)
        assert code in (130, -signal.SIGINT)


@pytest.mark.slow
def test_a_remote_worker_of_another_precision_is_sent_away_even_when_it_comes_first(
    models: Path, tmp_path: Path
) -> None:
    port = free_port()
    keys = keep_keys(tmp_path / "state" / "texserver" / "keys.json")
    line = Pairing(host="127.0.0.1", port=port, keys=keys.for_workers()).line
    worker = remote_worker(tmp_path, line, "--precision", "fast")
    try:
        assert worker.stdout
        assert "works for" in worker.stdout.readline()
        time.sleep(0.5)
        with Session(models, tmp_path, "--bind-workers", f"tcp://127.0.0.1:{port}") as session:
            session.check()
            code, said = finish(worker)
            assert code == 2
            assert "it computes fast, and the others exact" in said
            session.check()
            assert [each["name"] for each in client_status(session)["devices"]] == ["cpu/0"]
    finally:
        worker.kill()
        worker.wait()
