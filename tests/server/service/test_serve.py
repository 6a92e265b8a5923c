"""Facts about a running server: how it starts, with which keys, what it paints, and how it ends."""

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import parse_pairing, read_connection_file, z85
from server import __version__
from server.service.keys import keep_keys
from tests.server.odd_worker import sleeping
from tests.server.session import (
    ANSWERED_S,
    ODD_SERVER,
    PATIENCE_S,
    SERVER,
    Client,
    Session,
    code_of,
    data_of,
    environment,
    eventually,
    finish,
    free_port,
    painted,
    run_server,
    runs,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")


def refused(home: Path, *arguments: str) -> str:
    """The one sentence after which the server ended; never a traceback."""
    done = run_server(home, *arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("texserver: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


# ------------------------------------------------------------------------------------------------------------ starting


def secrets_of(server: Session) -> list[str]:
    """Every form in which a secret key of the server could be shown."""
    keys = keep_keys(server.home / "state" / "texserver" / "keys.json")
    secrets = (keys.server, *keys.of_clients().values(), keys.worker)
    return [
        form for key in secrets for form in (key.hex(), base64.urlsafe_b64encode(key).decode()[:40], z85(key).decode())
    ]


def test_it_says_what_it_serves_where_and_no_secret(server: Session) -> None:
    said = server.out
    assert f"texserver {__version__} serves {server.models} (3 files) at {server.pairing.endpoint}." in said
    assert str(server.file) in said
    assert "texserver --pairing prints it" in said
    assert "texserver --pairing workers prints the line" in said
    server.check()
    for secret in secrets_of(server):
        assert secret not in said + server.log
        for pid in (server.pid, *server.workers()):
            assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_lines_are_printed_when_asked_for_and_alone(server: Session) -> None:
    assert server.line() == server.pairing.line
    pairing = parse_pairing(server.worker_line)
    assert pairing.keys
    assert pairing.port != server.pairing.port
    assert pairing.keys.client == keep_keys(server.home / "state" / "texserver" / "keys.json").worker


def test_lines_that_there_are_none_of_are_a_sentence(models: Path, server: Session, tmp_path: Path) -> None:
    assert "No texserver runs here" in refused(tmp_path, "--pairing")
    assert "There is no key 'zoe'" in refused(server.home, "--pairing", "zoe")
    with Session(models, tmp_path, "--no-auth", ready=False):
        assert "uses no keys" in refused(tmp_path, "--pairing")
    with Session(models, tmp_path, ready=False):
        assert "Start it with --bind-workers" in refused(tmp_path, "--pairing", "workers")


# ---------------------------------------------------------------------------------------------------------------- keys


def test_each_may_have_a_key_of_their_own_which_can_be_revoked(models: Path, tmp_path: Path) -> None:
    """Who uses a revoked key is disconnected at once and comes in no more; nobody else notices."""
    with Session(models, tmp_path) as session, session.client() as other:
        said = run_server(tmp_path, "keys", "add", "anna")
        line = said.stdout.strip()
        assert line == session.line("anna") != session.pairing.line
        eventually(lambda: "keys=default,anna" in session.log, "that the server knows the new key")
        with Client(line) as anna:
            anna.generate("brick", 5)
            eventually(lambda: "key=anna peer=127.0.0.1 id=" in session.log, "the line of her request")
            assert "anna" in run_server(tmp_path, "keys", "list").stdout
            assert "opens nothing any more" in run_server(tmp_path, "keys", "revoke", "anna").stderr
            eventually(lambda: "its key is revoked" in session.log, "that she is disconnected")
            anna.tell(wire.Hello(id=1))
            assert anna.frames(1.0) is None
        with Client(line) as again:
            again.tell(wire.Hello(id=1))
            assert again.frames(1.0) is None
        other.hello()
        assert "anna" not in run_server(tmp_path, "keys", "list").stdout
        assert "Traceback" not in session.log


def test_a_new_default_key_is_in_the_connection_file_and_the_old_one_opens_nothing(
    models: Path, tmp_path: Path
) -> None:
    with Session(models, tmp_path, ready=False) as session:
        old = session.pairing
        run_server(tmp_path, "keys", "revoke", "default")
        eventually(lambda: read_connection_file(session.file) != old, "another connection file")
        with Client(old) as late:
            late.tell(wire.Hello(id=1))
            assert late.frames(1.0) is None
        with Client(read_connection_file(session.file)) as client:
            client.hello()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "anna"], "There is a key 'anna' already"),
        (["add", "default"], "There is a key 'default' already"),
        (["add", "workers"], "There is a key 'workers' already"),
        (["add", "\x1b[31mred"], "cannot name a key"),
        (["add", "a b"], "cannot name a key"),
        (["add", ""], "cannot name a key"),
        (["add", "x" * 41], "cannot name a key"),
        (["revoke", "zoe"], "There is no key 'zoe'"),
        (["remove", "anna"], "--help"),
        ([], "--help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_key_that_cannot_be_made_or_revoked_is_a_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    run_server(tmp_path, "keys", "add", "anna")
    assert said in refused(tmp_path, "keys", *arguments)


def test_of_two_first_starts_at_once_one_serves_and_the_other_says_so(models: Path, tmp_path: Path) -> None:
    starts = [
        subprocess.Popen(
            [*SERVER, "--models", str(models), "--device", "cpu"],
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        eventually(lambda: sum(each.poll() is None for each in starts) == 1, "that one is left")
        (winner,) = (each for each in starts if each.poll() is None)
        for loser in starts:
            if loser is not winner:
                code, said = finish(loser)
                assert (code, said.count("\n")) == (2, 1)
                assert "--connection-file" in said
        file = tmp_path / "runtime" / "texserver" / "connection.json"
        eventually(file.exists, "a connection file")
        assert json.loads(file.read_bytes())["pid"] == winner.pid
        with Client(read_connection_file(file)) as client:
            client.hello()
    finally:
        for each in starts:
            each.terminate()
            finish(each)


def test_the_version_is_told(tmp_path: Path) -> None:
    done = run_server(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"texserver {__version__}\n")


def test_its_files_are_the_owners_alone_and_keys_outlive_it(models: Path, tmp_path: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    keys = tmp_path / "state" / "texserver" / "keys.json"
    port = str(free_port())
    with Session(models, tmp_path, "--bind", f"tcp://127.0.0.1:{port}", ready=False) as first:
        line = first.pairing.line
        assert (mode(first.file), mode(first.file.parent), mode(keys), mode(keys.parent)) == (
            0o600,
            0o700,
            0o600,
            0o700,
        )
        assert json.loads(first.file.read_bytes())["pid"] == first.pid
    assert not first.file.exists()
    with Session(models, tmp_path, "--bind", f"tcp://127.0.0.1:{port}", ready=False) as second:
        assert second.pairing.line == line
        with second.client() as client:
            client.hello()
        assert second.end() == 0


def test_a_second_server_of_the_same_connection_file_is_refused(server: Session) -> None:
    before = server.file.read_bytes()
    said = refused(server.home, "--models", str(server.models))
    assert f"process {server.pid}" in said
    assert "--connection-file" in said
    assert server.file.read_bytes() == before
    server.check()


def test_the_connection_file_of_a_server_that_was_killed_is_no_obstacle(models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path, ready=False) as first:
        first.signal(signal.SIGKILL)
        first.ended()
        content = json.loads(first.file.read_bytes())
        content["pid"] = os.getpid()  # given to another program meanwhile
        first.file.write_text(json.dumps(content))
        first.file.unlink()
        first.file.touch(0o600)
        first.file.write_text(json.dumps(content))
        done = subprocess.Popen(
            [*SERVER, "--models", str(models)],
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: json.loads(first.file.read_bytes())["pid"] == done.pid, "its own connection file")
        finally:
            done.terminate()
            assert done.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--models", "nowhere"], "no models folder nowhere"),
        (["--bind", "127.0.0.1:7733"], "no endpoint"),
        (["--bind", "tcp://127.0.0.1"], "no endpoint"),
        (["--bind", "ipc:///tmp/x"], "no endpoint"),
        (["--bind", "tcp://127.0.0.1:99999"], "no endpoint"),
        (["--bind", "tcp://192.0.2.1:*"], "cannot be listened on"),
        (["--no-auth", "--bind", "tcp://0.0.0.0:*"], "Leave it out and give the others the pairing line"),
        (["--no-auth", "--bind", "tcp://*:7733"], "or bind to tcp://127.0.0.1:*"),
        (["--no-auth", "--bind", "tcp://[::]:*"], "would let anybody use the server"),
        (["--bind-workers", "nonsense"], "no endpoint"),
        (["--workers", "0"], "--workers"),
        (["--workers", "many"], "--workers"),
        (["--watchdog", "0"], "--watchdog"),
        (["--watchdog", "nan"], "--watchdog"),
        (["--max-side", "15"], "--max-side"),
        (["--metrics-port", "99999"], "--metrics-port 99999"),
        (["--connection-file", "/dev/null/x"], "/dev/null/x"),
        (["--worker-of", "/nowhere"], "/nowhere"),
        (["--worker-of", "texserver://127.0.0.1:7733"], "texserver --pairing workers > FILE"),
        (["--port", "7733"], "--help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_start_is_one_sentence_and_exit_code_2(
    models: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    named = [] if "--models" in arguments else ["--models", str(models)]
    assert said in refused(tmp_path, *named, *arguments)


def test_a_port_in_use_is_one_sentence(server: Session, tmp_path: Path) -> None:
    said = refused(tmp_path, "--models", str(server.models), "--bind", server.pairing.endpoint)
    assert "Address already in use" in said
    assert "tcp://127.0.0.1:*" in said


def test_a_device_that_is_not_there_ends_it_with_the_workers_sentence(models: Path, tmp_path: Path) -> None:
    done = run_server(tmp_path, "--models", str(models), "--device", "cuda:77")
    assert done.returncode == 2
    assert "there is no 'cuda:77' here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runtime" / "texserver" / "connection.json").exists()


def test_without_keys_it_serves_loopback(models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path, "--no-auth", ready=False) as session:
        assert session.pairing.keys is None
        assert not (tmp_path / "state" / "texserver").exists()
        with session.client() as client:
            client.hello()
        with socket.create_connection((session.pairing.host, session.pairing.port)) as peer:
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n" * 100)
        with session.client() as client:
            client.hello()


# ------------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("name", ["brick", "grass"])
@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((64, 64), None),
        ((600, 700), None),
        ((1200, 700), (1100, 650, 300, 200)),  # crosses both wraps
        ((530, 1030), (-20, -30, 530, 1030)),
        ((2048, 1025), (511, 340, 2, 3)),
    ],
    ids=str,
)
def test_windows_are_byte_for_byte_those_of_the_texture(
    server: Session, client: Client, name: str, size: tuple[int, int], window: Any, depth: int
) -> None:
    letter = wire.MSGPACK if depth == 16 else wire.JSON
    result = client.generate(name, 7, size, window=window, depth=depth, letter=letter)
    (buffer,) = result.buffers
    assert (buffer.dtype, buffer.shape) == (f"uint{depth}", (*(window or (0, 0, *size))[2:], 3))
    path = server.models / f"{name}.safetensors"
    wrapped = window and (window[0] % size[0], window[1] % size[1], *window[2:])
    assert bytes(buffer.data) == painted(path, 7, size, wrapped, depth)


def test_both_workers_paint(server: Session, client: Client) -> None:
    client.generate("grass", 99, (2048, 2048))
    devices = client.status()["devices"]
    assert [each["name"] for each in devices] == ["cpu/0", "cpu/1"]
    assert all(each["tiles"] > 0 for each in devices)


def test_broken_models_are_listed_as_broken(client: Client) -> None:
    listed = client.ask(wire.ListModels(id=client.new_id()))
    assert isinstance(listed, wire.Models)
    assert [(each["name"], each["state"]) for each in listed.models] == [
        ("brick", "ready"), ("broken", "broken"), ("grass", "ready"),
    ]  # fmt: skip


def test_figures_are_there_for_prometheus(server: Session, client: Client, metrics_port: int) -> None:
    client.generate("grass", 98)

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=ANSWERED_S) as answer:
            return str(answer.read().decode())

    eventually(lambda: 'texserver_requests_total{outcome="ok"}' in scraped(), "a request in the figures")
    assert 'texserver_models{state="ready"} 2.0' in scraped()
    assert 'texserver_worker_restarts_total{device="cpu",worker="cpu/0"}' in scraped()


# ---------------------------------------------------------------------------------------------------------- the end


def test_told_to_end_while_it_loads_it_ends(models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path, ready=False) as session:
        session.signal(signal.SIGTERM)
        workers = session.workers()
        assert session.ended() == 0
        assert not session.file.exists()
        eventually(lambda: not any(runs(pid) for pid in workers), "workers that leave", 20)


def test_told_to_end_while_idle_it_ends(models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path) as session:
        workers = session.workers()
        session.signal(signal.SIGTERM)
        assert session.ended() == 0
        assert not session.file.exists()
        assert not any(runs(pid) for pid in workers)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=["SIGTERM", "SIGINT"]
)
def test_told_to_end_while_busy_it_finishes_and_takes_nothing_new(
    models: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C in a terminal goes to the whole group of processes."""
    with Session(models, tmp_path, command=ODD_SERVER) as session, session.client() as client:
        running = client.want("brick", sleeping(2.0))
        large = [client.want("brick", seed, (1024, 1024)) for seed in (1, 2, 3, 4)]
        eventually(lambda: client.status()["queue"]["running"], "a request that runs")
        os.killpg(session.pid, number)
        eventually(lambda: not session.file.exists(), "no connection file")
        assert client.hello().state == "draining"
        late = client.ask(wire.Generate(id=client.new_id(), model="brick", seed=3, size=(64, 64)))
        assert code_of(late) == "shutting_down"
        assert session.ended() == 0
        replies = client.replies(5)
        path = models / "brick.safetensors"
        assert data_of(replies[running]) == painted(path, sleeping(2.0))
        for id, seed in zip(large, (1, 2, 3, 4), strict=True):
            assert data_of(replies[id]) == painted(path, seed, (1024, 1024))
        assert client.frames(0.2) is None
        assert "has died" not in session.log


def test_told_twice_it_ends_at_once(models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path, command=ODD_SERVER) as session, session.client() as client:
        running = client.want("brick", sleeping(600.0))
        eventually(lambda: client.status()["queue"]["running"], "a request that runs")
        workers = session.workers()
        session.signal(signal.SIGTERM)
        eventually(lambda: not session.file.exists(), "no connection file")
        session.signal(signal.SIGTERM)
        assert session.ended(20) == 0
        assert code_of(client.replies(1)[running]) == "shutting_down"
        assert not any(runs(pid) for pid in workers)


def test_what_is_not_done_when_the_time_is_over_is_told(models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path, "--drain", "0.5", command=ODD_SERVER) as session, session.client() as client:
        running = client.want("brick", sleeping(600.0))
        eventually(lambda: client.status()["queue"]["running"], "a request that runs")
        session.signal(signal.SIGTERM)
        assert session.ended(20) == 0
        assert code_of(client.replies(1)[running]) == "shutting_down"


def test_the_connection_file_names_the_server_that_runs(server: Session) -> None:
    assert read_connection_file(server.file) == server.pairing
