"""The add-on in a real Blender beside the server alone: click to preview, its share of the time, turns, memory.

    python benchmarks/in_blender.py [--blender 4.5.15] [--models DIR --model NAME] [--quick]

Starts a real server on loopback (by default with a model of random weights, which costs what a trained one does), packs
the extension and installs it into a Blender without a window that packaging/blenders.py has made. The reference for all
times is the same request, answered by the same server, whose pixels are thrown away. `--quick` leaves out 8192 x 8192.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from serve import MODEL, Served, save_model

from server.model.maps import BASE_COLOUR, Map

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "packaging"))

import addon  # noqa: E402 - a script of the folder packaging
import blenders  # noqa: E402

MAP_SET = "set"  # a model of these maps
SET = (
    BASE_COLOUR,
    Map(name="normal", channels=3, colour_space="linear"),
    Map(name="roughness", channels=1, colour_space="linear"),
    Map(name="height", channels=1, colour_space="linear"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blender", default="4.5.15", choices=("4.2.23", "4.5.15", "5.0.1", "5.2.3"))
    parser.add_argument("--models", type=Path, help="a folder of trained models")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not options.models:
            save_model(folder)
            save_model(folder, MAP_SET, SET)
        zips = addon.build(folder / "extension")
        zip = zips["4.2" if options.blender < "5.1" else "5.1"]
        server = Served(options.models or folder)
        server.client().close()
        try:
            told = subprocess.run(
                [
                    str(blenders.python_of(options.blender)),
                    "-I",
                    str(Path(__file__).with_name("inside_blender.py")),
                    str(zip),
                    options.model,
                    MAP_SET if not options.models else options.model,
                    *(["--quick"] if options.quick else []),
                ],
                env=os.environ
                | {"BLENDER_USER_RESOURCES": str(folder / "blender"), "TEXSERVER_CONNECTION": str(server.file)},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
        finally:
            server.process.terminate()
            server.process.wait(30)
    facts = json.loads(told.strip().splitlines()[-1])
    print(f"Blender {options.blender}, {os.cpu_count()} cores")
    for name, value in facts.items():
        print(f"  {name:64} {value}")


if __name__ == "__main__":
    main()
