"""From the panel's settings to a texture that is ready to begin: model, size, maps, and where the texture goes."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..loop import pump
from ..loop.delivery import TextureDelivery
from ..material.assignment import Target, target_for
from ..material.materials import TextureMapping
from ..material.slots import selected
from ..protocol.errors import TexserverError
from ..tasks import state
from ..tasks.catalogue import Kind, ListedModel
from ..tasks.placement import Size, preview_size, whole_periods
from ..tasks.texture_task import TextureOrder, TextureTask
from . import preferences
from .settings import CUSTOM, MAPS, first_texels

MOST_SEED: Final = 2**31 - 1  # the limit of a Blender property; the server's is higher
VARIATION_SIDE: Final = 256
MIN_SIDE: Final = 16
_MAPPING: Final = frozenset({"projection", "blend", "texels", "displacement", "displace"})


class NotOrdered(TexserverError):
    """The settings do not describe anything to paint. The text says what to do."""


@dataclass(frozen=True, kw_only=True)
class PreparedTexture:
    """A texture that is ready to begin."""

    order: TextureOrder
    target: Target
    folder: Path | None = None  # for the files; None: the cache
    suffix: str = ".tif"

    def begin(self) -> TextureTask:
        """Begin. The pump does the rest."""
        task = state.session().order(self.order, self.folder, self.suffix)
        pump.deliver(TextureDelivery(task, self.target))
        return task


def prepare(context: Any, **given: Any) -> PreparedTexture:
    """The texture that the scene's settings describe. `given` overrides settings, by their names.

    Raises NotOrdered or NotAssigned.
    """
    settings = Settings(context.scene.texserver, given)
    model = chosen_model(settings.model)
    size = _size(settings, model)
    order = TextureOrder(
        model=model.name,
        seed=settings.seed,
        size=size,
        maps=_maps(settings, model),
        preview=preview_size(size, model.lattice),
    )
    return _prepare(context, order, **given)


def _prepare(context: Any, order: TextureOrder, **given: Any) -> PreparedTexture:
    """This order, with a target from the settings. Raises NotOrdered or NotAssigned."""
    settings = Settings(context.scene.texserver, given)
    chosen = preferences.get()
    active = context.object
    others = context.selected_objects if settings.all_selected else ()
    objects = selected(active, others) if active else []
    mapping = TextureMapping(
        projection=settings.mapping,
        blend=settings.blend,
        texels=given.get("texels") or first_texels(context.scene.texserver, order.model),
        displacement=settings.displacement,
        displace=settings.displace,
        asked=frozenset({"projection" if name == "mapping" else name for name in given}) & _MAPPING,
    )
    target = target_for(
        objects,
        slot=settings.target,
        mapping=mapping,
        replace_links=settings.replace_links,
        pack=(place := folder(chosen)) is None,
    )
    return PreparedTexture(order=order, target=target, folder=place, suffix=chosen.file_format)


def again(context: Any, entry: Any, *, side: int | None = None) -> PreparedTexture:
    """A texture of the history again. `side`: pixels of its longer side, if new. Raises NotOrdered, NotAssigned."""
    size = entry.size
    model = state.session().catalogue.get(entry.model)
    lattice = model.lattice if model else None
    if side:
        scale = side / max(size)
        size = (max(MIN_SIDE, round(size[0] * scale)), max(MIN_SIDE, round(size[1] * scale)))
        if lattice and context.scene.texserver.whole_periods:
            size = whole_periods(lattice, size)
    order = TextureOrder(
        model=entry.model,
        seed=entry.seed,
        size=size,
        maps=entry.maps,
        depth=entry.depth,
        preview=preview_size(size, lattice),
    )
    return _prepare(context, order)


def variations(context: Any) -> list[TextureOrder]:
    """Orders for small pictures of several seeds. Raises NotOrdered."""
    settings = context.scene.texserver
    model = chosen_model(settings.model)
    size = (VARIATION_SIDE, VARIATION_SIDE)
    if model.lattice:
        size = whole_periods(model.lattice, size)
    maps = tuple(name for name in model.maps if name == "basecolor") or model.maps[:1]
    first = TextureOrder(model=model.name, seed=settings.seed, size=size, maps=maps)
    return [replace(first, seed=(first.seed + each) % (MOST_SEED + 1)) for each in range(settings.variations)]


@dataclass(frozen=True, kw_only=True)
class _Words:
    """What a panel says about one kind of model."""

    none: str
    unknown: str
    other: str


_WORDS: Final[dict[Kind, _Words]] = {
    "texture": _Words(
        none="The server has no models. Put .safetensors models into its folder; it finds them by itself.",
        unknown="The server has no model {name!r} for textures.",
        other="{name!r} stylizes pictures and cannot paint textures. Choose another model.",
    ),
    "style": _Words(
        none="The server has no styles. Train one with --kind style and put it into the server's folder of models.",
        unknown="The server has no style {name!r}.",
        other="{name!r} paints textures and cannot stylize pictures. Choose a style.",
    ),
}


def chosen_model(name: str, kind: Kind = "texture") -> ListedModel:
    """The model of this name, or the first of its kind if the name is "". Raises NotOrdered."""
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
    why = f"Its file is broken: {model.reason}." if model and model.state == "broken" else "Choose another one."
    raise NotOrdered(f"{words.unknown.format(name=name)} {why}")


def dice() -> int:
    """A random seed."""
    return random.randrange(MOST_SEED + 1)


def _size(settings: "Settings", model: ListedModel) -> Size:
    size = settings.asked_size
    return whole_periods(model.lattice, size) if model.lattice and settings.whole_periods else size


def planned_size(settings: Any, model: ListedModel) -> Size:
    """The size that Generate would ask for: height, width."""
    return _size(Settings(settings, {}), model)


def has_height(settings: Any) -> bool:
    """Whether Generate would ask for a height map."""
    try:
        return "height" in _maps(settings, chosen_model(settings.model))
    except NotOrdered:
        return False


def _maps(settings: "Settings", model: ListedModel) -> tuple[str, ...]:
    known = {name for name, _, _ in MAPS}
    maps = tuple(name for name in model.maps if name in settings.maps or name not in known)
    if not maps:
        raise NotOrdered(f"{model.name} has none of the chosen maps. It has: {', '.join(model.maps)}.")
    return maps


def folder(chosen: Any) -> Path | None:
    """Where the preferences want the files; None for the cache, from where they are packed into the .blend file.

    A .blend file that is not saved yet has no place beside it.
    """
    return Path(bpy.path.abspath("//textures")) if chosen.storage == "FILES" and bpy.data.is_saved else None


class Settings:
    """The scene's settings, with overrides."""

    def __init__(self, settings: Any, given: dict[str, Any]) -> None:
        self._settings, self._given = settings, given

    def __getattr__(self, name: str) -> Any:
        return self._given[name] if name in self._given else getattr(self._settings, name)

    @property
    def asked_size(self) -> Size:
        """Height and width as chosen, before they are fitted to whole periods."""
        if "width" in self._given or "height" in self._given:
            width = self._given.get("width") or self._given["height"]
            return self._given.get("height") or width, width
        if self.size == CUSTOM:
            return self._settings.height, self._settings.width
        return int(self.size), int(self.size)
