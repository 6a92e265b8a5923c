"""Where a generator runs and how exactly: the same choice for texget, the trainer's pictures and the server.

`exact` is float32 throughout: CPU and GPU agree within 1/255. `fast` runs the levels in bfloat16 and the last
convolution, which makes the colours, in float32. It is 1.7 times as fast on processors with bfloat16 arithmetic, and
differs by a grain of a few 1/255.
"""

import copy
import platform
from pathlib import Path
from typing import Literal, TypeVar

import torch

from server.errors import TexserverError
from server.network.generator import Generator
from server.network.model_file import AnyModel, Model
from server.network.style_generator import StyleGenerator
from server.precision import PRECISIONS, Precision
from server.quilt.quilt import Quilt
from server.strokes.painter import StyleQuilt

AnyGenerator = TypeVar("AnyGenerator", bound=AnyModel)


class NoSuchDevice(TexserverError):
    """This machine does not have the device; the text lists those that it has."""


def choose_device(name: str = "auto") -> torch.device:
    """The device of this name: auto, cpu, cuda, cuda:N or mps. Raises NoSuchDevice.

    `auto` is the first CUDA device, or else the CPU. It never chooses mps, whose pixels were never compared.
    """
    cuda_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda", 0) if cuda_devices else torch.device("cpu")
    here = ["cpu", *(f"cuda:{index}" for index in range(cuda_devices)), *(["mps"] if mps else [])]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in here:
        raise NoSuchDevice(f"device: there is no {name[:40]!r} here; use auto or one of {', '.join(here)}.")
    return torch.device(wanted)


def choose_precision(device: torch.device, precision: Precision = "auto") -> Literal["exact", "fast"]:
    """Replace `auto`: fast on a CPU that has bfloat16 instructions, else exact."""
    if precision not in PRECISIONS:
        raise ValueError(f"a precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
    if precision == "auto":
        return "fast" if device.type == "cpu" and _cpu_has_bfloat16() else "exact"
    return precision


def prepare(generator: AnyGenerator, device: torch.device, precision: Precision = "auto") -> AnyGenerator:
    """A copy of the generator that is ready to paint on the device. The argument is not changed.

    `exact` on CUDA turns TensorFloat-32 off for the whole process: with it, pixels would differ from the CPU's by more
    than 1/255.
    """
    chosen = choose_precision(device, precision)
    if device.type == "cuda" and chosen == "exact":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    if isinstance(generator, Quilt | StyleQuilt):  # whole numbers: there is nothing to be fast or exact about
        return generator.on(device)  # type: ignore[return-value]
    prepared = copy.deepcopy(generator)
    prepared.eval().requires_grad_(False)
    # a module has no typed overload of to() with a memory format and a device at once
    prepared.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if isinstance(prepared, StyleGenerator):
        prepared.fast = chosen == "fast"  # its weights stay float32: each picture folds its statistics into them
    elif chosen == "fast":
        prepared.levels.to(torch.bfloat16)
    return prepared


def arithmetic_of(device: torch.device) -> str:
    """What decides the last bit of a network's samples: two that say the same, of one precision, compute the same.

    "" for graphics cards: whether two of one kind do was never measured.
    """
    if device.type != "cpu":
        return ""
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{_processor()} {instructions}, torch {torch.__version__}, {torch.get_num_threads()} threads"


def _processor() -> str:
    """Its model's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def paintable(model: Model, device: str = "auto", precision: Precision = "auto") -> Generator | Quilt:
    """The model's generator on the device of this name, ready for `server.network.texture`. Raises NoSuchDevice,
    WrongKind.
    """
    return prepare(model.texture_generator(), choose_device(device), precision)


def _cpu_has_bfloat16() -> bool:
    """Whether torch reports AVX512-BF16 or AMX. On ARM it reports neither."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(check() for name in checks if (check := getattr(torch.cpu, name, None)))
