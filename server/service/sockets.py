"""The server's ROUTER sockets: how they are set up, and the addresses by which others reach them."""

import socket
from contextlib import suppress
from typing import Any

import zmq

from blender_addon.protocol.keepalive import notice_lost_connections
from blender_addon.protocol.linger import LINGER_MS
from blender_addon.protocol.pairing import z85
from server.service.server_config import Unservable

HANDSHAKE_MS = 3000  # after which a peer that has not shown its key is disconnected
TRACKED_BYTES = 256  # smaller frames are copied, and do not count as unsent


def router(
    context: "zmq.Context[Any]", endpoint: str, domain: str, secret: bytes | None, max_message_bytes: int | None = None
) -> "zmq.Socket[Any]":
    """A bound socket. `secret`: the server's CURVE key, None for no encryption; `domain`: of the keys that are let in.

    Raises Unservable when the endpoint cannot be bound.
    """
    bound: zmq.Socket[Any] = context.socket(zmq.ROUTER)
    bound.linger = LINGER_MS
    bound.router_mandatory = True
    bound.sndhwm = bound.rcvhwm = 1000
    bound.ipv6 = "[" in endpoint
    bound.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    notice_lost_connections(bound)
    bound.set(zmq.BACKLOG, 1024)
    bound.copy_threshold = TRACKED_BYTES
    if max_message_bytes is not None:
        bound.maxmsgsize = max_message_bytes
    if secret is not None:
        bound.curve_server = True
        bound.curve_secretkey = z85(secret)
        bound.zap_domain = domain.encode()
    try:
        bound.bind(endpoint)
    except zmq.ZMQError as error:
        raise Unservable(
            f"{endpoint} cannot be listened on: {error.strerror}. Is another server there? Give another address, "
            "such as tcp://127.0.0.1:* for any free port."
        ) from None
    return bound


def endpoint_of(bound: "zmq.Socket[Any]") -> str:
    """Where the socket listens, with the port that it was given."""
    endpoint = bound.last_endpoint
    assert isinstance(endpoint, bytes)
    return endpoint.decode().rstrip("\0")


def port_of(bound: "zmq.Socket[Any]") -> int:
    """The port on which the socket listens."""
    return int(endpoint_of(bound).rpartition(":")[2])


def seen_from_outside(host: str) -> str:
    """The address by which other machines reach a socket that is bound to this host."""
    if host not in ("0.0.0.0", "*", "[::]"):
        return host
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which address would be used
        return str(probe.getsockname()[0])
    return socket.gethostname()


def allow_many_files() -> None:
    """Let this process hold as many connections as the system allows."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
