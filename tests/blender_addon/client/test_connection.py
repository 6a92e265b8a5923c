"""A connection never waits, says what is wrong within two seconds, and brings every answer whatever happens between."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import zmq

from blender_addon.client import connection as module
from blender_addon.client.connection import Connection
from blender_addon.protocol import wire
from blender_addon.protocol.pairing import NoServer, Pairing, find_server, new_key, public_key
from server.msgpack_codec import CODECS
from tests.blender_addon.fake_server import FakeServer, refusal

pytestmark = pytest.mark.timeout(30)
generate = partial(wire.Generate, model="brick", seed=7, size=(64, 64))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@contextmanager
def connected(find: Callable[[], Pairing], **options: Any) -> Iterator[Connection]:
    with closing(Connection(find, **options)) as connection:
        yield connection


def until(connection: Connection, done: Callable[[], object], within_s: float = 5.0) -> float:
    """Tick until it is so, and return the seconds it took."""
    start = time.monotonic()
    while not done():
        assert time.monotonic() - start < within_s, f"{connection.state}: {connection.reason}"
        connection.tick()
        time.sleep(0.002)
    return time.monotonic() - start


def reason(find: Callable[[], Pairing], **options: Any) -> str:
    """What it says when the connection cannot be made; within 2 seconds, without ever waiting, again and again."""
    with connected(find, **options) as connection:
        took_s = until(connection, lambda: connection.state == "failed-for-now")
        print(f"{took_s:.3f} s: {connection.reason}")
        assert took_s < 2.0
        said = connection.reason
        ticking_s = 0.0
        for _ in range(100):
            start = time.monotonic()
            connection.tick()
            ticking_s += time.monotonic() - start
            assert (connection.state, connection.reason) == ("failed-for-now", said)
            time.sleep(0.002)
        assert ticking_s < 1.0  # in all: one of them may meet a busy machine
    return said


@contextmanager
def listening(serve: Callable[[socket.socket], None] | None, backlog: int = 5) -> Iterator[Pairing]:
    """Something that is no texture server, for a client with keys."""
    calls = []

    def run() -> None:
        while True:
            try:
                call, _ = listener.accept()
            except OSError:
                return
            calls.append(call)
            with suppress(OSError):
                serve(call)  # type: ignore[misc]

    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        thread = Thread(target=run, daemon=True)
        if serve:
            thread.start()
        keys = replace(FakeServer().pairing, port=listener.getsockname()[1])
        yield keys
        listener.shutdown(socket.SHUT_RDWR)
        if serve:
            thread.join(5)
        for call in calls:
            call.close()


def nobody(host: str = "127.0.0.1") -> Pairing:
    """A place where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return Pairing(host=host, port=probe.getsockname()[1])


# ------------------------------------------------------------------------------------------------------------ reasons


@pytest.mark.serial
def test_no_server_there() -> None:
    place = nobody()
    assert reason(lambda: place).startswith("No texserver runs at 127.0.0.1:")


@pytest.mark.serial
def test_no_server_known(tmp_path: Path) -> None:
    assert "there is no" in reason(partial(find_server, str(tmp_path / "connection.json")))


@pytest.mark.serial
def test_no_such_machine() -> None:
    assert reason(lambda: Pairing(host="no-such-machine.invalid", port=5555)).startswith(
        "There is no machine named no-such-machine.invalid"
    )


@pytest.mark.serial
def test_an_address_that_is_none() -> None:
    assert "Check the address" in reason(lambda: Pairing(host="-", port=1))


@pytest.mark.serial
def test_the_pairing_of_another_server(server: FakeServer) -> None:
    assert server.pairing.keys
    keys = replace(server.pairing.keys, server=public_key(new_key()))
    assert "has another key than the paired one" in reason(lambda: replace(server.pairing, keys=keys))


@pytest.mark.serial
def test_an_old_pairing(server: FakeServer) -> None:
    assert server.pairing.keys
    keys = replace(server.pairing.keys, client=new_key())
    assert "does not know this client's key" in reason(lambda: replace(server.pairing, keys=keys))


@pytest.mark.serial
def test_no_key_where_one_is_needed(server: FakeServer) -> None:
    assert "requires keys" in reason(lambda: replace(server.pairing, keys=None))


@pytest.mark.serial
def test_a_key_where_none_is_needed(server: FakeServer) -> None:
    with FakeServer(with_keys=False) as keyless:
        assert "uses no keys" in reason(lambda: replace(keyless.pairing, keys=server.pairing.keys))


@pytest.mark.serial
def test_a_server_that_says_it_speaks_a_newer_version(server: FakeServer) -> None:
    server.protocol = 2
    said = reason(lambda: server.pairing)
    assert "speaks another version than this client, which speaks TX1. It speaks TX2. Update this client." in said


@pytest.mark.serial
def test_a_server_that_refuses_our_version(server: FakeServer) -> None:
    server.script = lambda request: [wire.Error(id=None, code="unsupported_version", text="This side speaks TX3.")]
    said = reason(lambda: server.pairing)
    assert "speaks another version than this client" in said
    assert "This side speaks TX3." in said


@pytest.mark.serial
def test_a_server_that_answers_in_another_version(server: FakeServer) -> None:
    server.script = lambda request: [[b"TX2j", b"{}"]]
    assert "speaks another version than this client" in reason(lambda: server.pairing)


@pytest.mark.serial
def test_a_server_that_answers_nonsense(server: FakeServer) -> None:
    server.script = lambda request: [[b"hello", b"world"]]
    assert "cannot be read" in reason(lambda: server.pairing)


@pytest.mark.serial
def test_a_server_that_does_not_answer(server: FakeServer) -> None:
    server.script = lambda request: []
    assert "too busy to answer, or hangs" in reason(lambda: server.pairing)


@pytest.mark.serial
def test_a_server_that_turns_everyone_away(server: FakeServer) -> None:
    server.script = lambda request: [refusal(request, "busy", "Too many clients are here.")]
    assert "says: Too many clients are here." in reason(lambda: server.pairing)


@pytest.mark.parametrize(
    "greeting",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n", b"\x15\x03\x01\x00\x02\x02\x46", b"\x80" * 200],
    ids=["http", "ssh", "tls", "bytes"],
)
@pytest.mark.serial
def test_something_else_there(greeting: bytes) -> None:
    with listening(lambda call: call.sendall(greeting)) as pairing:
        assert "is not a texserver" in reason(lambda: pairing)
        assert reason(lambda: replace(pairing, keys=None)).startswith("The program at")


@pytest.mark.serial
def test_something_that_hangs_up() -> None:
    with listening(lambda call: call.close()) as pairing:
        assert "is not a texserver" in reason(lambda: pairing)


@pytest.mark.parametrize("attempt", range(10))
def test_keys_on_one_side_alone_are_told_from_wrong_keys_every_time(server: FakeServer, attempt: int) -> None:
    """Left to itself, ZeroMQ reports the one as the other half of the times."""
    with FakeServer(with_keys=False) as keyless:
        for find, said in (
            (lambda: replace(server.pairing, keys=None), "requires keys"),
            (lambda: replace(keyless.pairing, keys=server.pairing.keys), "uses no keys"),
        ):
            with connected(find) as connection:
                until(connection, lambda: connection.state == "failed-for-now")
                assert said in connection.reason


@pytest.mark.serial
def test_something_that_takes_the_call_and_says_nothing() -> None:
    with listening(lambda call: None) as pairing:
        assert "accepts connections but does not answer" in reason(lambda: pairing)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="other systems than Linux refuse what they cannot queue"
)
@pytest.mark.serial
def test_a_machine_that_does_not_answer() -> None:
    with listening(None, backlog=0) as pairing, closing(socket.socket()) as first, closing(socket.socket()) as second:
        for each in (first, second):  # they fill the queue
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", pairing.port))
        assert "does not answer. Check the address" in reason(lambda: pairing)


# ----------------------------------------------------------------------------------------------------------- recovery


def test_whatever_was_wrong_it_goes_on_once_it_is_mended(server: FakeServer) -> None:
    assert server.pairing.keys
    lies: list[Any] = [
        NoServer("Nobody is here."),
        nobody(),
        replace(server.pairing, keys=None),
        replace(server.pairing, keys=replace(server.pairing.keys, client=new_key())),
        replace(server.pairing, keys=replace(server.pairing.keys, server=public_key(new_key()))),
    ]
    tried = []

    def find() -> Pairing:
        tried.append(lies.pop(0) if lies else server.pairing)
        if isinstance(tried[-1], NoServer):
            raise tried[-1]
        return tried[-1]  # type: ignore[no-any-return]

    with connected(find) as connection:
        until(connection, lambda: connection.state == "ready", within_s=10)
        assert connection.reason == ""
        assert len(tried) == 6


def test_an_answer_comes_back_to_who_asked(server: FakeServer) -> None:
    answers: list[wire.Reply] = []
    with connected(lambda: server.pairing, client="test 1.0") as connection:
        first = connection.ask(generate, answers.append)
        second = connection.ask(partial(wire.GetStatus), answers.append)
        until(connection, lambda: len(answers) == 2)
        assert [(each.id, each.op) for each in answers] == [(first, "result"), (second, "status")]
        assert connection.welcome
        assert connection.welcome.server == "texserver 9.9"
        assert server.asked(wire.Hello)[0].client == "test 1.0"


def test_msgpack_is_spoken_by_who_has_it(server: FakeServer) -> None:
    answers: list[wire.Reply] = []
    with connected(lambda: server.pairing, letter=wire.MSGPACK, codecs=CODECS) as connection:
        connection.ask(generate, answers.append)
        until(connection, lambda: answers)


@pytest.mark.serial
def test_a_server_without_keys_and_an_ipv6_address() -> None:
    with FakeServer(with_keys=False) as server, connected(lambda: server.pairing) as connection:
        until(connection, lambda: connection.state == "ready")
    place = nobody("[::1]")
    assert reason(lambda: place).startswith("No texserver runs at [::1]:")


def test_progress_comes_on_the_way_and_nothing_after_the_result(server: FakeServer) -> None:
    def script(request: wire.Request) -> Any:
        if not isinstance(request, wire.GetStatus):
            return None
        progress = wire.Progress(id=request.id, done=1, of=2)
        status = wire.Status(id=request.id, report={})
        return [progress, progress, status, status, progress]

    server.script = script
    answers: list[str] = []
    with connected(lambda: server.pairing) as connection:
        connection.ask(wire.GetStatus, lambda reply: answers.append(reply.op))
        last: list[wire.Reply] = []
        until(connection, lambda: answers[-1:] == ["status"])
        connection.ask(generate, last.append)
        until(connection, lambda: last)
    assert answers == ["progress", "progress", "status"]


@pytest.mark.serial
def test_a_restarted_server_is_asked_again_under_the_same_ids(server: FakeServer) -> None:
    server.script = lambda request: [] if isinstance(request, wire.Generate) else None
    answers: list[wire.Reply] = []
    with connected(lambda: server.pairing) as connection:
        ids = [connection.ask(generate, answers.append) for _ in range(3)]
        until(connection, lambda: len(server.asked(wire.Generate)) == 3)
        old_port = server.port
        server.die()
        until(connection, lambda: connection.state != "ready")
        assert "was lost" in connection.reason
        took_s = until(connection, lambda: connection.state == "failed-for-now")
        assert took_s < 2.0
        assert connection.reason.startswith("No texserver runs at")
        server.requests.clear()
        server.script = lambda request: None
        server.start()
        assert server.port != old_port
        until(connection, lambda: len(answers) == 3)
        assert [each.id for each in answers] == ids
        assert [each.id for each in server.asked(wire.Generate)] == ids


def test_a_request_that_got_lost_is_sent_again(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.2)
    server.script = lambda request: (
        [] if isinstance(request, wire.Generate) and len(server.asked(wire.Generate)) < 3 else None
    )
    answers: list[wire.Reply] = []
    with connected(lambda: server.pairing) as connection:
        id = connection.ask(generate, answers.append)
        until(connection, lambda: answers)
        assert connection.state == "ready"
    assert [each.id for each in server.asked(wire.Generate)] == [id] * 3
    assert server.asked(wire.Generate)[0] == server.asked(wire.Generate)[2]


def test_what_is_large_has_time_to_get_there(server: FakeServer) -> None:
    """A slow line: neither it nor what was asked meanwhile is sent again, and the server is not taken to hang."""
    clock = [0.0]
    server.script = lambda request: [] if isinstance(request, wire.Stylize | wire.Generate) else None
    pixels = bytes(2048 * 1024 * 3)
    content = wire.Buffer(name="content", dtype="uint8", shape=(1024, 2048, 3), data=pixels)
    with connected(lambda: server.pairing, clock=lambda: clock[0]) as connection:
        until(connection, lambda: connection.state == "ready")
        large = connection.ask(partial(wire.Stylize, model="ink", content=content), lambda reply: None)
        small = connection.ask(generate, lambda reply: None)
        until(connection, lambda: server.asked(wire.Generate))
        for s in (module.ANSWER_WITHIN_S + 1, len(pixels) / module.SLOWEST_BYTES_S):
            clock[0] = s
            for _ in range(50):
                connection.tick()
                time.sleep(0.002)
        assert [each.id for each in server.asked(wire.Stylize)] == [large]
        assert [each.id for each in server.asked(wire.Generate)] == [small]
        clock[0] += 2 * module.ANSWER_WITHIN_S
        until(connection, lambda: len(server.asked(wire.Stylize)) == 2)


def test_progress_is_a_sign_of_life(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    heard: list[wire.Reply] = []
    server.script = lambda request: (
        [wire.Progress(id=request.id, done=1, of=2)] if isinstance(request, wire.Generate) else None
    )
    with connected(lambda: server.pairing, clock=lambda: clock[0]) as connection:
        connection.ask(generate, heard.append)
        until(connection, lambda: heard)
        clock[0] = module.ANSWER_WITHIN_S + 1  # since it was sent, and since progress came
        until(connection, lambda: len(heard) == 2)
        clock[0] += module.ANSWER_WITHIN_S - 1
        for _ in range(50):
            connection.tick()
            time.sleep(0.002)
        assert len(server.asked(wire.Generate)) == 2


def test_a_server_that_hangs_while_ready_is_told_of(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.2)
    monkeypatch.setattr(module, "GIVE_UP_S", 2.5)
    answers: list[wire.Reply] = []
    with connected(lambda: server.pairing) as connection:
        until(connection, lambda: connection.state == "ready")
        server.script = lambda request: []
        connection.ask(generate, answers.append)
        until(connection, lambda: connection.state == "failed-for-now")
        assert "too busy to answer, or hangs" in connection.reason
        server.script = lambda request: None
        until(connection, lambda: answers)
        assert connection.reason == ""


def test_what_is_forgotten_is_cancelled_and_never_answered(server: FakeServer) -> None:
    server.script = lambda request: [] if isinstance(request, wire.Generate) else None
    answers: list[wire.Reply] = []
    with connected(lambda: server.pairing) as connection:
        id = connection.ask(generate, answers.append)
        until(connection, lambda: server.asked(wire.Generate))
        server.script = lambda request: (
            [refusal(replace(generate(id=id)), "cancelled"), wire.Result(id=request.id)]
            if isinstance(request, wire.Cancel)
            else None
        )
        connection.forget(id)
        connection.forget(id)
        connection.forget(4711)
        last: list[wire.Reply] = []
        connection.ask(wire.GetStatus, last.append)
        until(connection, lambda: last)
    assert [each.target for each in server.asked(wire.Cancel)] == [id]
    assert answers == []


def test_what_is_forgotten_before_it_was_sent_is_never_sent(server: FakeServer) -> None:
    with connected(lambda: server.pairing) as connection:
        connection.forget(connection.ask(generate, lambda reply: None))
        last: list[wire.Reply] = []
        connection.ask(wire.GetStatus, last.append)
        until(connection, lambda: last)
    assert not server.asked(wire.Generate)
    assert not server.asked(wire.Cancel)


def test_once_connected_a_request_leaves_at_once(server: FakeServer) -> None:
    """Not at the next tick, for which a caller may wait until something arrives."""
    with connected(lambda: server.pairing) as connection:
        until(connection, lambda: connection.state == "ready")
        connection.ask(generate, lambda reply: None)
        end = time.monotonic() + 20
        while not server.asked(wire.Generate):
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_callback_may_ask_and_may_close(server: FakeServer) -> None:
    answers: list[wire.Reply] = []
    with connected(lambda: server.pairing) as connection:

        def again(reply: wire.Reply) -> None:
            answers.append(reply)
            connection.ask(generate, close)

        def close(reply: wire.Reply) -> None:
            answers.append(reply)
            connection.close()

        connection.ask(generate, again)
        until(connection, lambda: len(answers) == 2)
        connection.tick()
        assert connection.sockets == []


@pytest.mark.serial
def test_ticks_never_wait_when_more_is_asked_than_the_server_reads(server: FakeServer) -> None:
    """ZeroMQ takes no more at some point; the rest is kept, and every request is answered in the end."""
    server.script = lambda request: time.sleep(1) if len(server.asked(wire.Stylize)) == 1 else None  # type: ignore[func-returns-value]
    shape = (512, 512, 3)
    content = wire.Buffer(name="content", dtype="uint8", shape=shape, data=bytes(512 * 512 * 3))
    answers: list[wire.Reply] = []
    with connected(lambda: server.pairing) as connection:
        until(connection, lambda: connection.state == "ready")
        for _ in range(150):
            connection.ask(partial(wire.Stylize, model="brick", content=content), answers.append)
        start = time.monotonic()
        connection.tick()
        assert time.monotonic() - start < 0.3
        assert not answers
        until(connection, lambda: len(answers) == 150, within_s=20)
    assert sorted(each.id or 0 for each in answers) == sorted({each.id for each in server.asked(wire.Stylize)})


@pytest.mark.serial
def test_closing_frees_every_file_and_takes_no_time(server: FakeServer) -> None:
    zmq.Context.instance()
    with connected(lambda: server.pairing) as connection:
        until(connection, lambda: connection.state == "ready")
    before, closing_s = open_files(), 0.0
    for find in (lambda: server.pairing, nobody) * 10:
        connection = Connection(find)
        until(connection, lambda: connection.state != "connecting")  # noqa: B023
        connection.ask(generate, lambda reply: None)
        start = time.monotonic()
        connection.close()
        closing_s += time.monotonic() - start
    assert closing_s < 0.5
    deadline = time.monotonic() + 5
    while open_files() > before + 2 and time.monotonic() < deadline:  # ZeroMQ's reaper works beside us
        time.sleep(0.01)
    assert open_files() <= before + 2


def open_files() -> int:
    folder = Path("/") / "proc" / "self" / "fd"
    return len(list(folder.iterdir())) if folder.exists() else 0
