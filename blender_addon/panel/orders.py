"""From the panel's settings to an order: which model, which size, which maps, and where the texture goes."""

import random
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..loop import pump
from ..material.assignment import NotAssigned, Wish, selected, wish_for
from ..material.materials import Look
from ..tasks import state
from ..tasks.catalogue import Kind, Model
from ..tasks.placement import preview_size, whole_periods
from ..tasks.tasks import Order, Size, Task
from . import preferences
from .settings import CUSTOM, MAPS

MOST_SEED: Final = 2**31 - 1  # of a property of Blender's; the server takes more
VARIATION_SIDE: Final = 256
MIN_SIDE: Final = 16


class NotOrdered(Exception):
    """The settings do not make an order; a sentence that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """An order with all that goes with it."""

    order: Order
    wish: Wish | None
    folder: Path | None
    suffix: str

    def begin(self) -> Task:
        """Under way from now on."""
        return pump.begin(self.order, self.wish, self.folder, self.suffix)


def make(context: Any, **given: Any) -> Made:
    """By the scene's settings, but for what is given under the settings' names.

    Raises NotOrdered or NotAssigned.
    """
    settings = Settings(context.scene.texserver, given)
    model = chosen_model(settings.model)
    size = _size(settings, model)
    order = Order(
        model=model.name,
        seed=settings.seed,
        size=size,
        maps=_maps(settings, model),
        preview=preview_size(size, model.lattice),
    )
    return with_order(context, order, **given)


def with_order(context: Any, order: Order, **given: Any) -> Made:
    """This order, and the rest by the settings. Raises NotOrdered or NotAssigned."""
    settings = Settings(context.scene.texserver, given)
    chosen = preferences.get()
    active = context.object
    if active is None:
        raise NotAssigned("There is no active object. Select the object that the texture is for.")
    objects = selected(active, context.selected_objects) if settings.all_selected else [active]
    wish = wish_for(
        objects,
        target=settings.target,
        look=Look(**{each.name: getattr(settings, each.name) for each in fields(Look)}),
        replace_links=settings.replace_links,
        pack=chosen.storage == "PACK",
    )
    return Made(order=order, wish=wish, folder=folder(chosen), suffix=chosen.file_format)


def again(context: Any, entry: Any, *, side: int | None = None) -> Made:
    """An entry of the history once more, with its longer side grown to `side` where that is given."""
    size = entry.size
    model = state.session().catalogue.get(entry.model)
    lattice = model.lattice if model else None
    if side:
        scale = side / max(size)
        size = (max(MIN_SIDE, round(size[0] * scale)), max(MIN_SIDE, round(size[1] * scale)))
        if lattice and context.scene.texserver.whole_periods:
            size = whole_periods(lattice, size)
    order = Order(
        model=entry.model,
        seed=entry.seed,
        size=size,
        maps=entry.maps,
        depth=entry.depth,
        preview=preview_size(size, lattice),
    )
    return with_order(context, order)


def variations(context: Any) -> list[Order]:
    """Small pictures of several seeds. Raises NotOrdered."""
    settings = context.scene.texserver
    model = chosen_model(settings.model)
    size = (VARIATION_SIDE, VARIATION_SIDE)
    if model.lattice:
        size = whole_periods(model.lattice, size)
    maps = tuple(name for name in model.maps if name == "basecolor") or model.maps[:1]
    first = Order(model=model.name, seed=settings.seed, size=size, maps=maps)
    return [replace(first, seed=(first.seed + each) % (MOST_SEED + 1)) for each in range(settings.variations)]


@dataclass(frozen=True, kw_only=True)
class _Words:
    """What a panel says of one kind of model."""

    none: str
    unknown: str
    other: str


_WORDS: Final[dict[Kind, _Words]] = {
    "texture": _Words(
        none="The server has no models. Put .safetensors models into its folder; it finds them itself.",
        unknown="The server has no model {name!r} to paint with.",
        other="{name!r} stylizes pictures and makes no textures. Pick another model.",
    ),
    "style": _Words(
        none="The server has no styles. Train one with --kind style and put it into its folder of models.",
        unknown="The server has no style {name!r}.",
        other="{name!r} makes textures and stylizes no pictures. Pick a style.",
    ),
}


def chosen_model(name: str, kind: Kind = "texture") -> Model:
    """The model of that name, or the first of this kind where none is named. Raises NotOrdered."""
    session, words = state.session(), _WORDS[kind]
    ready = session.catalogue.ready(kind)
    if not session.catalogue.models and session.connection.state != "ready":
        raise NotOrdered(session.connection.reason or "The server is not connected yet. Press Refresh.")
    if not name and ready:
        return ready[0]
    model = session.catalogue.get(name)
    if model and model.state == "ready":
        if model.kind != kind:
            raise NotOrdered(words.other.format(name=name))
        return model
    if not ready:
        raise NotOrdered(words.none)
    why = f"It is broken there: {model.reason}." if model and model.state == "broken" else "Pick another one."
    raise NotOrdered(f"{words.unknown.format(name=name)} {why}")


def dice() -> int:
    """Some seed."""
    return random.randrange(MOST_SEED + 1)


def _size(settings: "Settings", model: Model) -> Size:
    size = settings.asked_size
    return whole_periods(model.lattice, size) if model.lattice and settings.whole_periods else size


def planned_size(settings: Any, model: Model) -> Size:
    """The size that Generate would ask for: height, width."""
    return _size(Settings(settings, {}), model)


def has_height(settings: Any) -> bool:
    """Whether Generate would ask for a map of the height."""
    try:
        return "height" in _maps(settings, chosen_model(settings.model))
    except NotOrdered:
        return False


def _maps(settings: "Settings", model: Model) -> tuple[str, ...]:
    known = {name for name, _, _ in MAPS}
    maps = tuple(name for name in model.maps if name in settings.maps or name not in known)
    if not maps:
        raise NotOrdered(f"{model.name} has none of the maps that are chosen. It has: {', '.join(model.maps)}.")
    return maps


def folder(chosen: Any) -> Path | None:
    """Where the files go, None for the cache, by the preferences. Raises NotOrdered."""
    if chosen.storage == "PACK":
        return None
    if not bpy.data.is_saved:
        raise NotOrdered(
            "Textures are to be kept beside the .blend file, which is not saved yet. Save it first, or choose Pack "
            "into the Blend File in the preferences."
        )
    return Path(bpy.path.abspath("//textures"))


class Settings:
    """The scene's settings, but for what was given."""

    def __init__(self, settings: Any, given: dict[str, Any]) -> None:
        self._settings, self._given = settings, given

    def __getattr__(self, name: str) -> Any:
        return self._given[name] if name in self._given else getattr(self._settings, name)

    @property
    def asked_size(self) -> Size:
        if "width" in self._given or "height" in self._given:
            width = self._given.get("width") or self._given["height"]
            return self._given.get("height") or width, width
        if self.size == CUSTOM:
            return self._settings.height, self._settings.width
        return int(self.size), int(self.size)
