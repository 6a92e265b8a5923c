"""Facts about model files of strangers, by mutation: only BrokenModel comes out, and little memory goes in.

Differs from the random damage in tests/server/network/test_model_file.py: here the header stays JSON and its length
right, so that damage reaches every rule behind them: values of another type or size, keys gone or added, tensors moved,
weights that are not finite. And what the front takes, by server/model/header.py, a worker takes too, by
server/network/model_file.py.
"""

import copy
import json
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from server.model.checking import check_file, checked
from server.model.header import BrokenModel, Facts, read_facts
from server.network.model_file import Model, read_model
from server.network.stylize import stylize
from server.network.texture import texture
from tests.memory import peak_mb, reset_peak
from tests.models import save_tiny, save_tiny_quilt, save_tiny_style

WEIRD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 255, 2**31, 2**40, 2**53, 2**63, 2**64, 10**19, 0.0, -0.0, 0.5, 1e-300, 1e300,
    -1e18, "", "x", "x" * 501, "texture", "style", "F32", "U8", "F16", "srgb", "linear", "taper", "residual",
    "\ud800", "\0", "\x1b[2J",
    "quilt", "height", "U16", "I16", "I8",
    "../../etc/passwd", [], {}, [[]], [0], [1, 2], [1, 2, 3], [2**40] * 4, [0.1, 0.2], [[1, 0], [0, 1]], [1] * 2000,
    {"a": 1}, {"name": "x"}, {"": {"": {}}},
)  # fmt: skip


SAVED: dict[str, Callable[[Path], Path]] = {
    "texture": lambda folder: save_tiny(folder, "good", lattice=True),
    "style": lambda folder: save_tiny_style(folder, "good"),
    "quilt": lambda folder: save_tiny_quilt(folder, "good"),
}


class Fuzzer:
    """Mutants of one good file; the same seed gives the same ones."""

    def __init__(self, good: bytes, seed: int) -> None:
        length = int.from_bytes(good[:8], "little")
        self._chance = random.Random(seed)
        self._table = json.loads(good[8 : 8 + length])
        self._facts = json.loads(self._table.pop("__metadata__")["texserver"])
        self._body = good[8 + length :]

    def mutant(self) -> bytes:
        chance = self._chance
        table, facts, body = copy.deepcopy(self._table), copy.deepcopy(self._facts), bytearray(self._body)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            match chance.randrange(10):
                case 0 | 1 | 2 | 3:
                    self._twist(facts)
                case 4 | 5:
                    self._twist(table)
                case 6:
                    self._move(table)
                case 7:
                    self._swap(table)
                case 8:
                    self._spoil(body)
                case 9:
                    del body[chance.randrange(len(body) + 1) :]
                    body += bytes(chance.choice((0, 0, 1, 4, 1000)))
        metadata: Any = {"texserver": json.dumps(facts)}
        if chance.random() < 0.02:
            metadata = chance.choice((*WEIRD, {"texserver": chance.choice(WEIRD)}))
        header = json.dumps(table | {"__metadata__": metadata}).encode()
        return struct.pack("<Q", len(header)) + header + body

    def _twist(self, tree: Any) -> None:
        """Replace, remove, double or rename something somewhere."""
        chance = self._chance
        while isinstance(tree, dict | list) and tree:
            key = chance.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
            if isinstance(tree[key], dict | list) and tree[key] and chance.random() < 0.8:
                tree = tree[key]
                continue
            match chance.randrange(8):
                case 0:
                    del tree[key]
                case 1:
                    if isinstance(tree, dict):
                        tree[chance.choice(("", "x", "kind", "\ud800", f"{key}2"))] = tree[key]
                    else:
                        tree.insert(key, tree[key])
                case 2:
                    if isinstance(tree[key], int | float):
                        tree[key] = tree[key] * chance.choice((-1, 2, 1000, 0.5)) + chance.choice((0, 1, -1))
                case 3:
                    if isinstance(tree, list):
                        chance.shuffle(tree)
                case _:
                    tree[key] = copy.deepcopy(chance.choice(WEIRD))
            return

    def _move(self, table: dict[str, Any]) -> None:
        entry = table[self._chance.choice(list(table))]
        if isinstance(entry, dict) and isinstance(entry.get("data_offsets"), list):
            by = self._chance.choice((-8, -4, 1, 4, 2**20, 2**62))
            entry["data_offsets"] = [each + by if isinstance(each, int) else each for each in entry["data_offsets"]]

    def _swap(self, table: dict[str, Any]) -> None:
        one, other = self._chance.choice(list(table)), self._chance.choice(list(table))
        table[one], table[other] = table[other], table[one]

    def _spoil(self, body: bytearray) -> None:
        place = 4 * self._chance.randrange(len(body) // 4) if len(body) >= 4 else None
        if place is not None:
            value = self._chance.choice((float("nan"), float("inf"), 3e38, -3e38, 1e-45, 7.0))
            body[place : place + 4] = struct.pack("<f", value)


def outcome(read: Any, path: Path) -> Any:
    """What was read, or the reason why not."""
    try:
        return read(path)
    except BrokenModel as error:
        broken = error
    assert str(broken).isprintable()
    assert 0 < len(broken.reason) < 1000
    return broken.reason


def check_used(model: Model, facts: Facts) -> None:
    """What was taken makes pixels, and is what the list says."""
    assert (model.kind, model.generator.architecture) == (facts.kind, facts.architecture)
    if facts.kind == "style":
        pixels = stylize(model.style_generator(), torch.full((9, 20, 3), 99, dtype=torch.uint8), 7, 1.0)
        assert pixels.shape == (9, 20, 3)
        return
    generator = model.texture_generator()
    pixels = texture(generator, 7, (40, 64))
    assert pixels.shape == (1, sum(each.channels for each in facts.maps), 40, 64)
    assert (generator.maps, generator.lattice) == (facts.maps, facts.lattice)


def check_mutants(tmp_path: Path, *, seed: int, count: int, kind: str) -> None:
    saved = SAVED[kind](tmp_path)
    good = saved.read_bytes()
    path = tmp_path / "mutant.safetensors"
    fuzzer = Fuzzer(good, seed)
    reasons, taken = set(), 0
    for turn in range(count + 1):
        path.write_bytes(good if turn == 0 else fuzzer.mutant())
        checked, read, listed = (outcome(each, path) for each in (check_file, read_model, read_facts))
        if isinstance(checked, Facts):
            taken += 1
            check_used(read, checked)
            assert listed == checked
            assert all(bool(each.double().isfinite().all()) for each in read.generator.state_dict().values())
        else:
            assert read == checked  # the front and the workers agree, and say the same
            assert listed == checked or "its weights" in checked or "its numbers" in checked
            reasons.add(checked[:25])
        if turn == 20 and sys.platform == "linux":  # from here on all code is loaded and every cache is warm
            reset_peak()
            before = peak_mb()
    if sys.platform == "linux":
        assert peak_mb() < before + 50
    assert count / 50 < taken < count / 2, "mutants that say nothing"
    assert len(reasons) > 25, sorted(reasons)


@pytest.mark.parametrize("kind", ["texture", "style", "quilt"])
def test_two_hundred_mutants_are_read_in_full_or_refused(tmp_path: Path, kind: str) -> None:
    torch.set_num_threads(1)
    check_mutants(tmp_path, seed=1, count=200, kind=kind)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("kind", ["texture", "style", "quilt"])
def test_two_thousand_mutants_are_read_in_full_or_refused(tmp_path: Path, seed: int, kind: str) -> None:
    check_mutants(tmp_path, seed=seed, count=200, kind=kind)


@pytest.mark.parametrize("fill", ["lowest", "highest", "zeros", "random"])
def test_a_quilt_of_any_numbers_is_refused_or_paints(tmp_path: Path, fill: str) -> None:
    """Tensor by tensor, and all of them at once: worthless numbers make worthless pixels, and nothing else."""
    path = save_tiny_quilt(tmp_path, "good")
    good = path.read_bytes()
    with path.open("rb") as file:
        found = checked(file, len(good))
    chance, refused = random.Random(7), []
    small = [name for name, kind in found.header.kinds.items() if kind in ("I8", "I16")]
    assert len(small) == 8
    for names in (*([name] for name in small), small):
        data = bytearray(good)
        for name in names:
            place = found.header.places[name]
            count = place.stop - place.start
            low = b"\x80" if found.header.kinds[name] == "I8" else b"\x00\x80"
            content = {"lowest": low, "highest": bytes(each ^ 255 for each in low), "zeros": b"\0\0"}.get(fill)
            filled = content * count if content else chance.randbytes(count)
            data[found.begin + place.start : found.begin + place.stop] = filled[:count]
        path.write_bytes(data)
        checked_as, read = outcome(check_file, path), outcome(read_model, path)
        if isinstance(checked_as, Facts):
            check_used(read, checked_as)
        else:
            assert read == checked_as
            assert "its numbers" in checked_as
            refused.append(names)
    assert len(refused) == {"zeros": 2}.get(fill, 3)  # chances and shifts have bounds; a shift may be 0
