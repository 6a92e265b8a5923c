"""Writes one texture for one engine: its packed files, and a MaterialX document that describes them. No bpy here.

Also a program, `python -m blender_addon.pictures.export_set JOB.json`: the add-on runs it in a process of its own,
since packing takes seconds. It prints the share that is done, and at last "error: SENTENCE" or the names of the files.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from . import program
from .draft import ImageFileError, advice
from .materialx import Look, document
from .texture_sets import Engine, Sources, files_of, pack

NAME_CHARACTERS: Final = 60


def plain_name(text: str) -> str:
    """The text as a name that files and MaterialX nodes may have: letters, digits and underscores."""
    plain = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", text)).strip("_")[:NAME_CHARACTERS]
    return f"_{plain}" if plain[:1].isdigit() else plain or "texture"


def export_set(
    engine: Engine,
    name: str,
    sources: Sources,
    look: Look,
    folder: Path,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Path]:
    """Write the set and its document into the folder, in place of files of these names. Its files.

    `name` is one of plain_name(). Raises NotPacked, PictureError or ImageFileError.
    """
    written = pack(engine, name, sources, folder, progress)
    text = document(name, files_of(engine, name, sources.maps), sources.maps, look)
    path = folder / f"{name}.mtlx"
    part = folder / f".{path.name}.{token_hex(4)}.part"
    try:
        part.write_text(text, "utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ImageFileError(advice(error, path)) from error
    return [*written, path]


def job_of(engine: Engine, name: str, sources: Sources, look: Look, folder: Path) -> str:
    """What the program is told, as JSON."""
    told = {
        "engine": engine,
        "name": name,
        "folder": str(folder),
        "look": asdict(look),
        "maps": {map: str(path) for map, path in sources.maps.items()},
        "roughness": sources.roughness,
        "hue": sources.hue,
        "value": sources.value,
        "without": dict(sources.without),
        "metadata": dict(sources.metadata),
    }
    return json.dumps(told)


def run(job: str) -> int:
    """The program: do what job_of() says. 1 where it was not done."""
    told: Mapping[str, Any] = json.loads(job)
    look: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told["look"].items()}
    sources = Sources(
        maps={map: Path(path) for map, path in told["maps"].items()},
        roughness=tuple(told["roughness"]),
        hue=told["hue"],
        value=told["value"],
        without=told["without"],
        metadata=told["metadata"],
    )
    look_told, folder = Look(**look), Path(told["folder"])
    return program.run(lambda progress: export_set(told["engine"], told["name"], sources, look_told, folder, progress))


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]).read_text("utf-8")))
