"""The connections behind a ROUTER socket: whose they are, whether they are still there, and how to cut one.

ZeroMQ keeps to itself which connections there are. But it tells with each message the key (ZAP's user id), the address
and the descriptor of the connection that it came through
(https://libzmq.readthedocs.io/en/latest/zmq_msg_gets.html). A connection is cut by shutting it down below ZeroMQ, which
then frees all that waits for it. Since descriptors are given anew, each is used only while the same port of the same
machine is at its other end.
"""

import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import zmq

LOOKED_AT_ONCE = 500  # connections, by `gone`
_ACKED = slice(120, 128)  # tcpi_bytes_acked in struct tcp_info, of linux/tcp.h


@dataclass(frozen=True, eq=False)
class Peer:
    """`public_key`: in hexadecimal, "" without keys. `address`: of the machine."""

    public_key: str
    address: str
    descriptor: int
    other_end: Any  # its address and port; None if the connection was gone at once


class Peers:
    """Those who have sent something, by routing id."""

    def __init__(self) -> None:
        self._peers: dict[bytes, Peer] = {}
        self._to_look_at: list[bytes] = []

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
        if peer is None or not _is_there(peer):
            return
        connection = _connection(peer.descriptor)
        if connection is None:
            return
        try:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        finally:
            connection.detach()

    def taken(self, id: bytes) -> int:
        """How many bytes the other side has acknowledged so far; 0 where the system does not say."""
        peer = self._peers.get(id)
        if peer is None or sys.platform != "linux":
            return 0
        connection = _connection(peer.descriptor)
        if connection is None:
            return 0
        try:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.stop)
            return int.from_bytes(info[_ACKED], sys.byteorder)
        except OSError:
            return 0
        finally:
            connection.detach()

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
