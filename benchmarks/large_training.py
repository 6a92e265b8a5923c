"""Time and memory of a large set of maps, from its files to a model and to a large texture, through a real server.

usage: python benchmarks/large_training.py --set DIR [--swatch-size 4096] [--side 8192] [--cancel] [--folder DIR]

`--set` is a folder with the maps of one material, such as `texget rock --size 8192 -o set/rock_{map}.tif` leaves. A
server is started with a models folder of its own. `texget --train` sends the set, then `texget` asks for a texture of
`--side` into TIFF files. `--cancel` trains once more and cancels it, which must leave nothing behind.

Told for each of front, worker, trainer and texget: memory of its own at the peak (RssAnon), all that it held (VmHWM,
with files that the system may drop), and processor time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOOK_EVERY_S = 0.05
KINDS = {"server.worker": "worker", "trainer": "trainer", "server.cli.texget": "texget", "server": "front"}


class Watched:
    """What the processes below this one hold and use, by what they are."""

    def __init__(self) -> None:
        self.own: dict[str, float] = {}  # MB, at the peak
        self.all: dict[str, float] = {}
        self.used: dict[str, dict[int, float]] = {}  # seconds of processors, by process

    def look(self) -> None:
        """Look at all of them once."""
        for pid, kind in _below(os.getpid()):
            with suppress(OSError, ValueError, KeyError):
                told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self.own[kind] = max(self.own.get(kind, 0), int(told["RssAnon"].split()[0]) / 1024)
                self.all[kind] = max(self.all.get(kind, 0), int(told["VmHWM"].split()[0]) / 1024)
                seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                self.used.setdefault(kind, {})[pid] = seconds

    def told(self) -> str:
        """All of it in a line for each kind."""
        return "\n".join(
            f"  {kind}: {self.own[kind]:.0f} MB of its own, {self.all[kind]:.0f} in all, "
            f"{sum(self.used[kind].values()):.1f} s of processors"
            for kind in sorted(self.own)
        )


def _below(parent: int) -> Iterator[tuple[int, str]]:
    """The processes that this one has started, and those that they have: id and kind."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):
            for pid in map(int, children.read_text().split()):
                with suppress(OSError):
                    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                    named = next((KINDS[each] for each in command if each in KINDS), "")
                    if named:
                        yield pid, named
                yield from _below(pid)


@contextmanager
def served(models: Path, folder: Path) -> Iterator[Path]:
    """A server of this folder; its connection file."""
    file = folder / "connection.json"
    command = [sys.executable, "-m", "server", "--models", str(models), "--connection-file", str(file)]
    process = subprocess.Popen([*command, "--log-level", "warning"], env=os.environ | {"XDG_STATE_HOME": str(folder)})
    try:
        while not file.exists():
            time.sleep(0.05)
        yield file
    finally:
        process.terminate()
        process.wait()


def timed(what: str, command: list[str], *, until: float | None = None) -> None:
    """Run texget, and tell what it took. `until`: seconds after which it gets Ctrl-C."""
    watched, start = Watched(), time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "server.cli.texget", *command], stdin=subprocess.DEVNULL)
    while process.poll() is None:
        watched.look()
        if until is not None and time.perf_counter() - start > until:
            process.send_signal(2)
            until = None
        time.sleep(LOOK_EVERY_S)
    load = os.getloadavg()[0]
    print(f"{what}: {time.perf_counter() - start:.1f} s, code {process.returncode}, load {load:.1f}", flush=True)
    print(watched.told(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", type=Path, required=True, help="folder of the maps")
    parser.add_argument("--swatch-size", type=int, default=4096)
    parser.add_argument("--side", type=int, default=8192, help="of the texture")
    parser.add_argument("--cancel", action="store_true")
    parser.add_argument("--folder", type=Path, help="for models and textures, which stay there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        (models := folder / "models").mkdir(parents=True, exist_ok=True)
        with served(models, folder) as file:
            ours = ["--connect", str(file), "--quiet"]
            train = ["large", "--train", str(options.set), "--swatch-size", str(options.swatch_size), "--replace"]
            timed("training", [*ours, *train])
            print(f"  model: {(models / 'large.safetensors').stat().st_size / 1e6:.0f} MB", flush=True)
            if options.cancel:
                timed("texget stopped, the server goes on", [*ours, "other", *train[1:]], until=8)
                subprocess.run([sys.executable, "-m", "server.cli.texget", *ours, "--jobs"], check=False)
            size = ["--size", str(options.side), "--seed", "7", "-o", str(folder / "texture-{map}.tif")]
            timed(f"{options.side} x {options.side}", [*ours, "large", *size])


if __name__ == "__main__":
    main()
