"""Joins a Ray cluster. Ray is an extra of the package: it is loaded only when it is asked for."""

import socket
from typing import Any

from server.errors import TexserverError

KNOCK_S = 10.0  # for a cluster to accept a connection; Ray itself would try for minutes


class NoCluster(TexserverError):
    """There is no Ray, no cluster, or none that may train. The text says what to do."""


def joined(address: str) -> Any:
    """The module `ray`, connected to the cluster at this address. Its owner calls shutdown(). Raises NoCluster."""
    try:
        import ray
    except ImportError as error:
        raise NoCluster("Ray is not installed. Say pip install 'texserver[ray]', on all machines.") from error
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise NoCluster(
            f"There is no Ray cluster at {address}: start one by ray start, or name its address."
        ) from error
    return ray


def _knock(address: str) -> None:
    """Raises OSError if nobody listens at HOST:PORT."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), KNOCK_S).close()
