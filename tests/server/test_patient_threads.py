"""Programs that paint or learn keep their time beside a render: their threads wait asleep, unless a person chose."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("chosen", "told"), [(None, "passive"), ("active", "active")])
def test_threads_wait_asleep_unless_a_person_chose(chosen: str | None, told: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": chosen} if chosen else {}
    code = "import trainer, os; print(os.environ.get('OMP_WAIT_POLICY'))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == told, done.stderr


def test_it_is_chosen_before_torch_is_loaded() -> None:
    code = (
        "import builtins, os; real = builtins.__import__\n"
        "def watched(name, *rest):\n"
        "    if name == 'torch': print(os.environ.get('OMP_WAIT_POLICY')); os._exit(0)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = watched\n"
        "import sys; sys.argv = ['trainer', '--version']\n"
        "import trainer.__main__, trainer.quilt_job\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-uc", code], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "passive", done.stderr
