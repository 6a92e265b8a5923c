"""Text for consoles of any encoding."""

import sys
from io import TextIOWrapper


def print_anything() -> None:
    """From now on a character that standard output or standard error cannot show is written as its escape sequence.

    Without this, a file name in another script ends a program on a console that lacks its letters.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
