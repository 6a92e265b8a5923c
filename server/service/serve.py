"""texserver: hosts the models of a folder, paints textures with them and puts pictures into a style.

    texserver --models models                            for clients on this machine
    texserver --models models --bind tcp://0.0.0.0:7733  for other machines too: paste the line it prints there
    texserver --worker-of LINE                           this machine's device works for that server

SIGTERM and Ctrl-C end it: it accepts nothing new and finishes what it has accepted, for at most --drain seconds. A
second signal ends it at once. With --leave-with-parent the end of standard input counts as a signal, because the
program that started the server has ended, however that happened.
"""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from blender_addon.protocol.pairing import parse_pairing
from server import __version__
from server.config_flags import add_flags, from_options
from server.errors import TexserverError
from server.service.log_writer import logging_to_stderr
from server.service.server import Server
from server.service.server_config import ServerConfig, Unservable
from server.worker.worker_config import WorkerConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 after a clean end, 2 after one sentence on stderr, 130 after a second Ctrl-C."""
    try:
        config = from_options(ServerConfig, _parser().parse_args(argv))
        with logging_to_stderr(config.log_level):
            if config.worker_of is not None:
                return _work_for(config.worker_of, config)
            with Server(config) as server:
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
    parser = _Parser(prog="texserver", description="Hosts models: paints textures, and puts pictures into a style.")
    add_flags(parser, ServerConfig)
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _work_for(line: str, config: ServerConfig) -> int:
    """This machine's device works for the server of that line, until Ctrl-C."""
    pairing = parse_pairing(line)
    if pairing.keys is None:
        raise Unservable("That line has no keys; copy the whole --worker-of line that the server prints.")
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


if __name__ == "__main__":
    sys.exit(main())
