"""texserver keys: who may use the server. texserver --pairing: what to paste on another machine.

    texserver keys add anna           a key of that name, and its pairing line if the server runs
    texserver keys add anna --may-train    likewise, and whoever has it may have models trained
    texserver keys list               the names of all keys
    texserver keys revoke anna        it opens nothing any more; a running server disconnects who uses it
    texserver --pairing               the pairing line of the key "default", or of another: --pairing anna
    texserver --pairing workers       the line for workers on other machines

Lines go to standard output and nothing else does, so that they can be sent into a file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from blender_addon.protocol.pairing import (
    Pairing,
    default_connection_file,
    fingerprint,
    public_key,
    read_connection_file,
)
from server.service.keys import WORKERS, UnusableKeys, add_key, keys_file, read_keys, revoke_key, workers_place
from server.service.server_config import Unservable


def keys_command(argv: Sequence[str]) -> int:
    """Run `texserver keys`. Raises Unservable, UnusableKeys, UnusableOutput."""
    arguments = _parser().parse_args(argv)
    path = keys_file()
    match arguments.do:
        case "add":
            add_key(path, arguments.name, may_train=arguments.may_train)
            _tell(f"The key {arguments.name!r} is made.")
            file = arguments.connection_file or default_connection_file()
            if file.exists():
                print_pairing(arguments.name, file)
            else:
                _tell(f"When a server runs, texserver --pairing {arguments.name} gives its pairing line.")
        case "revoke":
            revoke_key(path, arguments.name)
            _tell(f"The key {arguments.name!r} opens nothing any more. A running server notices within seconds.")
        case _:
            keys = read_keys(path)
            for name, secret in {**keys.of_clients(), WORKERS: keys.worker}.items() if keys else ():
                may = "  may train" if keys and name in keys.trainers else ""
                print(f"{name:40} {fingerprint(public_key(secret))}{may}")
    return 0


def print_pairing(name: str, file: Path) -> None:
    """Print the line of that key for the server of this connection file. Raises UnusableKeys, NoServer."""
    pairing = read_connection_file(file)
    if pairing.keys is None:
        raise UnusableKeys(f"The server at {pairing.endpoint} uses no keys, so other machines cannot use it.")
    keys = read_keys(keys_file())
    if keys is None or public_key(keys.server) != pairing.keys.server:
        raise UnusableKeys(f"The server at {pairing.endpoint} has other keys than {keys_file()}. Restart it.")
    if name == WORKERS:
        place = workers_place(file)
        if place is None:
            raise UnusableKeys("The server takes no workers of other machines. Start it with --bind-workers.")
        pairing = Pairing(host=place[0], port=place[1], keys=keys.for_workers())
    else:
        pairing = Pairing(host=pairing.host, port=pairing.port, keys=keys.for_clients(name))
    _tell("Treat this line like a password:")
    print(pairing.line, flush=True)


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Unservable(f"{message}; see texserver keys --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="texserver keys", description="Who may use the server: one key for each person or machine.")
    commands = parser.add_subparsers(dest="do", required=True, metavar="add|list|revoke")
    for name, help in (
        ("add", "make a key; prints its pairing line if the server runs"),
        ("revoke", "shut out who has this key"),
        ("list", "the names of all keys, each with the beginning of its public key"),
    ):
        command = commands.add_parser(name, help=help, description=help)
        if name != "list":
            command.add_argument("name", metavar="NAME", help="of the key, such as anna-laptop")
        if name == "add":
            command.add_argument("--may-train", action="store_true", help="this key may have models trained")
            command.add_argument("--connection-file", type=Path, metavar="FILE", help="of the running server")
    return parser
