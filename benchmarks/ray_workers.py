"""Workers that Ray places over two node processes: how much more 2 and 4 of them paint than one.

    python benchmarks/ray_workers.py [--rounds 3] [--tiles 6] [--side 256]

Needs Ray (pip install '.[ray]'). The cluster is real and all on this machine: a head without processors, and two nodes
that offer four each. Three real servers have 1, 2 and 4 one-thread workers there, spread over both nodes. They paint in
turns, several rounds, so that what else the machine does meets all of them alike; each round gives ratios of its own.
Each request is a texture of one tile with a seed of its own, of a network of random weights.

The reference is the one worker of the same round, and the cores of the machine: 4 workers on 2 cores can paint twice as
much as one. On a machine with other work they can do more, because each worker gets a share of its own. So the
processor time for a tile stands beside it: as long as that stays the same, the workers do not hinder each other.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from front import AHEAD, client_of, idle_s, paint
from serve import MODEL, save_model

from blender_addon.protocol.pairing import Pairing, read_connection_file
from server.client.client import Client
from server.service.own_time import processor_time

WORKERS = (1, 2, 4)
PLACED_S = 300.0
OBJECT_STORE = 80_000_000  # bytes


def painters() -> list[int]:
    """The process ids of all workers that Ray placed on this machine."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and (path / "cmdline").read_bytes().startswith(b"ray::RayWorker.work"):
                found.append(int(path.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@contextmanager
def served(folder: Path, address: str, workers: int) -> Iterator[Pairing]:
    """A server with so many workers, ready."""
    home = folder / f"home{workers}"
    home.mkdir()
    file = home / "connection.json"
    options = ["--connection-file", str(file), "--log-level", "error", "--no-training", "--cache", "0"]
    placed = ["--ray", address, "--ray-workers", str(workers), "--precision", "exact", "--watchdog", "600"]
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "--models", str(folder), *options, *placed],
        stdout=subprocess.DEVNULL, env=os.environ | {"XDG_STATE_HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
    )  # fmt: skip
    try:
        with client_of(file) as client:
            wait_for(client, workers)
        yield read_connection_file(file)
    finally:
        process.terminate()
        process.wait(60)


def wait_for(client: Client, workers: int) -> None:
    until = time.monotonic() + PLACED_S
    while (report := client.status())["models"]["checking"] or len(report["devices"]) < workers:
        assert time.monotonic() < until, f"only {len(report['devices'])} workers of {workers} came"
        time.sleep(0.2)


def main() -> int:
    """Print a line for each number of workers and round, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiles", type=int, default=6, help="for each worker and round")
    parser.add_argument("--side", type=int, default=256, help="of a tile, in pixels, up to 512")
    options = parser.parse_args()
    from ray.cluster_utils import Cluster

    root = str(Path(__file__).resolve().parents[1])
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": OBJECT_STORE})
    for _ in range(2):
        nodes.add_node(num_cpus=4, object_store_memory=OBJECT_STORE)
    ratios: dict[int, list[float]] = {each: [] for each in WORKERS}
    each_s: dict[int, list[float]] = {each: [] for each in WORKERS}
    try:
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            save_model(Path(name))
            servers = {each: stack.enter_context(served(Path(name), nodes.address, each)) for each in WORKERS}
            for workers, pairing in servers.items():
                paint(pairing, MODEL, 2 * workers, options.side, 2 * workers)  # each gets the model
            for number in range(options.rounds):
                alone = 0.0
                for workers, pairing in servers.items():
                    pids, tiles = painters(), options.tiles * workers
                    used, idle = sum(processor_time(each) or 0 for each in pids), idle_s()
                    took = paint(pairing, MODEL, tiles, options.side, AHEAD * workers)
                    used, idle = sum(processor_time(each) or 0 for each in pids) - used, idle_s() - idle
                    alone = alone or tiles / took
                    ratios[workers].append(tiles / took / alone)
                    each_s[workers].append(used / tiles)
                    did, busy = ratios[workers][-1], used / took
                    print(
                        f"round {number + 1}: {workers} workers {tiles / took:6.2f} tiles/s, {did:5.2f} times one; "
                        f"{1000 * used / tiles:.1f} ms of a processor for a tile, {busy:.2f} processors at work, "
                        f"{idle / took:.2f} idle, load {os.getloadavg()[0]:.1f}",
                        flush=True,
                    )
    finally:
        nodes.shutdown()
    for workers in WORKERS:
        print(
            f"{workers} workers: {statistics.median(ratios[workers]):.2f} times one, "
            f"{1000 * statistics.median(each_s[workers]):.1f} ms for a tile (medians); {os.cpu_count()} cores"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
