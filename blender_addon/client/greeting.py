"""Finds out which security mechanism a ZeroMQ server at a port uses, or that there is no ZeroMQ server.

ZeroMQ does not reliably tell a client why a handshake failed: the server hangs up as soon as it sees another mechanism
than its own, and about half of the time its own greeting is lost (libzmq 4.3.5). So this module sends a greeting that
stops before the mechanism over plain TCP. The other side then sends its whole greeting and waits.

Source: ZMTP 3.1, section "The greeting" (https://rfc.zeromq.org/spec/37/). Standard library and pyzmq only, no bpy.
"""

import zmq

from ..protocol.pairing import Pairing

_BEGINNING = b"\xff" + bytes(8) + b"\x7f" + b"\x03"  # the signature and the major version
_MECHANISM = slice(12, 32)  # in the greeting that comes back, padded with zeros


class Greeting:
    """A call to the port. It never waits. Close it at the end."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", pairing: Pairing) -> None:
        self.socket = context.socket(zmq.STREAM)
        self._heard = b""
        self._talks = False
        try:
            self.socket.linger = 0
            self.socket.ipv6 = pairing.host.startswith("[")
            self.socket.connect(pairing.endpoint)
        except zmq.ZMQError:
            self.close()
            raise

    def mechanism(self) -> str | None:
        """The mechanism, such as "CURVE" or "NULL"; "" if it is not a ZeroMQ server; None until it is known."""
        try:
            while True:
                caller, data = self.socket.recv_multipart(zmq.NOBLOCK)
                if data:
                    self._heard += data
                elif self._talks:
                    return ""  # it hung up
                else:
                    self._talks = True
                    self.socket.send_multipart([caller, _BEGINNING], zmq.NOBLOCK)
                if not self._heard.startswith(_BEGINNING[:1]) and self._heard:
                    return ""
                if len(self._heard) >= _MECHANISM.stop:
                    return self._heard[_MECHANISM].rstrip(b"\0").decode("ascii", "replace")
        except zmq.Again:
            return None

    def close(self) -> None:
        self.socket.close(0)
