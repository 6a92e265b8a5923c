"""Lines on standard output by which a task of a render farm tells how far it is, what it does, and why it fails.

Source: *How Jobs Are Run*, Open Job Description 2023-09,
https://github.com/OpenJobDescription/openjd-specifications/wiki/How-Jobs-Are-Run
"""

import sys

from server.printable import printable


def progress(share: float) -> None:
    """So much of the task is done, from 0 to 1."""
    _write(f"openjd_progress: {100 * min(1.0, max(0.0, share)):.1f}")


def status(text: str) -> None:
    """What the task does now."""
    _write(f"openjd_status: {text}")


def failed(why: str) -> None:
    """Why the task will end with an error."""
    _write(f"openjd_fail: {why}")


def _write(line: str) -> None:
    sys.stdout.write(printable(" ".join(line.split())) + "\n")
    sys.stdout.flush()
