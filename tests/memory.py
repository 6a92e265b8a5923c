"""How much memory a process had at most, as the facts about large files and strangers' files are checked by it."""

from pathlib import Path


def peak_mb(pid: int | str = "self") -> float:
    """The most memory a process had since the last reset."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def reset_peak(pid: int | str = "self") -> None:
    """From now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
