"""A front with a worker, over a folder of two models."""

from pathlib import Path

import pytest

from tests.models import save_tiny
from tests.server.front.house import House


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "brick")
    save_tiny(folder, "grass", 1)
    return folder


@pytest.fixture
def house(models: Path) -> House:
    house = House(models)
    house.joins()
    return house
