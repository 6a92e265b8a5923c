"""Facts about the whole server: real processes, real sockets, real pixels.

Two servers serve most of the tests: `server` as anybody starts it, and `odd`, whose workers sleep, die or run out of
memory by the seed (tests/server/odd_worker.py).
"""

import base64
import json
import os
import random
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import Keys, Pairing, new_key, parse_pairing, read_connection_file, z85
from server import __version__
from server.front.front import BAD_MESSAGES
from server.msgpack_codec import CODECS
from server.service.keys import keep_keys
from server.service.serve import WORKER_OF
from server.worker.worker import connected
from server.worker.worker_config import WorkerConfig
from tests.models import save_tiny
from tests.server.odd_worker import DIES, HOPELESS, RAISES, STARVES, sleeping
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
    kill,
    line_file,
    painted,
    run_server,
    runs,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "brick", lattice=True)
    save_tiny(folder, "grass", 1)
    (folder / "broken.safetensors").write_bytes(b"")
    return folder


METRICS_PORT = free_port()


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    arguments = "--workers", "2", "--metrics-port", str(METRICS_PORT), "--bind-workers", "tcp://127.0.0.1:*"
    with Session(models, tmp_path_factory.mktemp("server"), *arguments) as session:
        yield session


@pytest.fixture(scope="module")
def odd(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("odd")
    with Session(models, home, "--watchdog", "4", "--cache", "0", command=ODD_SERVER) as session:
        yield session


@pytest.fixture
def client(server: Session) -> Iterator[Client]:
    with server.client() as client:
        yield client


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
            assert "key=anna peer=127.0.0.1 id=" in session.log
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


def test_figures_are_there_for_prometheus(server: Session, client: Client) -> None:
    client.generate("grass", 98)

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=ANSWERED_S) as answer:
            return str(answer.read().decode())

    eventually(lambda: 'texserver_requests_total{outcome="ok"}' in scraped(), "a request in the figures")
    assert 'texserver_models{state="ready"} 2.0' in scraped()
    assert 'texserver_worker_restarts_total{device="cpu",worker="cpu/0"}' in scraped()


# ----------------------------------------------------------------------------------------------------------- the wire


def tries(server: Session, letter: bytes, header: bytes, *buffers: bytes) -> wire.Reply | None:
    """The reply to frames as they are, on a connection that must be usable afterwards."""
    with server.client() as client:
        client.send([letter, header, *buffers])
        reply = client.reply()
        client.hello()
    return reply


def test_what_is_no_message_is_a_bad_frame(server: Session) -> None:
    hello, packed = b'{"op":"hello","id":1}', msgpack.packb({"op": "hello", "id": 1})
    cases = {
        "bad_frame": [
            [b""], [b"TX1j"], [b"TX1"], [b"", b""], [b"hello", hello], [b"TX1x", hello], [b"TX1jj", hello],
            [b"TX1j", packed], [b"TX1m", hello], [b"x" * 100_000],
        ],
        "unsupported_version": [[b"TX9j", hello], [b"TX2m", packed], [b"TX0j", b""]],
    }  # fmt: skip
    with server.unharmed(), server.client() as client:
        for code, messages in cases.items():
            for frames in messages:
                client.send(frames)
                received = client.frames()
                assert received is not None
                reply = wire.parse_reply(received[1:] if frames[0] == b"" else received, CODECS)
                assert (code_of(reply), frames[0][:8]) == (code, frames[0][:8])
                assert client.hello().protocol == 1


def test_a_req_socket_can_read_why_it_is_refused(server: Session) -> None:
    with server.unharmed(), server.client() as client:
        client.send([b"", b"TX1j", b'{"op":"hello","id":1}'])
        delimiter, *frames = client.frames() or [b"?"]
        assert delimiter == b""
        assert code_of(wire.parse_reply(frames)) == "bad_frame"


def test_what_is_too_large_is_refused_or_cut(server: Session) -> None:
    with server.unharmed():
        assert code_of(tries(server, b"TX1j", b'{"op":"hello","id":1,"x":"' + b"x" * 65536 + b'"}')) == "too_large"
        assert code_of(tries(server, b"TX1j", b'{"op":"hello","id":1}', *[b""] * 98)) == "too_large"
        assert code_of(tries(server, b"TX1j", b'{"op":"hello","id":1}', *[bytes(2**20)] * 30)) == "too_large"
        content = {"name": "content", "dtype": "uint8", "shape": [4097, 4097, 1]}
        header = wire.Json().dumps({"op": "stylize", "id": 1, "model": "brick", "buffers": [content]})
        assert code_of(tries(server, b"TX1j", header, bytes(4097 * 4097))) == "too_large"
        with server.client() as cut:
            cut.send([b"TX1j", b'{"op":"hello","id":1}', bytes(80 * 2**20)])
            assert cut.reply(1.0) is None


@pytest.mark.serial
def test_a_message_of_very_many_bytes_is_cut_before_it_is_there(server: Session) -> None:
    """The client sends it from one piece of memory, 1.5 GB in all."""
    frame, worst = bytes(32 * 2**20), 0.0
    with server.unharmed(), server.client() as client:
        before = server.memory_mb()
        for _ in range(46):
            client.socket.send(frame, zmq.SNDMORE, copy=False)
        client.socket.send(frame, copy=False)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            worst = max(worst, server.memory_mb() - before)
            time.sleep(0.02)
        assert worst < 500, f"{worst:.0f} MB for one message"
        server.check()


@pytest.mark.serial
def test_a_message_of_very_many_frames_keeps_nobody_waiting(server: Session) -> None:
    with server.unharmed(), server.client() as client, server.client() as other:
        for _ in range(300_000):
            client.socket.send(b"x", zmq.SNDMORE)
        client.socket.send(b"x")
        longest, end = 0.0, time.monotonic() + 5
        while time.monotonic() < end:
            began = time.monotonic()
            other.hello()
            longest = max(longest, time.monotonic() - began)
        assert longest < 4, f"others waited {longest:.1f} s"
        assert "sends a message that is too large and is cut" in server.log


BAD_JSON = (
    b"", b"{", b"[]", b"null", b'"hello"', b"7", b"{}x", b'{"op":"hello","id":1}{}', b"{'op':'hello'}",
    b"[" * 60_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"op":"hello","id":1,"x":[[[[[[[[[1]]]]]]]]]}',
    b'{"op":"hello","id":' + b"9" * 5000 + b"}", b'{"op":"hello","id":1,"x":NaN}', b'{"op":"hello","id":1,"x":1e999}',
    b'{"op":"hello","id":1,"id":2}', b'{"op":"hello","op":"hello","id":1}', '{"op":"hello","id":1}'.encode("utf-16"),
    b'{"op":"hello","id":1,"x":"\\ud800"}', b'{"op":"hello","id":1,"x":"\xff"}',
    b'{"op":"hello","id":1,"x":[' + b"1," * 1024 + b"1]}", b"\xef\xbb\xbf" + b'{"op":"hello","id":1}',
)  # fmt: skip
BAD_MSGPACK = (
    b"", b"\x80\x80", b"\x81", b"\x81\xa2op\xa5hell", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x81\xdd\xff\xff\xff\xff",
    b"\x81\xa1x\xdb\xff\xff\xff\xff", b"\x81\xa1x\xc6\xff\xff\xff\xff", b"\x82\xa2id\x01\xa2id\x02",
    b"\x81\xa1x" + b"\x91" * 60_000, b"\x81\xa1x\xd4\x01\x00", b"\x81\xa1x\xc4\x01\x00", b"\x81\x01\x02",
    b"\x81\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\x81\xa1x\xa3\xed\xa0\x80",
    b"\x81\xa1x\xd6\xff\x00\x00\x00\x00",
)  # fmt: skip


def test_headers_that_cannot_be_read_are_bad(server: Session) -> None:
    with server.unharmed():
        for first, headers in ((b"TX1j", BAD_JSON), (b"TX1m", BAD_MSGPACK)):
            for header in headers:
                codes = ("bad_header", "bad_frame") if header[:1] in (b"[", b"") else ("bad_header",)
                assert code_of(tries(server, first, header)) in codes, header[:60]


def test_a_wrong_op_or_id_is_told(server: Session, client: Client) -> None:
    with server.unharmed():
        for id in (None, 0, -1, 2**53 + 1, True, "7", 1.5, [1], {}):
            with server.client() as other:
                assert (code_of(other.header({"op": "hello", "id": id})), id) == ("bad_header", id)
        with server.client() as other:
            assert code_of(other.header({"op": "hello"})) == "bad_header"
            assert code_of(other.header({"id": 1})) == "bad_header"
            assert code_of(other.header({"id": 1, "op": 7})) == "bad_header"
            reply = other.header({"id": 2**53, "op": "reboot"})
            assert (code_of(reply), reply and reply.id) == ("unknown_op", 2**53)
            assert code_of(other.header({"id": 2, "op": ""})) == "unknown_op"


WRONG_FIELDS: dict[str, tuple[Any, ...]] = {
    "size": (None, 0, [0, 64], [-1, 64], [64, 15], [16385, 64], [64.0, 64], [1.5, 64], [True, 64], ["2048", 64],
             [64], [64, 64, 3], "2048", [2**63, 2**63], [2**64, 64]),
    "window": ([0, 0, 0, 1], [0, 0, 65, 64], [64, 0, 1, 1], [-65, 0, 1, 1], [0, 0, 1], [0, 0, 1, 1.5], "all",
               [0, 0, -1, 1], [0, 0, True, 1], [2**60, 0, 1, 1]),
    "seed": (None, -1, 2**64, 1.5, "7", True, [7]),
    "depth": (0, 1, 12, 32, "8", True),
    "maps": ([], ["basecolor", "basecolor"], ["albedo"], [7], "basecolor", ["x"] * 17),
    "deadline_ms": (0, -1, 1.5, 2**40),
    "progress": (1, "yes", None),
    "model": (None, 7, ["brick"], True),
    "sha256": (7, "0" * 65),
}  # fmt: skip


@pytest.mark.parametrize("letter", [wire.JSON, wire.MSGPACK], ids=["json", "msgpack"])
def test_a_field_out_of_range_is_named(server: Session, client: Client, letter: bytes) -> None:
    good = {"op": "generate", "id": 1, "model": "brick", "seed": 7, "size": [64, 64]}
    with server.unharmed():
        for field, values in WRONG_FIELDS.items():
            for value in values:
                if letter == wire.MSGPACK and value in (2**64, [2**64, 64]):
                    continue  # cannot be said in msgpack
                reply = client.header(good | {field: value}, letter=letter)
                assert (code_of(reply), field, value) == ("bad_request", field, value)
                assert isinstance(reply, wire.Error)
                assert reply.text.startswith(f"{field}:")
        big = client.header(good | {"size": [4096, 4096]})
        assert code_of(big) == "bad_request"
        assert "smaller windows" in big.text  # type: ignore[union-attr]


def test_names_that_are_no_models_open_nothing(server: Session, client: Client) -> None:
    secret = server.models.parent / "secret.safetensors"
    secret.write_bytes((server.models / "brick.safetensors").read_bytes())
    names = ("", "../secret", "../../etc/passwd", str(secret.with_suffix("")), "a/b", "a\0b", "x" * 10_000, "Brick",
             "brick.safetensors", "brick ", ".", "..", "\u202e", "broken")  # fmt: skip
    with server.unharmed():
        for name in names:
            for op in ("generate", "thumbnail"):
                reply = client.header({"op": op, "id": 1, "model": name, "seed": 7, "size": [64, 64]})
                assert (code_of(reply), name) == ("unknown_model", name)


def test_content_that_is_not_what_it_says_is_refused(server: Session, client: Client) -> None:
    """Before anything of its claimed size is allocated."""

    def stylize(*buffers: bytes, **changed: Any) -> str:
        described = {"name": "content", "dtype": "uint8", "shape": [16, 16, 3]} | changed
        header = {"op": "stylize", "id": 1, "model": "brick", "buffers": [described]}
        return code_of(client.header(header, *buffers))

    good = bytes(768)
    with server.unharmed():
        assert stylize(good) == "unknown_model"  # right, and no model here stylizes
        assert stylize(good, shape=[1, 256, 3]) == stylize(good, shape=[192, 1, 4]) == "unknown_model"
        assert stylize(good, shape=[16, 24, 1], dtype="uint16") == "unknown_model"
        for changed in (
            {"shape": [16, 16, 4]}, {"shape": [16, 16, 1]}, {"shape": [16, 24, 2]}, {"shape": [16, 16]},
            {"shape": [2**40, 2**40, 3]}, {"shape": [-16, -16, 3]}, {"shape": [1, 255, 3]}, {"shape": "16x16"},
            {"dtype": "float64"}, {"dtype": "uint16"}, {"dtype": None}, {"name": "style"}, {"name": None},
        ):  # fmt: skip
            assert (stylize(good, **changed), changed) == ("bad_request", changed)
        assert stylize() == "bad_request"
        assert stylize(good, good) == "bad_request"
        assert stylize(bytes(16_700_000), shape=[1, 16_700_000, 1]) == "bad_request"
        assert code_of(client.header({"op": "generate", "id": 1, "model": "brick", "seed": 7, "size": [64, 64],
                                      "buffers": [{"name": "x", "dtype": "uint8", "shape": [1, 1, 1]}]}, b"x")) \
            == "bad_request"  # fmt: skip


def test_the_same_id_twice_is_one_request(odd: Session) -> None:
    seed = sleeping(0.5)
    with odd.unharmed(), odd.client() as client:
        tiles = client.status()["devices"][0]["tiles"]
        for _ in range(3):
            client.want("brick", seed, id=500)
        client.want("brick", seed + 1, id=500)
        refusal, result = client.reply(), client.reply()
        assert (code_of(refusal), refusal and refusal.id) == ("duplicate_id", 500)
        assert data_of(result) == painted(odd.models / "brick.safetensors", seed)
        assert client.status()["devices"][0]["tiles"] == tiles + 1
        assert client.frames(0.2) is None


def test_cancel_ends_what_is_waiting_or_running_and_nothing_else(odd: Session) -> None:
    with odd.unharmed(), odd.client() as client, odd.client() as other:
        running = client.want("brick", sleeping(1.0), (1024, 1024))
        theirs = other.want("brick", sleeping(0.3, 1), id=900)
        waiting = [client.want("brick", sleeping(0.3, which)) for which in (2, 3, 4)]
        eventually(lambda: client_status(odd)["queue"]["running"], "a request that runs")
        for target in (running, waiting[1]):
            cancel = client.new_id()
            client.tell(wire.Cancel(id=cancel, target=target))
            replies = client.replies(2)
            assert code_of(replies[target]) == "cancelled"
            assert replies[cancel] == wire.Result(id=cancel)
        for target in (running, 2**53, theirs):
            assert code_of(client.ask(wire.Cancel(id=client.new_id(), target=target))) == "not_found"
        finished = client.replies(2)
        assert {id: data_of(reply) for id, reply in finished.items()} == {
            waiting[0]: painted(odd.models / "brick.safetensors", sleeping(0.3, 2)),
            waiting[2]: painted(odd.models / "brick.safetensors", sleeping(0.3, 4)),
        }
        assert code_of(client.ask(wire.Cancel(id=client.new_id(), target=waiting[0]))) == "not_found"
        assert data_of(other.reply()) == painted(odd.models / "brick.safetensors", sleeping(0.3, 1))


def client_status(session: Session) -> dict[str, Any]:
    with session.client() as client:
        return client.status()


# ----------------------------------------------------------------------------------------------------- load and faults


@pytest.mark.serial
def test_a_client_that_stops_reading_costs_the_others_nothing(server: Session) -> None:
    """What lies unsent for it is bounded, however much it asks for."""
    with server.unharmed():
        before, worst = server.memory_mb(), 0.0
        with server.client(receives=1) as deaf:
            wanted = [deaf.want("grass", 5000 + turn, (2048, 2048)) for turn in range(40)]  # 12 MB each
            for _ in range(600):
                deaf.tell(wire.GetThumbnail(id=deaf.new_id(), model="grass"))
            server.check()
            end = time.monotonic() + 2
            while time.monotonic() < end:
                worst = max(worst, server.memory_mb() - before)
                time.sleep(0.05)
            server.check()
            assert worst < 150, f"{worst:.0f} MB for a client that does not read"
            path = server.models / "grass.safetensors"
            first = next(reply for _ in range(641) if (reply := deaf.reply()) and reply.id in wanted)  # it reads again
            assert first.id is not None
            assert data_of(first) == painted(path, 5000 + wanted.index(first.id), (2048, 2048))


@pytest.mark.serial
def test_many_clients_that_do_not_read_cost_a_bounded_amount_which_comes_back(server: Session) -> None:
    """Others are served meanwhile, and those that take nothing are disconnected."""
    with server.unharmed():
        before, worst = server.memory_mb(), 0.0
        with ExitStack() as stack:
            for _ in range(50):
                deaf = stack.enter_context(server.client(receives=1))
                for _ in range(5):
                    deaf.want("grass", 77, (2048, 2048))  # 12 MB each, painted once
            end = time.monotonic() + 10
            while time.monotonic() < end:
                server.check()
                worst = max(worst, server.memory_mb() - before)
            assert worst < 600, f"{worst:.0f} MB for clients that do not read"
            eventually(lambda: server.memory_mb() < before + 300, "less is held for those who take nothing")


def vanish(server: Session, chance: random.Random) -> None:
    """A client asks for much and is gone while it comes."""
    with server.client(receives=chance.choice((1, 1000))) as client:
        for _ in range(3):
            client.want(chance.choice(("brick", "grass")), chance.randrange(40), (600, 700))
        client.socket.poll(chance.randrange(1, 120))


def check_vanishing(server: Session, times: int) -> None:
    chance = random.Random(times)
    for _ in range(10):
        vanish(server, chance)  # until everything has been used once
    with server.unharmed():
        for turn in range(times):
            vanish(server, chance)
            if turn % 50 == 25:
                server.check()
        idle = {"waiting": 0, "running": 0}  # who is gone is found out with the first reply to it
        eventually(lambda: client_status(server)["queue"] == idle, "nothing left to do", 10 * PATIENCE_S)


def test_clients_that_vanish_leave_nothing_behind(server: Session) -> None:
    check_vanishing(server, 40)


def test_clients_that_come_and_go_are_forgotten_soon(server: Session, client: Client) -> None:
    for _ in range(100):
        with server.client() as other:
            other.hello()
    eventually(lambda: client.status()["clients"] < 20, "that they are forgotten")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_clients_that_vanish_leave_nothing_behind(server: Session) -> None:
    check_vanishing(server, 1000)


def test_a_log_that_nobody_reads_keeps_nobody_waiting(models: Path, tmp_path: Path) -> None:
    """Neither clients, nor the signal to end."""
    server = subprocess.Popen(
        [*SERVER, "--models", str(models), "--device", "cpu"],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        file = tmp_path / "runtime" / "texserver" / "connection.json"
        eventually(file.exists, "a connection file")
        with Client(read_connection_file(file)) as client:
            for id in range(1, 3000):
                client.tell(wire.Generate(id=id, model="none", seed=1, size=(64, 64)))
                assert code_of(client.reply()) == "unknown_model"
        server.terminate()
        assert server.wait(PATIENCE_S) == 0
    finally:
        server.kill()
        server.communicate()


# -------------------------------------------------------------------------------------------------------------- workers


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


def wait_for_workers(session: Session) -> None:
    eventually(lambda: len(client_status(session)["devices"]) == len(session.workers()) > 0, "all workers")


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


# ----------------------------------------------------------------------------------------------------------- strangers


def connect(server: Session) -> socket.socket:
    peer = socket.create_connection((server.pairing.host, server.pairing.port), ANSWERED_S)
    peer.settimeout(ANSWERED_S)
    return peer


def is_cut(peer: socket.socket) -> bool:
    """Whether the server closes it, whatever it said before."""
    with suppress(ConnectionError):
        while peer.recv(65536):
            pass
    return True


TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(193))
ZMTP_GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


def test_what_speaks_no_zeromq_is_cut(server: Session) -> None:
    http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.unharmed(), ExitStack() as stack:
        peers = []
        for said in (http, TLS_HELLO, random.Random(3).randbytes(5000), ZMTP_GREETING, b"\xff", b""):
            peers.append(stack.enter_context(closing(connect(server))))
            with suppress(ConnectionError):
                peers[-1].sendall(said)
        assert all(is_cut(peer) for peer in peers)


def check_half_open(server: Session, count: int) -> None:
    with server.unharmed(), ExitStack() as stack:
        peers = [stack.enter_context(closing(connect(server))) for _ in range(count)]
        for peer in peers[::2]:
            peer.sendall(ZMTP_GREETING[:10])
        server.check()
        assert all(is_cut(peer) for peer in peers)


def test_half_open_connections_are_cut(server: Session) -> None:
    check_half_open(server, 100)


@pytest.mark.slow
def test_nine_hundred_half_open_connections_are_cut(server: Session) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    check_half_open(server, 900)


def test_a_flood_of_bad_headers_is_answered_at_a_bounded_rate(server: Session) -> None:
    with server.unharmed(), server.client() as flooding:
        began = time.monotonic()
        for _ in range(3000):
            flooding.send([b"TX1j", b"{"])
        server.check()
        answers = 0
        while flooding.frames(1.0) is not None and answers < 3000:
            answers += 1
        assert BAD_MESSAGES <= answers < BAD_MESSAGES + 6 * (time.monotonic() - began + 1)


def strangers(server: Session) -> dict[str, Pairing]:
    keys = server.pairing.keys
    assert keys is not None
    worker = keep_keys(server.home / "state" / "texserver" / "keys.json").worker
    host, port = server.pairing.host, server.pairing.port
    return {
        "a wrong key": Pairing(host=host, port=port, keys=Keys(server=keys.server, client=new_key())),
        "a worker's key": Pairing(host=host, port=port, keys=Keys(server=keys.server, client=worker)),
        "another server's key": Pairing(host=host, port=port, keys=Keys(server=new_key(), client=keys.client)),
        "no key": Pairing(host=host, port=port),
    }


def test_without_the_right_keys_there_is_no_answer(server: Session) -> None:
    with server.unharmed(), ExitStack() as stack:
        clients = {name: stack.enter_context(Client(pairing)) for name, pairing in strangers(server).items()}
        for client in clients.values():
            client.socket.sndtimeo = 0
            with suppress(zmq.Again):  # turned away already, and to nobody connected a send would wait for ever
                client.tell(wire.Hello(id=1))
        server.check()
        time.sleep(1.0)
        assert {name: client.frames(0) for name, client in clients.items()} == dict.fromkeys(clients)


# ------------------------------------------------------------------------------------------- workers on other machines


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


def finish(process: "subprocess.Popen[str]", within_s: float = PATIENCE_S) -> tuple[int, str]:
    """Its exit code and what it said on stderr; it is killed when it does not end."""
    try:
        _, said = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    return process.returncode, said


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


def test_the_connection_file_names_the_server_that_runs(server: Session) -> None:
    assert read_connection_file(server.file) == server.pairing
