"""One front and many workers: how many tiles a second, and how much of a processor the front takes for them.

    python benchmarks/front.py [--quick]

The server is a real one. Its workers are simulated, because no machine here has 64 devices: each speaks the protocol of
server/model/work.py through a socket of its own, sleeps for a tile's time and answers with grey. One of them is the
server's own process, since that one settles the precision; the others join over TCP with keys, as workers of other
machines do, all from one process. Each request is a texture of one tile with a seed of its own, in one map of three
bytes a pixel, so the front has the work of a whole request for each tile.

The reference is what so many workers could do: their number over a tile's time. `--quick` leaves out 128 workers and
what saturates the front.

    front.py serve SECONDS …          the server, with `front.py work` as the command of its worker
    front.py work SECONDS             one worker, with its configuration on standard input
    front.py join SECONDS LINE COUNT  so many for the server of that file's line
"""

import argparse
import functools
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import Pairing, read_connection_file
from server import __version__
from server.client.client import Client
from server.errors import TexserverError
from server.model.receipt import receipt_of
from server.model.work import Done, Here, PaintTile, Stop, encode, parse_from_front
from server.msgpack_codec import CODECS
from server.service import serve as command
from server.service.own_time import processor_time
from server.worker import worker
from server.worker.worker import REPORT_EVERY_S, connected
from server.worker.worker_config import WorkerConfig

TILE_S = 0.5
SMALL_PX, TILE_PX = 32, 512  # sides of the tiles
CHANNELS = 3
ROUNDS = 20  # tiles of each worker
SHARE = 48  # requests of one client at a time; the server allows 64
AHEAD = 3  # requests for each worker: it holds two, one more waits
PATIENCE_S = 60.0  # until all workers are there, or for one texture

_seeds = itertools.count(1)


# ------------------------------------------------------------------------------------------------- simulated workers


@dataclass(eq=False)
class Sleeper:
    """A worker that sleeps instead of painting."""

    socket: "zmq.Socket[Any]"
    name: str
    tile_s: float
    reported: float = -REPORT_EVERY_S
    free: float = 0.0  # when it ended its last tile
    todo: deque[tuple[PaintTile, float]] = field(default_factory=deque)  # and when each had come

    @property
    def due(self) -> float:
        """When it must be looked at again."""
        report = self.reported + REPORT_EVERY_S
        return min(report, self._end) if self.todo else report

    @property
    def _end(self) -> float:
        """Of the first tile. What this process is late costs none of a worker's time: each would have its machine."""
        return max(self.free, self.todo[0][1]) + self.tile_s

    def hear(self, now: float) -> bool:
        """Take in what has come. False when it is told to stop."""
        while self.socket.poll(0):
            message = parse_from_front([frame.buffer for frame in self.socket.recv_multipart(copy=False)])
            if isinstance(message, PaintTile):
                self.todo.append((message, now))
            elif isinstance(message, Stop):
                return False
        return True

    def step(self, now: float) -> None:
        """Say what is due."""
        if now >= self.reported + REPORT_EVERY_S:
            here = Here(version=__version__, name=self.name, device="cpu", precision="exact", memory_mb=1)
            self.socket.send_multipart(encode(here))
            self.reported = now
        while self.todo and self._end <= now:
            self.free = self._end
            item, _ = self.todo.popleft()
            grey, receipt = tile_of(item.tile.pixels)
            self.socket.send_multipart(encode(Done(number=item.number, planes=(grey,), receipt=receipt)), copy=False)


@functools.cache
def tile_of(pixels: int) -> tuple[memoryview, str]:
    """The samples of a tile, and their receipt."""
    grey = memoryview(bytes([128]) * (pixels * CHANNELS))
    return grey, receipt_of([grey])


def work(configs: Sequence[WorkerConfig], tile_s: float) -> int:
    """Be a worker for each configuration until the server ends."""
    context: zmq.Context[Any] = zmq.Context(2)
    context.set(zmq.MAX_SOCKETS, 4096)
    poller = zmq.Poller()
    sleepers = {}
    for config in configs:
        sleeper = Sleeper(connected(context, config), config.name, tile_s)
        sleepers[sleeper.socket] = sleeper
        poller.register(sleeper.socket, zmq.POLLIN)
    while True:
        patience_s = min(each.due for each in sleepers.values()) - time.monotonic()
        heard = poller.poll(max(0, int(1000 * patience_s) + 1) if patience_s > 0 else 0)
        now = time.monotonic()
        if not all(sleepers[socket].hear(now) for socket, _ in heard):
            context.destroy(linger=0)
            return 0
        for each in sleepers.values():
            if each.due <= now:
                each.step(now)


def join(tile_s: float, line: Path, count: int) -> int:
    """Workers of another machine."""
    pairing = read_connection_file(line)
    return work([config_of(pairing, f"far/{each}") for each in range(count)], tile_s)


def config_of(pairing: Pairing, name: str) -> WorkerConfig:
    """How to connect to a server, for `connected`."""
    assert pairing.keys
    keys = {"server_key": pairing.keys.server.hex(), "own_key": pairing.keys.client.hex()}
    return WorkerConfig(endpoint=pairing.endpoint, name=name, **keys)  # type: ignore[arg-type]


def serve(tile_s: str, arguments: Sequence[str]) -> int:
    """A server whose own worker is simulated."""
    own = (sys.executable, str(Path(__file__)), "work", tile_s)
    command.Server = functools.partial(command.Server, command=own)  # type: ignore
    return command.main(arguments)


# ------------------------------------------------------------------------------------------------------ the benchmark


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server with all its workers."""

    pairing: Pairing
    pid: int


@contextmanager
def running(models: Path, workers: int, tile_s: float) -> Iterator[Running]:
    """A server and so many simulated workers, ready."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        file, line = home / "connection.json", home / "line"
        environment = os.environ | {"XDG_STATE_HOME": name, "XDG_RUNTIME_DIR": name}
        this = [sys.executable, str(Path(__file__))]
        options = ["--models", str(models), "--connection-file", str(file), "--log-level", "error", "--no-training"]
        processes: list[subprocess.Popen[bytes]] = []

        def start(*command: str) -> "subprocess.Popen[bytes]":
            processes.append(subprocess.Popen([*this, *command], stdout=subprocess.DEVNULL, env=environment))
            return processes[-1]

        try:
            front = start("serve", str(tile_s), *options, "--precision", "exact", "--bind-workers", "tcp://127.0.0.1:*")
            with client_of(file) as client:
                if workers > 1:
                    line.touch(0o600)
                    asked = [sys.executable, "-m", "server", "--pairing", "workers", "--connection-file", str(file)]
                    line.write_bytes(subprocess.run(asked, env=environment, check=True, capture_output=True).stdout)
                    start("join", str(tile_s), str(line), str(workers - 1))
                until = time.monotonic() + PATIENCE_S
                while (report := client.status())["models"]["checking"] or len(report["devices"]) < workers:
                    assert time.monotonic() < until, f"only {len(report['devices'])} workers of {workers} came"
                    time.sleep(0.1)
            yield Running(pairing=read_connection_file(file), pid=front.pid)
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(60)


def client_of(file: Path) -> Client:
    """A client of the server, once that is there."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return Client(str(file), timeout_s=PATIENCE_S)
        except TexserverError:  # not there yet
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def paint(pairing: Pairing, model: str, count: int, side: int, at_once: int) -> float:
    """Want so many textures of one tile, `at_once` at any time; the seconds until all are there."""
    context: zmq.Context[Any] = zmq.Context(2)
    poller = zmq.Poller()
    left = count

    def want(socket: "zmq.Socket[Any]") -> None:
        nonlocal left
        if left:
            left -= 1
            seed = next(_seeds)
            request = wire.Generate(id=seed, model=model, seed=seed, size=(side, side))
            socket.send_multipart(wire.encode(request, wire.JSON, CODECS))

    try:
        began = time.monotonic()
        config = config_of(pairing, "")
        for _ in range(-(-at_once // SHARE)):
            socket = connected(context, config)
            poller.register(socket, zmq.POLLIN)
            for _ in range(min(SHARE, at_once)):
                want(socket)
        done = 0
        while done < count:
            ready = poller.poll(1000 * int(PATIENCE_S))
            assert ready, f"{done} textures of {count}, and no more"
            for socket, _ in ready:
                while socket.poll(0):
                    reply = wire.parse_reply([each.buffer for each in socket.recv_multipart(copy=False)], CODECS)
                    assert isinstance(reply, wire.Result), reply
                    done += 1
                    want(socket)
        return time.monotonic() - began
    finally:
        context.destroy(linger=0)


def loop_s(pid: int) -> float:
    """Processor time of a process's first thread: the front's loop, without ZeroMQ's threads, which encrypt."""
    user, system = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def idle_s() -> float:
    """Seconds that the processors of this machine had nothing to do, together, since it started."""
    return int(Path("/proc/stat").read_text().split()[4]) / os.sysconf("SC_CLK_TCK")


def measure(models: Path, model: str, workers: int, side: int, tile_s: float, rounds: int = ROUNDS) -> None:
    """Print one line of the table."""
    with running(models, workers, tile_s) as server:
        paint(server.pairing, model, 2 * workers, side, 2 * workers)  # each worker gets the model
        loop, whole = loop_s(server.pid), processor_time(server.pid) or 0.0
        idle = idle_s()
        tiles = rounds * workers
        seconds = paint(server.pairing, model, tiles, side, AHEAD * workers)
        idle = idle_s() - idle
        loop, whole = loop_s(server.pid) - loop, (processor_time(server.pid) or 0.0) - whole
    could = workers / tile_s
    print(
        f"{side:>4} px {workers:>8} {tile_s:>8.3f} s {could:>10.1f} {tiles / seconds:>10.1f} "
        f"{tiles / seconds / could:>7.3f} {whole / seconds:>9.1%} {loop / seconds:>9.1%} "
        f"{1000 * whole / tiles:>9.2f} ms {1000 * loop / tiles:>7.2f} ms "
        f"{idle / seconds:>7.1%}",
        flush=True,
    )


def benchmark(quick: bool) -> None:
    """Print the table."""
    from serve import MODEL, save_model

    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {load} before it")
    print(
        f"{'tile':>7} {'workers':>8} {'takes':>10} {'could/s':>10} {'did/s':>10} {'share':>7} {'front':>9} "
        f"{'its loop':>9} {'a tile':>12} {'in loop':>10} {'idle':>7}"
    )
    with tempfile.TemporaryDirectory() as name:
        models = Path(name)
        save_model(models)
        for side in (SMALL_PX, TILE_PX):
            for workers in (1, 4, 16, 64) if quick else (1, 4, 16, 64, 128):
                measure(models, MODEL, workers, side, TILE_S)
            if not quick:  # far more than the front can take
                measure(models, MODEL, 64, side, TILE_S / 25, rounds=50)


def main() -> int:
    """Do what the first argument says, by default the benchmark."""
    match sys.argv[1:]:
        case ["serve", tile_s, *arguments]:
            return serve(tile_s, arguments)
        case ["work", tile_s]:
            worker.run = lambda config: work([config], float(tile_s))
            return worker.main()
        case ["join", tile_s, line, count]:
            return join(float(tile_s), Path(line), int(count))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="at most 64 workers, nothing that saturates the front")
    benchmark(parser.parse_args().quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
