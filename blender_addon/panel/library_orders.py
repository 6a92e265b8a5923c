"""The asset library: where it lies, what is new in it, and the order to publish what has changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy

from ..loop import pump
from ..loop.delivery import LibraryDelivery
from ..material import asset_build
from ..tasks import state
from ..tasks.catalogue import ListedModel
from ..tasks.library import LISTED, Library, LibraryEntry, LibraryError
from ..tasks.library_task import LibraryOrder, LibraryTask
from . import preferences
from .orders import NotOrdered
from .settings import TEXELS, model_texels

NAME: Final = "Texserver"  # of the library in Blender's preferences


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What is to be said of the library."""

    published: int = 0
    changed: tuple[ListedModel, ...] = ()  # new ones too
    gone: tuple[LibraryEntry, ...] = ()
    message: str = ""  # for people: why it cannot be read


_overview = Overview()
_made_for: object = None


def folder() -> Path:
    """The library's folder."""
    own = preferences.get().library_folder.strip()
    return Path(bpy.path.abspath(own)) if own else preferences.folder() / "library"


def overview() -> Overview:
    """Of the library as it is on the disk. It is read again only when it has changed, so that drawing is fast."""
    global _overview, _made_for
    place, side, catalogue = folder(), _side(), state.session().catalogue
    try:
        status = (place / LISTED).stat()
        stamp: object = (status.st_mtime_ns, status.st_size)
    except OSError:
        stamp = None
    now = (catalogue, catalogue.version, place, side, stamp)
    if now != _made_for:
        _overview, _made_for = look(), now
    return _overview


def look() -> Overview:
    """The same, read now."""
    library, models = Library(folder()), state.session().catalogue.ready("texture")
    try:
        library.look()
    except LibraryError as error:
        return Overview(message=str(error))
    changed = library.changed(models, _side(), _texels(models))
    # Without a list of models nothing is known to be gone.
    gone = library.gone(state.session().catalogue.models) if state.session().catalogue.settled and models else []
    return Overview(published=len(library.entries), changed=tuple(changed), gone=tuple(gone))


def _side() -> int:
    return int(preferences.get().library_side)


def _texels(models: "list[ListedModel] | tuple[ListedModel, ...]") -> dict[str, float]:
    """Per metre, by model."""
    return {each.name: model_texels(each.name) or TEXELS for each in models}


@dataclass(frozen=True, kw_only=True)
class PreparedLibrary:
    """A library that is ready to be published."""

    order: LibraryOrder

    def begin(self) -> LibraryTask:
        """Begin. The pump does the rest."""
        task = state.session().publish(self.order)
        pump.deliver(LibraryDelivery(task, lambda _: refresh_browsers(), self))
        return task


def prepare(*, everything: bool = False) -> PreparedLibrary:
    """What has changed, or everything again. Raises NotOrdered."""
    session = state.session()
    found, models = look(), session.catalogue.ready("texture")
    if found.message:
        raise NotOrdered(found.message)
    if not models:
        raise NotOrdered(session.connection.reason or "The server has no models yet.")
    if any(isinstance(task, LibraryTask) and not task.ended for task in session.tasks):
        raise NotOrdered("The library is being published already. Wait for it, or cancel it first.")
    wanted = tuple(models) if everything else found.changed
    if not wanted:
        raise NotOrdered("The library is up to date: no model is new or has changed.")
    return PreparedLibrary(
        order=LibraryOrder(
            folder=folder(), models=wanted, side=_side(), texels=_texels(wanted), command=asset_build.command
        )
    )


def drop_gone() -> int:
    """Remove models that the server no longer has; how many. Raises LibraryError."""
    library = Library(folder())
    library.look()
    gone = library.gone(state.session().catalogue.models)
    library.drop(gone)
    refresh_browsers()
    return len(gone)


def registered() -> Any:
    """The library in Blender's preferences, None if it is not there."""
    blender: Any = bpy.context.preferences
    place = _resolved(folder())
    for each in blender.filepaths.asset_libraries:
        if each.path and _resolved(Path(bpy.path.abspath(each.path))) == place:
            return each
    return None


def register() -> None:
    """List the library in Blender's preferences, so that the Asset Browser shows it."""
    if registered() is None:
        folder().mkdir(parents=True, exist_ok=True)
        bpy.ops.preferences.asset_library_add(directory=str(folder()))
        if (library := registered()) is not None:
            library.name = NAME
            _append_from(library)
    refresh_browsers()


def _append_from(library: Any) -> None:
    """Have what is dropped appended, so that it can be changed. Newer Blenders pack it by default, as linked data."""
    for method in ("APPEND_REUSE", "APPEND"):
        try:
            library.import_method = method
        except TypeError:  # this Blender has no such method
            continue
        return


def refresh_browsers() -> None:
    """Have the Asset Browsers that are open read the library again."""
    manager: Any = bpy.context.window_manager
    for window in manager.windows:
        for area in [each for each in window.screen.areas if each.ui_type == "ASSETS"]:
            with bpy.context.temp_override(window=window, area=area):
                refresh: Any = bpy.ops.asset.library_refresh
                if refresh.poll():
                    refresh()


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except OSError:
        return path
