"""How a client finds its server: by the connection file on the same machine, by the pairing line from another.

A pairing line is `texserver://HOST:PORT/SERVER/CLIENT`: the server's public CURVE key and the secret key of its
clients, 32 bytes each as 43 characters of URL-safe base64. Whoever has the line can use the server, so treat it like a
password. A line without the two keys names a server without encryption, which is possible on loopback only.

The connection file holds the line of a running server as JSON, in the user's runtime folder, readable only by its
owner. The server writes it when it is ready and removes it when it exits. A file that holds a line and nothing else,
as `texserver --pairing > FILE` writes it, serves as well.

CURVE: https://rfc.zeromq.org/spec/26/. Standard library and pyzmq, no bpy.
"""

import base64
import binascii
import json
import os
import re
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import zmq
from zmq.utils import z85 as codec

from .errors import TexserverError

SCHEME: Final = "texserver://"
FORMAT: Final = 1
MAX_FILE_BYTES: Final = 16 * 1024
ENVIRONMENT: Final = "TEXSERVER_CONNECTION"  # a connection file or a pairing line, if the caller gives none
_LINE = re.compile(r"texserver://(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})(?:/([\w-]{43})/([\w-]{43}))?/?")


class NoServer(TexserverError):
    """No server was found that way; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A client's CURVE keys: the server's public key and its own secret key, 32 bytes each."""

    server: bytes
    client: bytes = field(repr=False)

    @property
    def client_public(self) -> bytes:
        """In ZeroMQ's form: 40 characters of Z85."""
        public: bytes = zmq.curve_public(z85(self.client))
        return public


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """The address of a server and the keys for it. `keys` is None for a server without encryption."""

    host: str
    port: int
    keys: Keys | None = None

    @property
    def endpoint(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    @property
    def line(self) -> str:
        """The pairing line. It holds the client's secret key."""
        keys = f"/{_base64(self.keys.server)}/{_base64(self.keys.client)}" if self.keys else ""
        return f"{SCHEME}{self.host}:{self.port}{keys}"


def z85(key: bytes) -> bytes:
    """A key of 32 bytes in ZeroMQ's form: 40 characters of Z85 (https://rfc.zeromq.org/spec/32/)."""
    encoded: bytes = codec.encode(key)
    return encoded


def new_key() -> bytes:
    """A new secret key of 32 bytes."""
    _, secret = zmq.curve_keypair()
    key: bytes = codec.decode(secret)
    return key


def public_key(secret: bytes) -> bytes:
    """The public key of a secret one, 32 bytes each."""
    key: bytes = codec.decode(zmq.curve_public(z85(secret)))
    return key


def fingerprint(public: bytes) -> str:
    """The beginning of a public key, for people to tell keys apart."""
    return _base64(public)[:8]


def parse_pairing(line: str) -> Pairing:
    """The pairing in a line as the server printed it. Raises NoServer."""
    found = _LINE.fullmatch(line.strip())
    if not found or not 1 <= int(found[2]) <= 65535:
        raise NoServer(
            "This is not a pairing line. Copy the whole line that texserver --pairing prints; it begins with "
            f"{SCHEME} and names a host, a port and two keys."
        )
    try:
        keys = Keys(server=_bytes(found[3]), client=_bytes(found[4])) if found[3] else None
    except (ValueError, binascii.Error):
        raise NoServer("The keys in this pairing line are damaged. Copy the whole line again.") from None
    return Pairing(host=found[1], port=int(found[2]), keys=keys)


def _base64(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(f"{text}=")


# ------------------------------------------------------------------------------------------------- the connection file


def runtime_folder() -> Path:
    """The user's folder for files of running programs, or the closest thing the system has."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "texserver"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "texserver"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "texserver"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "texserver"


def default_connection_file() -> Path:
    """Where servers write their connection file and clients look for it."""
    return runtime_folder() / "connection.json"


def read_connection_file(path: Path) -> Pairing:
    """The pairing of the server that wrote the file. Raises NoServer."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a FIFO would block
            raise NoServer(f"The connection file {path} cannot be read: it is a folder or a device, not a file.")
        if sys.platform != "win32" and stat.S_IMODE(mode) & 0o077:
            raise NoServer(
                f"Other users can read {path}, so its keys are not secret. Make it yours alone: chmod 600 {path}."
            )
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise NoServer(
            f"No texserver runs here: there is no {path}. Start one with texserver --models DIR, or give the "
            "pairing line of another machine's."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        why = getattr(error, "strerror", None) or error
        raise NoServer(f"The connection file {str(path)!a} cannot be read: {why}.") from error
    if text.lstrip().startswith(SCHEME.encode()):
        return parse_pairing(text.decode("utf-8", "replace"))
    try:
        content = json.loads(text[:MAX_FILE_BYTES])
        if content["format"] != FORMAT:
            raise NoServer(f"{path} was written by another version of texserver. Update this client or the server.")
        line = str(content["pairing"])
        if not _LINE.fullmatch(line):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NoServer(f"The connection file {path} is damaged. Remove it and start texserver again.") from None
    return parse_pairing(line)


def find_server(named: str | None = None) -> Pairing:
    """The server given by a pairing line or a connection file, or else the one that runs on this machine.

    Raises NoServer.
    """
    named = named or os.environ.get(ENVIRONMENT)
    if named and named.strip().startswith(SCHEME):
        return parse_pairing(named)
    return read_connection_file(Path(named) if named else default_connection_file())
