"""The checkpoint of a training: one NAME.checkpoint.safetensors beside the model, data only, written in one step.

It holds `Training.state()` and says which swatch, recipe, lattice and descriptor it belongs to. With others, a resumed
training would not be the same training.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open

from server.errors import TexserverError
from server.replace_file import replace_file
from trainer.training.training import State, Training

SUFFIX = ".checkpoint.safetensors"
_KEY = "texserver-checkpoint"
_FRESH = "Leave out --resume to start anew."


class UnusableCheckpoint(TexserverError):
    """A checkpoint that this training cannot continue from; the text says why and what to do."""


def checkpoint_path(model: Path) -> Path:
    """The checkpoint of the training that makes this model file. It lies beside it."""
    return model.with_name(model.name.removesuffix(".safetensors") + SUFFIX)


def write_checkpoint(path: Path, state: State, belongs_to: dict[str, object]) -> None:
    """Replace the checkpoint. Raises UnusableOutput when the disk refuses."""
    data = {name: value.cpu().contiguous() for name, value in state.items()}
    replace_file(path, safetensors.torch.save(data, {_KEY: json.dumps(belongs_to, sort_keys=True)}))


def resume(training: Training[Any], path: Path, belongs_to: dict[str, object]) -> None:
    """Bring a new training to the step at which the checkpoint was written. Raises UnusableCheckpoint."""
    state = read_checkpoint(path, belongs_to)
    try:
        training.load_state(state)
    except (KeyError, RuntimeError, ValueError) as error:  # the same recipe makes another generator in this version
        raise UnusableCheckpoint(
            f"The checkpoint {path} is of another generator, by another version of texserver. {_FRESH}"
        ) from error


def read_checkpoint(path: Path, belongs_to: dict[str, object]) -> State:
    """The state, if this training wrote it. Raises UnusableCheckpoint."""
    try:
        with safe_open(path, framework="pt") as file:
            was = dict(json.loads((file.metadata() or {})[_KEY]))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnusableCheckpoint(f"The checkpoint {path} cannot be read ({error}). {_FRESH}") from error
    if differences := _differences(was, json.loads(json.dumps(belongs_to))):
        raise UnusableCheckpoint(
            f"The checkpoint {path} is of another training: {', '.join(differences)}. Ask for the same again, or start "
            "anew without --resume."
        )
    return state


def _differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not the same, in words for people: what it was, and what it is now."""
    found = []
    for key in sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key)):
        old, new = was.get(key), now.get(key)
        match key:
            case "recipe":
                old, new = dict(old or {}), dict(new or {})
                changed = sorted(name for name in {**old, **new} if old.get(name) != new.get(name))
                found += [f"--{name} was {old.get(name)} and is {new.get(name)}" for name in changed]
            case "swatch":
                found.append("the picture was another one")
            case "size of swatch":
                found.append(f"the swatch was {_sides(old)} pixels and is {_sides(new)} (--swatch-size)")
            case "descriptor":
                found.append(f"--descriptor was {old} and is {new}")
            case "lattice":
                found.append("--lattice was another")
            case "content":
                found.append(f"--content was {old} and is {new}")
            case "maps":
                found.append(
                    f"the maps were {', '.join(old or ['basecolor'])} and are {', '.join(new or ['basecolor'])}"
                )
            case "pixels of maps":
                found.append("the pictures of the maps were others")
            case _:  # of how a version of texserver makes its networks
                found.append("it is by another version of texserver")
    return list(dict.fromkeys(found))


def _sides(value: Any) -> str:
    """Height and width, for people."""
    return " x ".join(map(str, reversed(value))) if isinstance(value, list) else "unknown"
