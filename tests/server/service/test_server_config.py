"""What can be chosen for a server is refused where it makes no sense, and every choice has its flag."""

import argparse
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest

from server.config_flags import add_flags, from_options
from server.service.server_config import ServerConfig, Unservable, is_loopback, parse_endpoint


def parsed(*arguments: str) -> ServerConfig:
    parser = argparse.ArgumentParser()
    add_flags(parser, ServerConfig)
    return from_options(ServerConfig, parser.parse_args(arguments))


def test_without_flags_the_defaults_are_those_of_the_fields() -> None:
    assert parsed() == ServerConfig()


GIVEN: dict[str, tuple[list[str], Any]] = {
    "models": (["some/models"], Path("some/models")), "starter": (["bricks,planks"], "bricks,planks"),
    "bind": (["tcp://0.0.0.0:7733"], "tcp://0.0.0.0:7733"),
    "device": (["cuda:0,1"], "cuda:0,1"), "workers": (["3"], 3), "precision": (["exact"], "exact"),
    "connection_file": (["here.json"], Path("here.json")), "no_auth": ([], True), "no_training": ([], True),
    "cache": (["0"], 0),
    "max_side": (["65536"], 65536), "watchdog": (["0.5"], 0.5), "drain": (["0"], 0.0),
    "bind_workers": (["tcp://[::1]:*"], "tcp://[::1]:*"), "worker_of": (["line"], "line"),
    "ray": (["auto"], "auto"), "ray_workers": (["8"], 8),
    "verify": (["0.02"], 0.02), "metrics_host": (["0.0.0.0"], "0.0.0.0"), "log_format": (["json"], "json"),
    "leave_with_parent": ([], True), "metrics_port": (["9000"], 9000), "log_level": (["debug"], "debug"),
}  # fmt: skip


@pytest.mark.parametrize("name", [each.name for each in fields(ServerConfig)])
def test_every_field_has_a_flag_that_sets_it_alone(name: str) -> None:
    arguments, value = GIVEN[name]
    config = parsed(f"--{name.replace('_', '-')}", *arguments)
    assert config == replace(ServerConfig(), **{name: value})
    assert type(getattr(config, name)) is type(value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bind": "nonsense"}, "no endpoint"), ({"bind": "tcp://127.0.0.1:65536"}, "no endpoint"),
        ({"bind_workers": "tcp://:1"}, "no endpoint"), ({"no_auth": True, "bind": "tcp://*:1"}, "--no-auth would let"),
        ({"no_auth": True, "bind": "tcp://[::]:1"}, "--no-auth would let"), ({"precision": "double"}, "--precision"),
        ({"log_level": "loud"}, "--log-level"), ({"max_side": 15}, "--max-side"), ({"max_side": 65537}, "--max-side"),
        ({"workers": 0}, "--workers"), ({"cache": -1}, "--cache"), ({"watchdog": 0.0}, "--watchdog"),
        ({"watchdog": float("nan")}, "--watchdog"), ({"drain": -1.0}, "--drain"),
        ({"ray": "auto", "device": "mps"}, "--device"), ({"ray": "auto", "workers": 2}, "--ray-workers"),
        ({"ray": "auto", "worker_of": "line"}, "--worker-of"), ({"ray_workers": 0}, "--ray-workers"),
        ({"verify": 1.1}, "--verify"), ({"verify": float("nan")}, "--verify"), ({"log_format": "xml"}, "--log-format"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_nonsense_is_refused_at_construction(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(Unservable, match=said):
        ServerConfig(**wrong)


def test_a_config_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ServerConfig().workers = 2  # type: ignore[misc]


def test_loopback_is_known_from_other_addresses() -> None:
    assert all(map(is_loopback, ("localhost", "[::1]", "127.0.0.1", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "*", "[::]", "127.example.org", "10.0.0.1")))
    assert parse_endpoint("tcp://[fe80::1%1]:7733") == ("[fe80::1%1]", "7733")
