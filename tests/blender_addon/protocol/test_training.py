"""What a training is asked with is read, or refused by a sentence that names the field."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from blender_addon.pictures.map_names import PARTS
from blender_addon.protocol import training, wire
from blender_addon.protocol.wire import Limits, Refused, parse_reply, parse_request
from server.model import header as model_header
from server.msgpack_codec import CODECS
from trainer.swatch.derive import CAN
from trainer.training.recipe import KINDS

TOKEN = "0123456789abcdef" * 2
PIXELS = bytes(64 * 64 * 3)


def described(
    name: str = "basecolor", shape: tuple[int, int, int] = (64, 64, 3), dtype: str = "uint8"
) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def train(*maps: tuple[dict[str, Any], bytes], **changes: Any) -> list[bytes]:
    maps = maps or ((described(), PIXELS),)
    header = {"op": "train", "id": 7, "token": TOKEN, "name": "wall", "buffers": [each for each, _ in maps]} | changes
    return [b"TX1j", json.dumps(header).encode(), *(data for _, data in maps)]


def refused(frames: list[bytes], limits: Limits = Limits()) -> Refused:  # noqa: B008, it is frozen
    with pytest.raises(Refused) as error:
        parse_request(frames, limits)
    assert error.value.id == 7
    return error.value


WRONG = {
    "token": [None, 7, "", "ab", TOKEN.upper(), TOKEN + "0", "../" + TOKEN[3:], "g" * 32],
    "name": [
        None,
        7,
        "",
        "Wall",
        "a b",
        "../wall",
        "a/b",
        "a.b",
        ".wall",
        "-wall",
        "a" * 65,
        "con",
        "com1",
        "a\0b",
        "é",
    ],
    "metres": [0, -1, 10_001, "2", True, [2]],
    "category": [7, None, "x" * 65, "a\nb"],
    "corners": [
        7,
        [],
        [0] * 7,
        [0] * 9,
        [0] * 7 + [1.01],
        [0] * 7 + [-0.01],
        [0] * 7 + ["1"],
        [[0, 0]] * 4,
        [True] * 8,
    ],
    "aspect": [0, 17, -1, "1", True],
    "swatch_size": [63, 8193, 1.5, "512"],
    "keep_light": [1, None, "yes"],
    "derive": ["normal", [], ["ao"], ["normal", "normal"], [7]],
    "replace": [1, None, "yes"],
    "kind": [None, 7, "", "material", "Style", ["style"]],
    "leave_out": [
        None,
        7,
        "0,0,1,1",
        [0, 0, 1, 1],
        [[0, 0, 1]],
        [[0, 0, 1, 1.01]],
        [[0, -0.1, 1, 1]],
        [[0, 0, 0, 1]],
        [[0, 0, 1, True]],
        [[0, 0, 1, 1]] * 17,
        [[0, 0, 0.1, 0.1]],
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_field_out_of_range_is_named(name: str) -> None:
    for value in WRONG[name]:
        error = refused(train(**{name: value}))
        assert error.code == "bad_request", value
        assert str(error).startswith(f"{name}: "), value


def test_a_style_is_asked_for_with_a_painting_and_what_it_leaves_out() -> None:
    parts = ((0.0, 0.25, 0.5, 1.0), (0.9, 0.0, 0.1, 1.0))
    style = parse_request(train(kind="style", leave_out=parts, swatch_size=640, replace=True), Limits())
    assert isinstance(style, wire.Train)
    assert (style.kind, style.leave_out, style.swatch_size) == ("style", parts, 640)
    for letter in CODECS:
        assert parse_request(wire.encode(style, letter, CODECS), Limits(), CODECS) == style
    of_before = parse_request(train(), Limits())
    assert isinstance(of_before, wire.Train)
    assert of_before.kind == "texture"


@pytest.mark.parametrize(
    ("name", "value"),
    [("metres", 2), ("corners", [0] * 8), ("aspect", 1), ("keep_light", True), ("derive", ["normal"])],
)
def test_what_a_style_has_not_is_refused_by_name(name: str, value: Any) -> None:
    error = refused(train(kind="style", **{name: value}))
    assert (error.code, str(error)) == ("bad_request", f"{name}: a style is learned without it; leave it out.")


def test_a_style_has_no_map_but_the_painting() -> None:
    error = refused(train((described(), PIXELS), (described("normal"), PIXELS), kind="style"))
    assert str(error).startswith("normal: ")


def test_a_job_tells_what_is_made_and_an_older_server_makes_textures() -> None:
    told = {"token": TOKEN, "name": "oil", "state": "running"}
    for kind in ("texture", "style"):
        frames = wire.encode(wire.Job(id=1, kind=kind, **told))  # type: ignore[arg-type]
        assert parse_reply(frames) == wire.Job(id=1, kind=kind, **told)  # type: ignore[arg-type]
        assert (b"kind" in bytes(frames[1])) == (kind == "style")


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("normal",),
        ("basecolor", "normal", "basecolor"),
        ("basecolor", "shine"),
        ("basecolor", "../x"),
        ("", "basecolor"),
    ],
)
def test_the_maps_must_be_known_and_the_base_colour_among_them(names: tuple[str, ...]) -> None:
    frames = train(buffers=[described(name) for name in names])[:2] + [PIXELS] * len(names)
    error = refused(frames)
    assert (error.code, str(error)[:9]) == ("bad_request", "buffers: ")


def test_a_large_map_comes_in_bands_that_are_one_map() -> None:
    data = bytes(range(180))
    base = wire.Buffer(name="basecolor", dtype="uint16", shape=(10, 3, 3), data=data)
    bands = tuple(training.in_bands([base, replace(base, name="normal")], 40))
    assert [each.shape for each in bands] == 2 * [(2, 3, 3)] * 5
    request = wire.Train(id=7, token=TOKEN, name="wall", buffers=bands)
    read = parse_request(wire.encode(request), Limits())
    assert isinstance(read, wire.Train)
    assert list(read.maps) == ["basecolor", "normal"]
    assert b"".join(bytes(each.data) for each in read.maps["normal"]) == data
    narrow = replace(bands[1], shape=(2, 2, 3), data=bytes(24))
    frames = [bytes(frame) for frame in wire.encode(replace(request, buffers=(bands[0], narrow)))]
    assert "bands of basecolor differ" in str(refused(frames))
    frames = [bytes(frame) for frame in wire.encode(request)]
    assert "3 x 10 pixels" in str(refused(frames, Limits(max_train_side=9)))


def test_a_set_of_8192_x_8192_is_sent_in_frames_that_every_server_takes() -> None:
    size = 8192 * 8192
    maps = [
        wire.Buffer(name=name, dtype=dtype, shape=(8192, 8192, channels), data=memoryview(np.zeros(length, np.uint8)))
        for name, dtype, channels, length in (
            ("basecolor", "uint8", 3, 3 * size),
            ("normal", "uint8", 3, 3 * size),
            ("roughness", "uint8", 1, size),
            ("height", "uint16", 1, 2 * size),
        )
    ]
    bands = tuple(training.in_bands(maps))
    assert sum(memoryview(each.data).nbytes for each in bands) == 9 * size <= Limits().max_train_bytes
    assert max(memoryview(each.data).nbytes for each in bands) <= 4 * Limits().max_content_pixels
    assert len(bands) <= wire.MAX_BUFFERS


def test_maps_over_a_limit_are_too_large_and_the_text_says_how_large_they_may_be() -> None:
    long = bytes(65 * 1 * 1)
    limits = Limits(max_train_side=64, max_train_bytes=2 * len(PIXELS) - 1)
    assert "at most 64 a side" in str(refused(train((described(shape=(1, 65, 1)), long)), limits))
    assert "at most 64 a side" in str(refused(train((described(shape=(65, 1, 1)), long)), limits))
    two = train((described(), PIXELS), (described("normal"), PIXELS))
    assert refused(two, limits).code == "too_large"
    assert f"at most {2 * len(PIXELS) - 1} are taken" in str(refused(two, limits))
    request = parse_request(train(), limits)
    assert isinstance(request, wire.Train)
    assert request.bytes == len(PIXELS)


def test_a_4k_set_of_five_maps_fits_the_usual_limit() -> None:
    channels = {"basecolor": 3, "normal": 3, "roughness": 1, "ao": 1, "height": 2}  # bytes a pixel
    assert sum(channels.values()) * 4096 * 4096 <= Limits().max_train_bytes


def test_the_wire_knows_the_parts_and_guesses_of_the_trainer_and_the_bounds_of_model_files() -> None:
    """It cannot import them: it stands below them all."""
    assert set(training.PARTS) == {"basecolor", *PARTS}
    assert set(training.GUESSED) == set(CAN)
    assert training.KINDS == KINDS
    assert (wire.MIN_METRES, wire.MAX_METRES) == model_header.METRES
    assert wire.MAX_CATEGORY == model_header.MAX_CATEGORY
