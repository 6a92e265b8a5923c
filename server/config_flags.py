"""Flags of a command line, made from the fields of a frozen dataclass, which is the only home of their defaults.

    @dataclass(frozen=True, kw_only=True)
    class ServerConfig:
        workers: int = field(default=1, metadata=flag("processes for each device", metavar="N"))    # --workers N
        no_auth: bool = field(default=False, metadata=flag("use no keys"))                          # --no-auth
        swatch: tuple[Path, ...] = field(metadata=flag("photographs"))              # --swatch A B --swatch C, required

Whether the values make sense is checked where the dataclass is constructed.
"""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, fields
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Config = TypeVar("Config")


def flag(help: str, *, metavar: str | None = None, choices: Sequence[str] | None = None) -> Mapping[str, Any]:
    """A field's metadata: what --help says about it. `%(default)s` in the text stands for the default."""
    return {"help": help, "metavar": metavar, "choices": choices}


def add_flags(parser: argparse.ArgumentParser, config: type[Any]) -> None:
    """One flag for each field of the dataclass: its name with dashes, its type, its default, its help.

    A field without a default makes a flag that must be given; a tuple makes one that takes several values and may be
    repeated.
    """
    types = get_type_hints(config)
    for each in fields(config):
        name = f"--{each.name.replace('_', '-')}"
        described = each.metadata
        if types[each.name] is bool:
            parser.add_argument(name, action="store_true", help=described["help"])
            continue
        several = _several(types[each.name])
        more: dict[str, Any] = {"nargs": "+", "action": "extend"} if several else {}
        parser.add_argument(
            name,
            type=_read_as(types[each.name]),
            required=each.default is MISSING,
            default=None if several or each.default is MISSING else each.default,
            metavar=described["metavar"],
            choices=described["choices"],
            help=described["help"],
            **more,
        )


def from_options(config: type[Config], options: argparse.Namespace) -> Config:
    """The dataclass with the values that were given. Raises what it raises for values that make no sense."""
    types = get_type_hints(config)
    given = {each.name: getattr(options, each.name) for each in fields(config)}  # type: ignore[arg-type]
    return config(**{name: tuple(value or ()) if _several(types[name]) else value for name, value in given.items()})


def as_options(config: Any, leave_out: Collection[str] = ()) -> list[str]:
    """The command line that gives this dataclass again, without the fields `leave_out`."""
    options: list[str] = []
    for each in fields(config):
        value = getattr(config, each.name)
        if each.name in leave_out or value == each.default:
            continue
        values = value if isinstance(value, tuple) else () if value is True else (value,)
        options += [f"--{each.name.replace('_', '-')}", *map(str, values)]
    return options


def _several(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


def _read_as(annotation: Any) -> Any:
    """The class that reads a flag's text: `int` for `int | None` and for `tuple[int, ...]`, `str` for a Literal."""
    kinds = [each for each in get_args(annotation) if each not in (NoneType, Ellipsis)] or [annotation]
    return kinds[0] if isinstance(kinds[0], type) else str
