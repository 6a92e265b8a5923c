"""Facts about where a generator runs: names are checked, and the model itself stays as it was."""

import pytest
import torch

from server.model.header import WrongKind
from server.network import devices
from server.network.devices import NoSuchDevice, choose_device, choose_precision, paintable, prepare
from server.network.stylize import stylize
from server.network.texture import texture
from tests.models import tiny_generator, tiny_model, tiny_style

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "cuda:-1", "cuda:", "tpu", "", "CPU", "cpu:0", "meta", "x" * 1000])
def test_a_device_that_is_not_here_is_a_sentence(name: str) -> None:
    with pytest.raises(NoSuchDevice, match=r"^device: there is no '.{0,40}' here; use auto or one of cpu"):
        choose_device(name)


def test_cuda_is_taken_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cpu") == CPU
    with pytest.raises(NoSuchDevice, match="cpu, cuda:0, cuda:1"):
        choose_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU


def test_auto_is_fast_only_on_a_cpu_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for has in (True, False):
        monkeypatch.setattr(devices, "_cpu_has_bfloat16", lambda has=has: has)
        assert choose_precision(CPU) == ("fast" if has else "exact")
        assert choose_precision(torch.device("cuda")) == "exact"
        assert choose_precision(CPU, "exact") == "exact"
        assert choose_precision(CPU, "fast") == "fast"
    with pytest.raises(ValueError, match="a precision is one of"):
        choose_precision(CPU, "double")  # type: ignore[arg-type]


def test_preparing_leaves_the_model_as_it_was() -> None:
    model = tiny_model()
    before = {name: value.clone() for name, value in model.generator.state_dict().items()}
    prepared = paintable(model, "cpu", "fast")
    assert {value.dtype for value in prepared.levels.state_dict().values()} == {torch.bfloat16}
    assert {value.dtype for value in prepared.paint.state_dict().values()} == {torch.float32}
    assert all(torch.equal(before[name], value) for name, value in model.generator.state_dict().items())


@pytest.mark.parametrize("lattice", [False, True])
def test_exact_paints_what_the_model_paints_and_fast_nearly(lattice: bool) -> None:
    generator = tiny_generator(lattice=lattice)
    wanted = texture(generator, 5, (64, 96))
    torch.testing.assert_close(texture(prepare(generator, CPU, "exact"), 5, (64, 96)), wanted, rtol=0, atol=1e-5)
    fast = texture(prepare(generator, CPU, "fast"), 5, (64, 96))
    assert 0 < (fast - wanted).abs().max() < 6 / 255


def test_a_style_stylizes_and_does_not_paint() -> None:
    content = torch.rand(40, 50, 3)
    exact = stylize(prepare(tiny_style().style_generator(), CPU, "exact"), content, 3, 1.0)
    expected = stylize(tiny_style().style_generator(), content, 3, 1.0)
    torch.testing.assert_close(exact, expected, rtol=0, atol=1e-4)
    with pytest.raises(WrongKind):
        paintable(tiny_style(), "cpu")
    with pytest.raises(WrongKind):
        tiny_model().style_generator()


@pytest.mark.gpu
def test_cpu_and_gpu_stylize_alike_within_a_255th() -> None:
    content = torch.rand(300, 200, 4)
    on_cpu, on_gpu = (
        stylize(prepare(tiny_style().style_generator(), torch.device(each), "exact"), content, 3, 1.0)
        for each in ("cpu", "cuda")
    )
    assert (on_cpu - on_gpu).abs().max() < 1 / 255


@pytest.mark.gpu
@pytest.mark.parametrize("lattice", [False, True])
def test_cpu_and_gpu_agree_within_a_255th(lattice: bool) -> None:
    model = tiny_model(lattice=lattice)
    on_cpu, on_gpu = (texture(paintable(model, device, "exact"), 5, (300, 200)) for device in ("cpu", "cuda"))
    assert (on_cpu - on_gpu).abs().max() < 1 / 255
