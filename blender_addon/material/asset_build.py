"""Makes the .blend files of an asset library: one material each, marked as an asset, with a preview on a ball.

This runs in a second Blender without a window, so it takes no time of the artist's and cannot touch their file. That
Blender loads this package by its path, so the extension need not be enabled there. What it loads needs no zmq, which is
on the path only of a Blender with the extension.
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import bpy

from ..client.sinks import PaintedMap, Painting
from ..tasks.library import BUILT, FAILED
from ..tasks.painted import Painted
from ..tasks.placement import tile_width
from .images import load_image
from .marks import MARK
from .materials import TextureMapping, new_material, show
from .studio import Studio

PACKAGE: Final = "texserver_background"


def command(job: Path) -> list[str]:
    """The command of a Blender, of the same version as this one, that does a job.

    As a Python module, Blender has no program; then Python itself runs it.
    """
    root = Path(__file__).parents[1]
    code = (
        "import bpy, sys, importlib.util as util\n"
        f"spec = util.spec_from_file_location({PACKAGE!r}, {str(root / '__init__.py')!r}, "
        f"submodule_search_locations=[{str(root)!r}])\n"
        "module = util.module_from_spec(spec)\n"
        f"sys.modules[{PACKAGE!r}] = module\n"
        "spec.loader.exec_module(module)\n"
        f"from {PACKAGE}.material import asset_build\n"
        f"asset_build.main({str(job)!r})\n"
    )
    if bpy.app.binary_path:
        return [bpy.app.binary_path, "--background", "--factory-startup", "--python-expr", code]
    return [sys.executable, "-c", code]


def main(job: str) -> None:
    """Do a job, say in lines what became of each model, and end this Blender."""
    code = 1
    try:
        content = json.loads(Path(job).read_text("utf-8"))
        studio = Studio()
        for item in content["items"]:
            name = item["painting"]["model"]
            try:
                _build(item, studio)
            except Exception as error:  # of one model; the others may do
                traceback.print_exc()
                _say(f"{FAILED}{name}: Its material could not be made: {error}.")
            else:
                _say(f"{BUILT}{name}")
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # some Blenders hang or crash where Python ends by itself


def _say(line: str) -> None:
    print(f"\n{' '.join(line.split())}", flush=True)  # Blender may have left its last line open


def _build(item: Mapping[str, Any], studio: Studio) -> None:
    """One .blend file, from textures that are there."""
    painting = _painting(item["painting"])
    painted = Painted(painting=painting, files={map: Path(path) for map, path in item["files"].items()})
    path = Path(item["file"])
    material = new_material(painting.model)
    images = {each.name: load_image(painted, each, pack=False) for each in painting.maps}
    lattice = tuple(tuple(each) for each in item["lattice"]) if item["lattice"] else None
    texels = float(item["texels_per_metre"])
    show(
        material,
        painting,
        images,
        TextureMapping(projection="BOX", texels=texels),
        unit=None,
        lattice=lattice,  # type: ignore[arg-type]
        replace_links=False,
    )
    material[MARK]["published"] = True
    width = tile_width(painting.size, texels)
    describe(material, width, item["category"], item["catalogue"])
    picture = path.with_name(f".{token_hex(4)}.part.png")
    part = path.with_name(f".{token_hex(4)}.part.blend")
    try:
        studio.photograph(material, width, picture)
        with bpy.context.temp_override(id=material):
            bpy.ops.ed.lib_id_load_custom_preview(filepath=str(picture))
        bpy.data.libraries.write(
            str(part), {material}, path_remap="RELATIVE_ALL", fake_user=True, compress=True
        )  # in the same folder, so the paths stay right
        part.replace(path)
    finally:
        for each in (picture, part):
            each.unlink(missing_ok=True)
        studio.clear()
        bpy.data.materials.remove(material)
        data: Any = bpy.data
        data.orphans_purge(do_local_ids=True, do_recursive=True)


def describe(material: Any, width: float, category: str, catalogue: str) -> None:
    """Mark a material as an asset and say what it is. `width`: of one repeat, in metres."""
    mark = material[MARK]
    material.asset_mark()
    data = material.asset_data
    data.description = f"{mark['model']}, seed {mark['seed']}, {width:.3g} m wide"
    data.author = "Texserver"
    for tag in ("texserver", mark["model"], category):
        data.tags.new(tag, skip_if_exists=True)
    data.catalog_id = catalogue


def _painting(told: Mapping[str, Any]) -> Painting:
    pairs = dict(told)
    pairs["maps"] = tuple(PaintedMap(**each) for each in told["maps"])
    for name in ("size", "window"):
        pairs[name] = tuple(told[name])
    return Painting(**pairs)
