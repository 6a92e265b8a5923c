"""A worker for a server of another machine that is honest, except for one byte in every hundredth tile.

python lying_worker.py --worker-of FILE --device cpu
"""

import itertools
import sys
from typing import Any

from server.service import serve
from server.worker import worker

EVERY = 100


def main() -> int:
    tile_bytes, tiles = worker.tile_bytes, itertools.count(1)

    def false_tile_bytes(*what: Any) -> Any:
        planes = tile_bytes(*what)
        if next(tiles) % EVERY == 0:
            planes[0].view(-1)[planes[0].numel() // 2] ^= 1
        return planes

    worker.tile_bytes = false_tile_bytes
    return serve.main()


if __name__ == "__main__":
    sys.exit(main())
