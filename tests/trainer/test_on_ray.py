"""Trainings on a Ray cluster: what each of its tasks is told to do, and a real cluster that loses a machine."""

import argparse
import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.config_flags import add_flags, from_options
from server.network.model_file import read_model
from tests.drawn import gravel
from tests.trainer.command_line import environment, save_picture, wait_for
from trainer import on_ray
from trainer.__main__ import main
from trainer.training_config import TrainingConfig

ENVIRONMENT = {**environment(), "RAY_USAGE_STATS_ENABLED": "0"}
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
small = {"object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(nodes.pop(), allow_graceful=False)
print("lost", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


def test_a_task_is_told_what_the_command_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more.txt").write_text("slate.png\n")
    config = TrainingConfig(
        swatch=(Path("bark.png"),), swatch_list=Path("more.txt"), ray="auto", json=Path("x.json"), result_lines=True,
        arch="taper", iterations=7, lattice="none", keep_light=True, map=("ao=ao.png",), device="cpu",
    )  # fmt: skip
    parser = argparse.ArgumentParser()
    add_flags(parser, TrainingConfig)
    told = from_options(TrainingConfig, parser.parse_args(on_ray.command_line(config, Path("models"))))
    assert told == TrainingConfig(
        swatch=(tmp_path / "bark.png", tmp_path / "slate.png"), out=tmp_path / "models",
        arch="taper", iterations=7, lattice="none", keep_light=True, map=(f"ao={tmp_path / 'ao.png'}",), device="cpu",
    )  # fmt: skip


def test_without_ray_the_command_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    picture = save_picture(tmp_path / "bark.png", gravel(64, 64))
    assert main(["--swatch", str(picture), "--out", str(tmp_path), "--ray", "auto"]) == 2
    assert "pip install 'texserver[ray]'" in capsys.readouterr().err


@pytest.fixture
def cluster() -> Iterator["subprocess.Popen[str]"]:
    """A cluster of two machines of one processor each; it prints its address, and loses one when it reads a line."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install '.[ray]'")
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.communicate("\n\n", timeout=120)


def start(cluster: "subprocess.Popen[str]", photos: Path, models: Path, *more: str) -> "subprocess.Popen[str]":
    """The command, on the cluster."""
    assert cluster.stdout is not None
    address = cluster.stdout.readline().strip()
    command = ["--swatch", str(photos), "--out", str(models), "--ray", address, "--model-only", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *command],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_cluster_that_loses_a_machine_makes_each_model_once(cluster: "subprocess.Popen[str]", tmp_path: Path) -> None:
    photos, models = tmp_path / "photos", tmp_path / "models"
    photos.mkdir()
    names = [f"s{number}" for number in range(6)]
    for number, name in enumerate(names):
        save_picture(photos / f"{name}.png", gravel(64, 64, seed=number, stone=5))
    driver = start(cluster, photos, models, "--result-lines")
    wait_for(models / "s0.safetensors", driver)
    print("lose a machine", file=cluster.stdin, flush=True)
    assert cluster.stdout is not None
    assert cluster.stdout.readline() == "lost\n"
    out, err = driver.communicate(timeout=900)
    assert driver.returncode == 0, err
    told = [json.loads(line)["result"] for line in out.splitlines()]
    assert sorted(each["name"] for each in told) == names
    assert {each["state"] for each in told} <= {"made", "up to date"}
    for name in names:
        assert read_model(models / f"{name}.safetensors").training["finished"] is True


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ctrl_c_stops_the_trainings_of_a_cluster_and_they_save(
    cluster: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    picture, models = save_picture(tmp_path / "bark.png", gravel(96, 96)), tmp_path / "models"
    driver = start(cluster, picture, models, "--arch", "taper", "--descriptor", "builtin", "--size", "96")
    wait_for(models / "bark.checkpoint.safetensors", driver)
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=300)
    assert driver.returncode == 130, err
    assert "the same command goes on from here" in err
    assert read_model(models / "bark.safetensors").training["finished"] is False
