"""What texget prints without a model: models, one a line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from server.client.client import Client
from server.model.library import Entry, Library
from server.model.models_folder import models_folder
from server.model.starter import STARTER, state_of
from server.model.torus import Size
from server.printable import printable

LISTED_SIDES = (256, 512, 1024, 2048, 4096)


def list_folder(library: Library) -> None:
    """The models of a folder."""
    entries = library.entries()
    if not entries:
        print(f"No models in {library.folder}. Train one: python -m trainer --swatch PHOTO")
    _print_list([(entry.name, _described(entry)) for entry in entries])


def list_server(client: Client) -> None:
    """The models of a server."""
    models = client.list()
    if not models:
        print("The server has no models. Train one: python -m trainer --swatch PHOTO")
    _print_list([(model.name, _told(model.state, model.reason, model.facts)) for model in models])


def list_starter(models: str | None) -> None:
    """The starter library, and what of it is in the folder `models`, by default that of texserver."""
    folder = models_folder() if models is None else Path(models)
    said = {"ready": "ready", "outdated": "ready, of an earlier version", "missing": "not made yet"}
    states = {each: state_of(each, folder) for each in STARTER}
    _print_list(
        [
            (each.name, f"{each.category:9}  {each.metres:4g} m  {said.get(state, 'another model')}: {each.about}")
            for each, state in states.items()
        ]
    )
    if "missing" in states.values():
        print(
            f"texserver makes them in {folder}; so does python -m trainer.starter, without a server."
            if models is None
            else f"This makes them: python -m trainer.starter --out {folder}"
        )


def _print_list(lines: Sequence[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in lines), default=0)
    for name, about in lines:
        print(printable(f"{name:{width}}  {about}"))


def _described(entry: Entry) -> str:
    if entry.facts is None:
        return f"broken: {entry.reason}"
    swatch, lattice = entry.facts.swatch, entry.facts.lattice
    if entry.facts.kind == "style":
        return _about_style(swatch.height, swatch.width)
    maps = [each.name for each in entry.facts.maps]
    fits = None if lattice is None else [side for side in LISTED_SIDES if lattice.fits(Size(side, side))]
    return _about(maps, swatch.height, swatch.width, fits)


def _told(state: str, reason: str, facts: Mapping[str, Any]) -> str:
    """An entry of a server's list (docs/PROTOCOL.md, Models)."""
    if state != "ready":
        return f"{state}: {reason}" if reason else state
    height, width = facts["swatch"]
    warning = f"; {facts['warning']}" if "warning" in facts else ""
    if facts.get("kind") == "style":
        return _about_style(height, width) + warning
    maps = [str(each["name"]) for each in facts.get("maps", ())]
    return _about(maps, height, width, facts.get("fits")) + warning


def _about_style(height: int, width: int) -> str:
    return f"ready, a style, learned from {width}x{height}"


def _about(maps: Sequence[str], height: int, width: int, fits: Sequence[int] | None) -> str:
    about = f"ready, {', '.join(maps)}, swatch {width}x{height}"
    if fits is None:
        return f"{about}, no lattice: any size"
    sides = ", ".join(f"{side}x{side}" for side in fits)
    return f"{about}, lattice: whole periods at {sides or 'none of the usual sizes'}"
