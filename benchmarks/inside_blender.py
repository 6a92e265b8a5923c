"""Run by a Blender's own Python for in_blender.py: installs the extension, prints what it measured as JSON."""

import json
import os
import statistics
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import bpy

MODULE = "bl_ext.user_default.texserver"
REPEATS = 5


class Nowhere:
    """A sink that throws the pixels away."""

    def begin(self, painting: Any) -> None: ...
    def write(self, *_: Any) -> None: ...
    def finish(self) -> None: ...
    def abort(self) -> None: ...


def module(name: str) -> Any:
    return import_module(f"{MODULE}.{name}")


class Bench:
    """The extension, and what is measured of it."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.pump, self.state = module("loop.pump"), module("tasks.state")
        self.assignment, self.texture_download, self.texture_task, self.orders = (
            module("material.assignment"),
            module("client.texture_download"),
            module("tasks.texture_task"),
            module("panel.orders"),
        )
        self.seed = 100
        bpy.ops.texserver.refresh()

    def order(self, side: int, preview: int | None = None) -> Any:
        self.seed += 1  # the server's cache must not help
        small = (preview, preview) if preview else None
        return self.texture_task.TextureOrder(model=self.model, seed=self.seed, size=(side, side), preview=small)

    def begin(self, order: Any, **target: Any) -> Any:
        """The task of this order for the active object, and its delivery."""
        target_for = self.assignment.target_for
        prepared = self.orders.PreparedTexture(order=order, target=target_for([bpy.context.object], **target))
        task = prepared.begin()
        return task, self.pump.delivery_of(task)

    def alone_s(self, side: int) -> float:
        """The server's time, as a client has it that only listens."""
        order, connection = self.order(side), self.state.session().connection
        job = self.texture_download.TextureDownload(connection, order.model, order.seed, order.size, Nowhere())
        started = time.perf_counter()
        while job.tick():
            time.sleep(self.pump.NAP_S)
        assert job.state == "done", job.message
        return time.perf_counter() - started

    def whole_s(self, side: int, **target: Any) -> tuple[float, float, float]:
        """From the click to the texture on the object; the longest turn; memory added at most, in MB."""
        before = memory_mb()
        longest = most = 0.0
        started = time.perf_counter()
        task, delivery = self.begin(self.order(side), **target)
        while not task.ended or delivery.pending:
            turn = time.perf_counter()
            self.pump.step()
            longest = max(longest, time.perf_counter() - turn)
            most = max(most, memory_mb() - before)
            time.sleep(self.pump.NAP_S)
        assert task.state == "done", task.message
        return time.perf_counter() - started, longest, most

    def preview_s(self) -> float:
        """From the click to a preview on the object, at a server that has nothing else to do."""
        time.sleep(1.0)
        started = time.perf_counter()
        task, delivery = self.begin(self.order(4096, 512), slot="NEW")
        while not delivery.assignment.preview_shown:
            self.pump.step()
            time.sleep(self.pump.NAP_S)
        took_s = time.perf_counter() - started
        task.cancel()
        self.pump.step()
        return took_s


def memory_mb() -> float:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(model: str, map_set: str, quick: bool) -> dict[str, str]:
    bench = Bench(model)
    bench.whole_s(512)
    facts = {}
    previews = [bench.preview_s() for _ in range(REPEATS)]
    facts["click to preview on the object, 512 x 512"] = f"{statistics.median(previews):.2f} s"
    pairs = [(bench.alone_s(2048), bench.whole_s(2048)[0]) for _ in range(REPEATS)]
    alone, whole = (statistics.median(each) for each in zip(*pairs, strict=True))
    share = statistics.median(b / a - 1 for a, b in pairs)
    facts["2048 x 2048: server alone; with files, loading, assigning"] = f"{alone:.2f} s; {whole:.2f} s, {share:+.0%}"
    turns = [1000 * bench.whole_s(4096)[1] for _ in range(REPEATS)]
    facts["4096 x 4096, one map: longest turn of the pump"] = (
        f"{statistics.median(turns):.0f} ms (worst {max(turns):.0f})"
    )
    bench.model = map_set
    bench.whole_s(512)
    turns = [1000 * bench.whole_s(4096)[1] for _ in range(REPEATS)]
    facts["4096 x 4096, all maps of a set: longest turn"] = (
        f"{statistics.median(turns):.0f} ms (worst {max(turns):.0f})"
    )
    bench.model = model
    if not quick:
        _, longest, most = bench.whole_s(8192, pack=False)
        facts["8192 x 8192 into a file: memory added; longest turn"] = f"{most:.0f} MB; {1000 * longest:.0f} ms"
        _, longest, most = bench.whole_s(8192, pack=True)
        facts["8192 x 8192, packed (192 MB): memory added; longest turn"] = f"{most:.0f} MB; {1000 * longest:.0f} ms"
    return facts


def main() -> int:
    zip, model, map_set, *others = sys.argv[1:]
    code = 1
    try:
        bpy.ops.extensions.package_install_files(
            filepath=zip, repo="user_default", enable_on_install=True, overwrite=True
        )
        print(json.dumps(measure(model, map_set, bool(others))))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        bpy.ops.preferences.addon_disable(module=MODULE)
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
