"""What the name of a picture file says: which map of which material it is. This is the one table of conventions.

It knows the names of Poly Haven (`brick_nor_gl_1k.png`, `brick_arm_1k.jpg`), ambientCG (`Rock058_1K-JPG_NormalGL.jpg`),
Poliigon (`BricksRed001_GLOSS_3K.jpg`), ShareTextures, FreePBR, Quixel Megascans, 3dtextures, cgbookcase, glTF, Unity,
Unreal (`T_Brick_BC.png`, `T_Brick_ORM.png`) and the export presets of Substance Painter, in any case and with any
separators. What is left of a name without the map, the size and the format is the name of the material: maps belong
together if it is the same. The trainer reads folders with it, and so does the add-on. Standard library only, no bpy.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

BASE_COLOUR, NORMAL, ROUGHNESS, METALLIC = "basecolor", "normal", "roughness", "metallic"  # as models name their maps
OCCLUSION, HEIGHT = "ao", "height"


class Take(NamedTuple):
    """A map in a file: in which of its channels (None: in all of them), and whether black and white are exchanged."""

    map: str
    channel: int | None = None
    inverted: bool = False


ALPHA = 3
# What a file holds, by the name of its part. If a map is in several files of a set, the first part in this order wins.
PARTS: Mapping[str, tuple[Take, ...]] = MappingProxyType(
    {
        NORMAL: (Take(NORMAL),),  # y up or down, as the map itself tells
        "normal_gl": (Take(NORMAL),),  # OpenGL: y up
        "normal_dx": (Take(NORMAL),),  # DirectX: y down
        ROUGHNESS: (Take(ROUGHNESS),),
        "gloss": (Take(ROUGHNESS, inverted=True),),
        METALLIC: (Take(METALLIC),),
        OCCLUSION: (Take(OCCLUSION),),
        HEIGHT: (Take(HEIGHT),),
        "bump": (Take(HEIGHT),),
        "arm": (Take(OCCLUSION, 0), Take(ROUGHNESS, 1), Take(METALLIC, 2)),
        "orm": (Take(OCCLUSION, 0), Take(ROUGHNESS, 1), Take(METALLIC, 2)),
        "rma": (Take(ROUGHNESS, 0), Take(METALLIC, 1), Take(OCCLUSION, 2)),
        "mra": (Take(METALLIC, 0), Take(ROUGHNESS, 1), Take(OCCLUSION, 2)),
        "ord": (Take(OCCLUSION, 0), Take(ROUGHNESS, 1), Take(HEIGHT, 2)),
        "metallic_roughness": (Take(ROUGHNESS, 1), Take(METALLIC, 2)),  # glTF
        "metallic_smoothness": (Take(METALLIC, 0), Take(ROUGHNESS, ALPHA, inverted=True)),  # Unity
        "mask_map": (Take(METALLIC, 0), Take(OCCLUSION, 1), Take(ROUGHNESS, ALPHA, inverted=True)),  # Unity HDRP
        "specular_smoothness": (Take(ROUGHNESS, ALPHA, inverted=True),),  # Unity
        "normal_gloss": (Take(NORMAL), Take(ROUGHNESS, ALPHA, inverted=True)),  # CryEngine
    }
)
PREVIEW = "preview"

# How names spell each part: words put together, in lower case. "map" at the end makes no difference.
_SPELLINGS = {
    BASE_COLOUR: "basecolor basecolour color colour col colr clr diffuse diff dif albedo alb base basecolormap "
    "albedotransparency albedoalpha albedoopacity basecoloropacity basecoloralpha diffusecolor diffusecolour "
    "albedocolor colordiffuse diffusealbedo basemap basetexture maintex",
    NORMAL: "normal normals nor nrm nrml norm nml nmap tangentnormal normaltangent normalts normalbump nrm16 "
    "nor16 normal16 normalhigh",
    "normal_gl": "normalgl normalogl normalopengl norgl norogl noropengl nrmgl nrmogl nrmopengl normgl normogl "
    "normalsgl normalsogl normalsopengl openglnormal",
    "normal_dx": "normaldx normaldirectx nordx nordirectx nrmdx nrmdirectx normdx normdirectx normalsdx "
    "normalsdirectx directxnormal",
    ROUGHNESS: "roughness rough rgh rou roughnesss specularroughness diffuseroughness",
    "gloss": "gloss glossiness glossy gls gloss16 smoothness smooth smoothnes",
    METALLIC: "metallic metalness metal met mtl metallicness metallness",
    OCCLUSION: "ao ambientocclusion occlusion occ occl mixedao ambientocc ambocc aomixed",
    HEIGHT: "height displacement displace disp displ dis dsp hgt disp16 displ16 height16 displacement16 parallax",
    "bump": "bump bump16 bumpmap",
    "arm": "arm aoroughnessmetallic aoroughmetal aoroughmetallic",
    "orm": "orm occlusionroughnessmetallic occlusionroughnessmetalness ambientocclusionroughnessmetallic "
    "occlusionroughmetal occroughmetal",
    "rma": "rma rmo roughnessmetallicao roughnessmetallicocclusion roughmetalao roughnessmetalnessao",
    "mra": "mra mro metallicroughnessao metallicroughnessocclusion metalroughao metalnessroughnessao",
    "ord": "ord ordp occlusionroughnessdisplacement occlusionroughnessheight",
    "metallic_roughness": "metallicroughness metalroughness metalrough metalnessroughness roughnessmetallic "
    "roughmetal roughnessmetalness",
    "metallic_smoothness": "metallicsmoothness metalsmoothness metallicgloss metallicglossmap metallicglossiness",
    "mask_map": "maskmap maskmaps",
    "specular_smoothness": "specularsmoothness specgloss specglossmap specularglossiness speculargloss",
    "normal_gloss": "ddna ddn",
    # Maps that no model holds; the part is what people are told of it.
    "specular": "specular spec reflection refl reflectivity reflect specularlevel speclevel specularcolor spc f0 ior "
    "fresnel specularf0",
    "cavity": "cavity cav",
    "curvature": "curvature curv curve",
    "opacity": "opacity alpha transparency transparent alphamask alphamasked opac",
    "emission": "emission emissive emit emis emissioncolor emissivecolor emm glow selfillumination",
    "translucency": "translucency transmission translucent sss subsurface scattering subsurfacecolor sheen fuzz "
    "transmissivity refraction",
    "thickness": "thickness thick",
    "position": "position",
    "identity": "id idmap idmask",
    "mask": "mask mask1 mask2 overlay brush materialparams",
    "world-space normal": "worldspacenormal worldspacenormals wsnormal normalws normalworldspace objectnormal "
    "normalobject bentnormal bentnormals normalbent worldnormal",
    "anisotropy": "anisotropy anisotropic anisotropylevel anisotropyangle aniso clearcoat coat coatroughness",
    PREVIEW: "preview thumb thumbnail sphere render rendered swatchpreview",
}
# Unreal's habit, and others'. Such letters count only at the end of a name.
_LETTERS = {
    BASE_COLOUR: "d bc c a b",
    NORMAL: "n nm",
    ROUGHNESS: "r",
    METALLIC: "m",
    HEIGHT: "h dp",
    "gloss": "g",
    "emission": "e em",
    "specular": "s sp",
}
_PART_OF = {word: part for part, words in _SPELLINGS.items() for word in words.split()}
_PART_OF_LETTERS = {word: part for part, words in _LETTERS.items() for word in words.split()}
_MOST_WORDS = 4  # of a spelling

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+(?:[kK](?![a-zA-Z]))?|[^\W\d_a-zA-Z]+")
# Words that say nothing of the map or the material: sizes, formats, colour spaces, levels of detail.
_IDLE = re.compile(
    r"512|1024|2048|4096|8192|16384|jpe?g|png|tiff?|exr|tga|bmp|webp|"
    r"srgb|linear|lin|raw|noncolor|utility|aces|rec709|seamless|tileable|hires|lowres"
)
_IDLE_PARTS = re.compile(  # the same, of which a part would be taken for a word: 1024x1024, 16bit, LOD0
    r"(?<![a-z0-9])(?:\d{3,5}x\d{3,5}(?:px)?|\d{3,5}px|\d{1,2}[-_ ]?bits?|lod[-_ ]?\d+|acescg)(?![a-z0-9])",
    re.IGNORECASE,
)
_VARIANT = re.compile(r"var(?:iant|iation)?")  # a number follows: the first is the one that is wanted


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a name says.

    `part`: a key of PARTS, the base colour, PREVIEW, the word for a map that no model holds, or None. `material`: the
    name without the map, such as "castle_brick_06", and "" for `albedo.png`; `whole`: with it. `plain`: the map is
    named by a whole word at the end. `size`: 2 if there is a "2K" in the name, else 0. `variant`: 2 for VAR2.
    """

    part: str | None
    material: str
    whole: str
    plain: bool
    size: int
    variant: int

    @property
    def key(self) -> str:
        """The same for all maps of one material."""
        return self.material.replace("_", "")


def named(stem: str) -> Named:
    """Read the name of a file, without its suffix."""
    words, size, variant = _words(stem)
    part, begin, end, plain = _part_in(words)
    rest = words[:begin] + words[end:]
    return Named(part=part, material=_joined(rest), whole=_joined(words), plain=plain, size=size, variant=variant)


def _part_in(words: "list[_Word]") -> tuple[str | None, int, int, bool]:
    """The last map that is named, its place among the words, and whether it is a whole word at the end."""
    texts = [each.text for each in words]
    for end in range(len(words), 0, -1):
        for count in range(min(_MOST_WORDS, end), 0, -1):
            if part := _part_of("".join(texts[end - count : end])):
                return part, end - count, end, end == len(words)
        if end == len(words) > 1 and texts[-1] in _PART_OF_LETTERS and not words[-1].glued:
            return _PART_OF_LETTERS[texts[-1]], end - 1, end, False
    return None, 0, 0, False


def _part_of(word: str) -> str | None:
    return _PART_OF.get(word) or _PART_OF.get(word.removesuffix("map"))


class _Word(NamedTuple):
    """A word in lower case, and whether it follows the one before without a separator."""

    text: str
    glued: bool


def _joined(words: list[_Word]) -> str:
    return "".join(each.text if each.glued or not at else f"_{each.text}" for at, each in enumerate(words))


def _words(stem: str) -> tuple[list[_Word], int, int]:
    """The words that matter, the size in K, and the number of the variant."""
    words: list[_Word] = []
    size = variant = last = 0
    after_variant = False
    for found in _WORD.finditer(_IDLE_PARTS.sub("_", stem)):
        word = found[0].lower()
        if after_variant and word.isdecimal():
            variant = int(word[:9])
        elif word[-1] == "k" and word[:-1].isdecimal():
            size = max(size, int(word[:-1][:9]))
        elif not (_IDLE.fullmatch(word) or _VARIANT.fullmatch(word)):
            words.append(_Word(word, found.start() == last))
        after_variant = _VARIANT.fullmatch(word) is not None
        last = found.end()
    return words, size, variant
