"""texserver: hosts the models of a folder, paints textures with them and puts pictures into a style.

    texserver --models models                            for the programs of this machine
    texserver --models models --bind tcp://0.0.0.0:7733  for others too: paste the line it prints there
    texserver --worker-of LINE                           this machine's device works for that server

The front (this process) has no torch: it owns the sockets, checks, queues and answers (server/front/front.py). Worker
processes, one for each device, paint (server/worker/worker.py). SIGTERM and Ctrl-C end it: no new work, what is
accepted is done, at most --drain seconds long; a second one ends it at once. With --leave-with-parent the end of
standard input counts as one, too: whoever started the server has gone, however that happened.
"""

import argparse
import gc
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import randbelow
from types import FrameType
from typing import Any, NoReturn

import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import (
    Keys,
    Pairing,
    default_connection_file,
    parse_pairing,
    public_key,
    z85,
)
from server import __version__
from server.errors import TexserverError
from server.front.crew import LOCAL, REMOTE, Address
from server.front.front import Front
from server.front.shelf import Shelf
from server.model.work import FromFront, GoOn, Here, encode
from server.precision import PRECISIONS
from server.service.gate import Gate
from server.service.keys import keep_keys, remove_connection_file, running_server, write_connection_file
from server.service.outbox import Outbox
from server.service.processes import COMMAND, Processes
from server.worker.worker_config import WorkerConfig

CLIENTS, WORKERS = "clients", "workers"  # domains of keys
IO_THREADS = 3  # so that encrypting megabytes for one client does not keep another waiting
MESSAGES_AT_ONCE = 64  # of one socket, before the others have their turn
TICK_MS = 50
GREET_EVERY_S = 1.0  # workers
METRICS_EVERY_S = 1.0
TRACKED_BYTES = 4096  # smaller frames are copied, and not counted as unsent
LAST_WORDS_MS = 2000  # for what ZeroMQ holds when the server has ended
HANDSHAKE_MS = 3000  # a peer that has not shown its key by then is cut

log = logging.getLogger("texserver")


class Unservable(TexserverError):
    """The server cannot start like that; the text says what to change."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 after a clean end, 2 after one sentence on stderr, 130 after a second Ctrl-C."""
    try:
        options = _parser().parse_args(argv)
        logging.basicConfig(
            level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
        )
        if options.worker_of is not None:
            return _work_for(options)
        with Server(options) as server:
            return server.run()
    except TexserverError as error:
        print(f"texserver: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise Unservable(f"{message}; see texserver --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="texserver", description="Hosts models: paints textures, and puts pictures into a style.")
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--bind",
        default="tcp://127.0.0.1:*",
        metavar="ENDPOINT",
        help="where to listen, * for any free port (default: %(default)s); tcp://0.0.0.0:7733 for other machines too",
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda (all of them), cuda:0,1 or mps; default: auto"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes for each device (default: 1)")
    parser.add_argument(
        "--precision", default="auto", choices=PRECISIONS, help="as of texget; the same for all workers"
    )
    parser.add_argument(
        "--connection-file", type=Path, metavar="FILE", help="by which the programs here find the server"
    )
    parser.add_argument("--no-auth", action="store_true", help="without keys; on loopback alone")
    parser.add_argument("--cache", type=int, default=32, metavar="MB", help="for tiles computed last (default: 32)")
    parser.add_argument(
        "--max-side", type=int, default=16384, metavar="PX", help="of a texture or a picture, at most 65536"
    )
    parser.add_argument(
        "--watchdog", type=float, default=30.0, metavar="S", help="for one tile or block; then its worker is ended"
    )
    parser.add_argument(
        "--drain", type=float, default=30.0, metavar="S", help="to finish what is accepted (default: 30)"
    )
    parser.add_argument(
        "--bind-workers", metavar="ENDPOINT", help="where workers of other machines report, such as tcp://0.0.0.0:7734"
    )
    parser.add_argument("--worker-of", metavar="LINE", help="work for the server that printed this line")
    parser.add_argument(
        "--leave-with-parent", action="store_true", help="when standard input closes: whoever started it has gone"
    )
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="figures for Prometheus, on loopback")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


class Server:
    """The sockets and processes around a front. Use it in a `with` block; `run` returns when it was told to stop.

    Raises Unservable, UnusableKeys, UnusableOutput.
    """

    def __init__(self, options: argparse.Namespace, command: Sequence[str] = COMMAND) -> None:
        self.options = options
        self.context: zmq.Context[Any] = zmq.Context(IO_THREADS)
        self._stack = ExitStack()
        self._stack.callback(self.context.destroy, linger=0)
        self._signals = 0
        self._parent_left = False
        self._drain_ends = float("inf")
        self._tell_metrics: Callable[[], None] | None = None
        self._told_metrics = self._greeted = 0.0
        try:
            self._open(command)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # ---------------------------------------------------------------------------------------------------- starting

    def _open(self, command: Sequence[str]) -> None:
        options = self.options
        _many_files()
        host, _ = _endpoint(options.bind)
        worker_host, _ = _endpoint(options.bind_workers) if options.bind_workers else ("", "")
        loopback = _is_loopback(host)
        if options.no_auth and not loopback:
            raise Unservable(
                f"--no-auth would let anybody use the server at {options.bind}. Leave it out and give the others the "
                "pairing line that is printed then, or bind to tcp://127.0.0.1:*."
            )
        if not options.models.is_dir():
            raise Unservable(
                f"There is no models folder {options.models}. Train a model (python -m trainer --swatch PHOTO) or name "
                "another folder."
            )
        if not 16 <= options.max_side <= 65536:
            raise Unservable(f"--max-side is {options.max_side}; it must be from 16 to 65536.")
        if options.workers < 1 or options.cache < 0:
            raise Unservable("--workers must be at least 1 and --cache at least 0.")
        if not (options.watchdog > 0 and options.drain >= 0):
            raise Unservable("--watchdog must be more than 0 seconds and --drain at least 0.")
        self.file = options.connection_file or default_connection_file()
        if (pid := running_server(self.file)) is not None:
            raise Unservable(
                f"A texserver (process {pid}) is already found by {self.file}. Stop it, or give this one another "
                "--connection-file."
            )
        keys = None if options.no_auth and not options.bind_workers else keep_keys()
        self._gate = None
        if keys:
            known = {CLIENTS: {public_key(keys.client)}, WORKERS: {public_key(keys.worker)}}
            self._gate = Gate(self.context, {domain: frozenset(each) for domain, each in known.items()})

        self.front = Front(
            Shelf(options.models),
            limits=wire.Limits(max_side=options.max_side),
            cache_bytes=options.cache * 2**20,
            watchdog_s=options.watchdog,
            blocked=lambda client: self.outbox.blocked(client),
            # Workers of other machines outlive a server: what they did for the one before must match nothing here.
            first_number=1 + randbelow(2**40),
        )
        secret = None if options.no_auth or keys is None else keys.server
        self.clients = self._router(options.bind, secret, CLIENTS)
        self.outbox = Outbox(self.clients, self.front.forget)
        self.pairing = Pairing(
            host=_seen_from_outside(host),
            port=_port(self.clients),
            keys=keys.for_clients() if keys and not options.no_auth else None,
        )

        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="texserver-"))  # of mode 0700
        local = f"ipc://{folder}/workers" if zmq.has("ipc") and sys.platform != "win32" else "tcp://127.0.0.1:*"
        guarded = local.startswith("tcp")
        if guarded and keys is None:
            keys = keep_keys()
        self.workers = {LOCAL: self._router(local, keys.server if guarded and keys else None, WORKERS)}
        self.worker_line = ""
        if options.bind_workers:
            assert keys is not None
            self.workers[REMOTE] = self._router(options.bind_workers, keys.server, WORKERS)
            self.worker_line = Pairing(
                host=_seen_from_outside(worker_host), port=_port(self.workers[REMOTE]), keys=keys.for_workers()
            ).line
        self._config = WorkerConfig(
            endpoint=_listens_at(self.workers[LOCAL]),
            name="",
            precision=options.precision,
            server_key=public_key(keys.server).hex() if guarded and keys else "",
            own_key=keys.worker.hex() if guarded and keys else "",
        )
        self._hear_signals()
        self._poller = zmq.Poller()
        for each in (self.clients, *self.workers.values(), *([self._gate.socket] if self._gate else [])):
            self._poller.register(each, zmq.POLLIN)
        self._poller.register(self._wake, zmq.POLLIN)
        if options.metrics_port is not None:
            from server.service.metrics import serve_metrics

            self._tell_metrics = serve_metrics(self.front, options.metrics_port).look
        self.processes = Processes(_configs(self._config, options.device, options.workers), command=command)
        self._stack.callback(self.processes.stop)
        self._stack.callback(remove_connection_file, self.file)
        write_connection_file(self.file, self.pairing)

    def _router(self, endpoint: str, secret: bytes | None, domain: str) -> "zmq.Socket[Any]":
        router: zmq.Socket[Any] = self.context.socket(zmq.ROUTER)
        router.linger = 0
        router.router_mandatory = True
        router.sndhwm = router.rcvhwm = 1000
        router.ipv6 = "[" in endpoint
        router.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        router.set(zmq.HEARTBEAT_IVL, 5000)
        router.set(zmq.HEARTBEAT_TIMEOUT, 20000)
        router.set(zmq.BACKLOG, 1024)
        router.copy_threshold = TRACKED_BYTES
        if domain == CLIENTS:
            limits = self.front.limits
            router.maxmsgsize = wire.MAX_HEADER_BYTES + 4 * limits.max_content_pixels
        if secret is not None:
            router.curve_server = True
            router.curve_secretkey = z85(secret)
            router.zap_domain = domain.encode()
        try:
            router.bind(endpoint)
        except zmq.ZMQError as error:
            raise Unservable(
                f"{endpoint} cannot be listened on: {error.strerror}. Is another server there? Give another address, "
                "such as tcp://127.0.0.1:* for any free port."
            ) from None
        return router

    def announce(self) -> None:
        """Say what is served, and where."""
        files = sum(1 for each in self.options.models.iterdir() if each.name.endswith(".safetensors"))
        print(f"texserver {__version__} serves {self.options.models} ({files} files) at {self.pairing.endpoint}.")
        print(f"Programs of yours on this machine find it by {self.file}.")
        if self.pairing.keys:
            print("Elsewhere, give them this line, which is a password:")
        print(f"    {self.pairing.line}")
        if self.worker_line:
            print(f"Other machines work for it with: texserver --worker-of {self.worker_line}")
        sys.stdout.flush()

    # ----------------------------------------------------------------------------------------------------- serving

    def run(self) -> int:
        """Serve until told to stop: 0, or 2 when the device asked for is not there."""
        self.announce()
        code = self._loop()
        self.clients.close(linger=LAST_WORDS_MS // 10 if self._told_to_end > 1 else LAST_WORDS_MS)
        return code

    def _hear_signals(self) -> None:
        """From here on, as long as the server is there, signals are counted and wake the poller."""
        self._wake, wakes = socket.socketpair()
        for end in (self._wake, wakes):
            end.setblocking(False)
            self._stack.callback(end.close)
        woken = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._stack.callback(signal.set_wakeup_fd, woken)
        for each in (signal.SIGINT, signal.SIGTERM):
            self._stack.callback(signal.signal, each, signal.signal(each, self._signalled))
        if self.options.leave_with_parent:
            threading.Thread(target=self._hear_parent, args=[wakes], daemon=True).start()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _hear_parent(self, wakes: socket.socket) -> None:
        """A thread's, since Windows polls sockets alone. Not through sys.stdin, whose lock must be free at the end."""
        with suppress(OSError, AttributeError):  # there was none from the start
            while os.read(sys.stdin.fileno(), 4096):
                pass
        self._parent_left = True
        with suppress(OSError):  # the server has ended
            wakes.send(b"\0")

    @property
    def _told_to_end(self) -> int:
        """How often, by signals and by the parent's leaving."""
        return self._signals + self._parent_left

    def _loop(self) -> int:
        gc.collect()
        gc.freeze()  # what is there now stays, and need not be gone through again and again
        ticked = 0.0
        while True:
            more = self.front.work()
            self._send()
            shelf_more = self.front.shelf.step()
            events = dict(self._poller.poll(0 if more or shelf_more else TICK_MS))
            if self._wake.fileno() in events:
                with suppress(BlockingIOError):
                    self._wake.recv(100)
            if self._gate and self._gate.socket in events:
                self._gate.answer()
            for name, router in self.workers.items():
                if router in events:
                    self._take_from_workers(name, router)
            if self.clients in events:
                self._take_from_clients()
            now = time.monotonic()
            if now - ticked > TICK_MS / 1000:
                ticked = now
                self._tick(now)
            if self._told_to_end and (code := self._ending(now)) is not None:
                self._send()
                return code
            if self.processes.misconfigured and not self.front.dispatcher.crew.workers:
                return 2  # its sentence is on stderr

    def _take_from_clients(self) -> None:
        for _ in range(MESSAGES_AT_ONCE):
            try:
                client, *frames = self.clients.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self.front.from_client(client.bytes, [frame.buffer for frame in frames])

    def _take_from_workers(self, name: str, router: "zmq.Socket[Any]") -> None:
        for _ in range(MESSAGES_AT_ONCE):
            try:
                worker, *frames = router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if name == REMOTE and not self.front.dispatcher.precision:
                continue  # the precision is this machine's to choose; they say that they are there again and again
            message = self.front.dispatcher.from_worker((name, worker.bytes), [frame.buffer for frame in frames])
            if name == LOCAL and isinstance(message, Here) and self.options.device in ("auto", "cuda"):
                for device in message.others:
                    for config in _configs(self._config, device, self.options.workers):
                        self.processes.add(config)

    def _send(self) -> None:
        while self.front.dispatcher.to_workers:
            self._send_to_worker(*self.front.dispatcher.to_workers.popleft())
        while self.front.to_clients:
            self.outbox.send(*self.front.to_clients.popleft())

    def _send_to_worker(self, address: Address, message: FromFront) -> None:
        name, worker = address
        try:
            self.workers[name].send_multipart([worker, *encode(message)], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            log.warning("a worker cannot be reached: %s", error.strerror)
            if (lost := self.front.dispatcher.crew.workers.get(address)) is not None:
                self.front.dispatcher.lose(lost)

    def _tick(self, now: float) -> None:
        self.outbox.tick()
        if now - self._greeted > GREET_EVERY_S:
            self._greeted = now
            for address in tuple(self.front.dispatcher.crew.workers):  # fails for one of another machine that is gone
                self._send_to_worker(address, GoOn())
        while self.front.dispatcher.hung:
            if (hung := self.front.dispatcher.hung.popleft()).is_local:
                self.processes.kill(hung.name)
        for name in self.processes.tick():
            log.warning("worker=%s has died", name)
            self.front.dispatcher.died(name)
        if self._tell_metrics and now - self._told_metrics > METRICS_EVERY_S:
            self._told_metrics = now
            self._tell_metrics()

    def _ending(self, now: float) -> int | None:
        """Once told to: the exit code once there is nothing left to do, or no time for it."""
        if not self.front.draining:
            self.front.drain()
            self._drain_ends = now + self.options.drain
            remove_connection_file(self.file)
            log.info("shutting down; a second signal ends it at once")
        if self._told_to_end > 1 or now > self._drain_ends:
            self.front.abandon()
            return 0
        return 0 if self.front.idle and self.outbox.empty else None


def _configs(config: WorkerConfig, device: str, workers: int) -> list[WorkerConfig]:
    """One for each process: "cuda:0,1" is two devices. CPU workers share the cores."""
    from dataclasses import replace

    first, *others = device.split(",")
    names = [first, *(f"{first.partition(':')[0]}:{other.rpartition(':')[2]}" for other in others)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // workers) if workers > 1 and device in ("cpu", "auto") else 0
    return [
        replace(config, name=f"{name}/{index}", device=name, threads=threads)
        for name in names
        for index in range(workers)
    ]


def _endpoint(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"tcp://(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9._-]+|\*):([0-9]{1,5}|\*)", text)
    if not found or (found[2] != "*" and int(found[2]) > 65535):  # ZeroMQ would take it modulo 65536
        raise Unservable(f"{text!r} is no endpoint; write tcp://ADDRESS:PORT, such as tcp://0.0.0.0:7733.")
    return found[1], found[2]


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "[::1]") or re.fullmatch(r"127(\.[0-9]+){3}", host) is not None


def _seen_from_outside(host: str) -> str:
    """The address by which others reach a socket that listens on all of them."""
    if host not in ("0.0.0.0", "*", "[::]"):
        return host
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which address would be used
        return str(probe.getsockname()[0])
    return socket.gethostname()


def _port(router: "zmq.Socket[Any]") -> int:
    return int(_listens_at(router).rpartition(":")[2])


def _listens_at(router: "zmq.Socket[Any]") -> str:
    endpoint = router.last_endpoint
    assert isinstance(endpoint, bytes)
    return endpoint.decode().rstrip("\0")


def _many_files() -> None:
    """As many connections as the system lets us have."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _work_for(options: argparse.Namespace) -> int:
    """This machine's device works for a server elsewhere, until Ctrl-C."""
    pairing = parse_pairing(options.worker_of)
    if pairing.keys is None:
        raise Unservable("That line has no keys; copy the whole --worker-of line that the server prints.")
    from server.worker.worker import run  # torch

    keys: Keys = pairing.keys
    print(f"texserver {__version__} works for {pairing.endpoint} from now on, until Ctrl-C.", flush=True)
    return run(
        WorkerConfig(
            endpoint=pairing.endpoint,
            name=f"{socket.gethostname()[:40]}/{os.getpid()}",
            device=options.device,
            precision=options.precision,
            server_key=keys.server.hex(),
            own_key=keys.client.hex(),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
