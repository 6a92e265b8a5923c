"""Facts about the dimensions of style generators: what is refused, how far they look, and that no torch is needed."""

import struct
import subprocess
import sys
from base64 import b64encode
from typing import Any

import pytest

from blender_addon.protocol import wire
from server.errors import BadRequest
from server.model.style_architecture import (
    MAX_HALO,
    MAX_NORMALISED,
    PRESETS,
    StyleArchitecture,
    check_statistics,
    layer_plans,
    parameter_shapes,
)
from server.network.style_generator import StyleGenerator
from tests.models import TINY_STYLES

ALL = {
    **{f"preset {name}": each for name, each in PRESETS.items()},
    **{f"tiny {name}": each for name, each in TINY_STYLES.items()},
    "one size": StyleArchitecture(name="residual", widths=(5,), blocks=2, noise=(1,)),
    "no blocks": StyleArchitecture(name="residual", widths=(5, 6), blocks=0, noise=(1,)),
    "one level": StyleArchitecture(name="pyramid", widths=(5,), blocks=0, noise=(1,)),
}
every_architecture = pytest.mark.parametrize("architecture", ALL.values(), ids=ALL)


@every_architecture
def test_shapes_said_without_torch_are_the_networks(architecture: StyleArchitecture) -> None:
    state = StyleGenerator(architecture).state_dict()
    assert parameter_shapes(architecture) == {name: tuple(each.shape) for name, each in state.items()}


def test_dimensions_and_blocks_are_known_without_torch() -> None:
    code = (
        "import sys, server.model.header, server.model.style_architecture, server.model.style_blocks; "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("residual", {"name": "u_net"}, "residual, pyramid"),
        ("residual", {"widths": ()}, "1 to 8 levels"),
        ("residual", {"widths": (4,) * 9}, "1 to 8 levels"),
        ("residual", {"widths": (4, 0, 4)}, "1 to 512 channels"),
        ("residual", {"widths": (4, 513, 4)}, "1 to 512 channels"),
        ("residual", {"noise": ()}, "at the pixels"),
        ("residual", {"noise": (1, 1)}, "at the pixels"),
        ("residual", {"noise": (0,)}, "1 to 64 channels"),
        ("residual", {"noise": (65,)}, "1 to 64 channels"),
        ("residual", {"blocks": -1}, "0 to 16 blocks"),
        ("residual", {"blocks": 17}, "0 to 16 blocks"),
        ("residual", {"widths": (4,) * 6, "blocks": 8}, f"at most {MAX_HALO} pixels far, not 608"),
        ("residual", {"widths": (4, 4, 512), "blocks": 4}, f"at most {MAX_NORMALISED} normalised"),
        ("pyramid", {"blocks": 1}, "no residual blocks"),
        ("pyramid", {"noise": (2,)}, "noise on every level"),
        ("pyramid", {"widths": (200,) * 6, "noise": (2,) * 6}, f"at most {MAX_NORMALISED} normalised"),
    ],
    ids=str,
)
def test_nonsense_is_no_architecture(name: str, changes: dict[str, Any], reason: str) -> None:
    sound = {
        "residual": {"name": "residual", "widths": (4, 6, 8), "blocks": 2, "noise": (2,)},
        "pyramid": {"name": "pyramid", "widths": (4, 4, 4), "blocks": 0, "noise": (2, 2, 2)},
    }[name]
    StyleArchitecture(**sound)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=reason):
        StyleArchitecture(**{**sound, **changes})


@every_architecture
def test_the_halo_is_whole_cells_of_the_coarsest_size(architecture: StyleArchitecture) -> None:
    assert architecture.halo > 0
    assert architecture.halo % architecture.stride == 0


def test_the_presets_are_those_of_the_papers() -> None:
    """The default's sizes and blocks; the pyramid's six levels, which look 128 pixels far (docs of the texture's)."""
    residual, pyramid = PRESETS["residual"], PRESETS["pyramid"]
    assert (residual.widths, residual.blocks, residual.stride, residual.halo) == ((16, 32, 64), 4, 4, 44)
    assert [name for name, plan in layer_plans(residual).items() if plan.stride == 2] == ["down1", "down2"]
    assert len(pyramid.widths) == 6
    assert (pyramid.stride, pyramid.halo, pyramid.margins) == (32, 128, (4, 6, 6, 6, 5, 4))


# ---------------------------------------------------------------------------------------------------------- statistics


def statistics(means: float, deviations: float) -> bytes:
    count = TINY_STYLES["residual"].normalised
    return struct.pack(f"<{2 * count}f", *[means] * count, *[deviations] * count)


def test_sound_statistics_are_taken() -> None:
    for means, deviations in ((0.0, 1.0), (-1e5, 1e5), (3.0, 0.0317)):
        check_statistics(TINY_STYLES["residual"], statistics(means, deviations))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        statistics(0, 1)[:-1],
        statistics(0, 1) + bytes(4),
        bytes(2**20),
        statistics(float("nan"), 1),
        statistics(float("inf"), 1),
        statistics(0, float("nan")),
        statistics(0, float("inf")),
        statistics(0, 0),
        statistics(0, -1),
        statistics(0, 1e-30),
        statistics(1e30, 1),
        statistics(0, 1e30),
    ],
    ids=lambda data: f"{len(data)} bytes {data[:4].hex()} {data[-4:].hex()}",
)
def test_statistics_that_no_picture_has_are_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^statistics: .* anew"):
        check_statistics(TINY_STYLES["residual"], data)


def test_the_largest_statistics_fit_into_a_header() -> None:
    assert len(b64encode(bytes(8 * MAX_NORMALISED))) < wire.MAX_HEADER_BYTES - 4096
    assert PRESETS["residual"].statistics_bytes == 8 * PRESETS["residual"].normalised == 5376
