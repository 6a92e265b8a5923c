"""Facts about dimensions: the shapes said without torch are those of the network."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from server.model.architecture import PRESETS, parameter_shapes
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, MATERIAL, Map
from server.network.generator import Generator

LATTICE = Lattice(basis=((1 / 40, 1 / 90), (-1 / 40, 1 / 90)), harmonics=((1, 0), (0, 1), (1, 1)), strength=0.8)
MAPS = [BASE_COLOUR, Map(name="roughness", channels=1, colour_space="linear")]


@pytest.mark.parametrize("maps", [MAPS, MATERIAL], ids=["two maps", "a material"])
@pytest.mark.parametrize("lattice", [None, LATTICE], ids=["no lattice", "lattice"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_shapes_said_without_torch_are_the_networks(preset: str, lattice: Lattice | None, maps: Sequence[Map]) -> None:
    state = Generator(PRESETS[preset], maps, lattice).state_dict()
    assert parameter_shapes(PRESETS[preset], maps, lattice) == {name: tuple(each.shape) for name, each in state.items()}


def test_a_models_facts_are_read_without_torch() -> None:
    heavy = "'torch' in sys.modules or 'numpy' in sys.modules"
    code = f"import sys, server.model.library, server.model.header; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
