"""The server's CURVE keys, and the connection file through which local clients find it.

Keys are made once and kept, so that a pairing line pasted on another machine stays valid when the server is started
again. Only their owner can read the two files (0600). They are written under a temporary name and renamed.
"""

import json
import os
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from blender_addon.protocol.pairing import FORMAT, Keys, Pairing, new_key, public_key, read_connection_file
from server import __version__
from server.errors import TexserverError
from server.replace_file import replace_file

_NAMES = ("server", "client", "worker")


class UnusableKeys(TexserverError):
    """The keys cannot be read or stored; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class ServerKeys:
    """Secret keys, 32 bytes each: the server's own, that of its clients, that of workers on other machines."""

    server: bytes = field(repr=False)
    client: bytes = field(repr=False)
    worker: bytes = field(repr=False)

    def for_clients(self) -> Keys:
        return Keys(server=public_key(self.server), client=self.client)

    def for_workers(self) -> Keys:
        return Keys(server=public_key(self.server), client=self.worker)


def state_folder() -> Path:
    """Where this user's programs store what they need at the next start."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "texserver"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "texserver"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "texserver"


def keep_keys(path: Path | None = None) -> ServerKeys:
    """The keys of the file, which is written at the first call. Raises UnusableKeys, UnusableOutput."""
    path = path or state_folder() / "keys.json"
    try:
        if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UnusableKeys(
                f"The keys in {path} can be read by others. Remove the file; the server then makes new keys."
            )
        content = json.loads(path.read_bytes())
        found = {name: bytes.fromhex(content[name]) for name in _NAMES}
        if content["format"] != FORMAT or any(len(key) != 32 for key in found.values()):
            raise ValueError
        return ServerKeys(**found)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UnusableKeys(f"The keys in {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError):
        raise UnusableKeys(
            f"The keys in {path} are damaged. Remove the file; the server then makes new keys."
        ) from None
    keys = ServerKeys(server=new_key(), client=new_key(), worker=new_key())
    content = {"format": FORMAT} | {name: getattr(keys, name).hex() for name in _NAMES}
    _write(path, content)
    return keys


def write_connection_file(path: Path, pairing: Pairing) -> None:
    """Write where the server is. Raises UnusableOutput."""
    _write(path, {"format": FORMAT, "pairing": pairing.line, "pid": os.getpid(), "server": f"texserver {__version__}"})


def remove_connection_file(path: Path) -> None:
    """Remove it, unless another server has written its own there meanwhile."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(path.read_bytes())["pid"] == os.getpid():
            path.unlink()


def running_server(path: Path) -> int | None:
    """The process id of the server that wrote the connection file, if that still runs."""
    try:
        pid = int(json.loads(path.read_bytes())["pid"])
        pairing = read_connection_file(path)
        if sys.platform != "win32":
            with suppress(PermissionError):  # another user's
                os.kill(pid, 0)
        with socket.create_connection((pairing.host.strip("[]"), pairing.port), 1.0):
            pass  # a process id alone may have been given to another program meanwhile
    except Exception:  # no file, no server, or one that nobody can use
        return None
    return pid if pid != os.getpid() else None


def _write(path: Path, content: dict[str, object]) -> None:
    with suppress(OSError):  # replace_file reports it
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, json.dumps(content, indent=1).encode() + b"\n", mode=0o600)
