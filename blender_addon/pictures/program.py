"""What our programs that write pictures say, line by line: the share that is done, and at last a sentence or the files.

The add-on runs them in a process of their own, since packing takes seconds, and reads the lines. No bpy here.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from ..protocol.errors import TexserverError

SHARE, FILE, ERROR = "share: ", "file: ", "error: "  # how the lines begin

Progress = Callable[[float], None]  # is told the share that is done, from 0 to 1


def run(write: Callable[[Progress], Sequence[Path]]) -> int:
    """Write, and say how it goes; the exit code, 1 where it was not done."""
    try:
        written = write(lambda share: print(f"{SHARE}{share:.3f}", flush=True))
    except TexserverError as error:
        print(f"{ERROR}{error}", flush=True)
        return 1
    for path in written:
        print(f"{FILE}{path}", flush=True)
    return 0
