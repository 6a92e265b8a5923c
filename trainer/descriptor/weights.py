"""Where VGG-19's weights come from: a named file, the user's cache, or torchvision's upstream file, in that order.

Two different networks are called VGG-19, and each needs its images preprocessed in its own way:

    caffe      Oxford's own weights (Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556), CC BY 4.0:
               BGR, 0..255, minus (103.939, 116.779, 123.68)
    imagenet   torchvision's, trained anew: RGB, 0..1, minus (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)

With the wrong preprocessing they still run, only worse, and nobody notices. So every file must say which network it is,
or hold numbers known from one of them. A file whose numbers contradict what it says is refused.

Files: safetensors, or a state dict as `torch.save` writes it, read with `weights_only=True` so that nothing in it can
run. Both use torchvision's names, `features.N.weight` (out, in, 3, 3) and `features.N.bias` (out,), from conv1_1 to any
depth without a gap; layers after conv5_1 are ignored. In a safetensors file the metadata key `preprocessing` is "caffe"
or "imagenet".
"""

import hashlib
import http.client
import os
import stat
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, cast

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from server.errors import TexserverError

Preprocessing = Literal["caffe", "imagenet"]

UPSTREAM_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"  # 574,673,361 bytes
UPSTREAM_SHA256 = (
    "dcbb9e9d"  # its start, as torch.hub checks it. It finds damage; against malice there is the safe reader
)
ENVIRONMENT = "TEXTURE_VGG19"
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
MAX_FILE_BYTES = 700_000_000
MAX_HEADER_BYTES = 1_000_000
TIMEOUT_S = 10.0  # to connect, and for each read: people who are offline must not wait long


class Convolution(NamedTuple):
    """One 3 x 3 convolution of VGG-19."""

    name: str  # the field's name without "conv": "1_1"
    key: str  # torchvision's: "features.0"
    channels_in: int
    channels_out: int


# Configuration E of the paper's table 1, as deep as Gatys et al. (2015) look.
CONVOLUTIONS = (
    Convolution("1_1", "features.0", 3, 64),
    Convolution("1_2", "features.2", 64, 64),
    Convolution("2_1", "features.5", 64, 128),
    Convolution("2_2", "features.7", 128, 128),
    Convolution("3_1", "features.10", 128, 256),
    Convolution("3_2", "features.12", 256, 256),
    Convolution("3_3", "features.14", 256, 256),
    Convolution("3_4", "features.16", 256, 256),
    Convolution("4_1", "features.19", 256, 512),
    Convolution("4_2", "features.21", 512, 512),
    Convolution("4_3", "features.23", 512, 512),
    Convolution("4_4", "features.25", 512, 512),
    Convolution("5_1", "features.28", 512, 512),
)
DEEPER_KEYS = ("features.30", "features.32", "features.34")  # conv5_2 to conv5_4: part of VGG-19, but not used here

# The middle rows of conv1_1's first kernel, one for each input channel: enough to recognise the weights.
FIRST_KERNEL: Mapping[Preprocessing, tuple[tuple[float, float, float], ...]] = {
    "caffe": ((0.232159, 0.089782, -0.303314), (0.305112, 0.103854, -0.373141), (0.26713, 0.099864, -0.341009)),
    "imagenet": ((0.015314, 0.045068, 0.0021444), (0.14165, 0.22705, 0.13758), (0.059742, 0.13955, 0.054102)),
}

NAME_A_FILE = f"Name a good file with --vgg-weights FILE or the environment variable {ENVIRONMENT}"
WAY_OUT = f"{NAME_A_FILE}, or train without VGG-19: --descriptor builtin."


class UnusableWeights(TexserverError):
    """A file of VGG-19 weights that must not be used. The text names the file, the fault and what a training can do.

    `fault` is the text without what to do, `why` the reason in words that follow "it".
    """

    def __init__(self, file: Path | str, why: str) -> None:
        self.why, self.fault = why, f"The VGG-19 weights in {str(file)!r} cannot be used: {why}."
        super().__init__(f"{self.fault} {WAY_OUT}")


class WeightsUnavailable(UnusableWeights):
    """No file was named and none could be found; the built-in descriptor can be used instead."""

    def __init__(self, why: str) -> None:
        self.why, self.fault = why, f"No VGG-19 weights could be found: {why}."
        TexserverError.__init__(self, f"{self.fault} {WAY_OUT}")


@dataclass(frozen=True)
class Weights:
    """VGG-19's convolutions from conv1_1 on, and how to preprocess images for them."""

    tensors: dict[str, Tensor]  # features.N.weight (out, in, 3, 3) and features.N.bias (out,), float32 on the CPU
    preprocessing: Preprocessing
    source: str  # for people
    sha256: str  # of the file they were read from

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers these weights reach, shallow to deep: ("relu1_1", "relu1_2", …)."""
        return tuple(f"relu{conv.name}" for conv in CONVOLUTIONS if f"{conv.key}.weight" in self.tensors)


def find_weights(
    file: Path | None = None,
    *,
    download: bool = True,
    cache: Path | None = None,
    url: str = UPSTREAM_URL,
    sha256_prefix: str = UPSTREAM_SHA256,
) -> Weights:
    """`file`, else the one that TEXTURE_VGG19 names, else the user's cache, else (if `download`) the upstream file.

    A file that was named is used or refused, never skipped. The upstream file is downloaded once: `cache` (default: the
    user's cache folder) keeps its convolutions and not the rest of its half gigabyte.

    Raises UnusableWeights for a named file, WeightsUnavailable if none was named and none could be found.
    """
    if file is not None:
        return read_weights(file)
    if named := os.environ.get(ENVIRONMENT):
        try:
            return read_weights(Path(named))
        except UnusableWeights as error:
            raise UnusableWeights(named, f"{error.why} ({ENVIRONMENT} names it)") from error
    cache = user_cache_path("texserver") if cache is None else cache
    kept = cache / f"vgg19-{sha256_prefix}-conv1_1-conv5_1.safetensors"
    try:
        return read_weights(kept)
    except UnusableWeights as error:  # missing or damaged: a download helps in both cases
        if not download:
            why = f"no file was named, {str(kept)!r} in the cache cannot be used ({error.why}), and downloads are off"
            raise WeightsUnavailable(why) from error
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _download(url, sha256_prefix, kept)
    except OSError as error:
        raise WeightsUnavailable(f"the folder {str(cache)!r} cannot keep them ({_reason(error)})") from error
    return read_weights(kept)


def read_weights(file: Path) -> Weights:
    """Read one file and check its kind, size, tensors, numbers and preprocessing. Raises UnusableWeights."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # a folder; a pipe, which would block
            raise UnusableWeights(file, "it is not a file")
        if not found.st_size:
            raise UnusableWeights(file, "it is empty")
        if found.st_size > MAX_FILE_BYTES:
            raise UnusableWeights(file, f"it has {found.st_size:,} bytes, more than any VGG-19 ({MAX_FILE_BYTES:,})")
        metadata: dict[str, str] = {}
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            opened.seek(0)
            if file.name == UPSTREAM_URL.rpartition("/")[2] and not sha256.startswith(UPSTREAM_SHA256):
                raise UnusableWeights(
                    file, f"its hash is {sha256[:8]}…, not the one in its name: it was cut short or changed"
                )
            if file.suffix.lower() in (".pth", ".pt"):
                content = _read_pickle(opened, file)
            else:
                content, metadata = _read_safetensors(opened, file)
    except (OSError, ValueError) as error:  # ValueError: a name that is not a path, such as one with a zero byte
        raise UnusableWeights(file, f"it cannot be read ({_reason(error)})") from error
    tensors = _checked(content, file)
    preprocessing = _preprocessing(tensors, metadata, sha256, file)
    return Weights(tensors, preprocessing, metadata.get("source", "")[:200] or file.name, sha256)


def _read_safetensors(opened: IO[bytes], file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of VGG-19 in the file, and its metadata."""
    length = int.from_bytes(opened.read(8), "little")
    if length > MAX_HEADER_BYTES:
        raise UnusableWeights(file, "it is not a safetensors file, or a damaged one")
    try:
        with safe_open(file, "pt") as content:
            # Copies: the tensors must outlive the file, of which they are views.
            tensors = {key: content.get_tensor(key).clone() for key in filter(_is_convolution, content.keys())}
            return tensors, content.metadata() or {}
    except SafetensorError as error:
        raise UnusableWeights(file, f"it is not a safetensors file, or cut short ({error})") from error


def _read_pickle(opened: IO[bytes], file: Path) -> dict[str, Any]:
    """The tensors of VGG-19 in a state dict that `torch.save` wrote."""
    try:
        content = torch.load(opened, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything at all
        reason = str(error).strip().split("\n")[0][:200]
        raise UnusableWeights(file, f"it is not a PyTorch state dict, or cut short ({reason})") from error
    if not isinstance(content, Mapping):
        raise UnusableWeights(file, "it is not a PyTorch state dict")
    return {key: value for key, value in content.items() if isinstance(key, str) and _is_convolution(key)}


def _is_convolution(key: str) -> bool:
    return key.startswith("features.")


def _checked(tensors: Mapping[str, Any], file: Path) -> dict[str, Tensor]:
    """Exactly VGG-19's convolutions, from conv1_1 to the last one in the file, as float32."""
    keys = {key.rpartition(".")[0] for key in tensors}
    if strange := sorted(keys - {conv.key for conv in CONVOLUTIONS} - set(DEEPER_KEYS)):
        raise UnusableWeights(file, f"it holds another network (VGG-19 has no {strange[0][:60]!r})")
    depth = max((depth for depth, conv in enumerate(CONVOLUTIONS, start=1) if conv.key in keys), default=0)
    if not depth:
        raise UnusableWeights(file, "it holds another network (there is no 'features.0.weight' in it)")
    checked: dict[str, Tensor] = {}
    for conv in CONVOLUTIONS[:depth]:
        for part, shape in (("weight", (conv.channels_out, conv.channels_in, 3, 3)), ("bias", (conv.channels_out,))):
            key = f"{conv.key}.{part}"
            tensor = tensors.get(key)
            if not isinstance(tensor, Tensor):
                raise UnusableWeights(file, f"{key!r} is missing")
            if tuple(tensor.shape) != shape:
                why = f"it holds another network ({key!r} is {tuple(tensor.shape)}, and VGG-19's is {shape})"
                raise UnusableWeights(file, why)
            if tensor.dtype not in DTYPES or tensor.layout != torch.strided or tensor.device.type != "cpu":
                raise UnusableWeights(file, f"{key!r} is {tensor.dtype}, {tensor.layout}, not plain float16 to float32")
            checked[key] = tensor.detach().to(torch.float32).contiguous()
            if not checked[key].isfinite().all():
                raise UnusableWeights(file, f"{key!r} holds numbers that are not finite")
    return checked


def _preprocessing(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], sha256: str, file: Path
) -> Preprocessing:
    """What the file says of its preprocessing, checked against its first kernel."""
    stated = metadata.get("preprocessing")
    if stated is None and "BGR" in metadata.get("input", "") and "103.939" in metadata.get("input", ""):
        stated = "caffe"
    if stated not in (None, "caffe", "imagenet"):
        raise UnusableWeights(
            file, f"its metadata asks for the preprocessing {stated[:60]!r}, not 'caffe' or 'imagenet'"
        )
    known = "imagenet" if sha256.startswith(UPSTREAM_SHA256) else _recognise(tensors["features.0.weight"], file)
    if stated and known and stated != known:
        raise UnusableWeights(file, f"its metadata says {stated!r}, but its numbers are those of the {known!r} weights")
    if not stated and not known:
        raise UnusableWeights(
            file,
            "nothing says how images must be preprocessed for it: its numbers are neither Oxford's nor torchvision's, "
            "and its metadata does not say 'preprocessing': 'caffe' or 'imagenet'",
        )
    return cast(Preprocessing, stated or known)


def _recognise(weight: Tensor, file: Path) -> Preprocessing | None:
    """Recognise the network by its conv1_1 (64, 3, 3, 3), also after rounding to bfloat16."""
    rows = weight[0, :, 1, :]
    for preprocessing, known in FIRST_KERNEL.items():
        reference = torch.tensor(known)
        if torch.allclose(rows, reference, rtol=2**-8, atol=1e-5):
            return preprocessing
        if torch.allclose(rows.flip(0), reference, rtol=2**-8, atol=1e-5):
            raise UnusableWeights(file, f"these are the {preprocessing!r} weights with red and blue exchanged")
    return None


def _download(url: str, sha256_prefix: str, kept: Path) -> None:
    """Download the upstream file's convolutions into the cache file `kept`. Raises OSError if it cannot be written."""
    name = url.rpartition("/")[2]
    with tempfile.TemporaryFile(dir=kept.parent) as whole:  # without a name: it disappears even if we are killed
        sha256 = _fetch(url, whole)
        if not sha256.startswith(sha256_prefix):
            raise WeightsUnavailable(
                f"the download of {url} has the wrong hash ({sha256[:8]}…, not {sha256_prefix}…), so it was discarded"
            )
        whole.seek(0)
        tensors = _checked(_read_pickle(whole, Path(name)), Path(name))
    metadata = {
        "version": "1",
        "preprocessing": "imagenet",
        "source": f"torchvision's {name}, conv1_1 to conv5_1",
        "upstream_url": url,
        "upstream_sha256": sha256,
    }
    with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as part:
        try:
            part.write(save(tensors, metadata))
            part.close()
            Path(part.name).replace(kept)
        except BaseException:
            part.close()
            Path(part.name).unlink(missing_ok=True)
            raise


def _fetch(url: str, whole: IO[bytes]) -> str:
    """Download `url` into the file `whole`, with a progress bar. Returns the SHA-256 in hexadecimal."""
    digest, received = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "texserver"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            length = int(response.headers.get("Content-Length") or 0)
            with tqdm(total=length or None, unit="B", unit_scale=True, desc="VGG-19 weights (once)") as bar:
                while chunk := response.read(1 << 20):
                    received += len(chunk)
                    if received > MAX_FILE_BYTES:
                        raise WeightsUnavailable(f"{url} sent more than {MAX_FILE_BYTES:,} bytes")
                    whole.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
                if received < length:
                    raise WeightsUnavailable(f"{url} stopped after {received:,} of {length:,} bytes")
    except urllib.error.HTTPError as error:
        with error:
            raise WeightsUnavailable(f"{url} cannot be downloaded ({error.code} {error.reason})") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise WeightsUnavailable(f"{url} cannot be downloaded ({_reason(error)})") from error
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """The text of an error, without its class and numbers."""
    reason = getattr(error, "reason", error)  # urllib wraps the socket's own error
    return str(getattr(reason, "strerror", None) or reason)
