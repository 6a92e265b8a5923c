"""The running server: sockets and worker processes around a front, in one loop.

The front (this process) has no torch: it reads, checks, queues and answers (server/front/front.py). Worker processes,
one for each device, paint (server/worker/worker.py).
"""

import gc
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from secrets import randbelow
from typing import Any

import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import Pairing, default_connection_file, public_key
from server import __version__
from server.front.crew import LOCAL, REMOTE, Address
from server.front.front import Front
from server.front.shelf import Shelf
from server.model.work import FromFront, GoOn, Here, encode
from server.service.end_signals import EndSignals
from server.service.gate import Gate
from server.service.keys import ServerKeys, keep_keys, remove_connection_file, running_server, write_connection_file
from server.service.memory import give_back_freed
from server.service.outbox import Outbox
from server.service.processes import COMMAND, Processes, worker_configs
from server.service.server_config import ServerConfig, Unservable, parse_endpoint
from server.service.sockets import allow_many_files, endpoint_of, port_of, router, seen_from_outside
from server.worker.worker_config import WorkerConfig

CLIENTS, WORKERS = "clients", "workers"  # domains of keys
IO_THREADS = 3  # so that encrypting megabytes for one client does not keep another waiting
MESSAGES_AT_ONCE = 64  # of one socket, before the others have their turn
TICK_MS = 50
GREET_EVERY_S = 1.0  # workers
METRICS_EVERY_S = 1.0
GIVE_BACK_EVERY_S = 5.0  # freed memory, to the system
LAST_WORDS_MS = 2000  # for what ZeroMQ still holds when the server has ended

log = logging.getLogger("texserver")


class Server:
    """A server with its sockets and processes. Use it in a `with` block; `run` returns when it was told to end.

    Raises Unservable, UnusableKeys, UnusableOutput, NoMetrics.
    """

    def __init__(self, config: ServerConfig, command: Sequence[str] = COMMAND) -> None:
        self.config = config
        self.file = config.connection_file or default_connection_file()
        self.worker_line = ""
        self._drain_ends = float("inf")
        self._look_at_metrics: Callable[[], None] | None = None
        self._looked_at_metrics = self._greeted = self._gave_back = 0.0
        self._stack = ExitStack()
        try:
            self._check_surroundings()
            self._open_context()
            self._open_clients()
            self._open_workers()
            self._open_poller()
            self._start(command)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # ---------------------------------------------------------------------------------------------------- starting

    def _check_surroundings(self) -> None:
        if not self.config.models.is_dir():
            raise Unservable(
                f"There is no models folder {self.config.models}. Train a model (python -m trainer --swatch PHOTO) or "
                "name another folder."
            )
        if (pid := running_server(self.file)) is not None:
            raise Unservable(
                f"A texserver (process {pid}) is already found by {self.file}. Stop it, or give this one another "
                "--connection-file."
            )

    def _open_context(self) -> None:
        allow_many_files()
        self._give_back = give_back_freed()
        self.context: zmq.Context[Any] = zmq.Context(IO_THREADS)
        self._stack.callback(self.context.destroy, linger=0)
        self._keys: ServerKeys | None = None
        self._gate: Gate | None = None
        if not self.config.no_auth or self.config.bind_workers:
            self._keys = keep_keys()
            known = {CLIENTS: self._keys.client, WORKERS: self._keys.worker}
            self._gate = Gate(self.context, {domain: frozenset({public_key(key)}) for domain, key in known.items()})

    def _open_clients(self) -> None:
        config = self.config
        self.front = Front(
            Shelf(config.models),
            limits=wire.Limits(max_side=config.max_side),
            cache_bytes=config.cache * 2**20,
            watchdog_s=config.watchdog,
            blocked=lambda client: self.outbox.blocked(client),
            # Workers of other machines outlive a server: what they did for the one before must match nothing here.
            first_number=1 + randbelow(2**40),
        )
        keys = None if config.no_auth else self._keys
        most = wire.MAX_HEADER_BYTES + 4 * self.front.limits.max_content_pixels
        self.clients = router(self.context, config.bind, CLIENTS, keys.server if keys else None, most)
        self.outbox = Outbox(self.clients, self.front.forget)
        self.pairing = Pairing(
            host=seen_from_outside(parse_endpoint(config.bind)[0]),
            port=port_of(self.clients),
            keys=keys.for_clients() if keys else None,
        )

    def _open_workers(self) -> None:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="texserver-"))  # of mode 0700
        has_ipc = zmq.has("ipc") and sys.platform != "win32"
        local = f"ipc://{folder}/workers" if has_ipc else "tcp://127.0.0.1:*"
        keys = None if has_ipc else self._keys or keep_keys()  # no other user can reach what is in the folder
        self.workers = {LOCAL: router(self.context, local, WORKERS, keys.server if keys else None)}
        self._worker_config = WorkerConfig(
            endpoint=endpoint_of(self.workers[LOCAL]),
            name="",
            precision=self.config.precision,
            server_key=public_key(keys.server).hex() if keys else "",
            own_key=keys.worker.hex() if keys else "",
            reads_files=True,
        )
        if self.config.bind_workers:
            assert self._keys is not None
            remote = router(self.context, self.config.bind_workers, WORKERS, self._keys.server)
            self.workers[REMOTE] = remote
            host = seen_from_outside(parse_endpoint(self.config.bind_workers)[0])
            self.worker_line = Pairing(host=host, port=port_of(remote), keys=self._keys.for_workers()).line

    def _open_poller(self) -> None:
        self._ends = EndSignals(leave_with_parent=self.config.leave_with_parent)
        self._stack.callback(self._ends.close)
        self._poller = zmq.Poller()
        for each in (self.clients, *self.workers.values(), *([self._gate.socket] if self._gate else [])):
            self._poller.register(each, zmq.POLLIN)
        self._poller.register(self._ends.socket, zmq.POLLIN)

    def _start(self, command: Sequence[str]) -> None:
        if self.config.metrics_port is not None:
            from server.service.metrics import serve_metrics

            self._look_at_metrics = serve_metrics(self.front, self.config.metrics_port).look
        configs = worker_configs(self._worker_config, self.config.device, self.config.workers)
        self.processes = Processes(configs, command=command)
        self._stack.callback(self.processes.stop)
        self._stack.callback(remove_connection_file, self.file)
        write_connection_file(self.file, self.pairing)

    def announce(self) -> None:
        """Print what is served, and where."""
        files = sum(1 for each in self.config.models.iterdir() if each.name.endswith(".safetensors"))
        print(f"texserver {__version__} serves {self.config.models} ({files} files) at {self.pairing.endpoint}.")
        print(f"Local clients find the server through {self.file}.")
        if self.pairing.keys:
            print("Clients on other machines need this line. Treat it like a password:")
        print(f"    {self.pairing.line}")
        if self.worker_line:
            print(f"Other machines can work for this server: texserver --worker-of {self.worker_line}")
        sys.stdout.flush()

    # ----------------------------------------------------------------------------------------------------- serving

    def run(self) -> int:
        """Serve until told to end. Returns 0, or 2 if this machine lacks the device."""
        self.announce()
        code = self._loop()
        self.clients.close(linger=LAST_WORDS_MS // 10 if self._ends.count > 1 else LAST_WORDS_MS)
        return code

    def _loop(self) -> int:
        gc.collect()
        gc.freeze()  # what is there now stays, and need not be gone through again and again
        ticked = 0.0
        while True:
            more = self.front.work()
            self._send()
            more_to_check = self.front.shelf.step()
            events = dict(self._poller.poll(0 if more or more_to_check else TICK_MS))
            if self._ends.socket.fileno() in events:
                self._ends.clear()
            if self._gate and self._gate.socket in events:
                self._gate.answer()
            for name, socket in self.workers.items():
                if socket in events:
                    self._receive_from_workers(name, socket)
            if self.clients in events:
                self._receive_from_clients()
            now = time.monotonic()
            if now - ticked > TICK_MS / 1000:
                ticked = now
                self._tick(now)
            if self._ends.count and (code := self._ending(now)) is not None:
                self._send()
                return code
            if self.processes.misconfigured and not self.front.dispatcher.crew.workers:
                return 2  # the worker has said why on stderr

    def _receive_from_clients(self) -> None:
        for _ in range(MESSAGES_AT_ONCE):
            try:
                client, *frames = self.clients.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self.front.from_client(client.bytes, [frame.buffer for frame in frames])

    def _receive_from_workers(self, name: str, socket: "zmq.Socket[Any]") -> None:
        dispatcher = self.front.dispatcher
        for _ in range(MESSAGES_AT_ONCE):
            try:
                worker, *frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if name == REMOTE and not dispatcher.precision:
                continue  # the precision is for this machine's workers to set; the others report again
            message = dispatcher.from_worker((name, worker.bytes), [frame.buffer for frame in frames])
            if name == LOCAL and isinstance(message, Here) and self.config.device in ("auto", "cuda"):
                for device in message.others:
                    for config in worker_configs(self._worker_config, device, self.config.workers):
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
        dispatcher = self.front.dispatcher
        self.outbox.tick()
        if now - self._greeted > GREET_EVERY_S:
            self._greeted = now
            for address in tuple(dispatcher.crew.workers):  # fails for one of another machine that is gone
                self._send_to_worker(address, GoOn())
        if now - self._gave_back > GIVE_BACK_EVERY_S:
            self._gave_back = now
            self._give_back()
        while dispatcher.hung:
            if (hung := dispatcher.hung.popleft()).is_local:
                self.processes.kill(hung.address[1])
        reporting = {worker.address[1] for worker in dispatcher.crew.workers.values() if worker.is_local}
        for ended in self.processes.tick(reporting):
            log.warning("worker=%s has died", ended.name)
            dispatcher.died((LOCAL, ended.id))
        if self._look_at_metrics and now - self._looked_at_metrics > METRICS_EVERY_S:
            self._looked_at_metrics = now
            self._look_at_metrics()

    def _ending(self, now: float) -> int | None:
        """After the first signal: the exit code once nothing is left to do, or no time for it."""
        if not self.front.draining:
            self.front.drain()
            self._drain_ends = now + self.config.drain
            remove_connection_file(self.file)
            log.info("shutting down; a second signal ends it at once")
        if self._ends.count > 1 or now > self._drain_ends:
            self.front.abandon()
            return 0
        return 0 if self.front.idle and self.outbox.empty else None
