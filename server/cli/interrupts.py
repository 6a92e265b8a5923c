"""Ctrl-C that is never lost.

Python raises KeyboardInterrupt wherever the program is. In the finaliser of an object it goes no further than a line on
standard error, and the program goes on as if nobody had pressed anything. A texget that receives pixels frees a message
of ZeroMQ after each block, so under load that happens (https://docs.python.org/3/library/sys.html#sys.unraisablehook).
"""

import sys
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import TracebackType
from typing import Any

AGAIN_S = 0.05  # the finaliser has ended by then; if not, the interrupt is lost and comes again once more


@contextmanager
def lost_interrupts_come_again() -> Iterator[None]:
    """While it lasts, a KeyboardInterrupt lost in a finaliser is raised again in the main thread a moment later."""
    timer: Timer | None = None  # of the interrupt that is to come
    ended = False
    tell_unraisable, tell_raised = sys.unraisablehook, sys.excepthook

    def unraisable(lost: Any) -> None:  # typeshed alone knows the type of its argument
        nonlocal timer
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            tell_unraisable(lost)
        elif timer is None and not ended:
            timer = Timer(AGAIN_S, come_again)
            timer.start()

    def come_again() -> None:
        nonlocal timer
        timer = None  # first, since this one may be lost, too
        interrupt_main()

    def raised(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):  # Cython tells a lost one here, too
            tell_raised(kind, error, where)

    sys.unraisablehook, sys.excepthook = unraisable, raised
    try:
        yield
    finally:
        ended = True
        if timer is not None:
            timer.cancel()
        sys.unraisablehook, sys.excepthook = tell_unraisable, tell_raised
