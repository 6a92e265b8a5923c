"""The MaterialX document names the files of its set, is valid by MaterialX's own library, and can be made a shader."""

import warnings
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from blender_addon.pictures.materialx import Look, document
from blender_addon.pictures.texture_sets import ENGINES, Engine, files_of

ALL = dict.fromkeys(("basecolor", "normal", "roughness", "metallic", "ao", "height"))
RICH = Look(size_m=(2.0, 1.0), unit_m=(4.0, 4.0), occlusion=0.5, normal_strength=0.7, displacement_m=0.02)
MAPS = {
    "all": ALL,
    "colour": {"basecolor": None},
    "no colour": {"roughness": None, "normal": None},
    "height": {"basecolor": None, "height": None},
}


def made(engine: Engine, maps: dict[str, Any], look: Look) -> str:
    return document("wall", files_of(engine, "wall", maps), maps, look)


@pytest.mark.parametrize(("engine", "maps", "look"), list(product(ENGINES, MAPS, ("plain", "rich"))))
def test_materialx_itself_finds_it_valid_and_makes_a_shader_of_it(engine: Engine, maps: str, look: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its bindings
        mx = pytest.importorskip("MaterialX")
        glsl = pytest.importorskip("MaterialX.PyMaterialXGenGlsl")
        gen = pytest.importorskip("MaterialX.PyMaterialXGenShader")
    text = made(engine, MAPS[maps], RICH if look == "rich" else Look())
    read = mx.createDocument()
    mx.readFromXmlString(read, text)
    library, search = mx.createDocument(), mx.getDefaultDataSearchPath()
    mx.loadLibraries(mx.getDefaultDataLibraryFolders(), search, library)
    read.setDataLibrary(library)
    valid, why = read.validate()
    assert valid, why
    (material,) = read.getMaterialNodes()
    (surface,) = mx.getShaderNodes(material)
    generator = glsl.GlslShaderGenerator.create()
    context = gen.GenContext(generator)
    context.registerSourceCodeSearchPath(search)
    system = gen.UnitSystem.create(generator.getTarget())
    registry = mx.UnitConverterRegistry.create()
    distance = library.getUnitTypeDef("distance")
    registry.addUnitConverter(distance, mx.LinearUnitConverter.create(distance))
    system.loadLibrary(library)
    system.setUnitConverterRegistry(registry)
    generator.setUnitSystem(system)
    generator.registerTypeDefs(library)
    context.getOptions().targetDistanceUnit = "meter"
    shader = generator.generate("wall", surface, context)
    assert shader.getSourceCode(gen.PIXEL_STAGE)


@pytest.mark.parametrize("engine", ENGINES)
def test_it_names_each_file_once_and_no_other(engine: Engine) -> None:
    root = ElementTree.fromstring(made(engine, ALL, RICH))
    named = [each.get("value") for each in root.iter("input") if each.get("name") == "file"]
    assert sorted(map(str, named)) == sorted(path.as_posix() for path in files_of(engine, "wall", ALL))


def value(root: ElementTree.Element, name: str) -> str | None:
    return next((each.get("value") for each in root.iter("input") if each.get("name") == name), None)


def test_colour_is_srgb_and_all_else_is_not() -> None:
    root = ElementTree.fromstring(made("unreal", ALL, RICH))
    spaces = {str(e.get("value")): e.get("colorspace") for e in root.iter("input") if e.get("name") == "file"}
    assert spaces.pop("T_wall_BC.png") == "srgb_texture"
    assert set(spaces.values()) == {"lin_rec709"}


def test_the_size_in_metres_is_told_where_it_is_known() -> None:
    root = ElementTree.fromstring(made("godot", ALL, RICH))
    assert (value(root, "realworldimagesize"), value(root, "realworldtilesize")) == ("2, 1", "4, 4")
    assert value(root, "scale") == "0.7"
    assert value(ElementTree.fromstring(made("godot", ALL, Look())), "realworldimagesize") is None


def test_directx_normals_are_turned_back_and_opengl_s_are_not() -> None:
    def turned(engine: Engine) -> bool:
        graph = ElementTree.fromstring(made(engine, {"normal": None}, Look())).find("nodegraph")
        assert graph is not None
        return graph.find("invert") is not None

    assert [turned(engine) for engine in ENGINES] == [True, False, False, False, False]


def test_a_name_with_odd_characters_is_quoted() -> None:
    path = Path("a&b.png")
    text = document("wall", {path: files_of("gltf", "x", {"basecolor": None})[Path("x_baseColor.png")]}, {}, Look())
    root = ElementTree.fromstring(text)
    assert value(root, "file") == "a&b.png"
