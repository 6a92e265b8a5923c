"""What a killed server leaves among the temporary files is removed by the next one, and nothing else is."""

import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import pytest

from server.service.own_folder import SOCKET, own_folder, remove_abandoned

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="servers have no such folders there")


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Short: the path of a socket has at most about 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="t"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left(temporary: Path, name: str, *, age_s: float = 3600, listens: bool = False) -> socket.socket:
    """The folder of a server; the socket, which is closed unless it `listens`."""
    folder = temporary / name
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / SOCKET))
    if listens:
        listener.listen()
    else:
        listener.close()
    os.utime(folder, (time.time() - age_s,) * 2)
    return listener


def test_the_next_server_removes_the_folders_of_those_that_were_killed(temporary: Path) -> None:
    left(temporary, "texserver-abcdefgh")
    left(temporary, "texserver-young_01", age_s=1)
    left(temporary, "otherprogram-abcd")
    (temporary / "texserver-nosocket").mkdir()
    (temporary / "texserver-empty__1").mkdir()
    os.utime(temporary / "texserver-empty__1", (0, 0))
    (temporary / "texserver-linked_1").symlink_to(temporary / "otherprogram-abcd")
    with left(temporary, "texserver-runs___1", listens=True), own_folder() as own:
        assert own.is_dir()
        assert {each.name for each in temporary.iterdir()} == {
            own.name,
            "texserver-young_01",
            "otherprogram-abcd",
            "texserver-nosocket",
            "texserver-empty__1",
            "texserver-linked_1",
            "texserver-runs___1",
        }
    assert not own.exists()
    assert remove_abandoned(temporary) == 1  # that whose socket has closed since
    assert (temporary / "otherprogram-abcd" / SOCKET).exists()
