"""Tiles that are compared by a real server: honest workers agree, and one of another machine that lies is found.

That one changes one byte in a hundred tiles, behind --verify 0.02.
How long it takes to find it is counted in the liar's own processor time: on a machine that is busy with other things
it gets little of it.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon.protocol import wire
from server.model.maps import BASE_COLOUR
from tests.models import save_tiny, save_tiny_quilt
from tests.server.session import (
    PATIENCE_S,
    Client,
    Session,
    client_status,
    data_of,
    environment,
    eventually,
    line_file,
    painted,
)

LIAR = Path(__file__).parents[1] / "lying_worker.py"
IN_FLIGHT = 8
FOUND_WITHIN_S = 60.0
SIZE = (32, 32)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="processor time is told by /proc")
def test_a_liar_is_found_within_a_minute_and_stays_out(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = save_tiny_quilt(tmp_path / "models", "pebbles", maps=(BASE_COLOUR,))
    remote = ("--bind-workers", "tcp://127.0.0.1:*")
    with Session(tmp_path / "models", tmp_path, "--verify", "0.02", "--cache", "256", *remote) as server:
        command = [sys.executable, str(LIAR), "--worker-of", str(line_file(tmp_path, server.worker_line))]
        liar = [*command, "--device", "cpu", "--precision", "exact"]

        def joined() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(liar, env=environment(tmp_path), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)

        process = joined()
        try:
            eventually(lambda: len(client_status(server)["devices"]) == 2, "the liar")
            with server.client() as client:
                began = time.monotonic()
                found_s, asked = until_found(server, client, process.pid)
                clock_s, load = time.monotonic() - began, os.getloadavg()[0]
                tiles = {each["name"]: each["tiles"] for each in client.status()["devices"]}
                print(f"found after {found_s:.1f} s of its own, {clock_s:.1f} s by the clock at load {load:.1f}")
                print(f"and after {asked} textures; the honest one painted {tiles}")
                assert found_s < FOUND_WITHIN_S
                _, said = process.communicate(timeout=30)
                assert b"expelled" in said
                for seed in range(asked):  # whatever it painted comes from the cache or is painted again
                    assert data_of(client.generate("pebbles", seed, SIZE)) == painted(path, seed, SIZE), seed
            assert "is expelled: its samples differed from those of cpu/0" in server.log
            process = joined()
            _, said = process.communicate(timeout=60)
            assert b"expelled" in said
            assert len(client_status(server)["devices"]) == 1
        finally:
            process.kill()
            process.wait()


def processor_s(pid: int) -> float:
    """Of a process so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def until_found(server: Session, client: Client, liar: int) -> tuple[float, int]:
    """Ask for small textures until the liar is expelled: its seconds of processor time, and how many textures."""
    before, asked, looked = processor_s(liar), 0, 0.0
    spent = 0.0
    ids = {client.want("pebbles", (asked := asked + 1) - 1, SIZE) for _ in range(IN_FLIGHT)}
    while spent < FOUND_WITHIN_S:
        reply = client.reply(PATIENCE_S)
        assert reply is not None
        if reply.id in ids:
            ids.discard(reply.id)
            ids.add(client.want("pebbles", asked, SIZE))
            asked += 1
        if time.monotonic() - looked > 0.5:
            looked = time.monotonic()
            if client_status(server)["verification"]["expelled"]:
                break
            spent = processor_s(liar) - before
    client.replies(len(ids))
    return spent, asked


@pytest.mark.slow
def test_honest_workers_agree_on_every_network_and_every_blend(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    save_tiny_quilt(models, "pebbles", maps=(BASE_COLOUR,))
    save_tiny_quilt(models, "moss", seed=1, maps=(BASE_COLOUR,))
    net = save_tiny(models, "net")
    mask = wire.Buffer(name="mask", dtype="uint8", shape=(4, 4, 1), data=bytes(range(0, 256, 16)))
    with (
        Session(models, tmp_path, "--verify", "1", "--workers", "2", "--cache", "0") as server,
        server.client() as client,
    ):
        for seed in range(8):
            assert data_of(client.generate("net", seed, (80, 96))) == painted(net, seed, (80, 96))
            blend = wire.Blend(id=client.new_id(), models=("pebbles", "moss"), seed=seed, size=(64, 64), mask=mask)
            assert isinstance(client.ask(blend, PATIENCE_S), wire.Result)
        report = client.status()["verification"]
        assert report["checked"] == 16
        assert report["differed"] == 0
