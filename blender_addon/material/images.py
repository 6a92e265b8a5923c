"""The images of textures in Blender: loaded, packed, named, marked with where they come from, removed when unused."""

import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import bpy

from ..client.blending import BlendedPainting, Blending
from ..client.sinks import PaintedMap, Painting
from ..pictures.udim import UdimSet
from ..pictures.udim import file_of as udim_file
from ..protocol.blending import hash_of_all
from ..protocol.edges import ACROSS
from ..tasks.file_stamp import stamp_of
from ..tasks.painted import Painted
from ..tasks.placement import Size, size_text
from . import shared_groups
from . import squares as udim
from .marks import MARK, is_ours
from .references import Reference

PACKED_LATER_BYTES: Final = 64 * 2**20  # Blender packs about this much in 0.1 s


def load_image(painted: Painted, map: PaintedMap, *, pack: bool) -> Any:
    """Load the image of one map. Blender reads the file when it first needs the pixels."""
    painting, path = painted.painting, painted.files[map.name]
    if painted.squares:
        pack = False  # they lie beside the .blend file
        image: Any = udim.load(path, painted.squares)
    else:
        image = bpy.data.images.load(str(path), check_existing=False)
    name_image(image, painting, map)
    image.colorspace_settings.name = "sRGB" if map.colour_space == "srgb" else "Non-Color"
    image[MARK] = {**provenance_of(painting, map), **_stamps(path, painted.squares)}
    keep(image, path, pack=pack, folder="textures")
    return image


def _stamps(path: Path, squares: UdimSet | None) -> dict[str, Any]:
    """What the files of an image were like when they were painted; and which squares they are."""
    if squares is None:
        return {"stamp": stamp_of(path)}
    return {
        "udim": {"numbers": list(squares.numbers), "side": list(squares.side)},
        "stamps": {str(each): stamp_of(udim_file(path, each)) for each in squares.numbers},
    }


def keep(image: Any, path: Path, *, pack: bool, folder: str = "") -> None:
    """Pack an image of ours into the .blend file, or else make its path relative to that file.

    `folder`, beside the .blend file, is where unpacking puts the image.
    """
    if pack and path.stat().st_size > PACKED_LATER_BYTES:
        image[MARK]["pack"] = True
    elif pack:
        image.pack()
        image.filepath_raw = f"//{folder}/{path.name}"
    elif bpy.data.is_saved:
        with suppress(ValueError):  # it is on another drive than the .blend file
            image.filepath_raw = bpy.path.relpath(str(path))  # so that both can move together


def pack_waiting() -> None:
    """Pack the images that were too large to pack at once: Blender is about to save, and the artist waits anyway."""
    for image in bpy.data.images:
        if is_ours(image) and image[MARK].get("pack"):
            del image[MARK]["pack"]
            path = Path(bpy.path.abspath(image.filepath))
            if not image.packed_file and path.exists():
                image.pack()
                image.filepath_raw = f"//textures/{path.name}"


def name_image(image: Any, painting: Painting, map: PaintedMap) -> None:
    """Name an image after what it shows. Blender adds a number while another image has the name."""
    image.name = image_name(painting.model, map.name, painting.size, painting.seed, painting.wang)


def image_name(model: str, map: str, size: Size, seed: int, wang: int = 0) -> str:
    """What an image is called. `size`: height, width; of an atlas, if `wang` says that it is one."""
    several = f"{ACROSS**2} x " if wang else ""
    return f"{model} {map} {several}{size_text(tile_of(size, wang))} #{seed}"


def tile_of(size: Size, wang: int) -> Size:
    """Height and width of what repeats in an image, in pixels: the texture, or a tile of its atlas."""
    across = ACROSS if wang else 1
    height, width = size
    return height // across, width // across


def provenance_of(painting: Painting, map: PaintedMap) -> dict[str, Any]:
    """Everything needed to make the image again. The seed is text, since ID properties hold no number over 2^31."""
    height, width = painting.size
    blend = painting.blend if isinstance(painting, BlendedPainting) else None
    known = blend is None or hash_of_all(blend.hashes) == painting.sha256
    return {
        "model": painting.model,
        "sha256": painting.sha256 if known else "",  # no recipe: nobody knows of which models
        **({"blend": _blend_of(blend)} if blend else {}),
        "map": map.name,
        "seed": str(painting.seed),
        "width": width,
        "height": height,
        "depth": map.depth,
        "precision": painting.precision,
        "server": painting.server,
        "software": painting.software,
        **({"wang": painting.wang} if painting.wang else {}),
    }


def _blend_of(blend: Blending) -> dict[str, Any]:
    """What blends the same again: the models, and the samples of the mask, compressed."""
    return {**blend.parameters, "hashes": list(blend.hashes), "packed": zlib.compress(blend.mask)}


def remove_unused(things: Iterable[Reference]) -> None:
    """Remove those of these images and node groups that were made here and have no users."""
    things = list(things)
    note_replaced(things)
    things = sorted(things, key=lambda each: each.collection != "node_groups")  # groups use images
    for reference in things:
        thing = reference.get()
        if is_ours(thing) and thing.users == 0:
            getattr(bpy.data, reference.collection).remove(thing)
    groups: Any = bpy.data.node_groups
    for group in [each for each in groups if shared_groups.is_shared(each) and each.users == 0]:
        groups.remove(group)


_replaced: set[int] = set()  # session identifiers of images and groups that gave way to others here


def note_replaced(things: Iterable[Reference]) -> None:
    """Other images and groups are shown in place of these, at least for now."""
    _replaced.update(each.uid for each in things)


def remove_replaced() -> None:
    """Remove what gave way and has no users: undo may bring back what nobody restores any more.

    Blender does not save a group without users, but it would save the images in it.
    """
    data: Any = bpy.data
    for things in (data.node_groups, data.images):  # groups use images
        for each in [each for each in things if each.session_uid in _replaced and is_ours(each) and each.users == 0]:
            things.remove(each)
