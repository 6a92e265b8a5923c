"""The sockets behind which workers are, here and on other machines: what comes through them, and what goes.

A worker of this machine is known by the routing id that the server gave to its process (server/service/processes.py),
one of another machine by its connection (server/service/peers.py) and its key. What they say is for the dispatcher.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import zmq

from server.front.crew import LOCAL, REMOTE, Address
from server.front.dispatcher import Dispatcher
from server.front.figures import short
from server.model.work import FromFront, FromWorker, GoOn, ModelPiece, encode
from server.service.inbox import Inbox
from server.service.peers import Peer, Peers
from server.service.ray_workers import RayWorkers

MESSAGES_AT_ONCE = 64  # of one socket, before the others have their turn
PIECES_UNSENT = 4  # of model files to one worker, which asks for two at a time

log = logging.getLogger("texserver")


class WorkerSockets:
    """`far`: the connections of workers on other machines. `ray`: what places some of them, if anything does."""

    def __init__(self, dispatcher: Dispatcher, far: Peers) -> None:
        self.sockets: dict[str, zmq.Socket[Any]] = {}  # LOCAL, and REMOTE if there is one
        self.far = far
        self.ray: RayWorkers | None = None
        self._dispatcher = dispatcher
        self._inboxes: dict[str, Inbox] = {}
        self._pieces: dict[Address, list[zmq.MessageTracker]] = {}  # of model files on their way

    def add(self, name: str, socket: "zmq.Socket[Any]", most: int) -> None:
        """Listen there. `most`: bytes of a message."""
        self.sockets[name] = socket
        self._inboxes[name] = Inbox(socket, most, self._cut_for_size if name == REMOTE else lambda id: None)

    def receive(self, name: str) -> Iterator[FromWorker]:
        """Hand what has come through this socket to the dispatcher. Yields what workers of this machine said."""
        dispatcher = self._dispatcher
        for _ in range(MESSAGES_AT_ONCE):
            received = self._inboxes[name].next()
            if received is None:
                return
            worker, *frames = received
            machine = ""
            if name == REMOTE:
                peer = self.far.meet(worker.bytes, worker)
                machine = peer.address
                self.far.read(worker.bytes, len(frames), sum(len(frame.buffer) for frame in frames))
                if not dispatcher.precision and not self._is_of_ray(peer):
                    continue  # the precision is for this server's own workers to set; the others report again
            message = dispatcher.from_worker((name, worker.bytes), [frame.buffer for frame in frames], machine)
            if name == REMOTE and message is None:
                self.cut(worker.bytes)
            self.send()  # before more is read for them: one message may ask for megabytes
            if name == LOCAL and message is not None:
                yield message

    def send(self) -> None:
        """Send what the dispatcher has for workers."""
        while self._dispatcher.to_workers:
            self._send_to(*self._dispatcher.to_workers.popleft())

    def greet(self) -> None:
        """Tell all workers to go on. That fails for one of another machine that is gone."""
        for address in tuple(self._dispatcher.crew.workers):
            self._send_to(address, GoOn())

    def _send_to(self, address: Address, message: FromFront) -> None:
        name, worker = address
        pieces = [each for each in self._pieces.pop(address, []) if not each.done]
        if isinstance(message, ModelPiece) and len(pieces) >= PIECES_UNSENT:
            log.warning("worker=%s asks for more of a model than it takes and is disconnected", short(worker))
            self.cut(worker)
            return
        try:
            tracker = self.sockets[name].send_multipart([worker, *encode(message)], zmq.NOBLOCK, copy=False, track=True)
        except zmq.ZMQError as error:
            log.warning("a worker cannot be reached: %s", error.strerror)
            if (lost := self._dispatcher.crew.workers.get(address)) is not None:
                self._dispatcher.lose(lost)
            return
        if isinstance(message, ModelPiece) and tracker is not None:
            pieces.append(tracker)
        if pieces:
            self._pieces[address] = pieces

    def cut(self, id: bytes) -> None:
        """One of another machine is gone or given up: what waits for it is freed, and its items go to others.

        Ray places another one for one of its own.
        """
        if self.ray is not None and (peer := self.far.all().get(id)) is not None:
            self.ray.end(peer.public_key)
        self.far.cut(id)
        self.far.forget(id)
        self._pieces.pop((REMOTE, id), None)
        if (worker := self._dispatcher.crew.workers.get((REMOTE, id))) is not None:
            self._dispatcher.lose(worker)

    def cut_unless(self, is_known: Callable[[str], bool]) -> None:
        """Cut those of other machines whose public key is not known any more."""
        for id, peer in tuple(self.far.all().items()):
            if not is_known(peer.public_key):
                log.info("worker=%s is disconnected: its key is revoked", short(id))
                self.cut(id)

    def tick(self) -> None:
        """Cut those of other machines that are gone, or that Ray says have ended."""
        for id in self.far.gone():
            self.cut(id)
        if self.ray is None:
            return
        keys = {id: peer.public_key for id, peer in self.far.all().items()}
        workers = self._dispatcher.crew.workers
        ended = self.ray.tick({key for id, key in keys.items() if (REMOTE, id) in workers})
        for id, key in keys.items():
            if key in ended:  # even if its connection does not show it yet
                self.cut(id)

    def _is_of_ray(self, peer: Peer) -> bool:
        return self.ray is not None and self.ray.has(peer.public_key)

    def _cut_for_size(self, id: zmq.Frame) -> None:
        peer = self.far.meet(id.bytes, id)
        log.warning("worker=%s peer=%s sends a message that is too large and is cut", short(id.bytes), peer.address)
        self.cut(id.bytes)
