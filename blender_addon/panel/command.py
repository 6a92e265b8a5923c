"""The command for a farm: paints the textures of a .blend file before its first frame, without a window.

    blender -b scene.blend --command texserver paint
    blender -b scene.blend --command texserver paint --missing-only
    blender -b scene.blend --command texserver paint --size-factor 2 --out //textures

Each texture is painted as its images say: model hash, seed, size, map. By default the files are those that the .blend
file names, so it stays as it is. With --out or --size-factor the images point to other files, and the .blend file is
saved. In background mode no timer runs, so a loop drives the session here.

The exit code: 0 when all textures are there, 1 when one is not and standard error says why, 2 for a wrong command line.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy

from ..loop import pump
from ..material import legacy, recipes
from ..protocol.errors import TexserverError
from ..protocol.pairing import SCHEME
from ..tasks import state
from ..tasks.paint_options import NAME, PaintOptions, parse
from ..tasks.placement import whole_periods
from ..tasks.recipes import Recipe, RecipeTask, without_model
from . import preferences
from .operator import connect

LISTED_WITHIN_S: Final = 300.0  # a server that was just started checks its models first
AT_ONCE: Final = 8  # recipes that are ordered; the session paints two of them at a time

_handle: Any = None


def register() -> None:
    """When the extension is enabled: Blender then knows the command."""
    global _handle
    utils: Any = bpy.utils
    _handle = utils.register_cli_command(NAME, main)


def unregister() -> None:
    """When it is disabled."""
    utils: Any = bpy.utils
    utils.unregister_cli_command(_handle)


class NotPainted(TexserverError):
    """A texture that cannot be had. The text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A recipe of the open file, and the one to paint for it: the same, or of another size or folder."""

    before: Recipe
    after: Recipe

    @property
    def moves(self) -> bool:
        """Whether images must point to other files."""
        return self.before != self.after


def main(argv: Sequence[str]) -> int:
    """What follows `--command texserver`. Returns the exit code."""
    try:
        given = parse(argv)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    try:
        return _paint(given)
    except (TexserverError, OSError, RuntimeError) as error:  # RuntimeError: an operator's
        _complain(str(error).strip())
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _paint(given: PaintOptions) -> int:
    if given.connect and given.connect.strip().startswith(SCHEME):
        raise NotPainted("Other users can see a command line. Put the pairing line into a file and name that file.")
    if not bpy.data.filepath:
        raise NotPainted("There is no .blend file. Name one before --command: blender -b scene.blend --command ...")
    wanted = [_wanted(each, given) for each in _recipes(given)]
    to_paint = [each for each in (_left(each, given) for each in wanted) if each.maps]
    failed = 0
    if to_paint:
        preferences.connect_to(given.connect)
        try:
            failed = _paint_all(to_paint)
        finally:
            preferences.connect_to(None)
    if not failed:
        _point([each for each in wanted if each.moves], given)
        _make_texture_caches()
    maps = sum(len(each.maps) for each in to_paint)
    there = sum(len(each.after.maps) for each in wanted) - maps
    print(f"{maps - failed} images painted, {there} were there, {failed} failed.")
    return 1 if failed else 0


def _recipes(given: PaintOptions) -> Sequence[Recipe]:
    """Those to look at. A packed image needs nothing, unless it is to become another file."""
    if given.size_factor != 1.0:
        old = [each.name for each in bpy.data.materials if legacy.is_legacy(each)]
        if old:
            raise NotPainted(
                f"{', '.join(old)}: made by an earlier version. Press Upgrade Material there before --size-factor."
            )
    return recipes.all_of() if given.out or given.size_factor != 1.0 else recipes.find().recipes


def _wanted(before: Recipe, given: PaintOptions) -> Wanted:
    size, factor = before.side, given.size_factor
    if factor != 1.0:
        size = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
        if lattice := recipes.lattice_of(before):
            size = whole_periods(lattice, size)
    if size == before.side and not given.out:
        return Wanted(before=before, after=before)
    folder = Path(bpy.path.abspath(given.out)).absolute() if given.out else None
    return Wanted(before=before, after=recipes.elsewhere(before, size=size, folder=folder))


def _left(wanted: Wanted, given: PaintOptions) -> Recipe:
    """What is to be painted of it. A file that was changed by hand is kept, and told."""
    missing = wanted.after.only(lambda map: map.is_missing)
    if given.missing_only:
        return missing
    left = wanted.after.only(lambda map: map.is_missing or not (map.stamp and map.is_changed))
    for name in wanted.after.maps.keys() - left.maps.keys():
        path = wanted.after.maps[name].path
        _complain(f"{path} was changed after it was painted, so it stays. Remove it to have it painted again.")
    return left


def _paint_all(to_paint: Sequence[Recipe]) -> int:
    """Paint them, and say so line by line. Returns how many images failed. Raises NotPainted without a server."""
    if why := connect(LISTED_WITHIN_S):
        raise NotPainted(why)
    session = state.session()
    failed = 0
    waiting, running = list(reversed(to_paint)), list[RecipeTask]()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            recipe = waiting.pop()
            models = session.catalogue.with_hashes(recipe.hashes)
            if models is None:
                _complain(without_model(recipe))
                failed += len(recipe.maps)
            else:
                running.append(session.repaint(recipe, models))
        pump.step()
        for task in [each for each in running if each.ended]:
            running.remove(task)
            names = ", ".join(task.recipe.maps)
            if task.state == "done":
                print(f"{task.title}: {names}", flush=True)
                recipes.show_painted(task.recipe)
            else:
                _complain(f"{task.title}: {names}: {task.message}")
                failed += len(task.recipe.maps)
        time.sleep(pump.NAP_S)
    return failed


def _point(moved: Sequence[Wanted], given: PaintOptions) -> None:
    """Let the .blend file name the new files, and save it."""
    changed = recipes.point([(each.before, each.after) for each in moved])
    if changed:
        target = Path(given.save).absolute() if given.save else Path(bpy.data.filepath)
        bpy.ops.wm.save_as_mainfile(filepath=str(target), copy=bool(given.save), relative_remap=True)
        print(f"{changed} images of {target} point to the new files.")


def _make_texture_caches() -> None:
    """Make Cycles' .tx files, where Blender has them and a scene uses them."""
    for scene in bpy.data.scenes:
        render: Any = scene.render
        if getattr(render, "use_texture_cache", False) and render.engine == "CYCLES":
            with bpy.context.temp_override(scene=scene):
                operators: Any = bpy.ops.render
                operators.generate_texture_cache()


def _complain(text: str) -> None:
    with suppress(OSError):  # nobody may read it
        print(f"texserver: {text}", file=sys.stderr, flush=True)
