"""texserver: hosts the models of a folder, paints textures with them and puts pictures into a style.

    texserver                                            the starter library, for clients on this machine
    texserver --models models                            the models of another folder
    texserver --models models --bind tcp://0.0.0.0:7733  for other machines too
    texserver --pairing                                  prints the line to paste there
    texserver --worker-of FILE                           this machine's device works for the server of that file's line
    texserver keys add|list|revoke                       who may use the server (server/service/key_commands.py)

SIGTERM and Ctrl-C end it: it accepts nothing new and finishes what it has accepted, for at most --drain seconds. A
second signal ends it at once. With --leave-with-parent the end of standard input counts as a signal, because the
program that started the server has ended, however that happened.
"""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from blender_addon.protocol.pairing import (
    SCHEME,
    Pairing,
    default_connection_file,
    parse_pairing,
    read_connection_file,
)
from server import __version__
from server.config_flags import add_flags, from_options
from server.errors import TexserverError
from server.service.key_commands import keys_command, print_pairing
from server.service.keys import DEFAULT
from server.service.log_writer import logging_to_stderr
from server.service.server import Server
from server.service.server_config import ServerConfig, Unservable
from server.worker.worker_config import WorkerConfig

WORKER_OF = "TEXSERVER_WORKER_OF"  # the environment variable that holds the line


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 after a clean end, 2 after one sentence on stderr, 130 after a second Ctrl-C."""
    try:
        arguments = sys.argv[1:] if argv is None else argv
        if list(arguments[:1]) == ["keys"]:
            return keys_command(arguments[1:])
        options = _parser().parse_args(arguments)
        config = from_options(ServerConfig, options)
        if options.pairing is not None:
            print_pairing(options.pairing, config.connection_file or default_connection_file())
            return 0
        with logging_to_stderr(config.log_level, config.log_format) as log:
            if config.worker_of is not None or WORKER_OF in os.environ:
                return _work_for(config)
            with Server(config, dropped_lines=lambda: log.dropped if log else 0) as server:
                return server.run()
    except TexserverError as error:
        print(f"texserver: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise Unservable(f"{message}; see texserver --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="texserver",
        description="Hosts models: paints textures, and puts pictures into a style.",
        epilog="texserver keys add|list|revoke says who may use it: one key for each person or machine.",
    )
    add_flags(parser, ServerConfig)
    parser.add_argument(
        "--pairing",
        nargs="?",
        const=DEFAULT,
        metavar="NAME",
        help="print the running server's pairing line, of the key of that name; workers: the line for --worker-of",
    )
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _work_for(config: ServerConfig) -> int:
    """This machine's device works for the server of the line that it was given, until Ctrl-C."""
    pairing = _server_to_work_for(config.worker_of)
    if pairing.keys is None:
        raise Unservable("That line has no keys; copy the whole line that texserver --pairing workers prints.")
    from server.worker.worker import run  # torch

    print(f"texserver {__version__} works for {pairing.endpoint} from now on, until Ctrl-C.", flush=True)
    return run(
        WorkerConfig(
            endpoint=pairing.endpoint,
            name=f"{socket.gethostname()[:40]}/{os.getpid()}",
            device=config.device,
            precision=config.precision,
            server_key=pairing.keys.server.hex(),
            own_key=pairing.keys.client.hex(),
        )
    )


def _server_to_work_for(named: str | None) -> Pairing:
    """By a file, by standard input, or by the environment: all users see what stands on a command line."""
    if named is None:
        return parse_pairing(os.environ[WORKER_OF])
    if named == "-":
        return parse_pairing(sys.stdin.readline())
    if named.startswith(SCHEME):
        raise Unservable(
            "--worker-of takes a file that holds the line, not the line itself: all users of this machine can see a "
            f"command line. Save it (texserver --pairing workers > FILE), say - and type it, or set {WORKER_OF}."
        )
    return read_connection_file(Path(named))


if __name__ == "__main__":
    sys.exit(main())
