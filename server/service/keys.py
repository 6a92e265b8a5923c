"""The server's CURVE keys, and the connection file through which local clients find it.

Keys are made once and kept, so that a pairing line pasted on another machine stays valid when the server is started
again. Clients of one key cannot be told apart and are shut out together, so each person or machine may get a key of its
own, by name. Only their owner can read the two files (0600). They are written under a temporary name and renamed.
"""

import json
import os
import re
import socket
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from blender_addon.protocol.pairing import FORMAT, Keys, Pairing, new_key, public_key, read_connection_file
from server import __version__
from server.errors import TexserverError
from server.replace_file import replace_file
from server.service.file_lock import file_lock

DEFAULT, WORKERS = "default", "workers"  # names of the keys that there always are
MAX_KEYS = 1000
_ROLES = ("server", "client", "worker")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")  # as it stands in the log


class UnusableKeys(TexserverError):
    """The keys cannot be read or stored; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class ServerKeys:
    """Secret keys, 32 bytes each: the server's own, that of its clients, that of workers on other machines, and further
    ones of clients by name.
    """

    server: bytes = field(repr=False)
    client: bytes = field(repr=False)
    worker: bytes = field(repr=False)
    named: Mapping[str, bytes] = field(repr=False, default_factory=dict)
    trainers: frozenset[str] = frozenset()  # names of those that may have models trained

    def of_clients(self) -> Mapping[str, bytes]:
        """All secret keys of clients, by name."""
        return {DEFAULT: self.client, **self.named}

    def for_clients(self, name: str = DEFAULT) -> Keys:
        """For a client. Raises UnusableKeys."""
        secret = self.of_clients().get(name)
        if secret is None:
            raise UnusableKeys(f"There is no key {name[:60]!a}. Make it: texserver keys add NAME.")
        return Keys(server=public_key(self.server), client=secret)

    def for_workers(self) -> Keys:
        return Keys(server=public_key(self.server), client=self.worker)

    def added(self, name: str, *, may_train: bool = False) -> "ServerKeys":
        """With a new key of that name. Raises UnusableKeys."""
        if not _NAME.fullmatch(name):
            raise UnusableKeys(
                f"{name[:60]!a} cannot name a key. Use up to 40 letters, digits, dots and dashes, such as anna-laptop."
            )
        if name == WORKERS or name in self.of_clients():
            raise UnusableKeys(f"There is a key {name!r} already. Choose another name, or revoke that one first.")
        if len(self.named) >= MAX_KEYS:
            raise UnusableKeys(f"There are {MAX_KEYS} keys already. Revoke some first.")
        trainers = self.trainers | {name} if may_train else self.trainers
        return replace(self, named={**self.named, name: new_key()}, trainers=trainers)

    def revoked(self, name: str) -> "ServerKeys":
        """Without that key; the two that there always are become others. Raises UnusableKeys."""
        if name == DEFAULT:
            return replace(self, client=new_key())
        if name == WORKERS:
            return replace(self, worker=new_key())
        self.for_clients(name)
        named = {each: key for each, key in self.named.items() if each != name}
        return replace(self, named=named, trainers=self.trainers - {name})


def state_folder() -> Path:
    """Where this user's programs store what they need at the next start."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "texserver"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "texserver"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "texserver"


def keys_file() -> Path:
    """Where this user's server has its keys."""
    return state_folder() / "keys.json"


def keep_keys(path: Path | None = None) -> ServerKeys:
    """The keys of the file, which is written at the first call. Raises UnusableKeys, UnusableOutput."""
    path = path or keys_file()
    with file_lock(path, wait=True):  # two servers that start for the first time have the same keys
        keys = read_keys(path)
        if keys is None:
            keys = ServerKeys(server=new_key(), client=new_key(), worker=new_key())
            _write_keys(path, keys)
    return keys


def add_key(path: Path, name: str, *, may_train: bool = False) -> ServerKeys:
    """Make a key of that name, which may or may not have models trained. Raises UnusableKeys, UnusableOutput."""
    keep_keys(path)
    with file_lock(path, wait=True):
        keys = _present(path).added(name, may_train=may_train)
        _write_keys(path, keys)
    return keys


def revoke_key(path: Path, name: str) -> None:
    """That key opens nothing any more. Raises UnusableKeys, UnusableOutput."""
    with file_lock(path, wait=True):
        _write_keys(path, _present(path).revoked(name))


def _present(path: Path) -> ServerKeys:
    keys = read_keys(path)
    if keys is None:
        raise UnusableKeys(f"There are no keys in {path} so far. The first start of a server makes them.")
    return keys


def read_keys(path: Path) -> ServerKeys | None:
    """The keys of the file; None if there is none. Raises UnusableKeys."""
    try:
        if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UnusableKeys(
                f"The keys in {path} can be read by others. Remove the file; the server then makes new keys."
            )
        content = json.loads(path.read_bytes())
        found = {role: bytes.fromhex(content[role]) for role in _ROLES}
        named = {name: bytes.fromhex(key) for name, key in content.get("named", {}).items()}
        if content["format"] != FORMAT or any(len(key) != 32 for key in (*found.values(), *named.values())):
            raise ValueError
        if not all(map(_NAME.fullmatch, named)):
            raise ValueError
        trainers = content.get("trainers", [])
        if not isinstance(trainers, list) or not set(trainers) <= set(named):
            raise ValueError
        return ServerKeys(**found, named=named, trainers=frozenset(trainers))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusableKeys(f"The keys in {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnusableKeys(
            f"The keys in {path} are damaged. Remove the file; the server then makes new keys."
        ) from None


def _write_keys(path: Path, keys: ServerKeys) -> None:
    content: dict[str, object] = {"format": FORMAT} | {role: getattr(keys, role).hex() for role in _ROLES}
    if keys.named:
        content["named"] = {name: key.hex() for name, key in keys.named.items()}
    if keys.trainers:
        content["trainers"] = sorted(keys.trainers)
    _write(path, content)


def write_connection_file(path: Path, pairing: Pairing, workers: str = "") -> None:
    """Write where the server is. `workers`: HOST:PORT for those of other machines. Raises UnusableOutput."""
    content: dict[str, object] = {"format": FORMAT, "pairing": pairing.line, "pid": os.getpid()}
    _write(path, content | {"server": f"texserver {__version__}"} | ({"workers": workers} if workers else {}))


def workers_place(path: Path) -> tuple[str, int] | None:
    """Host and port for workers of other machines, of the server that wrote this file; None if it takes none."""
    try:
        host, _, port = json.loads(path.read_bytes())["workers"].rpartition(":")
        return host, int(port)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


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
