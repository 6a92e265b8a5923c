"""The workers that Ray places for this server, --ray, and the program that has it place them.

That program (server/service/on_ray.py) is a process of its own, started again when it has ended, as when the cluster
was gone. Each of its workers has a key of its own, which opens the server's socket for workers while it is there. No
Ray here.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from server.printable import printable
from server.service.on_ray import Placement
from server.service.processes import OWN_GROUP, end_child

COMMAND = (sys.executable, "-m", "server.service.on_ray")
SLOWEST_RESTART_S = 30.0
END_S = 5.0  # for the program to leave the cluster
SILENT_S = 120.0  # after which a worker that is placed and has not reported is worth a line in the log

log = logging.getLogger("texserver")


class RayWorkers:
    """Keys are public ones, in hexadecimal. `let_in` opens the socket for workers to these, and no others of Ray."""

    def __init__(
        self,
        wanted: Placement,
        let_in: Callable[[frozenset[str]], None],
        *,
        command: Sequence[str] = COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._placement, self._let_in, self._command, self._clock = wanted, let_in, tuple(command), clock
        self.useless = ""  # why it is of no use to try again
        self._said: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        self._since: dict[str, float] = {}  # when each was placed, by key
        self._hosts: dict[str, str] = {}  # likewise
        self._reporting: set[str] = set()
        self._silent: set[str] = set()  # the log tells of them
        self._wanted: int | None = None  # as long as the program has not said
        self._restarts = self._failures = 0
        self._was_connected = False
        self._why = ""
        self._again = 0.0
        self._popen: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None
        self._start()

    def has(self, key: str) -> bool:
        """Whether this is the key of one of them."""
        return key in self._since

    def tick(self, reporting: Collection[str]) -> list[str]:
        """Act on what the program has said. `reporting`: keys of workers that the front knows. Never waits.

        Returns the keys of workers that have ended since.
        """
        now, ended = self._clock(), []
        code = self._popen.poll() if self._popen is not None else None
        if code is not None and self._listener is not None:
            self._listener.join(END_S)  # it hears the last that was said
        with suppress(Empty):
            while True:
                ended += self._hear(self._said.get_nowait(), now)
        if self._popen is None:
            if now >= self._again and not self.useless:
                self._start()
        elif code is not None:
            ended += self._since
            self._close()
            self._wanted, self._restarts = None, self._restarts + len(ended)
            self._failures += 1
            pause_s = min(SLOWEST_RESTART_S, 2.0**self._failures)
            self._again = now + pause_s
            why = self._why or f"it ended with code {code}"
            if not self.useless:
                log.warning("ray: workers cannot be placed, again in %.0f s: %s", pause_s, why)
        for key in ended:
            self._forget(key)
        if ended:
            self._let_in(frozenset(self._since))
        self._reporting = self._since.keys() & set(reporting)
        self._tell_of_silent(now)
        return ended

    def end(self, key: str) -> None:
        """End this one: its connection is lost, it hangs or lies. Another one will take its place."""
        if key in self._since:
            self._order({"end": key})

    def report(self) -> dict[str, Any]:
        """For a status reply."""
        return {
            "state": "connecting" if self._wanted is None else "connected",
            "wanted": self._wanted or 0,
            "placed": len(self._since),
            "workers": len(self._reporting),
            "restarts": self._restarts,
        }

    def stop(self) -> None:
        """End them all."""
        if self._popen is None:
            return
        assert self._popen.stdin is not None
        with suppress(OSError):
            self._popen.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(END_S)
        self._close()

    def _start(self) -> None:
        self._why = ""
        try:
            self._popen = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # Ray's own words; what matters is told on standard output
                **OWN_GROUP,
            )
        except OSError as error:  # no memory or no process left, for now
            log.warning("ray: workers cannot be placed: %s", error.strerror or error)
            self._again = self._clock() + SLOWEST_RESTART_S
            return
        self._listener = threading.Thread(target=_listen, args=(self._popen.stdout, self._said), daemon=True)
        self._listener.start()
        self._write(self._placement.to_json())

    def _hear(self, said: Mapping[str, Any], now: float) -> list[str]:
        """One thing that the program says. Returns the key of a worker that has ended."""
        match said:
            case {"wanted": int(count)}:
                log.info("ray: %d workers are wanted of the cluster at %s", count, self._placement.address)
                self._wanted, self._failures, self._was_connected = count, 0, True
            case {"placed": str(key), "host": str(host)}:
                self._since[key], self._hosts[key] = now, printable(host)
                self._let_in(frozenset(self._since))
                self._order({"work": key})
            case {"ended": str(key), "why": str(why)}:
                self._restarts += 1
                log.warning("ray: a worker on %s has ended: %s", self._hosts.get(key, "no machine yet"), printable(why))
                return [key] if key in self._since else []
            case {"useless": bool(useless), "why": str(why)}:
                self._why = printable(why)
                if useless and not self._was_connected:
                    self.useless = self._why
        return []

    def _tell_of_silent(self, now: float) -> None:
        for key, since in self._since.items():
            if key not in self._reporting and key not in self._silent and now - since > SILENT_S:
                self._silent.add(key)
                log.warning(
                    "ray: a worker on %s was placed %.0f s ago and has not reported: can that machine reach %s?",
                    self._hosts[key], SILENT_S, self._placement.endpoint,
                )  # fmt: skip

    def _forget(self, key: str) -> None:
        self._since.pop(key, None)
        self._hosts.pop(key, None)
        self._silent.discard(key)

    def _order(self, command: Mapping[str, Any]) -> None:
        self._write(json.dumps(command).encode())

    def _write(self, line: bytes) -> None:
        if self._popen is not None and self._popen.stdin is not None:
            with suppress(OSError):  # it has ended, which the next tick sees
                self._popen.stdin.write(line + b"\n")
                self._popen.stdin.flush()

    def _close(self) -> None:
        assert self._popen is not None
        end_child(self._popen)
        self._popen = None


def _listen(out: Any, said: "SimpleQueue[Mapping[str, Any]]") -> None:
    """What a program says, until it ends."""
    with out:
        for line in out:
            with suppress(ValueError):
                said.put(json.loads(line))
