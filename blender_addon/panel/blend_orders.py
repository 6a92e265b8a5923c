"""From the panel "Blend" to a texture of several models that is ready to begin."""

from collections.abc import Sequence
from contextlib import suppress
from math import pi
from typing import Any, Final

from ..client.blending import Blending
from ..material import content, measure, mesh_mask
from ..pictures.picture_reader import PictureError, TiffPicture, read_picture
from ..tasks import state
from ..tasks.catalogue import ListedModel
from ..tasks.mask_drawing import Mask, drawn, layered, ramp
from ..tasks.mask_noise import spots
from ..tasks.placement import Size, preview_size
from ..tasks.style_task import NoContent
from ..tasks.texture_task import TextureOrder
from . import orders
from .blend_settings import OF_MESH, layers_of
from .orders import NotOrdered, PreparedTexture, Settings

MASK_SIDE: Final = 1024  # pixels; of larger images fewer pixels are taken
MESH_SIDE: Final = 512  # pixels of the longer side of masks that a mesh gives
NO_SECOND: Final = "Choose the second model, which shows where the mask is white"


def blended(context: Any, **given: Any) -> PreparedTexture:
    """The blend that the scene's settings describe. `given` overrides settings, by their names.

    Raises NotOrdered or NotAssigned.
    """
    settings = Settings(context.scene.texserver, given)
    blending = context.scene.texserver.blending
    blend = Settings(blending, given)
    layers = [blend] if "second" in given else [blend, *layers_of(blending)[1:]]
    if not blend.second:
        raise NotOrdered(f"{NO_SECOND}.")
    if missing := [number for number, each in enumerate(layers, 1) if not each.second]:
        raise NotOrdered(f"Layer {missing[0]} has no model. Choose one, or remove the layer.")
    models = [orders.chosen_model(each) for each in (settings.model, *(layer.second for layer in layers))]
    if networks := [each.name for each in models if not each.can_blend]:
        raise NotOrdered(f"{_network(networks[0])}. Choose another one.")
    first, names = models[0], [each.name for each in models]
    if twice := [each for each in dict.fromkeys(names) if names.count(each) > 1]:
        raise NotOrdered(_twice(twice[0], len(names)))
    size = orders.size_for(settings, first)
    maps = orders.maps_for(settings, first)
    for each in models[1:]:
        maps = tuple(map for map in maps if map in each.maps)
        if not maps:
            raise NotOrdered(f"{each.name} has none of the chosen maps of those below it: {', '.join(each.maps)}.")
    mask, shape = layered([mask_of(context, each, size) for each in layers])
    together = Blending(
        models=tuple(names),
        mask=mask,
        shape=shape,
        softness=blend.softness,
        heights=blend.heights,
        reach=blend.reach,
        hashes=tuple(each.sha256 for each in models),
    )
    order = TextureOrder(
        model=together.name,
        seed=settings.seed,
        size=size,
        maps=maps,
        preview=preview_size(size, first.lattice),
        blend=together,
    )
    if "texels" not in given and (texels := _covering(context, settings, layers, blend.cover, size)):
        given["texels"] = texels
    return orders.prepared(context, order, **given)


def not_below(name: str) -> str:
    """Why nothing can be blended onto this model, as a sentence; "" if something can."""
    model = state.session().catalogue.get(name)
    if model is None or model.state != "ready" or model.can_blend:
        return ""
    return f"{_network(name)}. Choose another one in the gallery."


def _network(name: str) -> str:
    return f"{name} is a network, and only quilts can be blended"


def _twice(name: str, count: int) -> str:
    if count == 2:
        return f"Both models are {name}. Choose another second model."
    return f"Two layers are {name}. Choose another model for one of them."


def scale_differs(models: Sequence[ListedModel | None]) -> float:
    """By which factor the true scales of models differ at most, at least 1; of those whose scale is known."""
    scales = [each.texels_per_metre for each in models if each and each.texels_per_metre]
    return max(scales) / min(scales) if len(scales) > 1 else 1.0


def hint(context: Any, layer: Any) -> str:
    """What stands in the way of a layer's mask, without a full stop; "" if nothing does."""
    if layer.mask not in OF_MESH:
        return ""
    if context.scene.texserver.mapping != "UV":
        return "This mask lies along the UV map. Choose UV as the mapping"
    return mesh_mask.refusal(context.object)


def mask_of(context: Any, layer: Any, size: Size) -> Mask:
    """The mask of one layer for a texture of this size. Raises NotOrdered."""
    if layer.mask == "SPOTS":
        data, (height, width, _) = spots(size, scale=layer.scale, share=layer.share, seed=layer.spots_seed)
        return Mask(height=height, width=width, data=data)
    if layer.mask == "IMAGE":
        return _painted(context, layer.image)
    if why := hint(context, layer):
        raise NotOrdered(f"{why}.")
    try:
        corners, values = mesh_mask.corners_of(context.object, layer.mask, layer.attribute)
    except mesh_mask.NoMeshMask as error:
        raise NotOrdered(str(error)) from error
    height, width = (max(1, round(MESH_SIDE * side / max(size))) for side in size)
    mask = drawn(height, width, corners, values)
    if layer.mask == "SLOPE":  # level is black
        table = ramp(layer.slope / (pi / 2), layer.transition, invert=not layer.invert)
    elif layer.mask == "HEIGHT":
        table = ramp(layer.level, layer.transition, invert=layer.invert)
    else:
        table = ramp(0.5, 1.0, invert=layer.invert)
    return Mask(height=height, width=width, data=mask.data.translate(table))


def _painted(context: Any, image: Any) -> Mask:
    """Raises NotOrdered."""
    if image is None:
        raise NotOrdered("Choose the image of the mask, or press New Mask and paint on it.")
    try:
        path = content.of_image(image, context.scene)
    except NoContent as error:
        raise NotOrdered(str(error)) from error
    try:
        return _red_of(read_picture(path))
    except PictureError as error:
        raise NotOrdered(str(error)) from error
    finally:
        with suppress(OSError):
            path.unlink()


def _red_of(picture: TiffPicture) -> Mask:
    """The first channel of 8 bits, of every n-th pixel where there are more than a mask needs."""
    height, width, channels = picture.shape
    step = -(-max(height, width) // MASK_SIDE)
    rows = [
        picture.data[row * width * channels : (row + 1) * width * channels : channels * step]
        for row in range(0, height, step)
    ]
    return Mask(height=len(rows), width=len(rows[0]), data=b"".join(rows))


def _covering(context: Any, settings: Settings, layers: Sequence[Any], cover: bool, size: Size) -> float | None:
    """Texels per metre at which the texture fills the UV square once; None where that is not wanted or possible."""
    masks = {each.mask for each in layers}
    if settings.mapping != "UV" or not (masks & OF_MESH or ("IMAGE" in masks and cover)):
        return None
    density = measure.measure(context.object)
    length = context.scene.unit_settings.scale_length or 1.0
    across = density.per_unit[0] * length if density else 0.0
    return size[1] / across if across > 0 else None
