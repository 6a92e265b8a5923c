"""The server beside the same call in process: time, memory, answers under load, fairness, a killed worker.

    python benchmarks/serve.py [--quick]

Starts real servers on loopback with a model of random weights in the default architecture, which costs what a trained
one does. Each figure is a ratio to, or stands beside, a reference of the same run. `--quick` leaves out 16384 x 16384.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from server.client.client import Client, ServerUnreachable
from server.model.architecture import PRESETS
from server.model.header import SwatchFacts
from server.model.maps import BASE_COLOUR, Map
from server.model.torus import Size
from server.network.devices import paintable
from server.network.generator import Generator
from server.network.model_file import Model, read_model, write_model
from server.network.texture import texture_bytes

MODEL = "random"
REPEATS = 9


def save_model(folder: Path, name: str = MODEL, maps: Sequence[Map] = (BASE_COLOUR,)) -> Path:
    """A model of random weights that paints something of middling contrast."""
    torch.manual_seed(0)
    generator = Generator(PRESETS["taper"], maps).eval().requires_grad_(False)
    with torch.no_grad():
        generator.paint.bias.fill_(0.5)
    path = folder / f"{name}.safetensors"
    write_model(
        path,
        Model(
            name=name,
            generator=generator,
            training={},
            descriptor="none",
            swatch=SwatchFacts(name="none", sha256="0" * 64, height=256, width=256),
            thumbnail=torch.zeros(8, 8, 3, dtype=torch.uint8),
        ),
    )
    return path


class Served:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.file = folder / f"connection-{time.monotonic_ns()}.json"
        self.started = time.perf_counter()
        command = [sys.executable, "-m", "server", "--models", str(folder), "--connection-file", str(self.file)]
        self.process = subprocess.Popen(
            [*command, "--log-level", "error", *options],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"XDG_STATE_HOME": str(folder)},
        )

    def client(self) -> Client:
        while True:
            try:
                return Client(str(self.file), timeout_s=600)
            except (ServerUnreachable, Exception):
                if time.perf_counter() - self.started > 60:
                    raise
                time.sleep(0.005)

    def memory_mb(self) -> float:
        return memory_mb(self.process.pid)

    def workers(self) -> list[int]:
        """Process ids."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Served]:
    server = Served(folder, *options)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)


def memory_mb(pid: int) -> float:
    """Resident memory of a process, of what is its own."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(what: str, figure: str) -> None:
    print(f"{what:<78} {figure}", flush=True)


def start(folder: Path) -> None:
    with served(folder) as server, server.client() as client:
        welcome = time.perf_counter() - server.started
        client.texture(MODEL, seed=0, size=512)
        report("start to the first welcome; to the first texture of 512 x 512", f"{welcome:.2f} s; "
               f"{time.perf_counter() - server.started:.2f} s")  # fmt: skip


def against_in_process(folder: Path) -> None:
    generator = paintable(read_model(folder / f"{MODEL}.safetensors"))
    size = Size(1024, 1024)
    window = size.whole
    with served(folder) as server, server.client() as client:
        times: dict[str, list[float]] = {"in process": [], "server": []}
        for seed in range(REPEATS + 2):
            begin = time.perf_counter()
            here = texture_bytes(generator, seed, size, window)[0].numpy()
            middle = time.perf_counter()
            there = client.texture(MODEL, seed=seed, size=1024)["basecolor"]
            end = time.perf_counter()
            assert np.array_equal(here, there)
            if seed >= 2:
                times["in process"].append(middle - begin)
                times["server"].append(end - middle)
        own, through = (statistics.median(each) for each in times.values())
        report(
            "1024 x 1024 through the server, and the same call in process",
            f"{through * 1000:.0f} ms, {own * 1000:.0f} ms: {through / own:.2f} times",
        )


def memory(folder: Path, sides: list[int]) -> None:
    with served(folder) as server, server.client() as client:
        client.texture(MODEL, seed=0, size=512)
        for side in sides:
            front = server.memory_mb()
            peaks = {"front": 0.0, "client": 0.0, "start": 0.0}
            command = [sys.executable, "-m", "server.cli.texget", MODEL, "--connect", str(server.file), "--quiet"]
            begin = time.perf_counter()
            texget = subprocess.Popen([*command, "--size", f"{side}x{side}", "-o", str(folder / "out.tif")])
            time.sleep(0.5)
            peaks["start"] = memory_mb(texget.pid)
            pings = []
            while texget.poll() is None:
                asked = time.perf_counter()
                client.status()
                pings.append(time.perf_counter() - asked)
                peaks["front"] = max(peaks["front"], server.memory_mb() - front)
                try:
                    peaks["client"] = max(peaks["client"], memory_mb(texget.pid) - peaks["start"])
                except (FileNotFoundError, IndexError):
                    break
                time.sleep(0.02)
            seconds = time.perf_counter() - begin
            assert texget.wait() == 0
            report(
                f"{side} x {side} to a TIFF by texget: front and client above their start",
                f"{peaks['front']:.0f} MB, {peaks['client']:.0f} MB ({seconds:.1f} s)",
            )
            pings.sort()
            report(
                f"status asked meanwhile by another client, {len(pings)} times: median, p99, worst",
                f"{pings[len(pings) // 2] * 1000:.1f}, {pings[int(len(pings) * 0.99)] * 1000:.1f}, "
                f"{pings[-1] * 1000:.1f} ms",
            )


def fairness(folder: Path, clients: int = 8, textures: int = 64) -> None:
    script = (
        "import sys, time, json; from server.client import Client\n"
        "client = Client(sys.argv[1], timeout_s=600); first = int(sys.argv[2])\n"
        "sys.stdin.readline(); begin = time.time(); sums = []\n"
        f"for seed in range(first, first + {textures}):\n"
        f"    sums.append(int(client.texture({MODEL!r}, seed=seed, size=512)['basecolor'].astype('u8').sum()))\n"
        "print(json.dumps([time.time() - begin, sums]))\n"
    )
    generator = paintable(read_model(folder / f"{MODEL}.safetensors"))
    with served(folder) as server, server.client() as client:
        client.texture(MODEL, seed=0, size=512)
        workers = server.workers()
        running = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(server.file), str(1000 * number)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for number in range(clients)
        ]  # fmt: skip
        time.sleep(3)
        for each in running:
            assert each.stdin
            each.stdin.write("go\n")
            each.stdin.flush()
        results = [json.loads(each.communicate()[0]) for each in running]
        for number, (_, sums) in enumerate(results):
            for index in (0, textures - 1):
                seed = 1000 * number + index
                own = texture_bytes(generator, seed, Size(512, 512), Size(512, 512).whole)[0].numpy()
                assert sums[index] == int(own.astype("u8").sum())
        seconds = [each[0] for each in results]
        report(
            f"{clients} clients, {textures} textures of 512 x 512 each: slowest to fastest client; restarts",
            f"{max(seconds) / min(seconds):.2f}; {int(server.workers() != workers)} ({max(seconds):.1f} s)",
        )


def killed(folder: Path) -> None:
    with served(folder) as server, server.client() as client:
        begin = time.perf_counter()
        undisturbed = client.texture(MODEL, seed=3, size=4096)["basecolor"]
        own = time.perf_counter() - begin
        begin = time.perf_counter()
        killer = threading.Timer(own / 2, lambda: os.kill(server.workers()[0], signal.SIGKILL))
        killer.start()
        disturbed = client.texture(MODEL, seed=4, size=4096)["basecolor"]
        lost = time.perf_counter() - begin - own
        again = client.texture(MODEL, seed=4, size=4096)["basecolor"]
        equal = np.array_equal(disturbed, again) and not np.array_equal(disturbed, undisturbed)
        report("worker killed during 4096 x 4096: equal to an undisturbed one; lost", f"{equal}; {lost:.1f} s")


def two_workers(folder: Path) -> None:
    rates = []
    for workers in ("1", "2"):
        environment = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"
        with served(folder, "--device", "cpu", "--workers", workers) as server, server.client() as client:
            client.texture(MODEL, seed=0, size=2048)
            begin = time.perf_counter()
            for seed in range(1, 4):
                client.texture(MODEL, seed=seed, size=2048)
            rates.append(3 / (time.perf_counter() - begin))
        if environment is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = environment
    report("two workers of one thread each, against one: throughput", f"{rates[1] / rates[0]:.2f} times")


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without 16384 x 16384")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        start(folder)
        against_in_process(folder)
        memory(folder, [4096] if options.quick else [4096, 16384])
        fairness(folder)
        killed(folder)
        two_workers(folder)


if __name__ == "__main__":
    main()
