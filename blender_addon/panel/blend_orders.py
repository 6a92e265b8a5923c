"""From the panel "Blend" to a texture of two models that is ready to begin."""

from contextlib import suppress
from typing import Any, Final

from ..client.blending import Blending
from ..material import content, measure
from ..pictures.picture_reader import PictureError, TiffPicture, read_picture
from ..protocol.blending import MASK_CHANNELS
from ..tasks.catalogue import ListedModel
from ..tasks.mask_noise import spots
from ..tasks.placement import Size, preview_size
from ..tasks.style_task import NoContent
from ..tasks.texture_task import TextureOrder
from . import orders
from .orders import NotOrdered, PreparedTexture, Settings

MASK_SIDE: Final = 1024  # pixels; of larger images fewer pixels are taken
NO_SECOND: Final = "Choose the second model, which shows where the mask is white"


def blended(context: Any, **given: Any) -> PreparedTexture:
    """The blend that the scene's settings describe. `given` overrides settings, by their names.

    Raises NotOrdered or NotAssigned.
    """
    settings = Settings(context.scene.texserver, given)
    blend = Settings(context.scene.texserver.blending, given)
    if not blend.second:
        raise NotOrdered(f"{NO_SECOND}.")
    first, second = orders.chosen_model(settings.model), orders.chosen_model(blend.second)
    if first.name == second.name:
        raise NotOrdered(f"Both models are {first.name}. Choose another second model.")
    size = orders.size_for(settings, first)
    maps = tuple(each for each in orders.maps_for(settings, first) if each in second.maps)
    if not maps:
        raise NotOrdered(f"{second.name} has none of the chosen maps of {first.name}: {', '.join(second.maps)}.")
    mask, shape = _mask(context, blend, size)
    blending = Blending(
        models=(first.name, second.name),
        mask=mask,
        shape=shape,
        softness=blend.softness,
        heights=blend.heights,
        reach=blend.reach,
        hashes=(first.sha256, second.sha256),
    )
    order = TextureOrder(
        model=blending.name,
        seed=settings.seed,
        size=size,
        maps=maps,
        preview=preview_size(size, first.lattice),
        blend=blending,
    )
    if "texels" not in given and (texels := _covering(context, settings, blend, size)):
        given["texels"] = texels
    return orders.prepared(context, order, **given)


def scale_differs(first: ListedModel | None, second: ListedModel | None) -> float:
    """By which factor the true scales of two models differ, at least 1; 1 where one is not known."""
    scales = [each.texels_per_metre for each in (first, second) if each and each.texels_per_metre]
    return max(scales) / min(scales) if len(scales) == 2 else 1.0


def _mask(context: Any, blend: Settings, size: Size) -> tuple[bytes, tuple[int, int, int]]:
    """Samples and shape. Raises NotOrdered."""
    if blend.mask == "SPOTS":
        return spots(size, scale=blend.scale, share=blend.share, seed=blend.spots_seed)
    if blend.image is None:
        raise NotOrdered("Choose the image of the mask, or press New Mask and paint on it.")
    try:
        path = content.of_image(blend.image, context.scene)
    except NoContent as error:
        raise NotOrdered(str(error)) from error
    try:
        return _red_of(read_picture(path))
    except PictureError as error:
        raise NotOrdered(str(error)) from error
    finally:
        with suppress(OSError):
            path.unlink()


def _red_of(picture: TiffPicture) -> tuple[bytes, tuple[int, int, int]]:
    """The first channel of 8 bits, of every n-th pixel where there are more than a mask needs; and the shape."""
    height, width, channels = picture.shape
    step = -(-max(height, width) // MASK_SIDE)
    rows = [
        picture.data[row * width * channels : (row + 1) * width * channels : channels * step]
        for row in range(0, height, step)
    ]
    return b"".join(rows), (len(rows), len(rows[0]), MASK_CHANNELS[2])


def _covering(context: Any, settings: Settings, blend: Settings, size: Size) -> float | None:
    """Texels per metre at which the texture fills the UV square once; None where that is not wanted or possible."""
    if blend.mask != "IMAGE" or not blend.cover or settings.mapping != "UV":
        return None
    density = measure.measure(context.object)
    length = context.scene.unit_settings.scale_length or 1.0
    across = density.per_unit[0] * length if density else 0.0
    return size[1] / across if across > 0 else None
