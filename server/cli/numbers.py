"""Sizes, windows, seeds and other numbers as texget's command line writes them."""

import re

from server.errors import BadRequest
from server.model.torus import Size, Window, check_seed

MAX_SEEDS = 10_000


def parse_size(text: str) -> Size:
    """ "4096x2048", width x height, "512" or "2k" for a square; k stands for 1024. Raises BadRequest."""
    found = re.fullmatch(r"([0-9]{1,10}k?)(?:x([0-9]{1,10}k?))?", text, re.ASCII | re.IGNORECASE)
    if not found:
        raise BadRequest(f"size: {text[:60]!r} is not WIDTHxHEIGHT, such as 2048x1024, 512 or 2k.")
    width = _pixels(found[1])
    return Size(height=_pixels(found[2]) if found[2] else width, width=width)


def _pixels(text: str) -> int:
    return int(text[:-1]) * 1024 if text[-1] in "kK" else int(text)


def parse_window(text: str) -> Window:
    """ "900,600,300x200": left, top, width x height. Raises BadRequest."""
    found = re.fullmatch(r"(-?[0-9]{1,10}),(-?[0-9]{1,10}),([0-9]{1,10})x([0-9]{1,10})", text)
    if not found:
        raise BadRequest(f"window: {text[:60]!r} is not LEFT,TOP,WIDTHxHEIGHT, such as 900,600,300x200.")
    left, top, width, height = (int(number) for number in found.groups())
    return Window(top=top, left=left, height=height, width=width)


def parse_number(name: str, text: str | None, most: float, default: float = 1.0, least: float = 0) -> float:
    """A number from `least` to `most`, or the default if there is no text. Raises BadRequest."""
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise BadRequest(f"{name}: {text[:60]!r} is not a number from {least:g} to {most:g}.")
    return value


def parse_seed(text: str) -> int:
    """A whole number in [0, 2^64). Raises BadRequest."""
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise BadRequest(f"seed: {text[:60]!r} is not a whole number from 0 to 18446744073709551615.")
    check_seed(int(text))
    return int(text)


def parse_seeds(text: str) -> list[int]:
    """ "0-15" or "3,5,9-12", each seed once, in the order given. Raises BadRequest."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.partition("-")
        start = parse_seed(first)
        stop = parse_seed(last) if dash else start
        if stop < start:
            raise BadRequest(f"seeds: {part[:60]!r} runs backwards; write {stop}-{start}.")
        if len(seeds) + stop - start >= MAX_SEEDS:
            raise BadRequest(f"seeds: at most {MAX_SEEDS} at once.")
        seeds.update(dict.fromkeys(range(start, stop + 1)))
    return list(seeds)
