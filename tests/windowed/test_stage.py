"""A Blender of the stage ends with the test, however that ends. Needs no window: a script stands for Blender."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.session import ROOT, eventually, runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can end a process with its parent")

PLAYER = "#!/bin/sh\n[ $1 = --version ] && echo Blender 5.2.2 && exit\nsleep 100 & echo $$ $! >{pids}; wait\n"
TEST = """
import sys, time
from pathlib import Path
from tests.windowed.stage import WindowedBlender, end
blender = WindowedBlender([sys.argv[1]])
popen = blender.start(Path("task"), {"PATH": "/usr/bin:/bin"}, Path(sys.argv[1] + ".log"))
sys.stdin.readline()
end(popen)
"""


@pytest.mark.parametrize("how", ["by itself", "killed"])
def test_a_blender_ends_with_its_test(tmp_path: Path, how: str) -> None:
    pids, player = tmp_path / "pids", tmp_path / "blender"
    player.write_text(PLAYER.format(pids=pids))
    player.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", TEST, str(player)], cwd=ROOT, stdin=subprocess.PIPE) as test:
        blender, child = map(int, eventually(lambda: pids.exists() and pids.read_text().split(), "its ids"))
        try:
            if how == "killed":
                test.kill()
                eventually(lambda: not runs(blender), "its end")
            else:
                test.communicate(b"\n")
                eventually(lambda: not (runs(blender) or runs(child)), "the end of both")
        finally:
            if runs(child):
                os.kill(child, signal.SIGKILL)
