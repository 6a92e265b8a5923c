"""Freed memory goes back to the system."""

import subprocess
import sys

import pytest

BURST = """
from server.freed_memory import give_back, map_large_blocks
map_large_blocks()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 // 2**20
before = resident()
for size in (12 * 2**20, 64 * 2**10):  # bytes, in all 240 MB
    blocks = [b"x" * size for _ in range(120 * 2**20 // size)]
    kept = blocks[::500]  # in between what is freed
    del blocks
give_back()
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not say how much is resident")
def test_after_a_burst_memory_is_back() -> None:
    left = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, timeout=60, check=True)
    assert int(left.stdout) < 20  # MB
