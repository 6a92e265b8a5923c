"""The connections behind a ROUTER socket: whose they are, whether they are still there, and how to cut one.

ZeroMQ keeps to itself which connections there are. But it tells with each message the key (ZAP's user id), the address
and the descriptor of the connection that it came through
(https://libzmq.readthedocs.io/en/latest/zmq_msg_gets.html). A connection is cut by shutting it down below ZeroMQ, which
then frees all that waits for it. Since descriptors are given anew, each is used only while the same port of the same
machine is at its other end.

How much has come through a connection that is not yet a whole message is known on Linux alone, from the system's own
count of bytes. Elsewhere one connection can fill the memory with the frames of one message.
"""

import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import zmq

LOOKED_AT_ONCE = 500  # connections, by `gone`
FRAME_BYTES = 80  # more than what encryption and framing add to a frame
_ACKED, _RECEIVED = slice(120, 128), slice(128, 136)  # tcpi_bytes_… in struct tcp_info, of linux/tcp.h


@dataclass(frozen=True, eq=False)
class Peer:
    """`public_key`: in hexadecimal, "" without keys. `address`: of the machine."""

    public_key: str
    address: str
    descriptor: int
    other_end: Any  # its address and port; None if the connection was gone at once


@dataclass(eq=False)
class _Line:
    """A connection. `read`: bytes of it that came as whole messages."""

    descriptor: int
    other_end: Any
    read: int = 0


class Peers:
    """The connections of one socket, and those who have sent something through them, by routing id.

    `most_coming`: bytes of one connection, and `all_coming` of all, that may have come and be no whole message yet.
    """

    def __init__(self, most_coming: int, all_coming: int) -> None:
        self._most_coming, self._all_coming = most_coming, all_coming
        self._peers: dict[bytes, Peer] = {}
        self._to_look_at: list[bytes] = []
        self._lines: dict[int, _Line] = {}  # by descriptor
        self.hoarders = 0  # connections that were cut because too much came through them

    def accepted(self, descriptor: int) -> None:
        """There is a new connection."""
        other_end = _other_end(descriptor)
        if other_end is not None:
            self._lines[descriptor] = _Line(descriptor, other_end)

    def read(self, id: bytes, frames: int, size: int) -> None:
        """A whole message has come, of so many frames and bytes."""
        line = self._lines.get(self._peers[id].descriptor)
        if line is not None:
            line.read += size + frames * FRAME_BYTES

    def cut_hoarders(self) -> None:
        """Cut connections through which too much has come that is no whole message."""
        coming: dict[_Line, int] = {}
        for line in tuple(self._lines.values()):
            if _other_end(line.descriptor) != line.other_end:
                del self._lines[line.descriptor]
                continue
            received = _tcp_info(line.descriptor, _RECEIVED)
            line.read = min(line.read, received)  # what was counted for framing earns nobody anything
            if received - line.read > FRAME_BYTES:
                coming[line] = received - line.read
        total = sum(coming.values())
        for line, count in sorted(coming.items(), key=lambda each: -each[1]):
            if count <= self._most_coming and total <= self._all_coming:
                return
            total -= count
            self.hoarders += 1
            _shut(line.descriptor, line.other_end)

    def meet(self, id: bytes, frame: zmq.Frame) -> Peer:
        """Who sent this frame."""
        peer = self._peers.get(id)
        if peer is None:
            descriptor = int(frame.get(zmq.SRCFD))
            peer = Peer(_told(frame, "User-Id"), _told(frame, "Peer-Address"), descriptor, _other_end(descriptor))
            self._peers[id] = peer
        return peer

    def forget(self, id: bytes) -> None:
        """Nothing comes from there any more."""
        self._peers.pop(id, None)

    def all(self) -> Mapping[bytes, Peer]:
        """By routing id."""
        return self._peers

    def cut(self, id: bytes) -> None:
        """End the connection, if it is still there. ZeroMQ notices within a moment."""
        peer = self._peers.get(id)
        if peer is not None and peer.other_end is not None:
            _shut(peer.descriptor, peer.other_end)

    def taken(self, id: bytes) -> int:
        """How many bytes the other side has acknowledged so far; 0 where the system does not say."""
        peer = self._peers.get(id)
        return _tcp_info(peer.descriptor, _ACKED) if peer is not None else 0

    def gone(self) -> list[bytes]:
        """Those whose connection has ended. Each call looks at some; all have their turn."""
        if not self._to_look_at:
            self._to_look_at = list(self._peers)
        some, self._to_look_at = self._to_look_at[:LOOKED_AT_ONCE], self._to_look_at[LOOKED_AT_ONCE:]
        return [id for id in some if (peer := self._peers.get(id)) is not None and not _is_there(peer)]


def _told(frame: zmq.Frame, name: str) -> str:
    try:
        return str(frame.get(name))
    except zmq.ZMQError:  # there is no such property, as without keys
        return ""


def _is_there(peer: Peer) -> bool:
    return peer.other_end is not None and _other_end(peer.descriptor) == peer.other_end


def _connection(descriptor: int) -> socket.socket | None:
    """To be detached after use, because it is ZeroMQ's, which closes it. None if it is closed."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        return None


def _shut(descriptor: int, other_end: Any) -> None:
    """Shut the connection down, if that is still at its other end."""
    if _other_end(descriptor) != other_end or (connection := _connection(descriptor)) is None:
        return
    try:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    finally:
        connection.detach()


def _tcp_info(descriptor: int, which: slice) -> int:
    """A figure of the connection; 0 where the system does not say."""
    if sys.platform != "linux" or (connection := _connection(descriptor)) is None:
        return 0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, which.stop)
        return int.from_bytes(info[which], sys.byteorder)
    except OSError:
        return 0
    finally:
        connection.detach()


def _other_end(descriptor: int) -> Any:
    connection = _connection(descriptor)
    if connection is None:
        return None
    try:
        return connection.getpeername()
    except OSError:
        return None
    finally:
        connection.detach()
