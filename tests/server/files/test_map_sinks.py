"""Facts about sinks that turn maps into what other programs want, whatever parts they come in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_addon.client.sinks import MemorySink, PaintedMap, Painting, Sink
from blender_addon.protocol.rect import Rect
from server.errors import BadRequest
from server.files.map_sinks import DirectxNormals, OrmSink, maps_for_orm

HEIGHT, WIDTH = 7, 5
CHANNELS = {"basecolor": 3, "normal": 3}
PARTS = {"whole": [(0, 0, 7, 5)], "pieces": [(0, 2, 3, 3), (3, 0, 4, 5), (0, 0, 3, 2)]}
every_way = pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)


def painting_of(depths: dict[str, int]) -> Painting:
    maps = tuple(
        PaintedMap(name=name, channels=CHANNELS.get(name, 1), colour_space="linear", depth=depth)
        for name, depth in depths.items()
    )
    return Painting(
        model="stone", sha256="ab" * 32, seed=7, size=(HEIGHT, WIDTH), window=(0, 0, HEIGHT, WIDTH), maps=maps,
        precision="exact", software="texserver 9.9", server="",
    )  # fmt: skip


def pixels_of(painting: Painting) -> dict[str, NDArray[Any]]:
    chance = np.random.default_rng(1)
    return {
        each.name: chance.integers(0, 2**each.depth, (HEIGHT, WIDTH, each.channels)).astype(f"<u{each.depth // 8}")
        for each in painting.maps
    }


def poured(sink: Sink, depths: dict[str, int], parts: Sequence[tuple[int, int, int, int]]) -> dict[str, NDArray[Any]]:
    """All maps into the sink, part by part; the buffers are spoilt behind it."""
    painting = painting_of(depths)
    pixels = pixels_of(painting)
    sink.begin(painting)
    for top, left, height, width in parts:
        for name, each in pixels.items():
            data = bytearray(each[top : top + height, left : left + width].tobytes())
            sink.write(name, Rect(top, left, height, width), memoryview(data))
            data[:] = bytes(len(data))
    sink.finish()
    return pixels


def held(memory: MemorySink) -> dict[str, NDArray[Any]]:
    assert memory.painting
    return {
        each.name: np.frombuffer(memory.pixels[each.name], f"<u{each.depth // 8}").reshape(HEIGHT, WIDTH, each.channels)
        for each in memory.painting.maps
    }


@every_way
@pytest.mark.parametrize("depth", [8, 16])
def test_directx_turns_green_around_and_nothing_else(depth: int, parts: Any) -> None:
    memory = MemorySink()
    pixels = poured(DirectxNormals(memory), {"basecolor": 8, "normal": depth, "height": 16}, parts)
    found = held(memory)
    assert list(found) == ["basecolor", "normal", "height"]
    np.testing.assert_array_equal(found["normal"][..., 1], 2**depth - 1 - pixels["normal"][..., 1])
    np.testing.assert_array_equal(found["normal"][..., ::2], pixels["normal"][..., ::2])
    for name in ("basecolor", "height"):
        np.testing.assert_array_equal(found[name], pixels[name])


def test_files_say_that_normals_are_those_of_directx() -> None:
    memory = MemorySink()
    poured(DirectxNormals(OrmSink(memory)), {"normal": 8, "roughness": 8}, PARTS["whole"])
    assert memory.painting
    told = {each.name: memory.painting.provenance(each) for each in memory.painting.maps}
    assert told["normal"]["Normals"] == "directx"
    assert "Normals" not in told["orm"]
    assert (told["orm"]["Map"], told["orm"]["Model"]) == ("orm", "stone")


def test_directx_without_normals_is_refused_before_anything_is_begun() -> None:
    memory = MemorySink()
    with pytest.raises(BadRequest, match=r"^normals: "):
        DirectxNormals(memory).begin(painting_of({"basecolor": 8}))
    assert memory.painting is None


@every_way
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("there", [("roughness", "metallic", "ao"), ("ao", "roughness"), ("roughness",)], ids=str)
def test_orm_takes_the_place_of_what_it_packs(depth: int, there: Sequence[str], parts: Any) -> None:
    memory = MemorySink()
    depths = {"basecolor": 8, there[0]: depth, "height": 16} | dict.fromkeys(there, depth)
    pixels = poured(OrmSink(memory), depths, parts)
    found = held(memory)
    assert list(found) == ["basecolor", "orm", "height"]
    missing = {"ao": 2**depth - 1, "metallic": 0}
    for channel, name in enumerate(("ao", "roughness", "metallic")):
        want = pixels[name][..., 0] if name in there else np.full((HEIGHT, WIDTH), missing[name])
        np.testing.assert_array_equal(found["orm"][..., channel], want)
    assert found["orm"].dtype == f"<u{depth // 8}"
    for name in ("basecolor", "height"):
        np.testing.assert_array_equal(found[name], pixels[name])


def test_maps_of_two_depths_are_packed_in_the_deeper_one() -> None:
    memory = MemorySink()
    pixels = poured(OrmSink(memory), {"roughness": 16, "ao": 8}, PARTS["pieces"])
    orm = held(memory)["orm"]
    np.testing.assert_array_equal(orm[..., 0], pixels["ao"][..., 0].astype(int) * 257)
    np.testing.assert_array_equal(orm[..., 1], pixels["roughness"][..., 0])


@pytest.mark.parametrize(
    ("depths", "said"), [({"basecolor": 8, "ao": 8}, "needs the map 'roughness'"), ({"roughness": 8, "orm": 8}, "own")]
)
def test_what_cannot_be_packed_is_refused(depths: dict[str, int], said: str) -> None:
    with pytest.raises(BadRequest, match=f"^orm: .*{said}"):
        OrmSink(MemorySink()).begin(painting_of(depths))
    with pytest.raises(BadRequest, match=f"^orm: .*{said}"):
        maps_for_orm("stone", list(depths), None)


def test_what_is_asked_for_is_what_is_packed_and_what_is_wanted_beside() -> None:
    maps = ["basecolor", "normal", "roughness", "metallic", "ao", "height"]
    packed = ["ao", "roughness", "metallic"]
    assert maps_for_orm("stone", maps, None) == ["basecolor", "normal", "height", *packed]
    assert maps_for_orm("stone", maps, ["height", "roughness"]) == ["height", *packed]
    assert maps_for_orm("stone", maps, ["orm"]) == packed
    assert maps_for_orm("stone", ["roughness", "basecolor"], ["basecolor"]) == ["basecolor", "roughness"]
    assert maps_for_orm("stone", maps, ["nowhere"]) == ["nowhere", *packed]  # for the painter to refuse by name
