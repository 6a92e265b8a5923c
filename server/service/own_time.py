"""How much time a process has had, so that one on a busy machine is not taken for hung.

Where others keep the processors busy, a minute on the clock may be a few seconds for a process. So a watchdog counts
the processor time that its process has used, as long as it uses any. One that uses none waits for something, perhaps
for ever, and all of the time counts. Never does more count than has passed: several threads use several seconds in one.

Source: /proc/PID/stat of Linux, proc_pid_stat(5), fields 14 and 15. Other systems do not tell without further packages;
there all of the time counts.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

WINDOW_S = 5.0  # that is judged at once
IDLE = 0.005  # share of one processor below which a process counts as waiting; the clock ticks of Linux are 10 ms


class OwnTime:
    """The time that a process has had since this was made. Ask several times a second."""

    def __init__(
        self,
        pid: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[int], float | None] | None = None,
    ) -> None:
        self._pid, self._clock, self._used = pid, clock, used or processor_time
        self._began = self._judged = clock()
        self._before = self._used(pid)
        self._held_back = 0.0

    def had_s(self) -> float:
        """Seconds that it has had."""
        return self._clock() - self._began - self.held_back_s()

    def held_back_s(self) -> float:
        """Seconds that have passed, but that others have had."""
        passed = self._clock() - self._judged
        if passed >= WINDOW_S:
            used, before = self._used(self._pid), self._before
            self._judged, self._before = self._judged + passed, used
            if used is not None and before is not None and used - before > IDLE * passed:
                self._held_back += max(0.0, passed - (used - before))
        return self._held_back


def processor_time(pid: int) -> float | None:
    """Seconds of processors that all threads of a process have used; None where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        told = Path(f"/proc/{pid}/stat").read_bytes()
        user, system = told.rpartition(b")")[2].split()[11:13]  # its name, in brackets, may hold anything
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
