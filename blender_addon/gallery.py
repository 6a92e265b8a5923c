"""The server's models as Blender shows them: thumbnails, the list behind the gallery, the search.

Blender keeps an enum's items by reference, so the list lives here as long as it is shown; it is made anew when the
catalogue changes.
"""

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from . import state

Item = tuple[str, str, str, int, int]

_NONE: Item = ("NONE", "No models yet", "Press Refresh when the server runs", 0, 0)
_icons: Any = None
_items: list[Item] = [_NONE]
_made_for: object = None


def open_icons() -> None:
    """When the extension is enabled."""
    global _icons
    _icons = bpy.utils.previews.new()


def close_icons() -> None:
    """When it is disabled."""
    global _icons, _made_for
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
    _icons = _made_for = None
    _items[:] = [_NONE]


def icon(path: Path | None) -> int:
    """The icon of a picture file, 0 where there is none. Blender reads the file when it draws it."""
    if path is None or _icons is None:
        return 0
    key = str(path)
    if key not in _icons:
        _icons.load(key, key, "IMAGE")
    return int(_icons[key].icon_id)


def forget(path: Path) -> None:
    """The picture is gone, or another one now."""
    if _icons is not None and str(path) in _icons:
        del _icons[str(path)]


def model_icon(name: str) -> int:
    """The thumbnail of a model."""
    return icon(state.session().catalogue.thumbnail(name))


def items(self: Any, context: Any) -> list[Item]:
    """Of the gallery: the models that can be painted, by name."""
    global _made_for
    catalogue = state.session().catalogue
    if _made_for != (catalogue, catalogue.version):
        ready = [model for model in catalogue.models if model.state == "ready"]
        _items[:] = [(each.name, each.name, "", model_icon(each.name), index) for index, each in enumerate(ready)]
        if not _items:
            _items[:] = [_NONE]
        _made_for = (catalogue, catalogue.version)
    return _items


def get_model(self: Any) -> int:
    """The number of the chosen model; the first where it is not there."""
    return next((number for name, _, _, _, number in items(self, None) if name == self.model), 0)


def set_model(self: Any, number: int) -> None:
    """Chosen in the gallery."""
    chosen = items(self, None)[number]
    if chosen is not _NONE:
        self.model = chosen[0]


def search_models(self: Any, context: Any, text: str) -> list[str]:
    """Names that contain the text."""
    return [each[0] for each in items(self, context) if each is not _NONE and text.lower() in each[0].lower()]
