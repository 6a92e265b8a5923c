"""Names of files as libraries and programs give them: each is known by its map, and all of a set by its material."""

import pytest

from blender_addon.pictures.map_names import PARTS, named
from server.model.maps import BASE_COLOUR

# By where such names come from, files of one material: a name without its suffix, and what it is.
CONVENTIONS = {
    "Poly Haven": {
        "castle_brick_broken_06_diff_1k": "basecolor", "castle_brick_broken_06_nor_gl_1k": "normal_gl",
        "castle_brick_broken_06_nor_dx_4k": "normal_dx", "castle_brick_broken_06_arm_1k": "arm",
        "castle_brick_broken_06_disp_2k": "height", "castle_brick_broken_06_rough_1k": "roughness",
        "castle_brick_broken_06_ao_1k": "ao", "castle_brick_broken_06_spec_1k": "specular",
    },
    "Poly Haven, as it was": {
        "mud_01_diff_8k": "basecolor", "mud_01_Nor_8k": "normal", "mud_01_bump_8k": "bump",
        "mud_01_spec_8k": "specular", "mud_01_AO_8k": "ao", "mud_01_Disp_8k": "height",
    },
    "ambientCG": {
        "Rock058_1K-JPG_Color": "basecolor", "Rock058_1K-JPG_NormalGL": "normal_gl",
        "Rock058_1K-JPG_NormalDX": "normal_dx", "Rock058_1K-PNG_AmbientOcclusion": "ao",
        "Rock058_2K-PNG_Roughness": "roughness", "Rock058_8K-PNG_Displacement": "height",
        "Rock058_1K-JPG_Metalness": "metallic", "Rock058_4K_Emission": "emission", "Rock058_4K_Opacity": "opacity",
    },
    "Poliigon": {
        "BricksRed001_COL_VAR1_3K": "basecolor", "BricksRed001_COL_VAR2_3K": "basecolor",
        "BricksRed001_GLOSS_3K": "gloss", "BricksRed001_NRM_3K": "normal", "BricksRed001_NRM16_3K": "normal",
        "BricksRed001_DISP_3K": "height", "BricksRed001_DISP16_6K": "height", "BricksRed001_REFL_3K": "specular",
        "BricksRed001_AO_HIRES": "ao", "BricksRed001_BUMP_3K": "bump", "BricksRed001_METALNESS_3K": "metallic",
        "BricksRed001_ROUGHNESS_3K": "roughness", "BricksRed001_TRANSMISSION_3K": "translucency",
    },
    "Poliigon, today": {
        "Poliigon_BrickWallReclaimed_8320_BaseColor": "basecolor", "Poliigon_BrickWallReclaimed_8320_Normal": "normal",
        "Poliigon_BrickWallReclaimed_8320_Roughness": "roughness", "Poliigon_BrickWallReclaimed_8320_ORM": "orm",
        "Poliigon_BrickWallReclaimed_8320_AmbientOcclusion": "ao",
        "Poliigon_BrickWallReclaimed_8320_Displacement": "height",
    },
    "ShareTextures": {
        "greymarble_3_basecolor-1K": "basecolor", "greymarble_3_roughness-1K": "roughness",
        "greymarble_3_normal-4K": "normal", "greymarble_3_height-1K": "height", "greymarble_3_metallic-1K": "metallic",
        "greymarble_3_ambientocclusion-1K": "ao", "greymarble_3_diffuse-2K": "basecolor",
        "greymarble_3_specularlevel-1K": "specular",
    },
    "FreePBR": {
        "rocky-shoreline1-albedo": "basecolor", "rocky-shoreline1-normal-ogl": "normal_gl",
        "rocky-shoreline1-normal-dx": "normal_dx", "rocky-shoreline1-roughness": "roughness",
        "rocky-shoreline1-metal": "metallic", "rocky-shoreline1_ao": "ao", "rocky-shoreline1-height": "height",
        "rocky-shoreline1_preview": "preview",
    },
    "Quixel Megascans": {
        "sbbihkp_2K_Albedo": "basecolor", "sbbihkp_2K_Normal": "normal", "sbbihkp_2K_Gloss": "gloss",
        "sbbihkp_2K_Roughness": "roughness", "sbbihkp_2K_Cavity": "cavity", "sbbihkp_2K_Specular": "specular",
        "sbbihkp_2K_Displacement": "height", "sbbihkp_2K_AO": "ao", "sbbihkp_2K_Bump": "bump",
        "sbbihkp_2K_Normal_LOD0": "normal", "sbbihkp_2K_Metalness": "metallic", "sbbihkp_2K_Opacity": "opacity",
        "sbbihkp_2K_Translucency": "translucency", "sbbihkp_2K_Fuzz": "translucency", "sbbihkp_8K_Brush": "mask",
        "sbbihkp_2K_BaseColor": "basecolor",
    },
    "Megascans for Unreal": {
        "T_sbbihkp_4K_D": "basecolor", "T_sbbihkp_4K_B": "basecolor", "T_sbbihkp_4K_N": "normal",
        "T_sbbihkp_4K_ORDp": "ord", "T_sbbihkp_4K_ORM": "orm", "T_sbbihkp_4K_H": "height",
    },
    "3dtextures": {
        "Rock_044_BaseColor": "basecolor", "Rock_044_COLOR": "basecolor", "Rock_044_OCC": "ao",
        "Rock_044_NORM": "normal", "Rock_044_ROUGH": "roughness", "Rock_044_DISP": "height",
        "Rock_044_ambientOcclusion": "ao", "Rock_044_height": "height", "Rock_044_SPEC": "specular",
        "Rock_044_METALLIC": "metallic", "Rock_044_opacity": "opacity",
    },
    "cgbookcase": {
        "BrownMudLeaves01_2K_BaseColor": "basecolor", "BrownMudLeaves01_2K_Base_Color": "basecolor",
        "BrownMudLeaves01_2K_Normal": "normal", "BrownMudLeaves01_2K_Height": "height",
        "BrownMudLeaves01_2K_Roughness": "roughness", "BrownMudLeaves01_2K_AO": "ao",
        "BrownMudLeaves01_2K_Metallic": "metallic",
    },
    "Textures.com": {
        "TexturesCom_Brick_Rustic2_1K_albedo": "basecolor", "TexturesCom_Brick_Rustic2_1K_normal": "normal",
        "TexturesCom_Brick_Rustic2_1K_roughness": "roughness", "TexturesCom_Brick_Rustic2_1K_ao": "ao",
        "TexturesCom_Brick_Rustic2_1K_height": "height",
    },
    "glTF": {
        "Helmet_baseColor": "basecolor", "Helmet_metallicRoughness": "metallic_roughness",
        "Helmet_occlusionRoughnessMetallic": "orm", "Helmet_normal": "normal", "Helmet_occlusion": "ao",
        "Helmet_emissive": "emission",
    },
    "Unity": {
        "Crate_AlbedoTransparency": "basecolor", "Crate_MetallicSmoothness": "metallic_smoothness",
        "Crate_SpecularSmoothness": "specular_smoothness", "Crate_Normal": "normal", "Crate_Occlusion": "ao",
        "Crate_Emission": "emission", "Crate_Smoothness": "gloss",
    },
    "Unity HDRP": {"Crate_BaseMap": "basecolor", "Crate_MaskMap": "mask_map", "Crate_NormalMap": "normal"},
    "Unreal": {
        "T_Brick_BC": "basecolor", "T_Brick_N": "normal", "T_Brick_R": "roughness", "T_Brick_M": "metallic",
        "T_Brick_AO": "ao", "T_Brick_H": "height", "T_Brick_ORM": "orm", "T_Brick_RMA": "rma", "T_Brick_MRA": "mra",
        "T_Brick_E": "emission", "T_Brick_D": "basecolor", "T_Brick_S": "specular", "T_Brick_Mask": "mask",
    },
    "Unreal, packed by Painter": {
        "Mat_BaseColor": "basecolor", "Mat_Normal": "normal", "Mat_OcclusionRoughnessMetallic": "orm",
        "Mat_Emissive": "emission",
    },
    "Painter, PBR Metallic Roughness": {
        "Mat_Base_Color": "basecolor", "Mat_Normal_OpenGL": "normal_gl", "Mat_Normal_DirectX": "normal_dx",
        "Mat_Roughness": "roughness", "Mat_Metallic": "metallic", "Mat_Mixed_AO": "ao", "Mat_Height": "height",
        "Mat_Emissive": "emission", "Mat_Opacity": "opacity",
    },
    "Painter, PBR Specular Glossiness, Corona, V-Ray": {
        "Mat_Diffuse": "basecolor", "Mat_Specular": "specular", "Mat_Glossiness": "gloss", "Mat_Reflection": "specular",
        "Mat_ior": "specular", "Mat_Normal": "normal", "Mat_Height": "height", "Mat_f0": "specular",
    },
    "Painter, Arnold, Redshift, Renderman": {
        "Mat_BaseColor": "basecolor", "Mat_Metalness": "metallic", "Mat_SpecularRoughness": "roughness",
        "Mat_Roughness": "roughness", "Mat_Normal": "normal", "Mat_Height": "height", "Mat_EmissionColor": "emission",
        "Mat_Diffuse_Color": "basecolor", "Mat_Displace": "height", "Mat_Scattering": "translucency",
    },
    "Painter, ACES": {
        "Mat_BaseColor_ACEScg": "basecolor", "Mat_Roughness_Raw": "roughness", "Mat_Normal_Raw": "normal",
    },
    "Painter, CryEngine and Lumberyard": {
        "Mat_diff": "basecolor", "Mat_ddna": "normal_gloss", "Mat_spec": "specular", "Mat_displ": "height",
    },
    "Painter, Roblox": {
        "Mat_ALB": "basecolor", "Mat_NRM": "normal", "Mat_RGH": "roughness", "Mat_MTL": "metallic",
    },
    "Painter, mesh maps": {
        "Mat_BaseColor": "basecolor", "Mat_ambient_occlusion": "ao", "Mat_curvature": "curvature",
        "Mat_world_space_normals": "world-space normal", "Mat_id": "identity", "Mat_position": "position",
        "Mat_thickness": "thickness", "Mat_bent_normals": "world-space normal",
    },
    "words after the map": {
        "wall_color_final": "basecolor", "wall_normal_final": "normal", "wall_roughness_final": "roughness",
    },
    "sizes and formats": {
        "slab_albedo_1024x1024": "basecolor", "slab_normal_16bit": "normal", "slab-roughness-4k-png": "roughness",
        "slab_height_32-bit_exr": "height", "slab_ao_LOD1": "ao", "slab_metallic_2048": "metallic",
    },
    "no material's name": {
        "albedo": "basecolor", "Base Color": "basecolor", "NORMAL": "normal", "roughness": "roughness",
        "HeightMap": "height", "ambient occlusion": "ao",
    },
    "another script": {"木目_color": "basecolor", "木目_normal": "normal", "木目_rough_2k": "roughness"},
}  # fmt: skip


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_names_of_libraries_and_programs_are_known_whatever_their_case(convention: str) -> None:
    files = CONVENTIONS[convention]
    for change in (str, str.lower, str.upper):
        found = {name: named(change(name)) for name in files}
        assert {name: each.part for name, each in found.items()} == files
        assert len({each.key for each in found.values()}) == 1, found


@pytest.mark.parametrize(
    "name", ["brick", "roughcast wall", "Rock058", "normandy beach", "IMG_0042", "metallica", "木目", "", "1024"]
)
def test_other_names_name_no_map(name: str) -> None:
    assert named(name).part is None


@pytest.mark.parametrize("name", ["Metal053C", "rough stone wall", "color_chart_01", "T_Brick_N"])
def test_words_elsewhere_and_letters_are_not_plain(name: str) -> None:
    assert not named(name).plain


def test_sizes_and_variants_are_told() -> None:
    assert [named(name).size for name in ("a_diff_1k", "a_4K-JPG_Color", "a_diff", "a_diff_16K")] == [1, 4, 0, 16]
    assert [named(name).variant for name in ("a_COL_VAR1_3K", "a_COL_VAR2_3K", "a_COL_3K")] == [1, 2, 0]


def test_a_material_keeps_its_own_words_and_numbers() -> None:
    told = {name: named(name).material for name in ("castle_brick_06_diff_1k", "Rock058_2K-JPG_Color", "a-b_2_nor")}
    assert list(told.values()) == ["castle_brick_06", "rock058", "a_b_2"]
    assert named("brick_2_diff").key != named("brick_3_diff").key


def test_every_packed_file_says_which_channel_holds_which_map() -> None:
    for part, takes in PARTS.items():
        channels = [take.channel for take in takes if take.channel is not None]
        assert len(set(channels)) == len(channels), part
        assert BASE_COLOUR not in [take.map for take in takes]
    packed = {"arm": "ao roughness metallic", "rma": "roughness metallic ao", "mra": "metallic roughness ao"}
    for part, order in packed.items():
        assert " ".join(take.map for take in PARTS[part]) == order
