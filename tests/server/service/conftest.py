"""Servers that most tests of a module share, real processes with real sockets.

`server` is as anybody starts it. The workers of `odd` sleep, die or run out of memory by the seed
(tests/server/odd_worker.py).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models import save_tiny
from tests.server.session import (
    ODD_SERVER,
    Client,
    Session,
    free_port,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "brick", lattice=True)
    save_tiny(folder, "grass", 1)
    (folder / "broken.safetensors").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def server(models: Path, metrics_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    arguments = "--workers", "2", "--metrics-port", str(metrics_port), "--bind-workers", "tcp://127.0.0.1:*"
    with Session(models, tmp_path_factory.mktemp("server"), *arguments) as session:
        yield session


@pytest.fixture(scope="module")
def odd(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("odd")
    with Session(models, home, "--watchdog", "4", "--cache", "0", command=ODD_SERVER) as session:
        yield session


@pytest.fixture
def client(server: Session) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()
