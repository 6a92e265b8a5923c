"""JSON from strangers, read strictly: what two readers could read differently is refused.

No key twice, no NaN or infinity, no whole number of more than 20 digits. Standard library only, no bpy.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, Final

MAX_DIGITS: Final = 20  # of a whole number


def loads(data: bytes) -> object:
    """What the bytes hold. Raises ValueError, whose text names what is wrong in words that can follow "it holds"."""
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=unique,
            parse_int=_whole_number,
            parse_float=_finite_number,
            parse_constant=_finite_number,
        )
    except UnicodeDecodeError:
        raise ValueError("bytes that are not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"text that is not JSON ({error.msg} at character {error.pos})") from None
    except RecursionError:
        raise ValueError("lists or maps nested too deeply") from None


def unique(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """The pairs of a map as a dict. Raises ValueError for a key that is there twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[Any] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {ascii(twice)[:60]} twice")
    return result


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite_number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]}, which is not finite")
    return value
