"""The running server: sockets and worker processes around a front, in one loop.

The front (this process) has no torch: it reads, checks, queues and answers (server/front/front.py). Worker processes,
one for each device, paint (server/worker/worker.py).
"""

import gc
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from secrets import randbelow
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import Pairing, default_connection_file, new_key, public_key
from server import __version__
from server.freed_memory import give_back, map_large_blocks
from server.front.crew import LOCAL, REMOTE
from server.front.figures import short
from server.front.front import Front
from server.front.origin import Origin
from server.front.shelf import Shelf
from server.front.training_desk import NoTraining
from server.model.work import Here
from server.replace_file import remove_abandoned_drafts
from server.service.end_signals import EndSignals
from server.service.file_lock import Taken, file_lock
from server.service.gate import Gate
from server.service.inbox import Inbox
from server.service.key_ring import CLIENTS, OWN_WORKERS, WORKERS, KeyRing
from server.service.keys import DEFAULT, remove_connection_file, running_server, write_connection_file
from server.service.on_ray import Placement
from server.service.outbox import Outbox
from server.service.own_folder import SOCKET, own_folder
from server.service.peers import Peer, Peers
from server.service.processes import COMMAND, Processes, worker_configs
from server.service.ray_workers import RayWorkers
from server.service.server_config import ServerConfig, Unservable, as_host, is_loopback, parse_endpoint
from server.service.service_manager import ServiceManager
from server.service.sockets import allow_many_files, endpoint_of, port_of, router, seen_from_outside
from server.service.starter import StarterLibrary
from server.service.training import Training
from server.service.worker_sockets import MESSAGES_AT_ONCE, WorkerSockets
from server.worker.worker_config import WorkerConfig

IO_THREADS = 3  # so that encrypting megabytes for one client does not keep another waiting
TICK_MS = 50
GREET_EVERY_S = 1.0  # workers
ALL_COMING_BYTES = 1024 * 2**20  # that have come from all clients and are no whole messages yet; likewise of workers
KEYS_EVERY_S = 1.0  # a look at whether the keys have changed
METRICS_EVERY_S = 1.0
GIVE_BACK_EVERY_S = 5.0  # freed memory, to the system
LAST_WORDS_MS = 2000  # for what ZeroMQ still holds when the server has ended

log = logging.getLogger("texserver")


class Server:
    """A server with its sockets and processes. Use it in a `with` block; `run` returns when it was told to end.

    Raises Unservable, UnusableKeys, UnusableOutput, NoMetrics.
    """

    def __init__(
        self, config: ServerConfig, command: Sequence[str] = COMMAND, dropped_lines: Callable[[], int] = lambda: 0
    ) -> None:
        self.config = config
        self._dropped_lines = dropped_lines
        self.file = config.connection_file or default_connection_file()
        self._worker_place = ""  # HOST:PORT
        self._next_look = 0.0
        self._monitors: dict[zmq.Socket[Any], Peers] = {}
        self._looked_at_keys = 0.0
        self._drain_ends = float("inf")
        self._look_at_metrics: Callable[[], None] | None = None
        self._manager = ServiceManager()
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
        if self.config.models is None:
            self._make_own_folder()
        elif not self.config.models.is_dir():
            raise Unservable(
                f"There is no models folder {self.config.models}. Train a model (python -m trainer --swatch PHOTO) or "
                "name another folder."
            )
        remove_abandoned_drafts(self.config.folder)
        try:
            self._stack.enter_context(file_lock(self.file, wait=False))
        except Taken:
            pid = running_server(self.file)
            which = f"A texserver (process {pid})" if pid else "Another texserver that has just started"
            raise Unservable(
                f"{which} is found by {self.file}. Stop it, or give this one another --connection-file."
            ) from None
        if (pid := running_server(self.file)) is not None:
            raise Unservable(
                f"A texserver (process {pid}) is already found by {self.file}. Stop it, or give this one another "
                "--connection-file."
            )

    def _open_context(self) -> None:
        allow_many_files()
        map_large_blocks()
        self.context: zmq.Context[Any] = zmq.Context(IO_THREADS)
        # Closed in the opposite order: nobody may still be at a handshake when the one who answers for keys is gone.
        self._stack.callback(self.context.destroy, linger=0)
        self._gate = Gate(self.context, {})
        self._stack.callback(self._gate.socket.close, linger=0)
        needs_keys = not self.config.no_auth or self.config.workers_endpoint
        self._ring = KeyRing(self._gate) if needs_keys else None

    def _open_clients(self) -> None:
        config = self.config
        shelf, limits = Shelf(config.folder), wire.Limits(max_side=config.max_side)
        self.training = None if config.no_training else Training(config.folder, shelf, limits, self._why_no_training)
        if self.training is not None:
            self._stack.callback(self.training.close)
        self.front = Front(
            shelf,
            limits=limits,
            cache_bytes=config.cache * 2**20,
            watchdog_s=config.watchdog,
            verify=config.verify,
            blocked=lambda client, size: self.outbox.blocked(client, size),
            held_back_s=lambda worker: self.processes.held_back_s(worker[1]) if worker[0] == LOCAL else 0.0,
            # Workers of other machines outlive a server: what they did for the one before must match nothing here.
            first_number=1 + randbelow(2**40),
            transport=self._transport,
            cluster=lambda: self.workers.ray.report() if self.workers.ray is not None else {},
            training=self.training or NoTraining("This server trains no models: it was started with --no-training."),
        )
        secret = None if config.no_auth or self._ring is None else self._ring.server
        most = wire.MAX_HEADER_BYTES + 4 * self.front.limits.max_content_pixels
        self.clients = router(self.context, config.bind, CLIENTS, secret, most)
        self._stack.callback(self.clients.close)
        whole = max(most, wire.MAX_HEADER_BYTES + limits.max_train_bytes)  # of all frames of a message
        self.peers = Peers(whole + most, ALL_COMING_BYTES)
        self.inbox = Inbox(self.clients, whole, self._cut_client)
        self._watch_connections(self.clients, self.peers)
        self.workers = WorkerSockets(self.front.dispatcher, Peers(2 * most, ALL_COMING_BYTES))
        self.outbox = Outbox(self.clients, self._forget, taken=self.peers.taken)
        self._place = Pairing(host=seen_from_outside(parse_endpoint(config.bind)[0]), port=port_of(self.clients))

    def _open_workers(self) -> None:
        self._own_folder = folder = self._stack.enter_context(own_folder())
        has_ipc = zmq.has("ipc") and sys.platform != "win32"
        local = f"ipc://{folder / SOCKET}" if has_ipc else "tcp://127.0.0.1:*"
        # No other user can reach what is in the folder; elsewhere there are keys for these workers alone.
        secret, own = ("", "") if has_ipc else (new_key().hex(), new_key().hex())
        self._gate.let_in(OWN_WORKERS, frozenset({public_key(bytes.fromhex(own))} if own else ()))
        most = wire.MAX_HEADER_BYTES + self.front.limits.max_result_bytes
        own_workers = router(self.context, local, OWN_WORKERS, bytes.fromhex(secret) or None, most)
        self._stack.callback(own_workers.close)
        self.workers.add(LOCAL, own_workers, most)
        self._worker_config = WorkerConfig(
            endpoint=endpoint_of(own_workers),
            name="",
            precision=self.config.precision,
            server_key=public_key(bytes.fromhex(secret)).hex() if secret else "",
            own_key=own,
            reads_files=True,
        )
        if (endpoint := self.config.workers_endpoint) is not None:
            assert self._ring is not None
            remote = router(self.context, endpoint, WORKERS, self._ring.server, most)
            self._watch_connections(remote, self.workers.far)
            self._stack.callback(remote.close)
            self.workers.add(REMOTE, remote, most)
            host = seen_from_outside(parse_endpoint(endpoint)[0])
            self._worker_place = f"{host}:{port_of(remote)}"

    def _open_poller(self) -> None:
        self._ends = EndSignals(leave_with_parent=self.config.leave_with_parent)
        self._stack.callback(self._ends.close)
        self._poller = zmq.Poller()
        for each in (self.clients, *self.workers.sockets.values(), self._gate.socket):
            self._poller.register(each, zmq.POLLIN)
        self._poller.register(self._ends.socket, zmq.POLLIN)

    def _start(self, command: Sequence[str]) -> None:
        if self.config.metrics_port is not None:
            from server.service.metrics import serve_metrics

            metrics = self._stack.enter_context(
                serve_metrics(self.front, self.config.metrics_port, self.config.metrics_host)
            )
            self._look_at_metrics = metrics.look
        if self.config.ray is None:
            configs = worker_configs(self._worker_config, self.config.device, self.config.workers)
            self.processes = Processes(configs, command=command)
        else:
            self.processes = Processes([])
            self._start_ray(self.config.ray)
        self._stack.callback(self.processes.stop)
        self.starter = StarterLibrary(self.config.starters, self.config.folder, self.front.shelf, self._own_folder)
        self._stack.callback(self.starter.close)
        self._stack.callback(remove_connection_file, self.file)
        self._write_connection_file()

    def _start_ray(self, address: str) -> None:
        assert self._ring is not None
        placement = Placement(
            address=address,
            workers=self.config.ray_workers or 0,
            device=self.config.device,
            precision=self.config.precision,
            endpoint=f"tcp://{self._worker_place}",
            server_key=public_key(self._ring.server).hex(),
        )
        self.workers.ray = RayWorkers(placement, self._ring.let_workers_in)
        self._stack.callback(self.workers.ray.stop)

    def _make_own_folder(self) -> None:
        folder = self.config.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unservable(
                f"The folder of models {folder} cannot be made: {error.strerror or error}. Name another one: "
                "texserver --models DIR."
            ) from error

    def _write_connection_file(self) -> None:
        keys = None if self.config.no_auth or self._ring is None else self._ring.for_clients
        write_connection_file(self.file, replace(self._place, keys=keys), self._worker_place)

    def announce(self) -> None:
        """Print what is served, and where. Nothing secret: what is printed may end up in a log."""
        folder = self.config.folder
        files = sum(1 for each in folder.iterdir() if each.name.endswith(".safetensors"))
        print(f"texserver {__version__} serves {folder} ({files} files) at {self._place.endpoint}.")
        if self.starter.introduction:
            print(self.starter.introduction)
        print(f"Local clients find the server through {self.file}.")
        if not self.config.no_auth:
            print("Clients on other machines need a pairing line: texserver --pairing prints it.")
        if self.config.ray is not None:
            print(f"Ray places its workers on the cluster at {self.config.ray}.")
        if self.config.bind_workers:
            print(
                f"Other machines can work for this server, at tcp://{self._worker_place}: texserver --pairing workers "
                "prints the line for texserver --worker-of there."
            )
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
            self.starter.step()
            more_to_store = self.training is not None and self.training.step()
            events = dict(self._poller.poll(0 if more or more_to_check or more_to_store else TICK_MS))
            if self._ends.socket.fileno() in events:
                self._ends.clear()
            if self._gate.socket in events:
                self._gate.answer()
            for name, socket in self.workers.sockets.items():
                if socket in events:
                    self._receive_from_workers(name)
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
            if self.workers.ray is not None and self.workers.ray.useless:
                raise Unservable(self.workers.ray.useless)

    def _watch_connections(self, socket: "zmq.Socket[Any]", peers: Peers) -> None:
        """Tell the peers of each connection as it is accepted."""
        monitor = socket.get_monitor_socket(zmq.EVENT_ACCEPTED)
        self._stack.callback(monitor.close, linger=0)
        self._monitors[monitor] = peers

    def _look_at_connections(self) -> None:
        """Takes at most a tenth of the time, however many there are."""
        began = time.monotonic()
        if began < self._next_look:
            return
        for monitor, peers in self._monitors.items():
            with suppress(zmq.Again):
                while True:
                    peers.accepted(recv_monitor_message(monitor, zmq.NOBLOCK)["value"])
            peers.cut_hoarders()
        now = time.monotonic()
        self._next_look = now + 9 * (now - began)

    def _receive_from_clients(self) -> None:
        for _ in range(MESSAGES_AT_ONCE):
            message = self.inbox.next()
            if message is None:
                return
            client, *frames = message
            peer = self.peers.meet(client.bytes, client)
            self.peers.read(client.bytes, len(frames), sum(len(frame.buffer) for frame in frames))
            key = self._name_of(peer)
            if key is not None:  # else revoked, and being disconnected
                self.front.from_client(client.bytes, [frame.buffer for frame in frames], Origin(key, peer.address))

    def _receive_from_workers(self, name: str) -> None:
        for message in self.workers.receive(name):
            if isinstance(message, Here) and self.config.device in ("auto", "cuda"):
                for device in message.others:
                    for config in worker_configs(self._worker_config, device, self.config.workers):
                        self.processes.add(config)

    def _send(self) -> None:
        self.workers.send()
        while self.front.to_clients:
            self.outbox.send(*self.front.to_clients.popleft())

    def _tick(self, now: float) -> None:
        dispatcher = self.front.dispatcher
        self._manager.tell(self.front.state, now)
        self.outbox.tick()
        self._look_at_connections()
        for client in self.peers.gone():
            self._forget(client)
        if self._ring is not None and now - self._looked_at_keys > KEYS_EVERY_S:
            self._looked_at_keys = now
            self._look_at_keys(self._ring)
        if now - self._greeted > GREET_EVERY_S:
            self._greeted = now
            self.workers.greet()
        if now - self._gave_back > GIVE_BACK_EVERY_S:
            self._gave_back = now
            give_back()
        while dispatcher.given_up:
            worker = dispatcher.given_up.popleft()
            if worker.is_local:
                self.processes.kill(worker.address[1], for_good=worker.identity in dispatcher.verifier.expelled)
            else:
                self.workers.cut(worker.address[1])
        self.workers.tick()
        reporting = {worker.address[1] for worker in dispatcher.crew.workers.values() if worker.is_local}
        for ended in self.processes.tick(reporting):
            log.warning("worker=%s has died", ended.name)
            dispatcher.died((LOCAL, ended.id))
        if self._look_at_metrics and now - self._looked_at_metrics > METRICS_EVERY_S:
            self._looked_at_metrics = now
            self._look_at_metrics()

    def _forget(self, client: bytes) -> None:
        """The client is gone, or is given up: nothing more is done for it, and what waits for it is freed."""
        self.peers.cut(client)
        self.peers.forget(client)
        self.outbox.forget(client)
        self.front.forget(client)

    def _transport(self) -> dict[str, Any]:
        return {
            "refused": self._gate.refused,
            "cut": self.inbox.dropped + self.peers.hoarders + self.workers.far.hoarders,
            "unsent_mb": round(self.outbox.unsent_bytes / 2**20, 1),
            "replies_dropped": self.outbox.dropped,
            "log_lines_dropped": self._dropped_lines(),
        }

    def _cut_client(self, id: zmq.Frame) -> None:
        """It sends a message that is too large."""
        peer = self.peers.meet(id.bytes, id)
        log.warning("client=%s peer=%s sends a message that is too large and is cut", short(id.bytes), peer.address)
        self._forget(id.bytes)

    def _look_at_keys(self, ring: KeyRing) -> None:
        """`texserver keys` may have added or revoked some: who used those is disconnected."""
        if not ring.look():
            return
        for client, peer in tuple(self.peers.all().items()):
            if self._name_of(peer) is None:
                log.info("client=%s is disconnected: its key is revoked", short(client))
                self._forget(client)
        self.workers.cut_unless(ring.is_workers)
        self._write_connection_file()

    def _name_of(self, peer: Peer) -> str | None:
        """The name of a client's key, "" without keys; None for one that is revoked."""
        return "" if self.config.no_auth or self._ring is None else self._ring.name_of(peer.public_key)

    def _why_no_training(self, origin: Origin) -> str:
        """Why this client may not have models trained, as a sentence; "" if it may."""
        if origin.key in ("", DEFAULT) and is_loopback(as_host(origin.peer)):
            return ""
        if self._ring is not None and self._ring.may_train(origin.key):
            return ""
        return (
            "This client may not have models trained. The server's owner can give it a key that may: "
            "texserver keys add NAME --may-train."
        )

    def _ending(self, now: float) -> int | None:
        """After the first signal: the exit code once nothing is left to do, or no time for it."""
        if not self.front.draining:
            self.front.drain()
            self._manager.tell(self.front.state, now)
            self._drain_ends = now + self.config.drain
            remove_connection_file(self.file)
            log.info("shutting down; a second signal ends it at once")
        if self._ends.count > 1 or now > self._drain_ends:
            self.front.abandon()
            return 0
        return 0 if self.front.idle and self.outbox.empty else None
