"""A front for tests, frames in and frames out: no sockets, no processes, a clock that is set by hand.

Workers are played by the test: `painted` gives the tile that a real one would have sent, by a formula.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from blender_addon.protocol import wire
from server import __version__
from server.front.crew import Address
from server.front.front import Front
from server.front.origin import NOBODY, Origin
from server.front.shelf import Shelf
from server.model.work import encode
from server.msgpack_codec import CODECS

ALICE, BOB = b"alice", b"bob"
ONE, TWO = ("local", b"one"), ("local", b"two")
FAR = ("remote", b"one")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


def painted(tile: Sequence[int], seed: int, size: Sequence[int]) -> bytes:
    """RGB samples of a tile: each tells its place and its seed."""
    top, left, height, width = tile
    samples = np.empty((height, width, 3), np.uint8)
    samples[:, :, 0] = ((top + np.arange(height)) % size[0] % 251)[:, None]
    samples[:, :, 1] = (left + np.arange(width)) % size[1] % 241
    samples[:, :, 2] = seed % 256
    return samples.tobytes()


class House:
    """A front over a folder of tiny models, and what it has said."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = Clock()
        self.blocked: set[bytes] = set()
        self.held_back_s = 0.0  # that each worker has had to wait for a processor
        self.origins: dict[bytes, Origin] = {}
        self.machines: dict[Address, str] = {}
        shelf = Shelf(folder, clock=self.clock)
        limits = options.pop("limits", wire.Limits())
        self.front = Front(
            shelf,
            limits=limits,
            cache_bytes=options.pop("cache_bytes", 0),
            watchdog_s=options.pop("watchdog_s", 30.0),
            verify=options.pop("verify", 0.0),
            blocked=lambda client, size: client in self.blocked,
            held_back_s=lambda worker: self.held_back_s,
            clock=self.clock,
        )
        self.look()
        self.given: dict[Address, list[dict[str, Any]]] = {ONE: [], TWO: []}
        self.ids = itertools.count(1)

    def look(self) -> None:
        """Let the shelf see the folder as it is now."""
        self.clock.now += 2
        while self.front.shelf.step(0.001) or not self.front.shelf.settled:
            self.clock.now += 0.01

    def joins(self, address: Address = ONE, **said: Any) -> None:
        here = {
            "say": "here",
            "name": address[1].decode(),
            "device": "cpu",
            "precision": "exact",
            "version": __version__,
            "memory_mb": 1,
        }
        self.from_worker(address, here | said)

    def from_worker(self, address: Address, header: object, planes: Sequence[bytes | memoryview] = ()) -> None:
        """The worker sends a message."""
        machine = self.machines.get(address, "")
        self.front.dispatcher.from_worker(address, [msgpack.packb(header), *planes], machine)

    def asks(self, client: bytes, message: wire.Request, letter: bytes = wire.JSON) -> None:
        frames = [bytes(frame) for frame in wire.encode(message, letter, CODECS)]
        self.front.from_client(client, frames, self.origins.get(client, NOBODY))

    def generate(self, client: bytes = ALICE, *, size: tuple[int, int] = (64, 64), **fields: Any) -> int:
        id = fields.pop("id", None) or next(self.ids)
        self.asks(
            client,
            wire.Generate(id=id, model=fields.pop("model", "brick"), seed=fields.pop("seed", 7), size=size, **fields),
        )
        return int(id)

    def said(self, client: bytes = ALICE) -> list[wire.Reply]:
        """What was said to the client since the last time."""
        mine = [frames for to, frames in self.front.to_clients if to == client]
        rest = [each for each in self.front.to_clients if each[0] != client]
        self.front.to_clients.clear()
        self.front.to_clients.extend(rest)
        return [wire.parse_reply(frames, CODECS) for frames in mine]

    def orders(self) -> list[tuple[Address, dict[str, Any]]]:
        """What was told to workers since the last time."""
        while self.front.work():
            pass
        to_workers = self.front.dispatcher.to_workers
        found = [(address, msgpack.unpackb(encode(message)[0])) for address, message in to_workers]
        to_workers.clear()
        return found

    def paint(self, address: Address, order: dict[str, Any]) -> None:
        """The worker does one tile."""
        tile = painted(order["tile"], order["seed"], order["size"])
        self.from_worker(address, {"say": "done", "task": order["task"]}, [tile])

    def paint_all(self) -> int:
        """Workers do everything there is; how many tiles that was."""
        count = 0
        while orders := [(address, order) for address, order in self.orders() if order["do"] in ("paint", "blend")]:
            for address, order in orders:
                self.paint(address, order)
                count += 1
        return count


def errors(replies: list[wire.Reply]) -> list[str]:
    assert all(isinstance(reply, wire.Error) for reply in replies), replies
    return [reply.code for reply in replies if isinstance(reply, wire.Error)]


def window_of(size: tuple[int, int], window: tuple[int, int, int, int], seed: int) -> bytes:
    return painted(window, seed, size)
