"""A server whose workers do what a seed tells them: sleep, die, run out of memory. Otherwise they are real workers.

python odd_worker.py --models …    the server, with this file as the command of its workers
python odd_worker.py               such a worker
"""

import functools
import os
import sys
import time
from pathlib import Path
from typing import Any

DIES = 666
STARVES = 777  # of memory for more than SMALL_PX a side
HOPELESS = 778  # of memory for anything
RAISES = 779
SLEEPS = 1_000_000  # and as many milliseconds as the seed is above, at each tile or block
SMALL_PX = 128


def sleeping(seconds: float, which: int = 0) -> int:
    """A seed whose tiles take so long; `which` tells several apart."""
    return SLEEPS * (1 + which) + round(seconds * 1000)


def _behave(seed: int, height: int, width: int) -> None:
    if seed == DIES:
        os._exit(7)
    if seed == HOPELESS or (seed == STARVES and max(height, width) > SMALL_PX):
        raise MemoryError
    if seed == RAISES:
        raise RuntimeError("on purpose")
    if SLEEPS <= seed < 1000 * SLEEPS:
        time.sleep(seed % SLEEPS / 1000)


def _work() -> int:
    from server.worker import stylist, worker

    tile_bytes, window_bytes, paint_block = worker.tile_bytes, worker.window_bytes, stylist.paint_block

    def odd_tile_bytes(generator: Any, seed: int, size: Any, tile: Any, depths: Any, edges: Any) -> Any:
        _behave(seed, tile.height, tile.width)
        return tile_bytes(generator, seed, size, tile, depths, edges)

    def odd_window_bytes(generator: Any, seed: int, size: Any, window: Any, depths: Any, edges: Any) -> Any:
        _behave(seed, window.height, window.width)
        return window_bytes(generator, seed, size, window, depths, edges)

    def odd_paint_block(frozen: Any, seen: Any, part: Any, size: Any, place: Any, seed: int, **options: Any) -> Any:
        _behave(seed, place.height, place.width)
        return paint_block(frozen, seen, part, size, place, seed, **options)

    worker.tile_bytes, worker.window_bytes, stylist.paint_block = odd_tile_bytes, odd_window_bytes, odd_paint_block
    return worker.main()


def _serve() -> int:
    from server.service import serve

    serve.Server = functools.partial(serve.Server, command=(sys.executable, str(Path(__file__))))  # type: ignore
    return serve.main()


if __name__ == "__main__":
    sys.exit(_serve() if sys.argv[1:] else _work())
