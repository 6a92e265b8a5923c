"""What a process that was killed while it wrote has left is removed, and nothing else."""

import os
import time
from pathlib import Path

import pytest

from server import replace_file as module
from server.replace_file import ABANDONED_S, remove_abandoned_drafts, replace_file


def aged(path: Path, seconds: float) -> Path:
    path.write_bytes(b"half")
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_drafts_that_nobody_writes_any_more_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", killed)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # a process that is killed removes nothing
        with pytest.raises(KeyboardInterrupt):
            replace_file(tmp_path / ("a long name of a model " * 3 + ".safetensors"), b"half")
    (draft,) = tmp_path.iterdir()
    assert remove_abandoned_drafts(tmp_path) == 0  # it could be in use
    aged(draft, ABANDONED_S + 60)
    assert remove_abandoned_drafts(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_other_files_stay(tmp_path: Path) -> None:
    names = [
        "rust.safetensors",
        ".rust.safetensors.part",
        ".rust.0123456.part",
        "rust.01234567.part",
        ".x.0123456G.part",
    ]
    kept = [aged(tmp_path / name, 10 * ABANDONED_S) for name in names]
    kept.append(aged(tmp_path / ".rust.01234567.part", ABANDONED_S - 60))
    (tmp_path / ".folder.01234567.part").mkdir()
    (tmp_path / ".link.01234567.part").symlink_to(kept[0])
    os.utime(tmp_path / ".folder.01234567.part", (0, 0))
    os.utime(tmp_path / ".link.01234567.part", (0, 0), follow_symlinks=False)
    assert remove_abandoned_drafts(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == len(names) + 3


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert remove_abandoned_drafts(tmp_path / "none") == 0
