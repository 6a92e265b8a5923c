"""A trainer for the tests, without torch: it does what the name of the model tells it, and keeps what it was told."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path


def tell(**line: object) -> None:
    print(json.dumps(line), flush=True)


def leave_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


def main() -> int:
    threading.Thread(target=leave_with_parent, daemon=True).start()
    out = Path(sys.argv[sys.argv.index("--out") + 1])
    name = out.stem
    home = Path(os.environ["FAKE_TRAINER"])  # a folder: the model to give, and where arguments are kept
    (home / f"{name}.argv").write_text(json.dumps(sys.argv[1:]))
    (home / f"{name}.pid").write_text(str(os.getpid()))
    tell(fraction=0.25, text=f"Reading {out.parent.parent}/{name}.tif.")
    picture = out.with_suffix(".growth.rgb")
    picture.write_bytes(bytes(range(12)))
    tell(picture=str(picture), height=2, width=2)
    if name.startswith("slow"):
        while True:
            time.sleep(0.05)
    if name.startswith("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    if name.startswith("fails"):
        print(f"trainer: {str(out.parent.parent / name)!r}.tif is fully transparent.", file=sys.stderr)
        return 2
    if name.startswith("odd"):
        print("no JSON")
        tell(fraction="half", text=7, picture="../x", height=1, width=1)
        tell(picture=str(home / "model.safetensors"), height=2, width=2)
        return 0
    if name.startswith("broken"):
        out.write_bytes(b"no model")
        return 0
    shutil.copy(home / "model.safetensors", out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
