"""Surfaces larger than a texture: planes of tiles that never repeat, UDIM squares, baked planes, drift of colours."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from bl_ext.user_default.texserver.material import group_sockets, materials
from bl_ext.user_default.texserver.material import live as live_group
from bl_ext.user_default.texserver.pictures.tile_plane import tile_of
from inside import fresh_seed, generate, refusal
from pictures import Pixels, difference, of_image, of_render
from scenery import add, everything, live, ours, plane, textures, unused_images, value

TILE = 32  # pixels
CELLS = 8  # along a side of the plane
SIDE = 64  # of the tiles of a quilt


@pytest.fixture
def numbered() -> Any:
    """An atlas whose tiles have a colour each: red says the column, green the row. A soft band joins none of them."""
    pixels = np.zeros((4 * TILE, 4 * TILE, 4), np.float32)
    for row in range(4):
        for column in range(4):
            top, left = (3 - row) * TILE, column * TILE
            pixels[top : top + TILE, left : left + TILE] = _colour(row, column)
    image = bpy.data.images.new("atlas", 4 * TILE, 4 * TILE)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    return image


def _colour(row: int, column: int) -> tuple[float, float, float, float]:
    return (column + 1) / 5, (row + 1) / 5, 0.5, 1.0


def _shown(image: Any, **given: Any) -> Any:
    """A plane of one metre that shows an atlas, with eight cells a metre."""
    thing = plane()
    shown = live_group.Showing(images={"basecolor": image}, projection="UV", size=(TILE, TILE), across=4)
    material = materials.new_material("Atlas")
    node = materials.Graph(material.node_tree, False).show(shown)
    material.node_tree.links.new(node.outputs[0], _shader(material).inputs["Base Color"])
    live_group.set_values(node, {group_sockets.SIZE: 1 / CELLS, **given})
    thing.data.materials.append(material)
    return thing


def _shader(material: Any) -> Any:
    return next(each for each in material.node_tree.nodes if each.type == "BSDF_PRINCIPLED")


@pytest.mark.parametrize("version", ["plain", "moved"])
def test_each_cell_shows_the_tile_that_the_hash_of_its_corners_says(
    numbered: Any, tmp_path: Path, version: str
) -> None:
    given = {group_sockets.OFFSET_X: 3 / CELLS, group_sockets.OFFSET_Y: -2 / CELLS} if version == "moved" else {}
    _shown(numbered, **given)
    right, up = (-3, 2) if version == "moved" else (0, 0)
    pixels = of_render(CELLS * 8, tmp_path)
    for x in range(CELLS):
        for y in range(CELLS):
            cell = pixels[8 * (CELLS - 1 - y) + 1 : 8 * (CELLS - y) - 1, 8 * x + 1 : 8 * x + 7].reshape(-1, 3)
            wanted = np.array(_colour(*tile_of(x + right, y + up))[:3]) * 255
            assert np.abs(cell - wanted).max() < 4, (x, y)


# --------------------------------------------------------------------------------------------------------- the switch


@pytest.fixture
def stones() -> Any:
    """A plane of one metre with a texture of a quilt, for half a metre."""
    plane()
    return generate("stones", seed=fresh_seed(), width=SIDE, height=SIDE, texels=2 * SIDE)


def test_a_material_never_repeats_and_repeats_again_without_loss(stones: Any, tmp_path: Path) -> None:
    thing = bpy.context.object
    live(stones).inputs["Hue"].default_value = 0.1
    before, was = everything(), of_image(textures(stones)["basecolor"].image)
    assert bpy.ops.texserver.never_repeat() == {"FINISHED"}
    assert thing.active_material == stones
    assert not materials.repeats(stones)
    sizes = {tuple(each.image.size) for each in textures(stones).values()}
    assert sizes == {(4 * SIDE, 4 * SIDE)}, "an atlas of each map"
    assert value(stones, "Size") == pytest.approx(0.5), "as many texels per metre as before"
    assert value(stones, "Hue") == pytest.approx(0.1)
    assert "never repeats already" in refusal_of("never_repeat")
    path = tmp_path / "kept.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert bpy.ops.texserver.repeat() == {"FINISHED"}
    material = bpy.context.object.active_material
    assert np.array_equal(of_image(textures(material)["basecolor"].image), was)
    now = everything()
    assert now["objects"] == before["objects"]
    assert now["materials"]["stones"]["links"] == before["materials"]["stones"]["links"]
    assert {tuple(size) for size, _ in now["images"].values()} >= {(SIDE, SIDE)}
    assert not [each for each in ours(bpy.data.images) if each.size[0] == 4 * SIDE], "the atlas is gone"
    assert unused_images() == []
    assert value(material, "Hue") == pytest.approx(0.1)
    assert "repeats already" in refusal_of("repeat")


def refusal_of(operator: str) -> str:
    """Why its button is grey."""
    with pytest.raises(RuntimeError) as told:
        getattr(bpy.ops.texserver, operator)()
    return str(told.value)


def test_cells_show_whole_tiles_and_neighbours_join(stones: Any, tmp_path: Path) -> None:
    bpy.ops.texserver.never_repeat()
    live_group.set_values(live(stones), {group_sockets.SIZE: 1 / 4})
    pixels = of_render(4 * SIDE, tmp_path, exact=False).astype(float)
    for axis in (0, 1):
        steps = np.abs(np.diff(pixels, axis=axis)).mean(2)
        lines = np.moveaxis(steps, axis, 0).mean(1)
        across = [lines[SIDE * each - 1] for each in (1, 2, 3)]
        assert max(across) <= 1.05 * np.percentile(lines, 95), "a join is no larger a step than those inside"
    atlas = _coarse(of_image(textures(stones)["basecolor"].image).astype(float))
    shown = _coarse(pixels)
    for x in range(4):
        for y in range(4):
            alike = {place: np.corrcoef(atlas[place], shown[3 - y, x])[0, 1] for place in np.ndindex(4, 4)}
            assert max(alike, key=alike.__getitem__) == tile_of(x, y), alike


def _coarse(picture: Pixels) -> Any:
    """Of 4 x 4 tiles the means of 8 x 8 parts each, in a line."""
    part = len(picture) // 32
    means = picture.reshape(4, 8, part, 4, 8, part, 3).mean((2, 5))
    return means.transpose(0, 2, 1, 3, 4).reshape(4, 4, -1)


def test_a_baked_plane_is_what_is_seen(stones: Any, tmp_path: Path) -> None:
    bpy.ops.texserver.never_repeat()
    atlas = of_image(textures(stones)["basecolor"].image)
    given = {"columns": 4, "rows": 2, "per_square": 2, "name": "floor", "directory": str(tmp_path)}
    assert bpy.ops.texserver.bake_surface(**given) == {"FINISHED"}
    names = sorted(path.name for path in tmp_path.glob("floor_*"))
    maps = ("basecolor", "height", "normal", "roughness")
    assert names == [f"floor_{map}.{number}.png" for map in maps for number in (1001, 1002)]
    second = of_image(bpy.data.images.load(str(tmp_path / "floor_basecolor.1002.png")))
    for x, y in ((2, 0), (3, 1)):
        row, column = tile_of(x, y)
        tile = atlas[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        assert np.array_equal(second[(1 - y) * SIDE : (2 - y) * SIDE, (x - 2) * SIDE : (x - 1) * SIDE], tile)
    assert "multiples of 3" in refusal(
        lambda: bpy.ops.texserver.bake_surface(columns=4, rows=3, per_square=3, directory=str(tmp_path))
    )


def test_what_cannot_be_tiled_keeps_its_texture() -> None:
    plane()
    material = generate("network", seed=1, width=64, height=64)
    before = everything()
    said = refusal(bpy.ops.texserver.never_repeat)
    assert "quilt" in said.lower()
    assert everything() == before
    assert materials.repeats(material)


# --------------------------------------------------------------------------------------------------------------- UDIM


def _strip(squares: int = 3) -> Any:
    """A square metre for each UDIM square, side by side."""
    mesh = bpy.data.meshes.new("Strip")
    points, faces = [], []
    for x in range(squares):
        points += [(x, 0, 0), (x + 1, 0, 0), (x + 1, 1, 0), (x, 1, 0)]
        faces.append(tuple(range(4 * x, 4 * x + 4)))
    mesh.from_pydata(points, [], faces)
    layer = mesh.uv_layers.new()
    for loop in mesh.loops:
        layer.data[loop.index].uv = points[loop.vertex_index][:2]
    return add("Strip", mesh)


def _along(x: float) -> Any:
    """A camera above this place of the strip."""

    def place() -> None:
        bpy.context.scene.camera.location = (x, 0.5, 2)

    return place


def test_udim_squares_show_one_texture_that_goes_on_from_square_to_square(tmp_path: Path) -> None:
    _strip()
    assert "Save the .blend file first" in refusal_of("paint_udim")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "strip.blend"))
    chosen = bpy.context.scene.texserver
    chosen.model, chosen.seed, chosen.size, chosen.width, chosen.height = "network", 7, "CUSTOM", 64, 64
    assert bpy.ops.texserver.paint_udim() == {"FINISHED"}
    image = textures(bpy.context.object.active_material)["basecolor"].image
    assert image.source == "TILED"
    assert [each.number for each in image.tiles] == [1001, 1002, 1003]
    files = sorted(path.name for path in (tmp_path / "textures").iterdir())
    assert [name.split(".")[-2:] for name in files] == [["1001", "png"], ["1002", "png"], ["1003", "png"]]
    whole = np.concatenate([of_image(bpy.data.images.load(str(tmp_path / "textures" / each))) for each in files], 1)
    for x in (0.5, 1.0, 2.5):
        pixels = of_render(64, tmp_path, place=_along(x))
        left = round(64 * (x - 0.5))
        assert difference(pixels, whole[:, left : left + 64]) < 1, "the texture itself, over the edge of a square, too"
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "strip.blend"))
    image = textures(bpy.context.object.active_material)["basecolor"].image
    assert [each.number for each in image.tiles] == [1001, 1002, 1003]
    assert image.filepath.startswith("//textures"), "it moves with the file"
    assert generate("network", seed=7, width=64, height=64)
    assert textures(bpy.context.object.active_material)["basecolor"].image.source == "FILE", "and back again"


# -------------------------------------------------------------------------------------------------------------- drift


def test_colours_drift_over_metres_and_not_without_being_asked(tmp_path: Path) -> None:
    thing = plane()
    image = bpy.data.images.new("grey", 4, 4)
    image.pixels.foreach_set(np.tile(np.float32([0.5, 0.4, 0.3, 1]), 16))
    image.update()
    shown = live_group.Showing(images={"basecolor": image}, projection="UV", size=(4, 4))
    material = materials.new_material("Grey")
    node = materials.Graph(material.node_tree, False).show(shown)
    material.node_tree.links.new(node.outputs[0], _shader(material).inputs["Base Color"])
    thing.data.materials.append(material)

    def spread() -> tuple[Pixels, float]:
        pixels = of_render(32, tmp_path)
        return pixels, float(pixels.reshape(-1, 3).astype(float).std(0).max())

    plain, flat = spread()
    assert flat < 1
    live_group.set_values(node, {group_sockets.VALUE_DRIFT: 0.5, group_sockets.DRIFT_SIZE: 0.3})
    drifted, wide = spread()
    assert wide > 8
    steps = np.abs(np.diff(drifted.astype(float), axis=0)).max()
    assert steps < 40, "slowly"
    assert abs(drifted.astype(float).mean() - plain.mean()) < 25, "around what it was"
