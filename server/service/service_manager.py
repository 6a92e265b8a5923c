"""What the service manager that started this program is told: that it is ready, that it lives, that it stops.

systemd names a datagram socket in NOTIFY_SOCKET and reads assignments from it, one a line; with a watchdog it restarts
a service that has not said WATCHDOG=1 for WATCHDOG_USEC. Source: sd_notify(3), sd_watchdog_enabled(3),
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html. Without NOTIFY_SOCKET nothing is sent.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

ALIVE_PER_LIMIT = 3  # so that one late sign of life does no harm


class ServiceManager:
    """Tells whoever waits at NOTIFY_SOCKET. Nothing here waits or raises: a state that cannot be sent is sent later."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # an abstract name
            self._address = "\0" + self._address[1:]
        for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        limit = environ.get("WATCHDOG_USEC", "") if for_us else ""
        self.alive_every_s = int(limit) / 1e6 / ALIVE_PER_LIMIT if limit.isdecimal() else float("inf")
        self._told: str | None = None
        self._alive = float("-inf")

    def tell(self, state: str, now: float) -> None:
        """Call this again and again. `state`: the server's, of a status reply; `now`: monotonic seconds."""
        if state != self._told:
            ready = "\nREADY=1" if state == "ready" else ""
            stopping = "\nSTOPPING=1" if state == "draining" else ""
            if self._send(f"STATUS={state}{ready}{stopping}"):
                self._told = state
        if self.alive_every_s < float("inf") and now - self._alive >= self.alive_every_s:
            self._alive = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> bool:
        """Whether it has gone; False where the other side has much to read."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return True
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)
            return True
        return False
