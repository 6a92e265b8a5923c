"""A running server under load and attack: who does not read, vanishes or floods costs the others nothing."""

import random
import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import Keys, Pairing, new_key, read_connection_file
from server.front.front import BAD_MESSAGES
from server.service.keys import keep_keys
from tests.server.session import (
    ANSWERED_S,
    PATIENCE_S,
    SERVER,
    Client,
    Session,
    client_status,
    code_of,
    data_of,
    environment,
    eventually,
    painted,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")


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
