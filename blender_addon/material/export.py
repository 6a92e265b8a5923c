"""What a material shows, as files and values for an export: pictures/export_set.py does the rest.

Pictures that are packed into the .blend file are written out as they are; nothing is read from Blender's own pixels,
which have other bits.

    TexserverError
    └── NotExported    the material shows nothing that can be written; the text says why
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import bpy

from ..pictures.export_set import job_of
from ..pictures.map_names import METALLIC, OCCLUSION, ROUGHNESS
from ..pictures.materialx import Look
from ..pictures.texture_sets import Engine, Sources
from ..protocol.errors import TexserverError
from ..tasks.export_task import ExportOrder
from . import group_sockets, legacy, live, materials
from .graph import PRINCIPLED
from .marks import MARK, is_ours

NAMES: Final[dict[Engine, str]] = {
    "unreal": "Unreal",
    "unity": "Unity",
    "godot": "Godot",
    "gltf": "glTF",
    "materialx": "MaterialX",
}
_BEGINNINGS: Final = {b"\x89PNG": ".png", b"II*\0": ".tif", b"MM\0*": ".tif"}


class NotExported(TexserverError):
    """The material shows nothing that can be written. The text says why and what to do."""


def has_textures(material: Any) -> bool:
    """Whether a material shows textures of ours."""
    tree = material.node_tree if material else None
    return bool(tree and (live.showing(live.node_of(tree)) or legacy.is_legacy(material)))


def order_of(material: Any, engine: Engine, name: str, folder: Path) -> ExportOrder:
    """What to write of a material. Raises NotExported."""
    images = materials.images_of(material)
    if not images:
        raise NotExported(f"{material.name} shows no textures of Texserver. Paint one first.")
    workshop, paths = gather(images)
    node = live.node_of(material.node_tree)
    node = node if live.showing(node) else None
    names = (group_sockets.ROUGH_MIN, group_sockets.ROUGH_MAX, group_sockets.HUE, group_sockets.VALUE)
    low, high, hue, value = (live.value(node, each) for each in names) if node else (0.0, 1.0, 0.0, 1.0)
    sources = Sources(
        maps=paths,
        roughness=(low, high),
        hue=hue,
        value=value,
        without=_shader_values(material),
        metadata=provenance(images),
    )
    job = job_of(engine, name, sources, _look(node), folder.absolute())
    return ExportOrder(title=f"{material.name} for {NAMES[engine]}", job=job, workshop=workshop)


def gather(images: Mapping[str, Any]) -> tuple[Path, dict[str, Path]]:
    """A new folder for a job, and the file of each image; what is packed is written there. Raises NotExported."""
    workshop = Path(bpy.app.tempdir) / f"texserver-export-{token_hex(6)}"
    try:
        workshop.mkdir()
        return workshop, {map: _file_of(image, workshop / map) for map, image in images.items()}
    except (OSError, NotExported) as error:
        shutil.rmtree(workshop, ignore_errors=True)
        if isinstance(error, NotExported):
            raise
        raise NotExported(f"{workshop.parent} cannot be written to: {error.strerror}. Make room there.") from error


def left_out(material: Any) -> str:
    """What of the material's look is not in the pictures of a set, and why; "" where all of it is."""
    node = live.node_of(material.node_tree)
    if (
        not live.showing(node)
        or OCCLUSION not in materials.images_of(material)
        or live.value(node, group_sockets.AO) == 1
    ):
        return ""
    return "AO is written whole: how much it darkens is set in the engine."


def _file_of(image: Any, packed: Path) -> Path:
    """The PNG or TIFF of an image: its own file, or `packed` with what is packed. Raises NotExported or OSError."""
    if image.source == "TILED":
        folder = Path(bpy.path.abspath(image.filepath)).parent
        raise NotExported(
            f"{image.name!r} has UDIM squares. Their files lie in {folder} already, as engines take them."
        )
    if image.is_dirty:
        raise NotExported(f"The image {image.name!r} has changes that are not saved. Save it first.")
    if image.packed_file:
        data = image.packed_file.data
        suffix = _BEGINNINGS.get(bytes(data[:4]))
        if suffix:
            packed = packed.with_suffix(suffix)
            packed.write_bytes(data)
            return packed
    else:
        path = Path(bpy.path.abspath(image.filepath, library=image.library)).absolute()
        try:
            with path.open("rb") as file:
                beginning = file.read(4)
        except OSError as error:
            raise NotExported(
                f"The file of {image.name!r} cannot be read: {error.strerror}. Paint it again."
            ) from error
        if beginning in _BEGINNINGS:
            return path
    raise NotExported(f"The image {image.name!r} is neither PNG nor TIFF. Save it as PNG first.")


def _look(node: Any) -> Look:
    """What our node says beside its images, in metres."""
    if node is None:
        return Look()
    shown, scene = live.showing(node), bpy.context.scene
    assert shown
    assert scene
    metre = scene.unit_settings.scale_length or 1.0
    width, (rows, columns) = live.value(node, group_sockets.SIZE) * shown.across * metre, shown.size
    u, v = node.get(materials.UNIT, (1.0, 1.0))
    return Look(
        size_m=(width, width * rows / columns),
        unit_m=(u * metre, v * metre),
        occlusion=live.value(node, group_sockets.AO),
        normal_strength=live.value(node, group_sockets.STRENGTH),
        displacement_m=live.value(node, group_sockets.DISPLACEMENT) * metre,
    )


def _shader_values(material: Any) -> dict[str, float]:
    """What the shader says where it has no map."""
    shader: Any = next((each for each in material.node_tree.nodes if each.type == PRINCIPLED), None)
    sockets = {ROUGHNESS: "Roughness", METALLIC: "Metallic"} if shader else {}
    return {map: float(shader.inputs[name].default_value) for map, name in sockets.items()}


def provenance(images: Mapping[str, Any]) -> dict[str, str]:
    """What the files say of how to make them again, in the words of texget."""
    mark = next((each[MARK] for each in images.values() if is_ours(each)), None)
    if mark is None:
        return {}
    told = {
        "Software": mark["software"],
        "Model": mark["model"],
        "Model SHA-256": mark["sha256"],
        "Seed": mark["seed"],
        "Size": f"{mark['width']}x{mark['height']}",
        "Server": mark["server"],
    }
    return {key: value if value.isprintable() else ascii(value) for key, value in told.items() if value}
