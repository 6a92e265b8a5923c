"""When to end: SIGINT, SIGTERM, and the end of the program that started the server. Each wakes the server's poller."""

import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack, suppress
from types import FrameType


class EndSignals:
    """Counts, from construction to `close`, how often the server was told to end. Only in the main thread.

    `leave_with_parent`: the end of standard input counts too. `socket` becomes readable with each.
    """

    def __init__(self, *, leave_with_parent: bool) -> None:
        self._signals = 0
        self._parent_left = False
        self._stack = ExitStack()
        self.socket, wakes = socket.socketpair()
        for end in (self.socket, wakes):
            end.setblocking(False)
            self._stack.callback(end.close)
        before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._stack.callback(signal.set_wakeup_fd, before)
        for each in (signal.SIGINT, signal.SIGTERM):
            self._stack.callback(signal.signal, each, signal.signal(each, self._signalled))
        if leave_with_parent:
            threading.Thread(target=self._watch_parent, args=[wakes], daemon=True).start()

    @property
    def count(self) -> int:
        """How often the server was told to end."""
        return self._signals + self._parent_left

    def clear(self) -> None:
        """Make `socket` unreadable until the next signal."""
        with suppress(BlockingIOError):
            self.socket.recv(100)

    def close(self) -> None:
        """Signals do again what they did before."""
        self._stack.close()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _watch_parent(self, wakes: socket.socket) -> None:
        """In a thread, because Windows polls only sockets. Not through sys.stdin, whose lock must be free at exit."""
        with suppress(OSError, AttributeError):  # there was no standard input from the start
            while os.read(sys.stdin.fileno(), 4096):
                pass
        self._parent_left = True
        with suppress(OSError):  # the server has ended
            wakes.send(b"\0")
