"""Facts about everything at once: honest clients get their pixels while all else goes wrong.

A short story runs always, by a seed. The long one is slow: ten minutes, or TEXSERVER_CHAOS_S seconds.
"""

import hashlib
import os
import random
import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import Keys, Pairing, new_key, parse_pairing
from server import __version__
from server.model.work import Here, Progress, encode
from server.replace_file import replace_file
from server.worker.worker import connected
from server.worker.worker_config import WorkerConfig
from tests.models import save_tiny
from tests.server.session import PATIENCE_S, Client, Session, code_of, data_of, eventually, kill, painted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")

MODELS = ("brick", "grass")
TEXTURES = (  # size and window
    ((64, 64), None),
    ((600, 520), None),
    ((1300, 700), (1250, 650, 120, 140)),
    ((512, 1024), (0, 500, 512, 30)),
)
SEEDS = range(6)
RETRY = ("busy", "worker_lost")  # of the codes that say so, those that a server which goes on may answer
SILENT_S = PATIENCE_S
HELD = 12  # half-open connections and deaf clients at a time


class Versions:
    """Three versions of each model, which take each other's place in the folder that is served."""

    def __init__(self, folder: Path, aside: Path) -> None:
        self.folder = folder
        self.files = [save_tiny(aside, f"version {number}", number, lattice=number == 1) for number in range(3)]
        self.by_hash = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in self.files}
        for name in MODELS:
            self.put(name, self.files[0])

    def put(self, name: str, file: Path) -> None:
        replace_file(self.folder / f"{name}.safetensors", file.read_bytes())

    def served_by(self, session: Session) -> set[Path]:
        """Which of them the server has now."""
        with session.client() as client:
            listed = client.ask(wire.ListModels(id=1))
        assert isinstance(listed, wire.Models)
        return {self.by_hash[each["sha256"]] for each in listed.models}

    def damage(self, name: str, chance: random.Random) -> None:
        """As a copy that was cut short, under the model's own name."""
        content = chance.choice(self.files).read_bytes()
        (self.folder / f"{name}.safetensors").write_bytes(content[: chance.randrange(len(content))])


class Honest:
    """A client that asks for one texture after the other, again where it is told to, and looks at every sample."""

    def __init__(self, session: Session, versions: Versions, chance: random.Random) -> None:
        self.client, self._versions, self._chance = session.client(), versions, chance
        self.answered = self.again = 0
        self.began, self.longest_s = time.monotonic(), 0.0  # of one texture, asked for again and again
        self.ask(wire.Generate(id=self.client.new_id(), model="", seed=0, size=(64, 64)))  # "" is no model

    def ask(self, request: wire.Generate) -> None:
        self.request, self.asked = request, time.monotonic()
        self.client.tell(request, self._chance.choice((wire.JSON, wire.MSGPACK)))

    def ask_another(self) -> None:
        size, window = self._chance.choice(TEXTURES)
        model, seed = self._chance.choice(MODELS), self._chance.choice(SEEDS)
        self.began = time.monotonic()
        self.ask(wire.Generate(id=self.client.new_id(), model=model, seed=seed, size=size, window=window))

    def hear(self) -> None:
        """Take a reply, which must be right; then ask on."""
        reply, request = self.client.reply(0), self.request
        assert reply is not None
        assert reply.id == request.id, "a reply to nothing"
        if isinstance(reply, wire.Result):
            path = self._versions.by_hash[reply.sha256]
            assert data_of(reply) == painted(path, request.seed, request.size, request.window), request
            self.answered += 1
            self.longest_s = max(self.longest_s, time.monotonic() - self.began)
            self.ask_another()
        elif not request.model:
            assert code_of(reply) == "unknown_model"
            self.ask_another()
        else:
            assert code_of(reply) in RETRY, reply
            self.again += 1
            time.sleep(0.01)
            self.ask(request)


class Chaos:
    """What goes wrong, one thing at a time."""

    def __init__(self, session: Session, versions: Versions, chance: random.Random, stack: ExitStack) -> None:
        self.session, self.versions, self.chance = session, versions, chance
        self._held: list[Callable[[], None]] = []
        pairing = parse_pairing(session.worker_line)
        assert pairing.keys
        server_key, own_key = pairing.keys.server.hex(), pairing.keys.client.hex()
        self._far = WorkerConfig(endpoint=pairing.endpoint, name="far", server_key=server_key, own_key=own_key)
        stack.callback(self.release, 0)

    def release(self, left: int) -> None:
        """Let go of connections that were only held."""
        while len(self._held) > left:
            self._held.pop(0)()

    def happens(self) -> None:
        self.chance.choice(
            (self.vanish, self.nonsense, self.strange, self.stare, self.replace, self.damage, self.change_its_mind,
             self.knock, self.ask_for_much, self.send_too_much, self.work_badly)
        )()  # fmt: skip
        self.release(HELD)

    def vanish(self) -> None:
        with self.session.client() as client:
            for seed in range(3):
                client.want(self.chance.choice(MODELS), 100 + seed, (600, 600))
            client.socket.poll(self.chance.randrange(60))

    def nonsense(self) -> None:
        with self.session.client() as client:
            good = bytearray(b'{"op":"generate","id":1,"model":"brick","seed":7,"size":[64,64]}')
            for _ in range(self.chance.randrange(1, 80)):
                good[self.chance.randrange(len(good))] = self.chance.randrange(256)
                client.send([self.chance.choice((b"TX1j", b"TX1m", b"TX2j", b"")), bytes(good)])
            client.socket.poll(20)

    def strange(self) -> None:
        with self.peer() as peer, suppress(OSError):
            peer.sendall(self.chance.choice((b"GET / HTTP/1.0\r\n\r\n", self.chance.randbytes(300))))

    def stare(self) -> None:
        """A connection that says nothing, or a client that reads nothing."""
        if self.chance.random() < 0.5:
            self._held.append(self.peer().close)
            return
        client = self.session.client(receives=1)
        for seed in range(4):
            client.want("grass", 200 + seed, (600, 600))
        self._held.append(client.close)

    def peer(self) -> socket.socket:
        return socket.create_connection((self.session.pairing.host, self.session.pairing.port), PATIENCE_S)

    def replace(self) -> None:
        self.versions.put(self.chance.choice(MODELS), self.chance.choice(self.versions.files))

    def damage(self) -> None:
        self.versions.damage(self.chance.choice(MODELS), self.chance)

    def change_its_mind(self) -> None:
        with self.session.client() as client:
            for id in [client.want("brick", 300 + turn, (520, 520)) for turn in range(5)]:
                client.tell(wire.Cancel(id=client.new_id(), target=id))
            client.socket.poll(20)

    def knock(self) -> None:
        keys = self.session.pairing.keys
        assert keys is not None
        wrong = Keys(server=keys.server, client=new_key())
        with Client(Pairing(host=self.session.pairing.host, port=self.session.pairing.port, keys=wrong)) as client:
            client.tell(wire.Hello(id=1))
            client.socket.poll(20)

    def ask_for_much(self) -> None:
        with self.session.client() as client:
            for turn in range(100):
                client.want("brick", 400 + turn, (1024, 1024))
            client.socket.poll(20)

    def send_too_much(self) -> None:
        """In one message: of many bytes, or of many frames."""
        client = self.session.client()
        frame, frames = self.chance.choice(((bytes(8 * 2**20), 20), (b"x", 20_000)))
        for _ in range(frames):
            client.socket.send(frame, zmq.SNDMORE, copy=False)
        client.socket.send(b"")
        self._held.append(client.close)

    def work_badly(self) -> None:
        """A worker of another machine that sends nonsense, or joins and does nothing."""
        context: zmq.Context[Any] = zmq.Context()
        socket = connected(context, self._far)
        self._held.append(lambda: (socket.close(), context.term()))  # type: ignore[func-returns-value]
        joins = encode(Here(version=__version__, name=self.chance.choice(("far", "\x1b[2J")), device="cpu"))
        nonsense = [self.chance.randbytes(self.chance.randrange(1, 200)) for _ in range(3)]
        socket.send_multipart(self.chance.choice((joins, nonsense)))
        socket.send_multipart(self.chance.choice((joins, nonsense, encode(Progress(number=1, done=5)))))

    def hurt_a_worker(self, *signals: signal.Signals) -> None:
        """At any moment of its life: those that start are among them."""
        if workers := self.session.workers():
            kill(self.chance.choice(workers), self.chance.choice(signals))


@dataclass(frozen=True, kw_only=True)
class Story:
    """How it went."""

    memory: list[tuple[float, float]]  # the front's over time, in seconds and megabytes
    answered: int  # textures of honest clients, all of them right
    longest_s: float  # that an honest client waited for one
    ready_s: float  # until all workers were there, once it was quiet
    left_mb: float  # more than at the beginning, then


def tell_story(
    tmp_path: Path, *, seed: int, clients: int, seconds: float, hurt_every_s: float, signals: tuple[signal.Signals, ...]
) -> Story:
    """Chaos for so long."""
    chance = random.Random(seed)
    folder, aside, home = tmp_path / "models", tmp_path / "aside", tmp_path / "home"
    folder.mkdir()
    versions = Versions(folder, aside)
    memory: list[tuple[float, float]] = []
    with ExitStack() as stack:
        session = stack.enter_context(
            Session(folder, home, "--workers", "2", "--cache", "1", "--watchdog", "5", "--log-level", "warning",
                    "--bind-workers", "tcp://127.0.0.1:*")
        )  # fmt: skip
        for name in MODELS:
            session.check(name)
        memory_before = session.memory_mb()
        chaos = Chaos(session, versions, chance, stack)
        poller = zmq.Poller()
        honest = [Honest(session, versions, chance) for _ in range(clients)]
        by_socket = {each.client.socket: each for each in honest}
        for each in honest:
            stack.callback(each.client.close)
            poller.register(each.client.socket, zmq.POLLIN)

        began = happened = hurt = measured = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            for ready, _ in poller.poll(20):
                by_socket[ready].hear()
            for each in honest:
                assert now - each.asked < SILENT_S, f"no answer to {each.request}"
            if now > happened + 0.15:
                happened = now
                chaos.happens()
            if now > hurt + hurt_every_s:
                hurt = now
                chaos.hurt_a_worker(*signals)
            if now > measured + 1.0:
                measured = now
                memory.append((now - began, session.memory_mb()))

        chaos.release(0)
        quiet = time.monotonic()
        session.wait_until_ready()
        ready_s = time.monotonic() - quiet
        for each in honest:
            while each.client.socket.poll(PATIENCE_S * 1000):
                answered = each.answered
                each.hear()
                if each.answered > answered:
                    break
            assert each.answered, each.request
        for name in MODELS:
            versions.put(name, versions.files[2])
        session.wait_until_ready()
        eventually(lambda: versions.served_by(session) == {versions.files[2]}, "the last versions")
        for name in MODELS:
            session.check(name)
        assert session.popen.poll() is None
        eventually(lambda: session.memory_mb() < memory_before + 50, "memory back")
        left_mb = session.memory_mb() - memory_before
        assert "Traceback" not in session.log
        assert "incident" not in session.log
        assert "\x1b" not in session.log
        assert session.end() == 0
    return Story(
        memory=memory,
        answered=sum(each.answered for each in honest),
        longest_s=max(each.longest_s for each in honest),
        ready_s=ready_s,
        left_mb=left_mb,
    )


@pytest.mark.serial
def test_honest_clients_get_their_pixels_whatever_happens(tmp_path: Path) -> None:
    """Twelve seconds of it."""
    story = tell_story(
        tmp_path, seed=5, clients=3, seconds=12, hurt_every_s=5, signals=(signal.SIGKILL, signal.SIGSTOP)
    )
    assert story.answered > 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_minutes_of_everything_at_random_leave_no_trace(tmp_path: Path) -> None:
    seconds = float(os.environ.get("TEXSERVER_CHAOS_S", "600"))
    story = tell_story(
        tmp_path, seed=9, clients=8, seconds=seconds, hurt_every_s=5, signals=(signal.SIGKILL, signal.SIGSTOP)
    )
    # medians of quarters, since what comes and goes within seconds is not what grows; the first is for warming up
    memory = story.memory
    quarter = len(memory) // 4
    parts = memory[quarter : 2 * quarter], memory[-quarter:]
    early, late = (statistics.median(mb for _, mb in part) for part in parts)
    minutes = seconds / 60 / 2  # between their middles
    print(
        f"{story.answered} textures, all right; the longest wait was {story.longest_s:.1f} s; all workers were ready "
        f"{story.ready_s:.1f} s after the end; {story.left_mb:+.1f} MB were left"
    )
    print(f"memory: {early:.1f} MB, then {late:.1f} MB: {(late - early) / minutes:+.2f} MB a minute")
    assert (late - early) / minutes < 1
    assert story.ready_s < 10
    assert story.longest_s < SILENT_S
