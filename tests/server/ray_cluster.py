"""A real Ray cluster on this machine, of several node processes, which another process can lose and add to.

python ray_cluster.py PROCESSORS…    prints its address; a node for each number, besides a head without processors

It reads `lose N` and `add PROCESSORS` on standard input, one a line, prints `done` after each, and ends when that
closes.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

OBJECT_STORE = 80_000_000  # bytes: nothing is kept there
END_S = 120


class Cluster:
    """The cluster as the test sees it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._line()

    def lose(self, node: int) -> None:
        """Kill the processes of a node, in the order in which they were added."""
        self._say(f"lose {node}")

    def add(self, processors: int) -> None:
        self._say(f"add {processors}")

    def _say(self, order: str) -> None:
        print(order, file=self._process.stdin, flush=True)
        assert self._line() == "done"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def ray_cluster(environment: dict[str, str], *processors: int) -> Iterator[Cluster]:
    """A cluster with such nodes, ended after it. The test is skipped where there is no Ray."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install '.[ray]'")
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), *map(str, processors)],
        env=environment | {"RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield Cluster(process)
    finally:
        process.communicate(timeout=END_S)


def main() -> None:
    """Run the cluster."""
    import os

    from ray.cluster_utils import Cluster as Nodes

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # where Ray tells of nodes that are lost
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": OBJECT_STORE})

    def add(processors: str) -> object:
        return nodes.add_node(num_cpus=int(processors), object_store_memory=OBJECT_STORE)

    there = [add(each) for each in sys.argv[1:]]
    print(nodes.address, file=out, flush=True)
    for line in sys.stdin:
        order, number = line.split()
        if order == "lose":
            nodes.remove_node(there.pop(int(number)), allow_graceful=False)
        else:
            there.append(add(number))
        print("done", file=out, flush=True)
    nodes.shutdown()


if __name__ == "__main__":
    main()
