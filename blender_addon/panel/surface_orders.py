"""Orders for surfaces that are larger than a texture: sets of tiles that never repeat, UDIM squares, baked planes."""

from pathlib import Path
from typing import Any, Final

import bpy

from ..material import export, live, materials
from ..material.assignment import target_for
from ..material.export import NotExported
from ..material.marks import MARK, is_ours
from ..material.slots import others_with, selected
from ..material.squares import squares_of
from ..pictures.bake_plane import BakeJob, NotBaked, Plane, job_text
from ..pictures.udim import UdimSet
from ..protocol.edges import ACROSS, COLOURS
from ..protocol.errors import BadRequest
from ..tasks import state
from ..tasks.export_task import ExportOrder
from ..tasks.placement import MAX_SIDE, size_text
from ..tasks.texture_task import TextureOrder
from . import orders, preferences
from .orders import NotOrdered, PreparedTexture, Settings
from .settings import first_texels

MEGABYTE: Final = 2**20


def of_object(context: Any) -> tuple[Any, live.Showing | None]:
    """The active object's material, and what our node in it shows."""
    material: Any = context.object.active_material if context.object else None
    return material, live.showing(live.node_of(material.node_tree)) if material else None


def megabytes(shown: live.Showing) -> tuple[int, int]:
    """What its textures take in a renderer's memory: as one texture that repeats, and as a set of tiles."""
    height, width = shown.size
    images = shown.plain or shown.images
    each = [8 if image.get(MARK, {}).get("depth") == 16 else 4 for image in images.values()]
    once = height * width * sum(each)
    return max(1, round(once / MEGABYTE)), max(1, round(once * ACROSS**2 / MEGABYTE))


def never_repeats(context: Any) -> PreparedTexture:
    """The set of tiles for the active object's material, at as many texels per metre as now. Raises NotOrdered."""
    material, shown = of_object(context)
    if shown is None:
        raise NotOrdered("The active object's material shows no texture of Texserver. Generate one first.")
    painted = next((each[MARK] for each in shown.images.values() if is_ours(each)), None)
    if painted is None:
        raise NotOrdered(f"The images of {material.name} are not those of Texserver any more. Generate them again.")
    model = orders.chosen_model(painted["model"])
    size = (shown.size[0] * ACROSS, shown.size[1] * ACROSS)
    if max(size) > MAX_SIDE:
        raise NotOrdered(
            f"{ACROSS} x {ACROSS} tiles of {size_text(shown.size)} make an image of {size[1]} x {size[0]} pixels; "
            f"graphics cards take {MAX_SIDE}. Generate the texture at {MAX_SIDE // ACROSS} or less first."
        )
    order = TextureOrder(
        model=model.name,
        seed=int(painted["seed"]),
        size=size,
        maps=tuple(each for each in model.maps if each in shown.images),
        wang=COLOURS,
    )
    chosen = preferences.get()
    folder = orders.folder(chosen)
    users = others_with(material, (context.object,))
    target = target_for(
        [context.object, *(each for each in users if not each.library)],
        slot="UPDATE" if is_ours(material) else "ADD",
        pack=folder is None,
    )
    return PreparedTexture(order=order, target=target, folder=folder, suffix=chosen.file_format)


def udim(context: Any) -> PreparedTexture:
    """A texture for all UDIM squares of the target's UV maps, each of the chosen size.

    Raises NotOrdered, NotAssigned.
    """
    chosen = Settings(context.scene.texserver, {})
    things = selected(context.object, context.selected_objects if chosen.all_selected else ())
    numbers = sorted({number for each in things for number in squares_of(each)})
    if not numbers:
        raise NotOrdered(
            f"The UV map of {context.object.name} reaches into no UDIM square. Move it to where u and v are from 0 on."
        )
    model = orders.chosen_model(chosen.model)
    one = orders.order_for(chosen, model)
    try:
        squares = UdimSet(numbers=tuple(numbers), side=one.size)
    except BadRequest as error:
        raise NotOrdered(f"{len(numbers)} UDIM squares are too many at once. {error}") from error
    order = TextureOrder(model=one.model, seed=one.seed, size=squares.size, maps=one.maps, squares=squares)
    texels = first_texels(context.scene.texserver, one.model)
    target = orders.target_of(context, context.object, texels)
    return PreparedTexture(order=order, target=target, folder=beside_file(), suffix=".png")


def beside_file() -> Path:
    """The folder for textures beside the .blend file, which must have been saved. Raises NotOrdered."""
    if not bpy.data.is_saved:
        raise NotOrdered("The pictures of UDIM squares lie beside the .blend file. Save it first.")
    return Path(bpy.path.abspath("//textures"))


def baked(material: Any, cells: tuple[int, int, int], name: str, folder: Path) -> ExportOrder:
    """What to write of a material's plane: columns, rows, and cells along a UDIM square. Raises NotOrdered."""
    shown = live.showing(live.node_of(material.node_tree)) if material else None
    if shown is None or shown.across == 1:
        raise NotOrdered("The material repeats, so its texture is all there is. Press Never Repeat first.")
    columns, rows, per_square = cells
    try:
        laid = Plane(columns=columns, rows=rows, per_square=per_square)
        workshop, paths = export.gather(materials.images_of(material))
    except (NotBaked, NotExported) as error:
        raise NotOrdered(str(error)) from error
    job = BakeJob(
        name=name,
        folder=str(folder.absolute()),
        plane=laid,
        maps={map: str(path) for map, path in paths.items()},
        metadata=export.provenance(shown.images),
    )
    title = f"{material.name} {columns} x {rows}"
    return ExportOrder(title=title, job=job_text(job), workshop=workshop, program="pictures.bake_plane")


def connected() -> str:
    """Why no texture can be asked for now; "" if it can."""
    return "" if state.session().connection.state == "ready" else "The server is not connected"
