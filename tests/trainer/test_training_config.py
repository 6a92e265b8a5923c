"""What can be chosen for a training is refused where it makes no sense, and every choice has its flag."""

import argparse
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest

from server.config_flags import add_flags, from_options
from server.errors import TexserverError
from trainer.training.recipe import Recipe
from trainer.training_config import TrainingConfig

PLAIN = TrainingConfig(swatch=(Path("brick.jpg"),))


def parsed(*arguments: str) -> TrainingConfig:
    parser = argparse.ArgumentParser()
    add_flags(parser, TrainingConfig)
    return from_options(TrainingConfig, parser.parse_args(arguments))


def test_without_flags_the_defaults_are_those_of_the_fields_and_of_the_recipe() -> None:
    assert parsed("--swatch", "brick.jpg") == PLAIN
    assert PLAIN.recipe == Recipe()
    assert replace(PLAIN, kind="style").recipe == Recipe.of("style")


GIVEN: dict[str, tuple[list[str], Any]] = {
    "swatch": (["a.jpg", "b.jpg"], (Path("a.jpg"), Path("b.jpg"))), "out": (["some/models"], Path("some/models")),
    "swatch_size": (["300"], 300), "metres": (["2.5"], 2.5), "category": (["Masonry"], "Masonry"),
    "keep_light": ([], True), "kind": (["style"], "style"),
    "iterations": (["7"], 7), "batch": (["2"], 2), "size": (["128"], 128), "seed": (["5"], 5),
    "arch": (["taper"], "taper"), "rate": (["0.5"], 0.5), "map": (["ao=x.png"], ("ao=x.png",)),
    "derive": (["height,normal"], "height,normal"), "content": (["photos"], Path("photos")), "device": (["cpu"], "cpu"),
    "descriptor": (["builtin"], "builtin"),
    "vgg_weights": (["vgg.pth"], Path("vgg.pth")), "lattice": (["none"], "none"),
    "colour": ([], True), "again": ([], True), "json": (["made.json"], Path("made.json")),
    "resume": ([], True), "quiet": ([], True), "corners": (["0,0;0,1;1,1;1,0"], "0,0;0,1;1,1;1,0"),
    "leave_out": (["0.1,0.2,0.3,0.4"], ("0.1,0.2,0.3,0.4",)), "together": (["hers"], "hers"),
    "keep_writing": ([], True),
    "aspect": (["1.5"], 1.5), "model_only": ([], True), "progress_lines": ([], True), "leave_with_parent": ([], True),
    "swatch_list": (["list.txt"], Path("list.txt")), "shard": (["3/16"], "3/16"), "estimate": ([], True),
    "ray": (["auto"], "auto"),
    "result_lines": ([], True), "openjd": ([], True),
}  # fmt: skip


@pytest.mark.parametrize("name", [each.name for each in fields(TrainingConfig)])
def test_every_field_has_a_flag_that_sets_it_alone(name: str) -> None:
    arguments, value = GIVEN[name]
    others = () if name == "swatch" else ("--swatch", "brick.jpg")
    needed = {"aspect": {"corners": "0,0;0,1;1,1;1,0"}}.get(name, {})
    if name in ("leave_out", "together", "keep_writing"):
        needed = {"kind": "style"}
    others += tuple(each for given in needed.items() for each in (f"--{given[0]}", given[1]))
    config = parsed(*others, f"--{name.replace('_', '-')}", *arguments)
    assert config == replace(PLAIN, **needed, **{name: value})
    assert type(getattr(config, name)) is type(value)


def test_flags_of_several_values_may_be_repeated() -> None:
    config = parsed("--swatch", "a", "b", "--map", "ao=x.png", "--swatch", "c", "--map", "height=y.png")
    assert config.swatch == (Path("a"), Path("b"), Path("c"))
    assert config.map_files == {"ao": Path("x.png"), "height": Path("y.png")}


def test_a_swatch_must_be_named() -> None:
    with pytest.raises(TexserverError, match="name a picture"):
        parsed()
    assert parsed("--swatch-list", "list.txt").swatch == ()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"shard": "5/4"}, "not one of 1/4 to 4/4"),
        ({"shard": "1/4", "ray": "auto"}, "shards of its own"),
        ({"openjd": True, "progress_lines": True}, "Leave one of them out"),
        ({"arch": "resnet"}, "arch is 'resnet'"),
        ({"lattice": "bricks"}, "is not a lattice"),
        ({"map": ("shine=x.png",)}, "NAME=FILE"),
        ({"map": ("ao=x.png", "ao=y.png")}, "given twice"),
        ({"derive": "ao"}, "--derive"),
        ({"derive": "normal", "kind": "style"}, "for textures"),
        ({"map": ("ao=x.png",), "kind": "style"}, "for textures"),
        ({"metres": 1.0, "kind": "style"}, "for textures"),
        ({"leave_out": ("0,0,1,1",)}, "for quilted styles"),
        ({"together": "hers"}, "for quilted styles"),
        ({"keep_writing": True}, "for quilted styles"),
        ({"leave_out": ("0,0,1",), "kind": "style"}, "x,y,w,h"),
        ({"corners": "0,0;0,1;1,1;1,0", "kind": "style"}, "for textures"),
        ({"corners": "0,0;1,0;1,1;0,1"}, "clockwise"),
        ({"aspect": 1.5}, "belongs to --corners"),
        ({"corners": "0,0;0,1;1,1;1,0", "aspect": 0.0}, "from 1/16 to 16"),
        ({"metres": 0.0}, "from 0.001 to 10000"),
        ({"metres": float("nan")}, "from 0.001 to 10000"),
        ({"category": ""}, "1 to 64"),
        ({"category": "a\nb"}, "1 to 64"),
    ],
)
def test_what_makes_no_sense_is_refused_at_construction(changed: dict[str, Any], why: str) -> None:
    with pytest.raises((TexserverError, ValueError), match=why):
        replace(PLAIN, **changed)


def test_what_only_shapes_a_network_is_ignored_by_a_quilt_alone() -> None:
    given = replace(PLAIN, iterations=5, vgg_weights=Path("vgg.pth"), seed=3)
    assert given.ignored == ["--iterations", "--vgg-weights"]
    assert PLAIN.ignored == replace(given, arch="taper").ignored == []


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        PLAIN.quiet = True  # type: ignore[misc]
