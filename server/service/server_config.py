"""What can be chosen when a server starts. The flags of texserver are made from these fields."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.config_flags import flag
from server.errors import TexserverError
from server.model.models_folder import models_folder
from server.model.starter import StarterMaterial, chosen
from server.model.torus import MAX_SIDE, MIN_SIDE
from server.precision import PRECISIONS, Precision
from server.service.log_writer import LOG_FORMATS, LogFormat

LOG_LEVELS = ("debug", "info", "warning", "error")


class Unservable(TexserverError):
    """The server cannot start like that; the text says what to change."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The choices for one server. Raises Unservable for what makes no sense, or would let anybody use the server."""

    models: Path | None = field(
        default=None,
        metadata=flag(
            f"the folder of models (default: {models_folder()}, where the starter library is made)", metavar="DIR"
        ),
    )
    starter: str | None = field(
        default=None,
        metadata=flag(
            "what of the starter library is made: all, none, or names with commas (default: all, with --models none)",
            metavar="NAMES",
        ),
    )
    bind: str = field(
        default="tcp://127.0.0.1:*",
        metadata=flag(
            "where to listen, * for any free port (default: %(default)s); tcp://0.0.0.0:7733 for other machines too",
            metavar="ENDPOINT",
        ),
    )
    device: str = field(
        default="auto",
        metadata=flag("auto, cpu, cuda (all of them), cuda:0,1 or mps (default: %(default)s)", metavar="NAME"),
    )
    workers: int = field(default=1, metadata=flag("processes for each device (default: %(default)s)", metavar="N"))
    precision: Precision = field(
        default="auto", metadata=flag("as for texget; the same for all workers", choices=PRECISIONS)
    )
    connection_file: Path | None = field(
        default=None, metadata=flag("where local clients find the server", metavar="FILE")
    )
    no_auth: bool = field(default=False, metadata=flag("use no keys; possible on loopback only"))
    cache: int = field(
        default=32, metadata=flag("memory for the tiles computed last (default: %(default)s)", metavar="MB")
    )
    max_side: int = field(
        default=16384,
        metadata=flag(f"longest side of a texture or a picture, up to {MAX_SIDE} (default: %(default)s)", metavar="PX"),
    )
    no_training: bool = field(default=False, metadata=flag("have no models trained for clients"))
    verify: float = field(
        default=0.0,
        metadata=flag(
            "share of textures' tiles that two workers compute and that are compared, such as 0.02 (default: none)",
            metavar="SHARE",
        ),
    )
    watchdog: float = field(
        default=30.0,
        metadata=flag(
            "seconds for one tile or block before its worker is killed (default: %(default)g)",
            metavar="S",
        ),
    )
    drain: float = field(
        default=30.0,
        metadata=flag("seconds to finish accepted requests at exit (default: %(default)g)", metavar="S"),
    )
    bind_workers: str | None = field(
        default=None,
        metadata=flag("where workers on other machines connect, such as tcp://0.0.0.0:7734", metavar="ENDPOINT"),
    )
    ray: str | None = field(
        default=None,
        metadata=flag(
            "have Ray place the workers on its cluster of this address, auto for the one of this machine, instead of "
            "starting some here",
            metavar="ADDRESS",
        ),
    )
    ray_workers: int | None = field(
        default=None,
        metadata=flag(
            "how many in all, with --ray (default: one for each GPU of the cluster, or else each processor)",
            metavar="N",
        ),
    )
    worker_of: str | None = field(
        default=None,
        metadata=flag("work for the server whose line this file holds; - reads it from standard input", metavar="FILE"),
    )
    leave_with_parent: bool = field(
        default=False, metadata=flag("exit when standard input closes: the program that started it has ended")
    )
    metrics_port: int | None = field(default=None, metadata=flag("figures for Prometheus, on loopback", metavar="PORT"))
    metrics_host: str = field(
        default="127.0.0.1",
        metadata=flag(
            "address at which --metrics-port listens (default: %(default)s); 0.0.0.0 lets everybody read the figures",
            metavar="ADDRESS",
        ),
    )
    log_level: str = field(default="info", metadata=flag("how much to log (default: %(default)s)", choices=LOG_LEVELS))
    log_format: LogFormat = field(
        default="text", metadata=flag("text, or an object of JSON a line (default: %(default)s)", choices=LOG_FORMATS)
    )

    @property
    def folder(self) -> Path:
        """The folder of models: the one that was named, or the user's own."""
        return models_folder() if self.models is None else self.models

    @property
    def starters(self) -> Sequence[StarterMaterial]:
        """What of the starter library is to be made, if it is missing. Raises UnknownStarter."""
        wanted = self.starter or ("all" if self.models is None else "none")
        return [] if wanted == "none" else chosen([] if wanted == "all" else wanted.split(","))

    @property
    def workers_endpoint(self) -> str | None:
        """Where workers of other machines connect; None if there are to be none."""
        return self.bind_workers or ("tcp://0.0.0.0:*" if self.ray is not None else None)

    def __post_init__(self) -> None:
        _ = self.starters  # raises what makes no sense
        host, _ = parse_endpoint(self.bind)
        if self.bind_workers is not None:
            parse_endpoint(self.bind_workers)
        if self.no_auth and not is_loopback(host):
            raise Unservable(
                f"--no-auth would let anybody use the server at {self.bind}. Leave it out and give the others the "
                "pairing line that texserver --pairing prints, or bind to tcp://127.0.0.1:*."
            )
        if self.precision not in PRECISIONS:
            raise Unservable(f"--precision is {self.precision!r}; it must be one of {', '.join(PRECISIONS)}.")
        if self.log_level not in LOG_LEVELS:
            raise Unservable(f"--log-level is {self.log_level!r}; it must be one of {', '.join(LOG_LEVELS)}.")
        if self.log_format not in LOG_FORMATS:
            raise Unservable(f"--log-format is {self.log_format!r}; it must be one of {', '.join(LOG_FORMATS)}.")
        if not MIN_SIDE <= self.max_side <= MAX_SIDE:
            raise Unservable(f"--max-side is {self.max_side}; it must be from {MIN_SIDE} to {MAX_SIDE}.")
        if self.workers < 1 or self.cache < 0:
            raise Unservable("--workers must be at least 1 and --cache at least 0.")
        if self.ray is not None:
            self._check_ray()
        if self.ray_workers is not None and self.ray_workers < 1:
            raise Unservable("--ray-workers must be at least 1.")
        if not 0 <= self.verify <= 1:
            raise Unservable(f"--verify is {self.verify:g}; it must be from 0 to 1, such as 0.02.")
        if not (self.watchdog > 0 and self.drain >= 0):
            raise Unservable("--watchdog must be more than 0 seconds and --drain at least 0.")

    def _check_ray(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise Unservable(f"--device is {self.device!r}; with --ray it must be auto, cpu or cuda.")
        if self.workers != 1:
            raise Unservable("--workers is for this machine; with --ray say how many in all by --ray-workers.")
        if self.worker_of is not None:
            raise Unservable("--ray is for a server, --worker-of for a worker; leave one of them out.")


def parse_endpoint(text: str) -> tuple[str, str]:
    """Host and port of "tcp://HOST:PORT"; either may be "*". Raises Unservable."""
    found = re.fullmatch(r"tcp://(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9._-]+|\*):([0-9]{1,5}|\*)", text)
    if not found or (found[2] != "*" and int(found[2]) > 65535):  # ZeroMQ would take it modulo 65536
        raise Unservable(f"{text!r} is no endpoint; write tcp://ADDRESS:PORT, such as tcp://0.0.0.0:7733.")
    return found[1], found[2]


def as_host(address: str) -> str:
    """An address as it stands in an endpoint: IPv6 in brackets; IPv4 that came through IPv6 as IPv4."""
    address = address.removeprefix("::ffff:")
    return f"[{address}]" if ":" in address else address


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can connect to this address."""
    return host in ("localhost", "[::1]") or re.fullmatch(r"127(\.[0-9]+){3}", host) is not None
