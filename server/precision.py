"""How exactly a generator computes: the names of the choices, for code without torch."""

from typing import Literal, get_args

# exact: float32; fast: bfloat16, a few 1/255 off; auto: fast where the processor has bfloat16
# (server/network/devices.py)
Precision = Literal["auto", "exact", "fast"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
