"""A worker of another machine that lies in one byte of a hundred tiles, behind a real server with --verify 0.02."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from server.model.maps import BASE_COLOUR
from tests.models import save_tiny_quilt
from tests.server.session import Client, Session, client_status, data_of, environment, eventually, line_file, painted

LIAR = Path(__file__).parents[1] / "lying_worker.py"
IN_FLIGHT = 8
FOUND_WITHIN_S = 60.0
SIZE = (32, 32)


@pytest.mark.slow
@pytest.mark.timeout(400)
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
                found_s, asked = until_found(server, client)
                tiles = {each["name"]: each["tiles"] for each in client.status()["devices"]}
                print(f"found after {found_s:.1f} s and {asked} tiles; the honest one had {tiles}")
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


def until_found(server: Session, client: Client) -> tuple[float, int]:
    """Ask for small textures until a worker is expelled: the seconds that it took, and how many textures."""
    began, asked, looked = time.monotonic(), 0, 0.0
    ids = {client.want("pebbles", (asked := asked + 1) - 1, SIZE) for _ in range(IN_FLIGHT)}
    while time.monotonic() - began < 2 * FOUND_WITHIN_S:
        reply = client.reply()
        assert reply is not None
        if reply.id in ids:
            ids.discard(reply.id)
            ids.add(client.want("pebbles", asked, SIZE))
            asked += 1
        if time.monotonic() - looked > 0.5:
            looked = time.monotonic()
            if client_status(server)["verification"]["expelled"]:
                break
    found_s = time.monotonic() - began
    client.replies(len(ids))
    return found_s, asked
