"""Files good and bad, the order they are looked for in, and a download from a server of our own on loopback."""

import functools
import hashlib
import http.server
import os
import pickle
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from tqdm import tqdm

from trainer.descriptor import weights as module
from trainer.descriptor.weights import (
    CONVOLUTIONS,
    FIRST_KERNEL,
    UnusableWeights,
    WeightsUnavailable,
    find_weights,
    read_weights,
)

REAL = Path(__file__).resolve().parents[3].parent / "shared/data/vgg/vgg19_conv1_1-conv3_4.safetensors"
IMAGENET = {"preprocessing": "imagenet"}


def tensors(depth: int = 3, first_kernel: Any = None, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """VGG-19's shapes up to the convolution number `depth`, filled by a seed."""
    generator = torch.Generator().manual_seed(3)
    made = {}
    for conv in CONVOLUTIONS[:depth]:
        made[f"{conv.key}.weight"] = torch.randn(conv.channels_out, conv.channels_in, 3, 3, generator=generator)
        made[f"{conv.key}.bias"] = torch.randn(conv.channels_out, generator=generator)
    if first_kernel:
        made["features.0.weight"][0, :, 1, :] = torch.tensor(first_kernel)
    return {key: tensor.to(dtype) for key, tensor in made.items()}


def write(
    file: Path, content: dict[str, Tensor] | None = None, metadata: dict[str, str] | None = None, **torch_save: Any
) -> Path:
    content = tensors() if content is None else content
    if file.suffix == ".pth":
        torch.save(content, file, **torch_save)
    else:
        safetensors.torch.save_file(content, file, metadata)
    return file


@pytest.fixture(autouse=True)
def _no_weights_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TEXTURE_VGG19", raising=False)
    monkeypatch.setattr(module, "user_cache_path", lambda name: tmp_path / "cache" / name)


class Upstream:
    """A server that hands out `body`, or as much of it as it is told to."""

    def __init__(self, body: bytes) -> None:
        self.body, self.promised, self.status, self.requests = body, len(body), 200, 0
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.requests += 1
                self.send_response(upstream.status)
                if upstream.promised:
                    self.send_header("Content-Length", str(upstream.promised))
                self.end_headers()
                self.wfile.write(upstream.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def find(self, **arguments: Any) -> module.Weights:
        arguments.setdefault("sha256_prefix", hashlib.sha256(self.body).hexdigest()[:8])
        return find_weights(url=f"http://127.0.0.1:{self.server.server_port}/vgg19-fake.pth", **arguments)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    server = Upstream(write(tmp_path / "upstream.pth").read_bytes())
    yield server
    server.close()


def cached(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*.*"))


# What a file says and is


@pytest.mark.parametrize("preprocessing", ["caffe", "imagenet"])
def test_metadata_says_the_preprocessing(tmp_path: Path, preprocessing: str) -> None:
    file = write(tmp_path / "w.safetensors", metadata={"preprocessing": preprocessing, "source": "a friend"})
    found = read_weights(file)
    assert (found.preprocessing, found.source) == (preprocessing, "a friend")
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.layers == ("relu1_1", "relu1_2", "relu2_1")
    assert all(torch.equal(found.tensors[key], tensor) for key, tensor in tensors().items())


def test_the_input_text_of_a_caffe_file_is_understood(tmp_path: Path) -> None:
    text = "BGR, 0..255, minus (103.939,116.779,123.68); zero padding 1"
    assert read_weights(write(tmp_path / "w.safetensors", metadata={"input": text})).preprocessing == "caffe"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("preprocessing", ["caffe", "imagenet"])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_without_metadata_the_numbers_tell(tmp_path: Path, name: str, preprocessing: Any, dtype: torch.dtype) -> None:
    file = write(tmp_path / name, tensors(1, FIRST_KERNEL[preprocessing], dtype))
    found = read_weights(file)
    assert found.preprocessing == preprocessing
    assert found.tensors["features.0.weight"].dtype == torch.float32


def test_the_real_file_is_oxfords_with_and_without_its_metadata(tmp_path: Path) -> None:
    if not REAL.is_file():
        pytest.skip("the real weights are not on this machine")
    assert read_weights(REAL).preprocessing == "caffe"
    assert read_weights(REAL).layers[-1] == "relu3_4"
    content = safetensors.torch.load_file(REAL)
    assert read_weights(write(tmp_path / "bare.pth", content)).preprocessing == "caffe"
    with pytest.raises(UnusableWeights, match="says 'imagenet', but its numbers are those of the 'caffe'"):
        read_weights(write(tmp_path / "lying.safetensors", content, IMAGENET))


@pytest.mark.parametrize(("stated", "numbers"), [("caffe", "imagenet"), ("imagenet", "caffe")])
def test_metadata_that_contradicts_the_numbers_is_refused(tmp_path: Path, stated: str, numbers: Any) -> None:
    file = write(tmp_path / "w.safetensors", tensors(1, FIRST_KERNEL[numbers]), {"preprocessing": stated})
    with pytest.raises(UnusableWeights, match=f"says '{stated}', but .* '{numbers}'"):
        read_weights(file)


def test_known_weights_with_red_and_blue_exchanged_are_refused_whatever_they_say(tmp_path: Path) -> None:
    file = write(tmp_path / "w.safetensors", tensors(1, FIRST_KERNEL["caffe"][::-1]), {"preprocessing": "caffe"})
    with pytest.raises(UnusableWeights, match="red and blue exchanged"):
        read_weights(file)


def test_unknown_weights_that_say_nothing_are_refused_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(UnusableWeights, match="'preprocessing': 'caffe' or 'imagenet'"):
        read_weights(write(tmp_path / "w.pth"))


def test_a_preprocessing_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableWeights, match="'tensorflow', not 'caffe' or 'imagenet'"):
        read_weights(write(tmp_path / "w.safetensors", metadata={"preprocessing": "tensorflow"}))


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_save_are_read_and_the_classifier_is_left_out(tmp_path: Path, zipped: bool) -> None:
    content = tensors(1, FIRST_KERNEL["imagenet"]) | {"classifier.0.weight": torch.zeros(4, 4)}
    content |= {"features.34.bias": torch.zeros(512)} if not zipped else {}
    file = write(tmp_path / "w.pth", content, _use_new_zipfile_serialization=zipped)
    assert set(read_weights(file).tensors) == {"features.0.weight", "features.0.bias"}


# What is no file of VGG-19


def without(key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors().items() if name != key}


def with_bad_number() -> dict[str, Tensor]:
    content = tensors()
    content["features.2.bias"][7] = float("nan")
    return content


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.safetensors": (lambda file: None, "No such file"),
    "empty.safetensors": (lambda file: file.touch(), "empty"),
    "folder.safetensors": (lambda file: file.mkdir(), "not a file"),
    "pipe.safetensors": (lambda file: os.mkfifo(file), "not a file"),
    "photo.safetensors": (lambda file: file.write_bytes(b"\x89PNG\r\n" * 99), "not a safetensors file"),
    "short.safetensors": (lambda file: file.write_bytes(b"\x05"), "not a safetensors file"),
    "cut.safetensors": (
        lambda file: file.write_bytes(safetensors.torch.save(tensors(), IMAGENET)[:-400]),
        "cut short",
    ),
    "header.safetensors": (lambda file: file.write_bytes(struct.pack("<Q", 2_000_000) + b" " * 2_000_000), "damaged"),
    "photo.pth": (lambda file: file.write_bytes(b"\x89PNG\r\n" * 99), "not a PyTorch state dict"),
    "empty.pth": (lambda file: file.touch(), "empty"),
    "list.pth": (lambda file: torch.save([1, 2], file), "not a PyTorch state dict"),
    "text.pth": (lambda file: torch.save({"features.0.weight": "hello"}, file), "'features.0.weight' is missing"),
    "encoder.safetensors": (
        lambda file: write(file, {"conv0.weight": torch.zeros(3, 3, 1, 1)}),
        "another network .* no 'features.0.weight'",
    ),
    "vgg19_bn.safetensors": (
        lambda file: write(file, tensors() | {"features.1.weight": torch.ones(64)}),
        "another network .* no 'features.1'",
    ),
    "narrow.safetensors": (
        lambda file: write(file, tensors() | {"features.2.weight": torch.ones(64, 32, 3, 3)}),
        r"'features.2.weight' is \(64, 32, 3, 3\), and VGG-19's is \(64, 64, 3, 3\)",
    ),
    "hole.safetensors": (lambda file: write(file, without("features.2.weight")), "'features.2.weight' is missing"),
    "no_bias.safetensors": (lambda file: write(file, without("features.5.bias")), "'features.5.bias' is missing"),
    "nan.safetensors": (lambda file: write(file, with_bad_number()), "'features.2.bias' holds numbers .* not finite"),
    "double.safetensors": (lambda file: write(file, tensors(dtype=torch.float64)), "float64"),
    "sparse.pth": (
        lambda file: write(file, tensors() | {"features.0.bias": torch.zeros(64).to_sparse()}),
        "sparse_coo",
    ),
    "vgg19-dcbb9e9d.pth": (lambda file: write(file), "hash is .* not the one in its name: it was cut short or changed"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_name_with_the_way_out(tmp_path: Path, name: str) -> None:
    make, why = BAD[name]
    make(tmp_path / name)
    with pytest.raises(UnusableWeights, match=why) as caught:
        find_weights(tmp_path / name)
    for word in (str(tmp_path / name), "--vgg-weights FILE", "TEXTURE_VGG19", "--descriptor builtin"):
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    whole = write(tmp_path / name, tensors(1, FIRST_KERNEL["caffe"])).read_bytes()
    for part in range(1, 16):
        (tmp_path / name).write_bytes(whole[: len(whole) * part // 16])
        with pytest.raises(UnusableWeights):
            read_weights(tmp_path / name)


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"features.0.weight": Trap()}))
    torch.save({"features.0.weight": Trap()}, tmp_path / "zipped.pth")
    for name in ("trap.pth", "zipped.pth"):
        with pytest.raises(UnusableWeights):
            read_weights(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_file_larger_than_any_vgg19_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.safetensors").open("wb") as file:
        file.truncate(module.MAX_FILE_BYTES + 1)  # sparse: takes no space
    with pytest.raises(UnusableWeights, match="more than any VGG-19"):
        read_weights(tmp_path / "huge.safetensors")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "w.safetensors").chmod(0)
    with pytest.raises(UnusableWeights, match="Permission denied"):
        read_weights(tmp_path / "w.safetensors")


def test_a_name_that_is_no_path_is_refused() -> None:
    with pytest.raises(UnusableWeights, match="null"):
        read_weights(Path("w\0.safetensors"))


# Where they are looked for


def test_the_argument_comes_before_the_environment_before_the_cache_before_the_network(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    argument, variable = (
        write(tmp_path / f"{name}.safetensors", metadata=IMAGENET | {"source": name}) for name in ("arg", "env")
    )
    monkeypatch.setenv("TEXTURE_VGG19", str(variable))
    assert upstream.find(file=argument).source == "arg"
    assert upstream.find().source == "env"
    assert upstream.requests == 0
    monkeypatch.setenv("TEXTURE_VGG19", "")
    assert "vgg19-fake.pth" in upstream.find().source
    assert upstream.find(download=False) is not None
    assert upstream.requests == 1


def test_a_bad_file_in_the_environment_is_refused_not_passed_over(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTURE_VGG19", str(tmp_path / "gone.pth"))
    with pytest.raises(UnusableWeights, match=r"gone\.pth.*TEXTURE_VGG19 names it") as caught:
        upstream.find()
    assert not isinstance(caught.value, WeightsUnavailable)
    assert upstream.requests == 0


def test_a_download_is_kept_as_one_small_file_and_never_repeated(tmp_path: Path, upstream: Upstream) -> None:
    first, again = upstream.find(), upstream.find()
    assert upstream.requests == 1
    assert first.preprocessing == again.preprocessing == "imagenet"
    assert (first.source, first.sha256) == (again.source, again.sha256)
    assert all(torch.equal(again.tensors[key], tensor) for key, tensor in tensors().items())
    (kept,) = cached(tmp_path)
    with safetensors.safe_open(kept, "pt") as content:
        assert content.metadata()["upstream_sha256"] == hashlib.sha256(upstream.body).hexdigest()


def test_a_download_needs_no_progress_bar(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "tqdm", functools.partial(tqdm, disable=True))  # as TQDM_DISABLE=1 does
    assert upstream.find().preprocessing == "imagenet"


def test_the_download_leaves_out_all_but_the_convolutions_up_to_conv5_1(tmp_path: Path, upstream: Upstream) -> None:
    extra = {"classifier.0.weight": torch.zeros(9, 9), "features.30.bias": torch.zeros(512)}
    upstream.body = write(tmp_path / "full.pth", tensors() | extra).read_bytes()
    upstream.promised = len(upstream.body)
    assert set(upstream.find().tensors) == set(tensors())


def test_a_damaged_cache_is_mended_by_a_download(tmp_path: Path, upstream: Upstream) -> None:
    upstream.find()
    (kept,) = cached(tmp_path)
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(WeightsUnavailable, match="cut short"):
        upstream.find(download=False)
    assert upstream.find().layers == ("relu1_1", "relu1_2", "relu2_1")
    assert upstream.requests == 2


def damaged(upstream: Upstream) -> None:
    upstream.body = upstream.body[:5000] + b"x" + upstream.body[5001:]


def stopping(upstream: Upstream) -> None:
    upstream.body = upstream.body[:5000]


def moved(upstream: Upstream) -> None:
    upstream.status = 404


def endless(upstream: Upstream) -> None:
    upstream.promised = 0
    upstream.body = upstream.body * 20


@pytest.mark.parametrize(
    ("fault", "why"),
    [(damaged, "wrong hash"), (stopping, "stopped after|IncompleteRead"), (moved, "Not Found"), (endless, "more than")],
)
def test_a_failed_download_says_why_and_leaves_nothing_in_the_cache(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Upstream], None], why: str
) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", len(upstream.body) + 1000)
    prefix = hashlib.sha256(upstream.body).hexdigest()[:8]
    fault(upstream)
    with pytest.raises(WeightsUnavailable, match=why) as caught:
        upstream.find(sha256_prefix=prefix)
    assert "vgg19-fake.pth" in str(caught.value)
    assert cached(tmp_path) == []


def test_offline_the_three_ways_out_are_told() -> None:
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/vgg19-fake.pth"
        with pytest.raises(WeightsUnavailable, match=re.escape(url)) as caught:
            find_weights(url=url)
    for way in ("--vgg-weights FILE", "TEXTURE_VGG19", "--descriptor builtin"):
        assert way in str(caught.value)


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        port = silent.getsockname()[1]
        with pytest.raises(WeightsUnavailable, match="timed out"):
            find_weights(url=f"http://127.0.0.1:{port}/vgg19-fake.pth")


def test_without_download_nothing_is_asked_and_no_folder_made(tmp_path: Path, upstream: Upstream) -> None:
    with pytest.raises(WeightsUnavailable, match="downloads are off"):
        upstream.find(download=False)
    assert upstream.requests == 0
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, upstream: Upstream) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WeightsUnavailable, match=re.escape(str(tmp_path / "cache" / "texserver"))):
        upstream.find()
