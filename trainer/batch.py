"""Makes the models of one run: all pictures are checked first, then one model after the other is made, and a table
sums up.

A picture that cannot be used, or a training that fails, does not keep the other models from being made. A model that is
finished is left as it is until its pictures or the options change.
"""

import dataclasses
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from server import __version__
from server.errors import TexserverError
from server.files.picture_file import UnusablePicture, picture_bytes, quoted
from server.model.header import BrokenModel, Facts, read_facts
from server.network.model_file import storable
from trainer.estimate import Estimate
from trainer.job import Job, Say, Stop, Task
from trainer.progress import spoken
from trainer.report import Report
from trainer.swatch.map_set import read_map_set
from trainer.swatch.materials import Material
from trainer.swatch.swatch import read_swatch
from trainer.training.checkpoint import UnusableCheckpoint, checkpoint_path
from trainer.training_config import TrainingConfig

State = Literal["not begun", "up to date", "made", "refused", "failed", "stopped"]
SHAPELESS = (  # options that shape no model
    *(
        "swatch",
        "swatch_list",
        "shard",
        "out",
        "again",
        "json",
        "ray",
        "estimate",
        "resume",
        "quiet",
        "device",
        "together",
    ),
    *("model_only", "progress_lines", "result_lines", "openjd", "leave_with_parent"),
)
# Options that the recipe holds, whether given or not. `iterations` is none: its default depends on the descriptor.
IN_RECIPE = ("batch", "size", "seed", "arch", "rate")


@dataclass(kw_only=True, eq=False)
class Outcome:
    """What has become of a task so far. `why`: a sentence for what was refused or has failed.

    `facts`: of the finished model that was there before. `maps` and `pixels`: of what is to be learned, where it was
    read.
    """

    task: Task
    state: State = "not begun"
    why: str = ""
    seconds: float = 0.0
    facts: Facts | None = None
    maps: int = 0
    pixels: int = 0


def fingerprint(material: Material, config: TrainingConfig) -> str:
    """The same if and only if the pictures and the options that shape the model are the same: a hash.

    Of files that an option names only the names count, since machines of a farm may see them in different folders.
    """
    options = {each.name: _hashed(getattr(config, each.name)) for each in dataclasses.fields(config)}
    options |= dict.fromkeys(IN_RECIPE, "None")
    options |= {"map": str(tuple(sorted(config.map_files))), "derive": str(config.derive or None)}
    files = {"": material.path, **material.parts}
    files |= {f"beside {number}": path for number, path in enumerate(material.beside)}
    described = {
        "files": {part: _sha256(path) for part, path in sorted(files.items())},
        "options": {name: value for name, value in options.items() if name not in SHAPELESS},
        "contents": _contents(config.content),
        "recipe": dataclasses.asdict(config.recipe),  # defaults may change from version to version
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _hashed(option: object) -> str:
    return option.name if isinstance(option, Path) else str(option)


def _contents(folder: Path | None) -> list[tuple[str, int]]:
    """Names and sizes of the pictures that a style is learned on."""
    if folder is None or not folder.is_dir():
        return []
    return sorted((each.name, each.stat().st_size) for each in folder.iterdir() if each.is_file())


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(picture_bytes(path)).hexdigest()
    except UnusablePicture:  # reading it as a picture will say why
        return ""


def check_all(tasks: Sequence[Task], config: TrainingConfig, stop: Stop, say: Say, report: Report) -> list[Outcome]:
    """Find out which models are up to date, which will be replaced, and whose pictures cannot be used. Says each."""
    outcomes = [Outcome(task=task) for task in tasks]
    for outcome in outcomes:
        if stop.requested:
            break
        task = outcome.task
        facts = outcome.facts = _finished(task.output)
        goes_on = config.resume and checkpoint_path(task.output).exists()
        if _is_of(facts, task) and not (config.again or goes_on):
            outcome.state = "up to date"
            say(f"{task.output} is up to date; --again makes it again.")
        elif facts and _is_of_another(facts, task) and not (config.again or config.names_file):
            _refuse(
                outcome,
                f"{task.output} was made from {facts.swatch.name!r}, not from {quoted(task.material.path)}. Choose "
                "another --out, or replace it with --again.",
            )
        elif (len(tasks) > 1 or config.estimate) and (why := _unusable(outcome, config)):  # else its job reads it once
            _refuse(outcome, why)
        elif facts and facts.swatch.sha256 != _sha256(task.material.path):
            say(
                f"{task.output} was made from another picture, {facts.swatch.name!r}; it is replaced when the training "
                "is finished."
            )
        if outcome.state != "not begun":
            report.result(described(outcome))
    return outcomes


def _unusable(outcome: Outcome, config: TrainingConfig) -> str:
    """Why a picture of the task cannot be used, or "". Else its size is kept."""
    material = outcome.task.material
    try:
        swatch = read_swatch(material.path, config.swatch_size or config.recipe.swatch_size, config.straighten)
        maps = read_map_set(swatch, material.parts)
    except (TexserverError, ValueError) as error:
        return str(error)
    names = {each.name for each in maps.maps} | set(config.guessed)
    outcome.maps, outcome.pixels = len(names), maps.pixels[0, 0].numel()
    return ""


def make_all(
    outcomes: Sequence[Outcome],
    job_of: Callable[[Task], Job],
    config: TrainingConfig,
    stop: Stop,
    say: Say,
    report: Report,
) -> None:
    """Make the models that were not begun. Says what happens; sentences of what goes wrong go to stderr."""
    left = [outcome for outcome in outcomes if outcome.state == "not begun"]
    for number, outcome in enumerate(left, 1):
        task = outcome.task
        if stop.requested:
            report.result(described(outcome))
            continue
        report.begin(number, len(left), task.material.name)
        if len(left) > 1:
            say(f"Model {number} of {len(left)}: {task.material.name}.")
        if config.share and not config.again and _is_of(_finished(task.output), task):
            outcome.state = "up to date"
            say(f"{task.output} was made by another task meanwhile.")
        else:
            began = time.monotonic()
            _make(outcome, job_of, stop)
            outcome.seconds = round(time.monotonic() - began, 1)
        report.result(described(outcome))


def _make(outcome: Outcome, job_of: Callable[[Task], Job], stop: Stop) -> None:
    try:
        job = job_of(outcome.task)
    except (TexserverError, ValueError) as error:
        _refuse(outcome, str(error))
        return
    try:
        outcome.state = "made" if job.run(stop) else "stopped"
    except UnusableCheckpoint as error:
        _refuse(outcome, str(error))
    except TexserverError as error:
        _tell(outcome, "failed", str(error))
    except Exception:  # a fault of ours: the next model may have none
        traceback.print_exc()
        _tell(outcome, "failed", f"The trainer failed on {quoted(outcome.task.material.path)}: see above.")


def _refuse(outcome: Outcome, why: str) -> None:
    _tell(outcome, "refused", why)


def _tell(outcome: Outcome, state: State, why: str) -> None:
    outcome.state, outcome.why = state, why
    print(f"trainer: {why}", file=sys.stderr)


def _finished(path: Path) -> Facts | None:
    """What the finished model says of itself; None if there is none."""
    try:
        facts = read_facts(path)
    except (BrokenModel, OSError):
        return None
    return facts if facts.training.get("finished", True) else None


def _is_of(facts: Facts | None, task: Task) -> bool:
    """Whether the finished model is what the task would make."""
    return facts is not None and facts.training.get("made_from") == task.made_from


def _is_of_another(facts: Facts, task: Task) -> bool:
    return facts.swatch.name != storable(task.material.path.name)


# ---------------------------------------------------------------------------------------------------------- summing up


def exit_code(states: Collection[str]) -> int:
    """0: all is made; 130: stopped; 1: a training failed; 2: a picture or an option cannot be used."""
    for state, code in (("stopped", 130), ("not begun", 130), ("failed", 1), ("refused", 2)):
        if state in states:
            return code
    return 0


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many models were not made, and why not the first of them; "": all were."""
    left = [each for each in outcomes if each.state not in ("up to date", "made")]
    if not left:
        return ""
    first = left[0]
    why = first.why or f"It was {first.state}."
    return f"{len(left)} of {len(outcomes)} models were not made. {first.task.material.name}: {why}"


def table(outcomes: Sequence[Outcome]) -> str:
    """A line for each model."""
    rows = [("model", "result", "time", "file, or why not")]
    for each in outcomes:
        took = spoken(each.seconds) if each.seconds else ""
        rows.append((each.task.material.name, each.state, took, each.why or str(each.task.output)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip() for row in rows
    )


def described(outcome: Outcome) -> dict[str, Any]:
    """What has become of a task, as JSON. `made_from`: the hash by which a model is found to be up to date."""
    task = outcome.task
    return {
        "name": task.material.name,
        "state": outcome.state,
        "why": outcome.why,
        "seconds": outcome.seconds,
        "model": str(task.output),
        "made_from": task.made_from,
        "swatch": str(task.material.path),
        "maps": {part: str(path) for part, path in task.material.parts.items()},
    }


def as_json(
    results: Sequence[Mapping[str, Any]], left_out: Mapping[Path, str], estimate: Estimate | None = None
) -> str:
    """The same for programs, with the files that were left out. `results`: `described` ones."""
    content: dict[str, Any] = {
        "format": 1,
        "texserver": __version__,
        "results": results,
        "left_out": {str(path): why for path, why in left_out.items()},
    }
    if estimate:
        content["estimate"] = dataclasses.asdict(estimate)
    return json.dumps(content, indent=2) + "\n"
