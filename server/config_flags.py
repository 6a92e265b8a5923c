"""Flags of a command line, made from the fields of a frozen dataclass, which is the only home of their defaults.

    @dataclass(frozen=True, kw_only=True)
    class ServerConfig:
        workers: int = field(default=1, metadata=flag("processes for each device", metavar="N"))    # --workers N
        no_auth: bool = field(default=False, metadata=flag("use no keys"))                          # --no-auth

Whether the values make sense is checked where the dataclass is constructed.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

Config = TypeVar("Config")


def flag(help: str, *, metavar: str | None = None, choices: Sequence[str] | None = None) -> Mapping[str, Any]:
    """A field's metadata: what --help says about it. `%(default)s` in the text stands for the default."""
    return {"help": help, "metavar": metavar, "choices": choices}


def add_flags(parser: argparse.ArgumentParser, config: type[Any]) -> None:
    """One flag for each field of the dataclass: its name with dashes, its type, its default, its help."""
    types = get_type_hints(config)
    for each in fields(config):
        assert each.default is not MISSING
        name = f"--{each.name.replace('_', '-')}"
        described = each.metadata
        if types[each.name] is bool:
            parser.add_argument(name, action="store_true", help=described["help"])
            continue
        parser.add_argument(
            name,
            type=_read_as(types[each.name]),
            default=each.default,
            metavar=described["metavar"],
            choices=described["choices"],
            help=described["help"],
        )


def from_options(config: type[Config], options: argparse.Namespace) -> Config:
    """The dataclass with the values that were given. Raises what it raises for values that make no sense."""
    return config(**{each.name: getattr(options, each.name) for each in fields(config)})  # type: ignore[arg-type]


def _read_as(annotation: Any) -> Any:
    """The class that reads a flag's text: `int` for `int | None`, `str` for a Literal."""
    kinds = [each for each in get_args(annotation) if each is not NoneType] or [annotation]
    return kinds[0] if isinstance(kinds[0], type) else str
