"""Puts picture files into a style: one, all of a folder, or the frames of a sequence (frame_%04d.png).

Files appear under their names when complete, and existing files are kept, so a sequence that was stopped continues
where it was. All pictures of a sequence use the statistics of the first, and each what the one before gives it, so that
it does not flicker.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from blender_addon.client.sinks import MemorySink, Sink
from blender_addon.pictures.carry_file import is_refused, new_shot, read_carry, write_carry
from server.client.stylized import StyleParameters, Stylizer, Used
from server.errors import BadRequest, Refused
from server.files.content_file import CONTENT_SUFFIXES, in_depth, read_content
from server.files.output_file import check_folder, check_format, check_raster, is_jpeg, make_folder, sink_for
from server.files.picture_file import Picture, pictures_in, quoted
from server.model.maps import Depth

ONLY_STYLIZING = ("strength", "keep_colours", "noise", "stroke", "statistics", "overwrite", "region", "exposure")
_NUMBER = re.compile(r"%(?:0(?P<digits>[1-9]))?d")  # as in frame_%04d.png


@dataclass(frozen=True, kw_only=True)
class Step:
    """One picture to be made from another."""

    source: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be made, in order. `several`: from a folder or a sequence, however many pictures that is."""

    steps: tuple[Step, ...]
    several: bool

    def missing(self) -> "Plan":
        """The plan without the pictures whose file exists."""
        return replace(self, steps=tuple(step for step in self.steps if not step.target.exists()))


# ------------------------------------------------------------------------------------------------------------ planning


def planned(source: str, output: str | None, model: str) -> Plan:
    """The pictures that `source` means, and where `output` puts them. Raises BadRequest, UnusablePicture."""
    path = Path(source)
    if _NUMBER.search(path.name) and not path.exists():
        plan = Plan(steps=tuple(_frames(path, _told(source, output))), several=True)
    elif path.is_dir():
        folder = Path(_told(source, output))
        if folder.resolve() == path.resolve():
            raise BadRequest(f"output: {source!r} is where the pictures come from; choose another folder.")
        if folder.suffix and not folder.is_dir():
            raise BadRequest(f"output: {source!r} is a folder, and so must the output be, not {str(folder)!r}.")
        plan = Plan(steps=tuple(_into(folder, each) for each in pictures_in(path, CONTENT_SUFFIXES)), several=True)
    else:
        plan = Plan(steps=(_single(path, output, model),), several=False)
    _check(plan)
    return plan


def _told(source: str, output: str | None) -> str:
    if output is None:
        raise BadRequest(f"output: say where to put the pictures of {source!r}: -o FOLDER.")
    return output


def _frames(pattern: Path, output: str) -> list[Step]:
    """The frames in the order of their numbers."""
    into = Path(output)
    _check_pattern(pattern)
    if _NUMBER.search(into.name):
        _check_pattern(into)
    elif into.suffix and not into.is_dir():
        raise BadRequest(f"output: {output!r} is one file; number it, as frame_%04d.png, or name a folder.")
    steps = []
    for number in _numbers(pattern):
        source = pattern.with_name(pattern.name % number)
        numbered = _NUMBER.search(into.name) is not None
        steps.append(
            Step(source=source, target=into.with_name(into.name % number)) if numbered else _into(into, source)
        )
    if not steps:
        first = pattern.with_name(pattern.name % 1)
        raise BadRequest(f"stylize: there is no frame {str(pattern)!r}, such as {str(first)!r}; check the path.")
    return steps


def _check_pattern(pattern: Path) -> None:
    if pattern.name.count("%") != 1:
        raise BadRequest(f"stylize: {pattern.name!r} must have one number, such as frame_%04d.png.")


def _numbers(pattern: Path) -> list[int]:
    """The numbers of the frames that exist."""
    before, after = (re.escape(each) for each in _NUMBER.sub("\0", pattern.name).split("\0"))
    named = re.compile(rf"{before}([0-9]{{1,9}}){after}")
    try:
        names = {each.name for each in pattern.parent.iterdir()}
    except OSError:
        names = set()
    found = [int(match[1]) for name in names if (match := named.fullmatch(name))]
    return sorted(number for number in found if pattern.name % number in names)


def _into(folder: Path, source: Path) -> Step:
    """Under its own name, as PNG if its format cannot be written."""
    target = folder / source.name
    try:
        check_format(target)
    except BadRequest:
        target = target.with_suffix(".png")
    return Step(source=source, target=target)


def _single(path: Path, output: str | None, model: str) -> Step:
    if output is None:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", model)[:100]  # whether there is such a model is not known yet
        return Step(source=path, target=Path(f"{path.stem}-{name}.png"))
    if Path(output).is_dir() or output.endswith(("/", os.sep)):
        return _into(Path(output), path)
    if _NUMBER.search(Path(output).name):
        raise BadRequest(f"output: {output!r} numbers its files, and {str(path)!r} is only one.")
    return Step(source=path, target=Path(output))


def _check(plan: Plan) -> None:
    """Find mistakes before minutes of work. Folders are made with the first picture."""
    sources: dict[Path, Path] = {}
    for step in plan.steps:
        check_format(step.target)
        if step.target.exists() and step.source.exists() and step.target.samefile(step.source):
            raise BadRequest(f"output: {str(step.target)!r} is the picture itself; choose another name or folder.")
        if (other := sources.setdefault(step.target, step.source)) != step.source:
            raise BadRequest(
                f"output: {quoted(other)} and {quoted(step.source)} would both become {str(step.target)!r}; rename one."
            )
    for folder in {step.target.parent for step in plan.steps}:
        check_folder(folder)


# ------------------------------------------------------------------------------------------------------------ painting


def stylize_files(
    stylizer: Stylizer,
    model: str,
    plan: Plan,
    *,
    parameters: StyleParameters,
    overwrite: bool,
    own_statistics: bool,
    depth: Depth | None = None,
    exposure: float | None = None,
    tell: Callable[[str], None],
    written: Callable[[Path], None],
    done: Callable[[float], None],
) -> None:
    """Make all pictures of the plan. `own_statistics`: each picture is measured by itself. `depth`: of the results, by
    default that of each picture. `exposure`: of linear light, in stops.

    `tell` receives sentences for people, `written` each file that is complete, `done` the number of finished pictures,
    with the fraction of the current one. Raises UnusablePicture, UnusableOutput, and what the stylizer raises; pictures
    that were finished before stay.
    """
    todo = plan if overwrite or not plan.several else plan.missing()
    there = len(plan.steps) - len(todo.steps)
    if there:
        tell(f"{there} of {len(plan.steps)} pictures exist already and are kept; --overwrite makes them again.")
    told: set[str] = set()

    def read(path: Path) -> Picture:
        picture = read_content(path, exposure)
        for note in picture.notes:
            if note not in told:  # once is enough for a thousand frames
                told.add(note)
                tell(f"{quoted(path)}: {note}")
        return picture

    def stylized(
        sink: Sink, pixels: NDArray[Any], statistics: str, carry: bytes | None, progress: Callable[[int], None]
    ) -> Used:
        used: StyleParameters = {**parameters, "statistics": statistics, "carry": carry}
        return stylizer.stylize_into(sink, model, pixels, progress=progress, **used)

    before = {step.target: other.target for other, step in pairwise(plan.steps)}
    statistics = ""
    if todo.steps and todo.steps[0] != plan.steps[0] and not own_statistics:  # the same as when the first was made
        first = read(plan.steps[0].source).pixels
        statistics = stylized(MemorySink(), first, "", None, lambda done: None).statistics
    for count, step in enumerate(todo.steps, there):
        pixels = _fitting(read(step.source), step.target, depth)
        carry = read_carry(before.get(step.target)) if plan.several and not own_statistics else None
        progress = partial(_tell_part, done, count, pixels.shape[0] * pixels.shape[1])
        try:
            used = stylized(_sink(step.target), pixels, statistics, carry, progress)
        except Refused as error:
            if not is_refused(carry or b"", error):
                raise
            used = stylized(_sink(step.target), pixels, statistics, b"", progress)
            tell(new_shot(quoted(step.target)))
        if plan.several and not own_statistics:
            statistics = used.statistics
            write_carry(step.target, used.carry)
        done(count + 1)
        written(step.target)


def _tell_part(done: Callable[[float], None], before: int, total: int, pixels: int) -> None:
    done(before + pixels / total)


def _fitting(picture: Picture, target: Path, depth: Depth | None) -> NDArray[Any]:
    """The pixels in this depth; by default as they are, or in 8 bits if the target's format has no more. Raises
    BadRequest.
    """
    height, width, channels = picture.pixels.shape
    wanted = depth or (8 if is_jpeg(target) else 8 * picture.pixels.dtype.itemsize)
    check_raster(target, height, width, channels, wanted)
    return in_depth(picture.pixels, wanted)


def _sink(target: Path) -> Sink:
    return sink_for(target, partial(_named, target))


def _named(target: Path, maps: Sequence[str]) -> Sequence[Path]:
    """The one file. Called when it is about to be written; only then its folder is made."""
    make_folder(target.parent)
    return [target]
