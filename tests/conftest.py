"""What must hold before any test: one thread per process, and a Ctrl-C that reaches the programs the tests start.

The tests' networks are tiny, and two threads on a busy machine wait for each other. A shell that runs tests in the
background lets them ignore SIGINT, and what they start would inherit that.
"""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded; child processes inherit it

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes is the machine's matter, which runs another test beside it.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="session")
def addon_zips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The extension as `make addon` packs it, by its first Blender: "4.2" and "5.1". Beside them lies their index.json.

    Skips the test where no Blender or no wheels can be had, and fails it in CI.
    """
    from tests.packaging.bare_blender import packed

    return packed(tmp_path_factory.mktemp("packed") / "extension")
