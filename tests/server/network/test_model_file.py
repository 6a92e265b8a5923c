"""Facts about the model file: what is written comes back, and no damage does more than to be named."""

import hashlib
import json
import os
import pickle
import random
import socket
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from server.model.architecture import Architecture
from server.model.checking import check_file
from server.model.header import MAX_FILE_BYTES, BrokenModel, WrongKind, read_facts
from server.model.maps import BASE_COLOUR, Map
from server.model.style_architecture import StyleArchitecture
from server.network.generator import Generator
from server.network.model_file import read_model, write_model
from server.network.stylize import stylize
from server.network.texture import texture
from server.replace_file import UnusableOutput
from tests.models import TINY, TINY_STYLES, tiny_model, tiny_style

ROOT = Path(__file__).resolve().parents[3]
TWO_MAPS = (BASE_COLOUR, Map(name="roughness", channels=1, colour_space="linear"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "tiny.safetensors"
    write_model(path, tiny_model(lattice=True))
    return path.read_bytes()


def split(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The header without its description, the description, the tensors' bytes."""
    length = int.from_bytes(data[:8], "little")
    table = json.loads(data[8 : 8 + length])
    facts = json.loads(table["__metadata__"]["texserver"])
    return table, facts, data[8 + length :]


def join(table: dict[str, Any], facts: dict[str, Any] | str, body: bytes) -> bytes:
    text = facts if isinstance(facts, str) else json.dumps(facts)
    return raw(json.dumps({**table, "__metadata__": {"texserver": text}}), body)


def raw(header: str | bytes, body: bytes) -> bytes:
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header)) + header + body


def refused(tmp_path: Path, data: bytes) -> str:
    """The reason, which the list must give as well unless it lies in the weights."""
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(BrokenModel) as error:
        read_model(path)
    text = str(error.value)
    assert text == f"The model file {path} cannot be used: {error.value.reason}."
    assert text.isprintable()
    assert len(text) < 400 + len(str(path))
    if "weights" not in error.value.reason:
        with pytest.raises(BrokenModel) as listed:
            read_facts(path)
        assert listed.value.reason == error.value.reason
    return error.value.reason


@pytest.fixture(scope="module")
def good_style(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "ink.safetensors"
    write_model(path, tiny_style())
    return path.read_bytes()


# ---------------------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize("maps", [(BASE_COLOUR,), TWO_MAPS], ids=["one map", "two maps"])
@pytest.mark.parametrize("lattice", [False, True], ids=["no lattice", "lattice"])
@pytest.mark.parametrize("architecture", sorted(TINY))
def test_a_model_read_back_paints_the_same_pixels(
    tmp_path: Path, architecture: str, lattice: bool, maps: tuple[Map, ...]
) -> None:
    before = tiny_model(3, architecture=architecture, lattice=lattice, maps=maps)
    path = tmp_path / "new folder" / "tiny.safetensors"
    write_model(path, before)
    after = read_model(path)
    assert torch.equal(texture(after.generator, 7, (70, 45)), texture(before.generator, 7, (70, 45)))
    assert not any(parameter.requires_grad for parameter in after.generator.parameters())
    assert not after.generator.training
    for facts in (check_file(path), read_facts(path)):
        assert facts.name == "tiny"
        assert (facts.maps, facts.architecture) == (maps, TINY[architecture])
        assert facts.lattice == before.generator.lattice
        assert (dict(facts.training), facts.descriptor) == (before.training, before.descriptor)
        assert facts.swatch == before.swatch
        pixels = torch.frombuffer(bytearray(facts.thumbnail.pixels), dtype=torch.uint8)
        assert torch.equal(pixels.view(facts.thumbnail.height, facts.thumbnail.width, 3), before.thumbnail)


def test_a_file_speaks_of_interpolation_only_where_there_is_some(tmp_path: Path) -> None:
    """So texservers of before read models of nearest cells, and models of before are read as such."""
    for name, smooth in (("taper", None), ("smooth", 2)):
        path = tmp_path / f"{name}.safetensors"
        write_model(path, tiny_model(architecture=name))
        length = int.from_bytes(path.read_bytes()[:8], "little")
        described = json.loads(json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"]["texserver"])
        assert described["architecture"].get("smooth") == smooth
        assert read_model(path).texture_generator().architecture == TINY[name]


@pytest.mark.parametrize("architecture", sorted(TINY_STYLES))
def test_a_style_read_back_stylizes_to_the_same_pixels(tmp_path: Path, architecture: str) -> None:
    before = tiny_style(3, architecture=architecture)
    path = tmp_path / "new folder" / "ink.safetensors"
    write_model(path, before)
    after = read_model(path)
    assert (before.kind, after.kind, tiny_model().kind) == ("style", "style", "texture")
    content = torch.rand(20, 30, 3)
    one, other = (stylize(each.style_generator(), content, 7, 0.8) for each in (before, after))
    assert torch.equal(one, other)
    assert not any(parameter.requires_grad for parameter in after.generator.parameters())
    assert not after.generator.training
    for facts in (check_file(path), read_facts(path)):
        assert (facts.name, facts.kind, facts.maps, facts.lattice) == ("ink", "style", (), None)
        assert facts.architecture == TINY_STYLES[architecture]
        assert (dict(facts.training), facts.descriptor, facts.swatch) == (before.training, "vgg19", before.swatch)
        assert facts.thumbnail.pixels == before.thumbnail.numpy().tobytes()
    write_model(tmp_path / "again.safetensors", after)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_a_model_of_one_kind_is_not_taken_for_one_of_the_other() -> None:
    with pytest.raises(WrongKind, match=r"^The model 'ink' stylizes pictures and paints no textures; choose .*\.$"):
        tiny_style().texture_generator()
    with pytest.raises(
        WrongKind, match=r"^The model 'tiny' paints textures and stylizes no pictures; choose .*\.$"
    ) as error:
        tiny_model().style_generator()
    assert tiny_model().texture_generator().maps == (BASE_COLOUR,)
    assert error.value.code == "unknown_model"


def test_the_name_is_the_files_and_the_hash_is_its_bytes(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "brick.safetensors"
    path.write_bytes(good)
    model = read_model(path)
    assert model.name == "brick"
    assert model.sha256 == hashlib.sha256(good).hexdigest()


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, good: bytes) -> None:
    write_model(tmp_path / "again.safetensors", tiny_model(lattice=True))
    assert (tmp_path / "again.safetensors").read_bytes() == good
    write_model(tmp_path / "read.safetensors", read_model(tmp_path / "again.safetensors"))
    assert (tmp_path / "read.safetensors").read_bytes() == good


def test_safetensors_itself_reads_the_file(tmp_path: Path, good: bytes) -> None:
    tensors = safetensors.torch.load(good)
    assert set(tensors) == {"thumbnail"} | {
        f"generator.{name}" for name in tiny_model(lattice=True).generator.state_dict()
    }


def test_a_swatch_of_any_file_name_can_be_written(tmp_path: Path) -> None:
    model = tiny_model()
    path = tmp_path / "tiny.safetensors"
    swatch = replace(model.swatch, name="mur\udce9\n" + "x" * 600)
    write_model(path, replace(model, swatch=swatch, training={"loss": float("nan")}))
    assert read_model(path).swatch.name == ("mur??" + "x" * 600)[:500]
    assert read_model(path).training == {"loss": None}


# ------------------------------------------------------------------------------------------------------------- writing


def never_written(tmp_path: Path) -> Path:
    """An old file, whose bytes `still_old` looks for."""
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(b"old")
    return path


def still_old(path: Path) -> bool:
    return path.read_bytes() == b"old" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_written(tmp_path: Path, value: float) -> None:
    path, model = never_written(tmp_path), tiny_model()
    model.generator.paint.weight[0, 0] = value
    with pytest.raises(BrokenModel, match=r"paint\.weight' are not all finite"):
        write_model(path, model)
    assert still_old(path)


def test_a_generator_that_is_not_frozen_is_not_written(tmp_path: Path) -> None:
    path = never_written(tmp_path)
    generator = Generator(TINY["taper"], (BASE_COLOUR,), normalisation=torch.nn.BatchNorm2d)
    with pytest.raises(BrokenModel, match="tensor"):
        write_model(path, replace(tiny_model(), generator=generator))
    with pytest.raises(BrokenModel, match="type 'BF16', not F32"):
        write_model(path, replace(tiny_model(), generator=tiny_model().generator.bfloat16()))
    assert still_old(path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")], ids=str
)
def test_a_disk_that_refuses_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: OSError
) -> None:
    path = never_written(tmp_path)

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(UnusableOutput, match=f"was not written: {error.strerror}. (Free some space|Choose a folder)"):
        write_model(path, tiny_model())
    monkeypatch.undo()
    assert still_old(path)


def test_ctrl_c_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = never_written(tmp_path)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_model(path, tiny_model())
    monkeypatch.undo()
    assert still_old(path)


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of POSIX")
def test_a_file_cut_short_by_a_limit_leaves_the_old_one(tmp_path: Path) -> None:
    path = never_written(tmp_path)
    code = (
        "import resource, sys; from pathlib import Path; from server.network.model_file import write_model\n"
        "from server.replace_file import UnusableOutput\n"
        "from tests.models import tiny_model\n"
        "model = tiny_model(); resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try: write_model(Path(sys.argv[1]), model)\n"
        "except UnusableOutput as error: print(error)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, path], env=env, capture_output=True, text=True, check=True)
    assert "was not written: File too large" in done.stdout
    assert still_old(path)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnusableOutput, match="folder"):
        write_model(tmp_path / "file" / "models" / "tiny.safetensors", tiny_model())
    (tmp_path / "tiny.safetensors").mkdir()
    with pytest.raises(UnusableOutput, match="folder"):
        write_model(tmp_path / "tiny.safetensors", tiny_model())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "tiny.safetensors"]


# ------------------------------------------------------------------------------------------- what is not a model file


class Bomb:
    """Unpickling it would make a file."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("unpickled",)


def zipped() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    return buffer.getvalue()


NOT_SAFETENSORS = {
    "empty": (lambda good: b"", "empty"),
    "seven bytes": (lambda good: good[:7], "cut short"),
    "pickle": (lambda good: pickle.dumps(Bomb()) + bytes(500), "is a pickle"),
    "old pickle": (lambda good: pickle.dumps(Bomb(), 2), "is a pickle"),
    "zip": (lambda good: zipped(), "is a zip"),
    "text": (lambda good: b"not a model at all", "no safetensors file"),
    "header of 2^63": (lambda good: struct.pack("<Q", 2**63) + good[8:], "no safetensors file"),
    "header of 1 MiB and a byte": (lambda good: raw("{" + " " * 2**20, good), "no safetensors file"),
    "header beyond the file": (lambda good: struct.pack("<Q", len(good)) + good[8:], "cut short"),
    "header of no bytes": (lambda good: bytes(8) + good[8:], "cut short"),
    "cut in the header": (lambda good: good[:100], "cut short"),
    "cut in the tensors": (lambda good: good[:-1], "an offset of its tensor"),
    "bytes at the end": (lambda good: good + b"x", "belong to none"),
    "not UTF-8": (lambda good: raw(b'{"\xff": 1}', b""), "not UTF-8"),
    "not JSON": (lambda good: raw("{'a': 1}", b""), "not JSON"),
    "a list": (lambda good: raw("[]", b""), "not a JSON object"),
    "deep JSON": (lambda good: raw("[" * 500_000, b""), "nested too deeply"),
    "deep JSON that ends": (lambda good: raw('{"a":' + "[" * 200_000 + "]" * 200_000 + "}", b""), "nested too deeply"),
    "duplicate keys": (lambda good: raw('{"a": 1, "b": 2, "a": 1}', b""), "'a' twice"),
    "number of 5000 digits": (lambda good: raw('{"a": ' + "9" * 5000 + "}", b""), "number of 5000 digits"),
    "number beyond floats": (lambda good: raw('{"a": 1e999}', b""), "1e999, which is not finite"),
    "NaN in JSON": (lambda good: raw('{"a": NaN}', b""), "NaN, which is not finite"),
    "-Infinity in JSON": (lambda good: raw('{"a": -Infinity}', b""), "-Infinity, which is not finite"),
    "no metadata": (lambda good: raw("{}", b""), "not of a texserver model"),
    "metadata a list": (lambda good: raw('{"__metadata__": []}', b""), "its metadata is not"),
    "description a number": (lambda good: raw('{"__metadata__": {"texserver": 1}}', b""), "not of a texserver model"),
}


@pytest.mark.parametrize("name", NOT_SAFETENSORS)
def test_what_is_no_model_file_is_named(
    tmp_path: Path, good: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    damage, reason = NOT_SAFETENSORS[name]
    assert reason in refused(tmp_path, damage(good))
    assert not Path("unpickled").exists()


def test_a_file_over_the_cap_is_refused_unread(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(good)
    os.truncate(path, MAX_FILE_BYTES + 1)  # sparse
    with pytest.raises(BrokenModel, match="larger than 1024 MiB"):
        read_model(path)


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(good)
    monkeypatch.setattr(os, "fstat", lambda descriptor, fstat=os.fstat: shorter(fstat(descriptor)))
    with pytest.raises(BrokenModel, match="changed while it was read"):
        read_model(path)


def shorter(status: os.stat_result) -> os.stat_result:
    fields = list(status)
    fields[6] -= 10
    return os.stat_result(fields)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_socket(path: Path) -> None:
    os.chdir(path.parent)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


def a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.skipif(sys.platform == "win32", reason="files of POSIX")
@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "make",
    [a_folder, os.mkfifo, a_socket, a_loop, lambda path: None],
    ids=["folder", "pipe", "socket", "loop", "nothing"],
)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.safetensors"
    make(path)
    for read in (read_model, read_facts):
        with pytest.raises(BrokenModel, match=r"not a file|cannot be read"):
            read(path)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/tty"])
@pytest.mark.skipif(sys.platform == "win32", reason="files of POSIX")
def test_a_device_is_refused(name: str) -> None:
    with pytest.raises(BrokenModel):
        read_model(Path(name))


def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(BrokenModel):
        read_model(Path("a\0b.safetensors"))


def test_an_unreadable_file_is_refused(tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(good)

    def forbid(*_: object) -> int:  # a mode of 000 would not stop root
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbid)
    with pytest.raises(BrokenModel, match="cannot be read \\(Permission denied\\)"):
        read_model(path)


# ------------------------------------------------------------------------------------ safetensors that are no model

WEIGHT = "generator.paint.weight"


def grown(name: str, key: str, value: object) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Damage to one field of one tensor."""

    def damage(table: dict[str, Any], facts: dict[str, Any]) -> None:
        table[name][key] = value

    return damage


def told(*keys: str | int, value: object) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Damage to one place of the description."""

    def damage(table: dict[str, Any], facts: dict[str, Any]) -> None:
        place: Any = facts
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return damage


def lost(table: dict[str, Any], facts: dict[str, Any]) -> None:
    del table[WEIGHT]


def lost_thumbnail(table: dict[str, Any], facts: dict[str, Any]) -> None:
    del table["thumbnail"]


def stranger(table: dict[str, Any], facts: dict[str, Any]) -> None:
    table["generator.paint.w\nx"] = table[WEIGHT]


def overlap(table: dict[str, Any], facts: dict[str, Any]) -> None:
    begin = table["generator.levels.0.blocks.1.conv.bias"]["data_offsets"][0]
    table["generator.levels.0.blocks.0.conv.bias"]["data_offsets"] = [begin, begin + 40]


def missing(*keys: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def damage(table: dict[str, Any], facts: dict[str, Any]) -> None:
        place = facts
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return damage


NOT_A_MODEL = {
    # tensors
    "tensor missing": (lost, "lacks the tensor 'generator.paint.weight'"),
    "thumbnail missing": (lost_thumbnail, "lacks its thumbnail"),
    "tensor too many": (stranger, r"a tensor 'generator.paint.w\nx' that its architecture has not"),
    "tensors overlap": (overlap, "overlap or leave gaps"),
    "offset beyond the file": (grown(WEIGHT, "data_offsets", [10**9, 10**9 + 72]), "an offset of its tensor"),
    "offset negative": (grown(WEIGHT, "data_offsets", [-72, 0]), "an offset of its tensor"),
    "offsets reversed": (grown(WEIGHT, "data_offsets", [72, 0]), "bytes, which do not make its shape"),
    "offset of 2^64": (grown(WEIGHT, "data_offsets", [0, 2**64 - 1]), "an offset of its tensor"),
    "offset a float": (grown(WEIGHT, "data_offsets", [0.0, 72.0]), "an offset of its tensor"),
    "offset true": (grown(WEIGHT, "data_offsets", [False, True]), "an offset of its tensor"),
    "one offset": (grown(WEIGHT, "data_offsets", [0]), "not a list of 2"),
    "wrong type": (grown(WEIGHT, "dtype", "F16"), "of type 'F16', not F32"),
    "type a list": (grown(WEIGHT, "dtype", [["F32"] * 1000]), "of type a JSON list, not F32"),
    "wrong shape": (grown(WEIGHT, "shape", [3, 3, 2, 1]), "has the shape"),
    "shape of 2^40": (grown(WEIGHT, "shape", [2**40, 2**40, 1, 1]), "has the shape"),
    "shape of 40 sides": (grown(WEIGHT, "shape", [1] * 40), "not a list"),
    "shape a text": (grown(WEIGHT, "shape", "3, 6, 1, 1"), "not a list"),
    "thumbnail of 4 channels": (grown("thumbnail", "shape", [32, 36, 4]), "has the shape"),
    "thumbnail too large": (grown("thumbnail", "shape", [1, 1536, 3]), "its thumbnail's side"),
    "thumbnail of floats": (grown("thumbnail", "dtype", "F32"), "not U8"),
    "tensor a number": (lambda table, facts: table.update({WEIGHT: 3}), "not a JSON object"),
    "tensor with more fields": (grown(WEIGHT, "code", "import os"), "holds 'code'"),
    # the description
    "newer format": (told("format", value=2), "written by a newer texserver (format 2, this one reads 1); update"),
    "format 0": (told("format", value=0), "its format is 0"),
    "format true": (told("format", value=True), "its format is True"),
    "format missing": (missing("format"), "its format is None"),
    "kind of the other": (told("kind", value="style"), "its description holds 'lattice'"),
    "unknown kind": (told("kind", value="sound"), "its kind is 'sound'"),
    "kind a list": (told("kind", value=["texture"]), "its kind is a JSON list"),
    "kind a map": (told("kind", value={"style": 1}), "its kind is a JSON object"),
    "kind missing": (missing("kind"), "its kind is None"),
    "unknown field": (told("eval", value="1+1"), "holds 'eval'"),
    "maps missing": (missing("maps"), "lacks 'maps'"),
    "no maps": (told("maps", value=[]), "list of maps"),
    "too many maps": (told("maps", value=[{}] * 9), "list of maps"),
    "a map twice": (
        lambda table, facts: facts["maps"].append(facts["maps"][0]),
        "maps of different names",
    ),
    "map of 2 channels": (told("maps", 0, "channels", value=2), "1 or 3 channels"),
    "map named for a folder": (told("maps", 0, "name", value="../x"), "lower-case letters"),
    "colour space unknown": (told("maps", 0, "colour_space", value="cmyk"), "colour space"),
    "colour space a number": (told("maps", 0, "colour_space", value=1), "colour space"),
    "unknown architecture": (told("architecture", "name", value="transformer"), "an architecture is one of"),
    "wrong architecture": (told("architecture", "name", value="pyramid"), "lacks the tensor"),
    "smooth levels a text": (told("architecture", "smooth", value="1"), "levels are interpolated"),
    "all levels smooth": (told("architecture", "smooth", value=3), "fewer than all"),
    "wrong width": (told("architecture", "widths", 0, value=11), "has the shape"),
    "width of 10^9": (told("architecture", "widths", 0, value=10**9), "level's widths is 1000000000"),
    "width of 513": (told("architecture", "widths", 0, value=513), "1 to 512 channels"),
    "width 0": (told("architecture", "widths", 0, value=0), "level's widths"),
    "width true": (told("architecture", "noise", 0, value=True), "level's noise"),
    "a million levels": (told("architecture", "widths", value=[8] * 100_000), "not a list"),
    "nine levels": (told("architecture", "widths", value=[8] * 9), "1 to 8 levels"),
    "widths a text": (told("architecture", "widths", value="888"), "not a list"),
    "lattice a list": (told("lattice", value=[]), "its lattice is not"),
    "lattice parallel": (told("lattice", "basis", value=[[0.1, 0.1], [0.2, 0.2]]), "must not be parallel"),
    "lattice of one wave": (told("lattice", "basis", value=[[0.1, 0.1]]), "not a list of 2"),
    "lattice of texts": (told("lattice", "basis", value=[["0.1", "0"], ["0", "0.1"]]), "not a number"),
    "lattice too fine": (told("lattice", "basis", value=[[10**15, 0.0], [0.0, 0.1]]), "half a cycle"),
    "harmonics too many": (told("lattice", "harmonics", value=[[1, 0]] * 13), "not a list of 2 to 12"),
    "harmonic of 17": (told("lattice", "harmonics", 2, value=[17, 0]), "at most 16"),
    "strength of 2": (told("lattice", "strength", value=2), "between 0 and 1"),
    "lattice lost": (told("lattice", value=None), "has the shape"),
    "training a list": (told("training", value=[1]), "training facts"),
    "training nested": (told("training", "a", value={"b": 1}), "neither text nor a number"),
    "training of 65": (told("training", value=dict.fromkeys(map(str, range(65)), 1)), "more than 64"),
    "training too long": (told("training", "a", value="x" * 501), "training fact 'a'"),
    "training with an escape": (told("training", "a", value="\x1b[2J"), "printable"),
    "training key unprintable": (told("training", "\ud800", value=1), "printable"),
    "descriptor a number": (told("descriptor", value=19), "its descriptor"),
    "descriptor half a pair": (told("descriptor", value="\ud800"), "its descriptor"),
    "swatch null": (told("swatch", value=None), "its swatch"),
    "swatch hash short": (told("swatch", "sha256", value="abc"), "SHA-256"),
    "swatch side negative": (told("swatch", "height", value=-1), "swatch's height"),
}


@pytest.mark.parametrize("name", NOT_A_MODEL)
def test_a_file_that_breaks_a_rule_is_refused_and_the_rule_named(tmp_path: Path, good: bytes, name: str) -> None:
    damage, reason = NOT_A_MODEL[name]
    table, facts, body = split(good)
    damage(table, facts)
    assert reason in refused(tmp_path, join(table, facts, body))


NOT_A_STYLE = {
    "kind of the other": (told("kind", value="texture"), "its description lacks 'maps'"),
    "with maps": (told("maps", value=[]), "holds 'maps'"),
    "with a lattice": (told("lattice", value=None), "holds 'lattice'"),
    "newer format": (told("format", value=2), "written by a newer texserver"),
    "tensor missing": (lost, "lacks the tensor 'generator.paint.weight'"),
    "tensor too many": (stranger, r"a tensor 'generator.paint.w\nx' that its architecture has not"),
    "wrong shape": (grown(WEIGHT, "shape", [3, 3, 4, 3]), "has the shape"),
    "wrong shape of a gain": (grown("generator.layers.enter.norm.gain", "shape", [4, 2]), "has the shape"),
    "wrong type": (grown("generator.skip", "dtype", "F16"), "of type 'F16', not F32"),
    "architecture of a texture": (told("architecture", value={"name": "taper", "widths": [8], "noise": [1]}), "lacks"),
    "unknown architecture": (told("architecture", "name", value="taper"), "a style architecture is one of"),
    "architecture with more": (told("architecture", "depth", value=3), "holds 'depth'"),
    "wrong architecture": (told("architecture", "name", value="pyramid"), "noise on every level"),
    "wrong width": (told("architecture", "widths", 1, value=7), "has the shape"),
    "width true": (told("architecture", "widths", 1, value=True), "level's widths"),
    "width of 10^9": (told("architecture", "widths", 1, value=10**9), "level's widths is 1000000000"),
    "wrong blocks": (told("architecture", "blocks", value=2), "lacks the tensor 'generator.layers.block1a"),
    "fewer blocks": (told("architecture", "blocks", value=0), "that its architecture has not"),
    "blocks of 10^6": (told("architecture", "blocks", value=10**6), "0 to 16 blocks"),
    "blocks of 2^64": (told("architecture", "blocks", value=2**64 - 1), "its number of blocks"),
    "blocks a float": (told("architecture", "blocks", value=1.0), "its number of blocks"),
    "too far": (told("architecture", value={"name": "residual", "widths": [4] * 8, "blocks": 3, "noise": [2]}), "far"),
    "noise missing": (missing("architecture", "noise"), "lacks 'noise'"),
    "noise twice": (told("architecture", "noise", value=[2, 2]), "at the pixels"),
    "wrong noise": (told("architecture", "noise", value=[3]), "has the shape"),
    "swatch null": (told("swatch", value=None), "its swatch"),
}


@pytest.mark.parametrize("name", NOT_A_STYLE)
def test_a_style_that_breaks_a_rule_is_refused_and_the_rule_named(tmp_path: Path, good_style: bytes, name: str) -> None:
    damage, reason = NOT_A_STYLE[name]
    table, facts, body = split(good_style)
    damage(table, facts)
    assert reason in refused(tmp_path, join(table, facts, body))


@pytest.mark.parametrize("weight", ["paint.bias", "skip", "layers.enter.norm.gain", "layers.up1.conv.weight"])
def test_weights_of_a_style_that_are_not_finite_are_neither_written_nor_read(
    tmp_path: Path, good_style: bytes, weight: str
) -> None:
    model = tiny_style()
    model.generator.get_parameter(weight).flatten()[1] = float("nan")
    with pytest.raises(BrokenModel, match=f"'generator.{weight}' are not all finite"):
        write_model(never_written(tmp_path), model)
    table, facts, body = split(good_style)
    begin = table[f"generator.{weight}"]["data_offsets"][0]
    damaged = body[:begin] + struct.pack("<f", float("inf")) + body[begin + 4 :]
    assert f"weights 'generator.{weight}' are not all finite" in refused(tmp_path, join(table, facts, damaged))


def test_the_description_is_read_as_strictly_as_the_header(tmp_path: Path, good: bytes) -> None:
    table, facts, body = split(good)
    text = json.dumps(facts)
    assert "'format' twice" in refused(tmp_path, join(table, '{"format": 1, ' + text[1:], body))
    assert "nested too deeply" in refused(tmp_path, join(table, "[" * 100_000, body))
    assert "9000 digits" in refused(tmp_path, join(table, text.replace("500", "5" * 9000), body))
    assert "not UTF-8" in refused(tmp_path, join(table, '"\ud800"', body))


def test_a_gap_between_tensors_is_refused(tmp_path: Path, good: bytes) -> None:
    table, facts, body = split(good)
    for entry in table.values():
        if "data_offsets" in entry:
            entry["data_offsets"] = [offset + 8 for offset in entry["data_offsets"]]
    assert "overlap or leave gaps" in refused(tmp_path, join(table, facts, bytes(8) + body))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, good: bytes, value: float) -> None:
    table, facts, body = split(good)
    begin = table[WEIGHT]["data_offsets"][0]
    damaged = body[:begin] + struct.pack("<f", value) + body[begin + 4 :]
    assert "weights 'generator.paint.weight' are not all finite" in refused(tmp_path, join(table, facts, damaged))


@pytest.mark.parametrize("kind", ["texture", "style"])
def test_a_large_architecture_without_its_tensors_costs_no_memory(
    tmp_path: Path, good: bytes, good_style: bytes, kind: str
) -> None:
    table, facts, body = split(good if kind == "texture" else good_style)
    if kind == "texture":
        facts["architecture"] = {"name": "pyramid", "widths": [512] * 8, "noise": [64] * 8}  # 4 GB of weights
        Architecture(**facts["architecture"])  # within the rules, so that only its tensors can be wrong
    else:
        facts["architecture"] = {"name": "residual", "widths": [512] * 2, "blocks": 2, "noise": [64]}
        StyleArchitecture(**facts["architecture"])
    tracemalloc.start()
    try:
        assert "lacks the tensor" in refused(tmp_path, join(table, facts, body))
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_random_damage_loads_to_finite_weights_or_is_refused(tmp_path: Path, good: bytes) -> None:
    """Bytes flipped, cut out, doubled and put in, mostly in the header; a quarter of it keeps the length right."""
    chance = random.Random(6)
    path = tmp_path / "bad.safetensors"
    header_bytes = 8 + int.from_bytes(good[:8], "little")
    loaded = 0
    for turn in range(400):
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(header_bytes if chance.random() < 0.9 else len(data))
            match chance.randrange(5):
                case 0:
                    data[at] ^= 1 << chance.randrange(8)
                case 1:
                    data[at] = chance.choice(b'0129-.eE"\\[]{},: \x00\xff')
                case 2:
                    del data[at : at + chance.randrange(1, 40)]
                case 3:
                    data[at:at] = data[at : at + chance.randrange(1, 40)]
                case 4:
                    data[at:at] = chance.randbytes(chance.randrange(1, 9))
        if turn % 4 == 0:
            data[:8] = struct.pack("<Q", header_bytes + len(data) - len(good) - 8)
        path.write_bytes(data)
        for read in (read_model, read_facts):
            try:
                result = read(path)
            except BrokenModel:
                continue
            loaded += 1
            if read is read_model:
                assert all(parameter.isfinite().all() for parameter in result.generator.parameters())
    assert 0 < loaded < 400
