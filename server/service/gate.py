"""Who may connect to the server: CURVE keys, checked through ZeroMQ's authentication protocol.

For a socket with a `zap_domain`, ZeroMQ asks `inproc://zeromq.zap.01` about the public key of each peer. The answer is
yes if the key is in the set of that domain. Each message then tells the key, as its user id. The server's own loop
answers, without a thread.

Source: https://rfc.zeromq.org/spec/27/ (ZAP).
"""

from collections.abc import Mapping
from typing import Any

import zmq

ENDPOINT = "inproc://zeromq.zap.01"


class Gate:
    """Lets in the peers whose public key belongs to the domain; keys are 32 bytes each."""

    def __init__(self, context: "zmq.Context[Any]", keys: Mapping[str, frozenset[bytes]]) -> None:
        self._keys = dict(keys)
        self.refused = 0
        self.socket: zmq.Socket[Any] = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ENDPOINT)

    def let_in(self, domain: str, keys: frozenset[bytes]) -> None:
        """From now on these keys open the domain, and no others. Who is in already is not sent away."""
        self._keys[domain] = keys

    def answer(self) -> None:
        """Answer one question, if there is one."""
        try:
            version, request, domain, _, _, mechanism, *credentials = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        known = self._keys.get(domain.decode("ascii", "replace"), frozenset())
        welcome = version == b"1.0" and mechanism == b"CURVE" and len(credentials) == 1 and credentials[0] in known
        self.refused += not welcome
        status, text = (b"200", b"OK") if welcome else (b"400", b"No such key")
        user = credentials[0].hex().encode() if welcome else b""
        self.socket.send_multipart([b"1.0", request, status, text, user, b""])
