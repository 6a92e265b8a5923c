"""Who may speak to the server: CURVE keys, checked as ZeroMQ's authentication protocol asks.

A socket with a `zap_domain` has its peers' public keys shown to whoever answers on `inproc://zeromq.zap.01`; here that
is one set of keys for each domain. Answered from the server's own loop, without a thread.

Source: https://rfc.zeromq.org/spec/27/ (ZAP).
"""

from collections.abc import Mapping
from typing import Any

import zmq

ENDPOINT = "inproc://zeromq.zap.01"


class Gate:
    """The keys that open each domain, 32 bytes each."""

    def __init__(self, context: "zmq.Context[Any]", keys: Mapping[str, frozenset[bytes]]) -> None:
        self._keys = keys
        self.refused = 0
        self.socket: zmq.Socket[Any] = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ENDPOINT)

    def answer(self) -> None:
        """Answer one question, when there is one."""
        try:
            version, request, domain, _, _, mechanism, *credentials = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        known = self._keys.get(domain.decode("ascii", "replace"), frozenset())
        welcome = version == b"1.0" and mechanism == b"CURVE" and len(credentials) == 1 and credentials[0] in known
        self.refused += not welcome
        status, text = (b"200", b"OK") if welcome else (b"400", b"No such key")
        self.socket.send_multipart([b"1.0", request, status, text, b"", b""])
