"""The server's models for Blender's user interface: thumbnails, the items of the gallery, the search.

Blender keeps references to an enum's items, so the list is kept here while it is shown. It is filled again when the
catalogue changes.
"""

from array import array
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy
import bpy.utils.previews

from ..pictures.orientation import UPRIGHT, orientation_of, turned_rows
from ..tasks import state
from ..tasks.catalogue import Kind, ListedModel
from ..tasks.painted import Painted

Item = tuple[str, str, str, int, int]

_NONE: Item = ("NONE", "No models yet", "Press Refresh when the server runs", 0, 0)
_NOTHING: Item = ("NONE", "Nothing found", "Empty the search field", 0, 0)
_ALL: Item = ("ALL", "All", "Models of all kinds", 0, 0)
_icons: Any = None
_items: dict[Kind, list[Item]] = {"texture": [_NONE], "style": [_NONE]}
_categories: list[Item] = [_ALL]
_made_for: dict[Kind, object] = {}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which models the gallery shows."""

    search: str = ""
    category: str = ""  # "": all
    favourites: bool = False
    chosen: str = ""  # which is always there, or the gallery would show another one as chosen

    def takes(self, model: ListedModel, favourites: Collection[str]) -> bool:
        """Whether to show a model."""
        if model.name == self.chosen:
            return True
        named = all(word in f"{model.name} {model.category}".lower() for word in self.search.lower().split())
        return named and self.category in ("", model.category) and (not self.favourites or model.name in favourites)


EVERYTHING: Final = Wanted()


def open_icons() -> None:
    """When the extension is enabled."""
    global _icons
    _icons = bpy.utils.previews.new()


def close_icons() -> None:
    """When it is disabled."""
    global _icons
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
    _icons = None
    _made_for.clear()
    for items in _items.values():
        items[:] = [_NONE]


def icon(path: Path | None) -> int:
    """The icon of a picture file, 0 if there is none. Blender reads the file when it draws the icon."""
    if path is None or _icons is None:
        return 0
    key = str(path)
    if key not in _icons:
        loaded = _icons.load(key, key, "IMAGE")
        if (orientation := orientation_of(path)) != UPRIGHT:
            _turn(loaded, orientation)
    return int(_icons[key].icon_id)


def _turn(preview: Any, orientation: int) -> None:
    """Make the small picture upright. Blender keeps its rows from bottom to top."""
    width, height = preview.image_size
    pixels = array("i", preview.image_pixels)
    stored = array("i")
    for start in range(len(pixels) - width, -1, -width):
        stored += pixels[start : start + width]
    rows = list(turned_rows(memoryview(stored), height, width, orientation)) if stored else []
    if rows:
        preview.image_size = len(rows[0]) // stored.itemsize, len(rows)
        preview.image_pixels = array("i", b"".join(reversed(rows))).tolist()


def forget(path: Path) -> None:
    """The picture has changed or no longer exists."""
    if _icons is not None and str(path) in _icons:
        del _icons[str(path)]


def forget_variations() -> None:
    """They are painted anew, or their model is no longer the chosen one."""
    for task in state.session().variations:
        for path in task.result.files.values() if task.result else ():
            forget(path)


def picture(painted: Painted) -> Path:
    """The file that shows a texture best: its base colour."""
    return painted.files.get("basecolor") or next(iter(painted.files.values()))


def model_icon(name: str) -> int:
    """The thumbnail of a model."""
    return icon(state.session().catalogue.thumbnail(name))


def items(self: Any, context: Any) -> list[Item]:
    """Items for the gallery of textures, by name: those that are searched for, and the chosen one."""
    known = get_category(self) > 0
    wanted = Wanted(
        search=self.search.strip(),
        category=self.category if known else "",
        favourites=self.favourites,
        chosen=self.model,
    )
    return _items_of("texture", wanted)


def styles(self: Any, context: Any) -> list[Item]:
    """Items for the gallery of styles, by name."""
    return _items_of("style")


def get_model(self: Any) -> int:
    """The number of the chosen model, or of the first if it is not listed."""
    return _number(items(self, None), self.model)


def get_style(self: Any) -> int:
    """The number of the chosen style, or of the first if it is not listed."""
    return _number(styles(self, None), self.model)


def set_model(self: Any, number: int) -> None:
    """A model was chosen in the gallery."""
    _choose(self, items(self, None)[number])


def set_style(self: Any, number: int) -> None:
    """A style was chosen in the gallery."""
    _choose(self, styles(self, None)[number])


def search_models(self: Any, context: Any, text: str) -> list[str]:
    """Names of textures that contain the text, whatever the gallery shows."""
    return [each.name for each in state.session().catalogue.ready("texture") if text.lower() in each.name.lower()]


def search_blended(self: Any, context: Any, text: str) -> list[str]:
    """Names of textures that contain the text and can be blended."""
    found = [each for each in state.session().catalogue.ready("texture") if each.can_blend]
    return [each.name for each in found if text.lower() in each.name.lower()]


def search_styles(self: Any, context: Any, text: str) -> list[str]:
    """Names of styles that contain the text."""
    return _named(styles(self, context), text)


def categories(self: Any, context: Any) -> list[Item]:
    """Items for the choice of a category; the first is for all."""
    names = sorted({each.category for each in state.session().catalogue.ready("texture") if each.category})
    wanted = [_ALL, *((name, name, "", 0, index) for index, name in enumerate(names, 1))]
    if wanted != _categories:
        _categories[:] = wanted
    return _categories


def has_categories() -> bool:
    """Whether any model has one."""
    return len(categories(None, None)) > 1


def get_category(self: Any) -> int:
    """The number of the chosen category, or of "all" if it is not listed."""
    return _number(categories(self, None), self.category)


def set_category(self: Any, number: int) -> None:
    """A category was chosen; "" is all."""
    self.category = categories(self, None)[number][0] if number else ""


def _items_of(kind: Kind, wanted: Wanted = EVERYTHING) -> list[Item]:
    session = state.session()
    catalogue, items = session.catalogue, _items[kind]
    key = (catalogue, catalogue.version, wanted, session.favourites.names)
    if _made_for.get(kind) != key:
        ready = catalogue.ready(kind)
        found = [each for each in ready if wanted.takes(each, session.favourites.names)]
        items[:] = [(each.name, each.name, "", model_icon(each.name), index) for index, each in enumerate(found)]
        if not items:
            items[:] = [_NOTHING if ready else _NONE]
        _made_for[kind] = key
    return items


def _number(items: list[Item], name: str) -> int:
    return next((number for each, _, _, _, number in items if each == name), 0)


def _choose(settings: Any, item: Item) -> None:
    if item not in (_NONE, _NOTHING):
        settings.model = item[0]


def _named(items: list[Item], text: str) -> list[str]:
    return [each[0] for each in items if each is not _NONE and text.lower() in each[0].lower()]
