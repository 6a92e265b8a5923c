"""Trainings on the machines of a Ray cluster: --ray.

Each Ray task is this command line once more, for one shard and in a process of its own, so Ray places, counts and
restarts what any scheduler could. A task whose machine is lost starts on another one and makes what is missing. Only
command lines and lines of results go over the network; pictures and models are on storage that all machines see.

Source: https://docs.ray.io/en/latest/ray-core/tasks.html.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from server.config_flags import as_options
from server.errors import TexserverError
from server.ray_cluster import NoCluster, joined
from trainer.training_config import TrainingConfig

ROUNDS = 8  # shards for each training that the cluster runs at once: few enough that a start of seconds does not matter
RETRIES = 5  # of a task whose machine is lost
TOLD = (1, 2, 130)  # exit codes that the lines of results explain
HEARS_S = 0.5  # after which a task hears that it is to stop: Ray interrupts Python, not a call that waits
STOP_S = 120.0  # after which a training that was told to stop is given up
OF_THE_DRIVER = (
    *("ray", "swatch", "swatch_list", "out", "json", "shard", "quiet", "estimate"),
    *("progress_lines", "result_lines", "openjd", "leave_with_parent"),
)


class ShardFailed(TexserverError):
    """A shard ended without a word about each of its models; the text is the last that it said."""


def command_line(config: TrainingConfig, out: Path) -> list[str]:
    """What makes the same models on another machine, but for --shard. `out`: a folder, or the file of one model."""
    shapes = dataclasses.replace(
        config, map=tuple(f"{part}={path.absolute()}" for part, path in config.map_files.items())
    )
    swatches = [str(path.absolute()) for path in config.swatches]
    return [*as_options(shapes, OF_THE_DRIVER), "--swatch", *swatches, "--out", str(out.absolute())]


def results(address: str, arguments: Sequence[str], models: int, *, network: bool) -> Iterator[Mapping[str, Any]]:
    """Train on the cluster, and tell what became of each model (trainer/batch.py) as soon as its shard has ended.

    Networks take a GPU each where the cluster has any, and else a processor. Raises NoCluster; ShardFailed at the end,
    if a shard has failed; and KeyboardInterrupt, once all trainings have stopped and saved.
    """
    with redirect_stdout(sys.stderr):  # where Ray tells of machines that are lost
        yield from _results(address, arguments, models, network=network)


def _results(address: str, arguments: Sequence[str], models: int, *, network: bool) -> Iterator[Mapping[str, Any]]:
    ray = joined(address)
    try:
        available = ray.cluster_resources()
        gpus = int(available.get("GPU", 0)) if network else 0
        slots = gpus or int(available.get("CPU", 0))
        if not slots:
            raise NoCluster(f"The Ray cluster at {address} has no processor that may train.")
        if not gpus and "--device" not in arguments:
            arguments = [*arguments, "--device", "cpu"]  # Ray hides a GPU only from tasks that asked for another
        shards = min(models, ROUNDS * slots)
        task = ray.remote(_train).options(num_cpus=1, num_gpus=1 if gpus else 0, max_retries=RETRIES)
        running = [task.remote([*arguments, "--shard", f"{number}/{shards}"]) for number in range(1, shards + 1)]
        yield from _as_they_end(ray, running)
    finally:
        ray.shutdown()


def _as_they_end(ray: Any, running: list[Any]) -> Iterator[Mapping[str, Any]]:
    failed: list[str] = []
    try:
        while running:
            (done, *_), running = ray.wait(running)
            try:
                lines, why = ray.get(done)
            except ray.exceptions.RayError as error:  # its machine was lost for the last time
                failed.append(f"A shard was lost: {str(error).splitlines()[0]}")
                continue
            for line in lines:
                yield json.loads(line)["result"]
            if why:
                failed.append(why)
    except KeyboardInterrupt:
        for each in running:
            ray.cancel(each)  # the task hears KeyboardInterrupt
        ray.wait(running, num_returns=len(running), timeout=STOP_S)
        raise
    if failed:
        raise ShardFailed(failed[0])


def _train(arguments: list[str]) -> tuple[list[str], str]:
    """On a machine of the cluster: the lines of results of one shard, and why some are missing; "" if none is."""
    ours, kept = os.pipe()  # closed by the system when this process is killed, and then the trainer leaves
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments, "--result-lines", "--leave-with-parent", "--quiet"],
        stdin=ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    os.close(ours)
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                out, err = process.communicate(timeout=HEARS_S)
                break
    except KeyboardInterrupt:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=STOP_S)
        raise
    finally:
        os.close(kept)
    lines, code = out.splitlines(), process.returncode
    if code == 0 or (lines and code in TOLD):
        return lines, ""
    return lines, f"A shard ended with code {code}. {' '.join(err.splitlines()[-1:])}".rstrip()
