"""Facts about large model files: they are painted from where they lie, and what was checked is what is used."""

import os
import sys
from pathlib import Path

import pytest

from server.client.local_painter import LocalPainter
from server.model import checking
from server.model.checking import check_file
from server.model.header import BrokenModel
from server.model.library import Library
from server.model.torus import Size, Window
from server.network import model_file
from server.network.model_file import read_model
from server.network.texture import texture_bytes
from tests.memory import peak_mb, reset_peak
from tests.models import save_large, save_tiny_quilt

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="maps and memory of Linux")


@pytest.fixture
def quilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a quilt that counts as large."""
    for module in (checking, model_file):
        monkeypatch.setattr(module, "SMALL_BYTES", 1000)
    return save_tiny_quilt(tmp_path)


def painted(path: Path, **of: str) -> list[bytes]:
    generator = read_model(path, **of).texture_generator()
    planes = texture_bytes(generator, 3, Size(150, 170), Window(140, 160, 64, 48))
    return [plane.numpy().tobytes() for plane in planes]


def overwritten(path: Path, data: bytes) -> None:
    """In place; the clock of the file system is coarse, so the time is set."""
    at = path.stat().st_mtime_ns + 1_000_000_000
    path.write_bytes(data)
    os.utime(path, ns=(at, at))


def test_a_mapped_model_is_the_one_that_is_read(quilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped, facts = read_model(quilt), check_file(quilt)
    assert mapped.place is not None
    pixels = painted(quilt, sha256=mapped.sha256)
    monkeypatch.setattr(model_file, "MAPS", False)
    read = read_model(quilt)
    assert read.place is None
    assert painted(quilt) == pixels
    assert (mapped.sha256, mapped.texture_generator().architecture) == (read.sha256, facts.architecture)
    assert mapped.thumbnail.numpy().tobytes() == facts.thumbnail.pixels == read.thumbnail.numpy().tobytes()


def test_another_version_than_the_one_wanted_is_refused(quilt: Path) -> None:
    with pytest.raises(BrokenModel, match="replaced by another version"):
        read_model(quilt, "ab" * 32)


def test_a_model_outlives_its_file(quilt: Path) -> None:
    expected, model = painted(quilt), read_model(quilt)
    other = save_tiny_quilt(quilt.parent, "other", 1)
    other.replace(quilt)
    model.place.check()  # type: ignore[union-attr]
    planes = texture_bytes(model.texture_generator(), 3, Size(150, 170), Window(140, 160, 64, 48))
    assert [plane.numpy().tobytes() for plane in planes] == expected
    quilt.unlink()
    model.place.check()  # type: ignore[union-attr]


@pytest.mark.parametrize("change", ["other bytes", "cut short", "longer"])
def test_a_file_overwritten_in_place_is_noticed(quilt: Path, change: str) -> None:
    model, data = read_model(quilt), quilt.read_bytes()
    place = model.place
    assert place is not None
    overwritten(quilt, data)  # the same again: touched, and hashed anew
    place.check()
    place.check()
    others = {"other bytes": data[:-1] + b"\xff", "cut short": data[:-1], "longer": data + b"\0"}
    overwritten(quilt, others[change])
    with pytest.raises(ValueError, match="it was overwritten while it was in use"):
        place.check()


def test_painting_from_a_file_that_was_overwritten_ends_in_one_sentence(
    quilt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sink:
        aborted = False

        def begin(self, painting: object) -> None:
            data = quilt.read_bytes()
            overwritten(quilt, data[:-1] + b"\xff")

        def write(self, *_: object) -> None:
            pass

        def finish(self) -> None:
            pytest.fail("it was finished")

        def abort(self) -> None:
            self.aborted = True

    sink = Sink()
    with pytest.raises(BrokenModel, match="it was overwritten while it was in use"):
        LocalPainter(Library(quilt.parent), "cpu", "exact").paint("pebbles", seed=1, size=(64, 64), sink=sink)  # type: ignore[arg-type]
    assert sink.aborted


def test_reading_a_model_of_200_mb_takes_no_memory_for_it(tmp_path: Path) -> None:
    path = save_large(tmp_path)
    save_tiny_quilt(tmp_path)
    read_model(tmp_path / "pebbles.safetensors")
    reset_peak()
    before = peak_mb()
    facts = check_file(path)
    model = read_model(path)
    assert model.texture_generator().architecture == facts.architecture
    assert peak_mb() < before + 20


@pytest.mark.parametrize(
    ("name", "number", "match"),
    [
        ("chances", 0, "not all from 1"),
        ("chances", 2**14 + 1, "from 1 to 16384"),
        ("shifts", 2**15 - 1, "from 0 to 30"),
    ],
)
def test_numbers_that_no_quilt_has_are_refused(tmp_path: Path, name: str, number: int, match: str) -> None:
    path = save_tiny_quilt(tmp_path)
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        found = checking.checked(file, len(data))
    at = found.begin + found.header.places[f"generator.{name}"].stop - 2
    data[at : at + 2] = number.to_bytes(2, "little")
    path.write_bytes(data)
    for read in (check_file, read_model):
        with pytest.raises(BrokenModel, match=match):
            read(path)
