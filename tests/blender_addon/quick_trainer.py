"""A trainer that learns nothing, in the real trainer's place, so that tests of what is around it take no minutes.

    python -m trainer --swatch FILE --out NAME.safetensors [--map ...] [--derive ...] [--metres M] [--category C] ...

It gives a copy of a model that was made before, by the maps that are wanted, with the metres and the category that it
was told. The name says how long it takes: `slow_...` a few seconds, `endless_...` until it is ended.

Styles it has the real trainer make: a small one takes few seconds.
"""

import json
import os
import struct
import sys
import threading
import time
from pathlib import Path

SIDE = 16
STEPS = 5


def tell(**line: object) -> None:
    print(json.dumps(line), flush=True)


def leave_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


def argument(name: str) -> str:
    """Of an option, "" if it was not given."""
    arguments = sys.argv[1:]
    joined = next((each for each in arguments if each.startswith(f"{name}=")), "")
    if joined:
        return joined.removeprefix(f"{name}=")
    return arguments[arguments.index(name) + 1] if name in arguments else ""


def write(out: Path) -> None:
    kind = "set" if "--map" in sys.argv else "guessed" if argument("--derive") else "one"
    data = Path(os.environ["QUICK_TRAINER"], f"{kind}.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["texserver"])
    if argument("--metres"):
        facts["training"]["metres"] = float(argument("--metres"))
    if argument("--category"):
        facts["training"]["category"] = argument("--category")
    header["__metadata__"]["texserver"] = json.dumps(facts)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    out.write_bytes(struct.pack("<Q", len(head)) + head + data[8 + length :])


def main() -> None:
    out = Path(argument("--out"))
    kind = out.stem.partition("_")[0]
    if argument("--kind") == "style" and kind != "endless":
        path = os.environ["PYTHONPATH"].partition(os.pathsep)[2]  # without this one
        os.execve(sys.executable, [sys.executable, "-m", "trainer", *sys.argv[1:]], {**os.environ, "PYTHONPATH": path})
    threading.Thread(target=leave_with_parent, daemon=True).start()
    for step in range(STEPS):
        tell(fraction=step / STEPS, text=f"Learning, round {step} of {STEPS}.")
        picture = out.with_suffix(".growth.rgb")
        picture.write_bytes(bytes([50 + 40 * step, 90, 30]) * SIDE**2)
        tell(picture=str(picture.resolve()), height=SIDE, width=SIDE)
        time.sleep(0.5 if kind in ("slow", "endless") else 0.1)
    while kind == "endless":
        time.sleep(1)
    write(out)


if __name__ == "__main__":
    main()
