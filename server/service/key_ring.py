"""The keys of a running server: who may come in, by which name, and what `texserver keys` changes meanwhile."""

import logging
from pathlib import Path

from blender_addon.protocol.pairing import Keys, public_key
from server.service.gate import Gate
from server.service.keys import UnusableKeys, keep_keys, keys_file, read_keys

CLIENTS, WORKERS, OWN_WORKERS = "clients", "workers", "own workers"  # domains of keys

log = logging.getLogger("texserver")


class KeyRing:
    """Keeps the gate's domains as the file of keys has them. Raises UnusableKeys, UnusableOutput."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._keys = keep_keys()
        self._seen = _stamp(keys_file())
        self._names: dict[str, str] = {}  # of clients' keys, by public key in hexadecimal
        self._more_workers: frozenset[str] = frozenset()  # public keys in hexadecimal
        self._let_in()

    @property
    def server(self) -> bytes:
        """The server's own secret key."""
        return self._keys.server

    @property
    def for_clients(self) -> Keys:
        """What clients of this machine use."""
        return self._keys.for_clients()

    def name_of(self, public: str) -> str | None:
        """The name of a client's key, given in hexadecimal; None for one that is revoked."""
        return self._names.get(public)

    def may_train(self, name: str) -> bool:
        """Whether the key of that name was allowed to have models trained."""
        return name in self._keys.trainers

    def is_workers(self, public: str) -> bool:
        """Whether this is the key of workers on other machines."""
        return public == public_key(self._keys.worker).hex() or public in self._more_workers

    def let_workers_in(self, keys: frozenset[str]) -> None:
        """These public keys, in hexadecimal, are workers' too, and no others from now on."""
        self._more_workers = keys
        self._let_in()

    def look(self) -> bool:
        """Whether the keys have changed since the last look; those that were revoked open nothing from now on."""
        stamp = _stamp(keys_file())
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            keys = read_keys(keys_file())
        except UnusableKeys as error:
            log.warning("the keys stay as they were: %s", error)
            return False
        if keys is None or keys.server != self._keys.server:
            log.warning("the server's own key has changed; restart the server to use it")
            return False
        self._keys = keys
        self._let_in()
        log.info("keys=%s", ",".join(keys.of_clients()))
        return True

    def _let_in(self) -> None:
        clients = {public_key(secret): name for name, secret in self._keys.of_clients().items()}
        self._gate.let_in(CLIENTS, frozenset(clients))
        self._gate.let_in(WORKERS, frozenset({public_key(self._keys.worker), *map(bytes.fromhex, self._more_workers)}))
        self._names = {public.hex(): name for public, name in clients.items()}


def _stamp(path: Path) -> object:
    """Changes with the file; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
