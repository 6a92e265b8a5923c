"""From the panel's settings to a texture that is ready to begin: model, size, maps, and where the texture goes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..client.blending import Blending
from ..loop import pump, trial
from ..loop.delivery import TextureDelivery
from ..material import legacy
from ..material.assignment import Assignment, Target, objects_of, target_for
from ..material.materials import TextureMapping
from ..material.slots import selected
from ..protocol.errors import TexserverError
from ..tasks import state
from ..tasks.catalogue import Kind, ListedModel
from ..tasks.history import HistoryEntry
from ..tasks.placement import Size, preview_size, whole_periods
from ..tasks.texture_task import TextureOrder, TextureTask
from . import preferences
from .settings import CUSTOM, MAPS, first_texels

MOST_SEED: Final = 2**31 - 1  # the limit of a Blender property; the server's is higher
VARIATION_SIDE: Final = 512  # as large as a preview
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
    tried: Assignment | None = None  # shows the same as a variation that is tried on

    def begin(self) -> TextureTask:
        """Begin. The pump does the rest. A variation that is tried on and not kept is taken off."""
        trial.take_off()
        task = state.session().order(self.order, self.folder, self.suffix)
        pump.deliver(TextureDelivery(task, self.tried or Assignment(self.target)))
        return task


def prepare(context: Any, **given: Any) -> PreparedTexture:
    """The texture that the scene's settings describe. `given` overrides settings, by their names.

    Raises NotOrdered or NotAssigned.
    """
    settings = Settings(context.scene.texserver, given)
    order = order_for(settings, chosen_model(settings.model))
    return prepared(context, order, **given)


def order_for(settings: "Settings", model: ListedModel) -> TextureOrder:
    """The texture of this model that the settings describe. Raises NotOrdered."""
    size = size_for(settings, model)
    return TextureOrder(
        model=model.name,
        seed=settings.seed,
        size=size,
        maps=maps_for(settings, model),
        preview=preview_size(size, model.lattice),
    )


def prepared(context: Any, order: TextureOrder, **given: Any) -> PreparedTexture:
    """This order, with a target from the settings. Raises NotOrdered or NotAssigned."""
    chosen = preferences.get()
    first = order.blend.models[0] if order.blend else order.model
    texels = given.get("texels") or first_texels(context.scene.texserver, first)
    target = target_of(context, context.object, texels, **given)
    return PreparedTexture(order=order, target=target, folder=folder(chosen), suffix=chosen.file_format)


def target_of(context: Any, active: Any, texels: float, /, **given: Any) -> Target:
    """Where the settings want a texture of so many texels per metre, if `active` is the active object.

    Raises NotAssigned.
    """
    settings = Settings(context.scene.texserver, given)
    others = context.selected_objects if settings.all_selected else ()
    return target_for(
        selected(active, others) if active else [],
        slot=settings.target,
        mapping=_mapping(context, texels, given),
        replace_links=settings.replace_links,
        pack=folder(preferences.get()) is None,
    )


def _mapping(context: Any, texels: float, given: dict[str, Any]) -> TextureMapping:
    settings = Settings(context.scene.texserver, given)
    return TextureMapping(
        projection=settings.mapping,
        blend=settings.blend,
        texels=texels,
        displacement=settings.displacement,
        displace=settings.displace,
        asked=frozenset({"projection" if name == "mapping" else name for name in given}) & _MAPPING,
    )


def again(context: Any, entry: HistoryEntry, *, side: int | None = None) -> PreparedTexture:
    """A texture of the history again. `side`: pixels of its longer side, if new. Raises NotOrdered, NotAssigned."""
    size, blend = entry.size, blend_of(entry)
    model = state.session().catalogue.get(blend.models[0] if blend else entry.model)
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
        blend=blend,
    )
    return prepared(context, order)


def blend_of(entry: HistoryEntry) -> Blending | None:
    """The models and the mask of an entry of the history, None for a texture of one model. Raises NotOrdered."""
    if entry.blend is None:
        return None
    mask = state.session().masks.read(entry.blend["mask"])
    height, width, channels = entry.blend["shape"]
    if mask is None or len(mask) != height * width * channels:
        raise NotOrdered("The mask of this texture is gone. Blend it again from the panel Blend.")
    return Blending(
        models=tuple(entry.blend["models"]),
        mask=mask,
        shape=(height, width, channels),
        softness=entry.blend["softness"],
        heights=entry.blend["heights"],
        reach=entry.blend["reach"],
        hashes=hashes_of(entry.blend["models"]),
    )


def hashes_of(models: Sequence[str]) -> tuple[str, ...]:
    """Of these models' files, as far as the server has the models."""
    found = [state.session().catalogue.get(each) for each in models]
    return tuple(each.sha256 for each in found if each)


def variations(context: Any, first: int | None = None) -> list[TextureOrder]:
    """Orders for small textures of several seeds, from `first` on or from the scene's seed. Raises NotOrdered."""
    settings = context.scene.texserver
    model = chosen_model(settings.model)
    size = (VARIATION_SIDE, VARIATION_SIDE)
    if model.lattice:
        size = whole_periods(model.lattice, size)
    begin = settings.seed if first is None else first
    one = TextureOrder(model=model.name, seed=begin, size=size, maps=maps_for(Settings(settings, {}), model))
    return [replace(one, seed=(begin + each) % (MOST_SEED + 1)) for each in range(settings.variations)]


def tried_on(context: Any, model: str) -> Target:
    """Where a variation of this model is tried on. Raises NotOrdered, NotAssigned."""
    settings = context.scene.texserver
    objects = selected(context.object, context.selected_objects if settings.all_selected else ())
    material = context.object.active_material
    if settings.target == "ADD" or (settings.target == "UPDATE" and material and legacy.is_legacy(material)):
        raise NotOrdered(
            "A variation could not be taken off this material again. Choose New Material or Update or New as the "
            "target, and upgrade a material of an earlier version."
        )
    return target_for(
        objects, slot=settings.target, mapping=_mapping(context, first_texels(context.scene.texserver, model), {})
    )


def kept(context: Any, on: trial.Trial) -> PreparedTexture:
    """The variation that is tried on, at the chosen size. Raises NotOrdered, NotAssigned."""
    prepared = prepare(context, model=on.model, seed=on.seed)
    target = replace(on.assignment.target, pack=prepared.target.pack)
    objects_of(target)
    return replace(prepared, order=replace(prepared.order, preview=None), target=target, tried=trial.hand_over(target))


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
        none="The server has no styles. Make one from a picture of a painting.",
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


def size_for(settings: "Settings", model: ListedModel) -> Size:
    """The size that the settings ask for, fitted to whole periods of the model: height, width."""
    size = settings.asked_size
    return whole_periods(model.lattice, size) if model.lattice and settings.whole_periods else size


def planned_size(settings: Any, model: ListedModel) -> Size:
    """The size that Generate would ask for: height, width."""
    return size_for(Settings(settings, {}), model)


def has_height(settings: Any) -> bool:
    """Whether Generate would ask for a height map."""
    try:
        return "height" in maps_for(settings, chosen_model(settings.model))
    except NotOrdered:
        return False


def maps_for(settings: "Settings", model: ListedModel) -> tuple[str, ...]:
    """Which of the model's maps the settings ask for. Raises NotOrdered."""
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
