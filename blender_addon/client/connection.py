"""A client's connection to one texture server. It never waits: its users call tick(), as often as they like.

A request lasts until it is answered. When the connection is lost, the client looks for the server again, connects, and
sends all unanswered requests again under their old ids. This is safe, since a texture is a pure function, and the
server attaches a repeated id to the work that it is already doing.

Without a connection, `reason` says why and what to do. ZeroMQ does not report this to its users, so a socket monitor
does (https://libzmq.readthedocs.io/en/latest/zmq_socket_monitor.html). What libzmq 4.3.5 reports, found by experiment:

    CONNECT_DELAYED, CLOSED                                 nothing listens there
    CONNECT_RETRIED and nothing before                      no machine has this name
    CONNECT_DELAYED, then silence                           the machine is off, or a firewall drops it
    CONNECTED, then silence                                 a program that hangs, or waits for another protocol
    CONNECTED, HANDSHAKE_FAILED_AUTH 400                    the server does not know our key
    CONNECTED, another failure or DISCONNECTED              another server key than ours; keys on one side alone; or
                                                            not a texserver: greeting.py finds out which
    HANDSHAKE_SUCCEEDED, then no welcome                    the server hangs, or is not a texserver

A ZeroMQ socket is unusable after a refused handshake, so each attempt has a new one. Standard library and pyzmq only,
no bpy.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

from ..protocol import wire
from ..protocol.keepalive import notice_lost_connections
from ..protocol.linger import LINGER_MS
from ..protocol.pairing import NoServer, Pairing, z85
from .greeting import Greeting

State = Literal["connecting", "ready", "failed-for-now"]
Then = Callable[[wire.Reply], None]

SILENCE_S: Final = 1.5  # without an answer, before `reason` says so
GIVE_UP_S: Final = 10.0  # without an answer, before the next attempt
FIRST_PAUSE_S: Final = 0.1  # between two attempts; doubled each time, up to
LONGEST_PAUSE_S: Final = 2.0
ANSWER_WITHIN_S: Final = 30.0  # before an unanswered request is sent again
SLOWEST_BYTES_S: Final = 128 * 1024  # at which a request is still on its way
GREETING_S: Final = 0.4  # to find out why a server hung up
MOST_MESSAGES: Final = 64  # that ZeroMQ holds in each direction, and that one tick reads
MAX_FRAME_BYTES: Final = wire.Limits().max_result_bytes  # a server that sends more is disconnected

_FAILURES: Final = (
    zmq.EVENT_CLOSED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
_EVENTS: Final = _FAILURES | zmq.EVENT_CONNECT_DELAYED | zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED


_COPY_AGAIN: Final = "Copy the pairing line again that texserver --pairing prints."


class Connection:
    """Sends requests to one server. `find` is called before each attempt: a restarted server may have another port."""

    def __init__(
        self,
        find: Callable[[], Pairing],
        *,
        client: str = "",
        letter: bytes = wire.JSON,
        codecs: Mapping[bytes, wire.Codec] = wire.JSON_ONLY,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: State = "connecting"
        self.reason = "Looking for the texture server."  # for people; "" when ready
        self.welcome: wire.Welcome | None = None  # the latest one
        self.place = ""  # HOST:PORT of the latest attempt
        self._find = find
        self._client = client
        self._letter = letter
        self._codecs = codecs
        self._context = context
        self._clock = clock
        self._link: _Link | None = None
        self._doubt: _Doubt | None = None
        self._outstanding: dict[int, _Asked] = {}
        self._last_id = 0
        self._pause_s = FIRST_PAUSE_S
        self._attempt_at = clock()
        self._closed = False

    def ask(self, make: Callable[..., wire.Request], then: Then) -> int:
        """Send the request that `make(id=...)` makes, as soon as there is a connection. Returns its id.

        tick() calls `then` with every reply: any number of Progress, then one of another type. For example `make` is
        `partial(wire.GetThumbnail, model="brick")`. Raises ValueError for a header over 64 KiB.
        """
        id = self._new_id()
        self._outstanding[id] = _Asked(wire.encode(make(id=id), self._letter, self._codecs), then)
        if self._link and self._link.stage == "ready":
            with suppress(zmq.ZMQError):  # tick() will meet it again and report it
                self._send_outstanding(self._link)
        return id

    def forget(self, id: int) -> None:
        """Cancel a request, also on the server. Does nothing for a request that has ended."""
        asked = self._outstanding.pop(id, None)
        if asked and asked.heard_at is not None and self._link:
            self._post(self._link, wire.Cancel(id=self._new_id(), target=id))

    def tick(self) -> None:
        """Take replies, send requests, and keep the connection up. All callbacks run in here."""
        try:
            if self._link:
                self._receive(self._link)
            if self._link:
                self._see_to(self._link)
            elif self._doubt:
                self._resolve(self._doubt)
            elif not self._closed and self._clock() >= self._attempt_at:
                self._link = self._attempt()
        except (_AttemptFailed, NoServer) as failed:
            self._retreat("failed-for-now", str(failed))
        except zmq.ZMQError as error:
            self._retreat("failed-for-now", f"{self.place} cannot be reached: {error.strerror}. Check the address.")

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """The sockets to poll: call tick() when one is readable. They change, so get them again before each poll."""
        if self._link and self._link.monitor:
            return [self._link.socket, self._link.monitor]
        return [self._doubt.greeting.socket] if self._doubt else []

    def close(self) -> None:
        """Disconnect at once. No callback runs after this."""
        self._closed = True
        self._outstanding.clear()
        self._hang_up()

    # ------------------------------------------------------------------------------------------------------- messages

    def _receive(self, link: "_Link") -> None:
        for _ in range(MOST_MESSAGES):
            try:
                frames = link.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            try:
                reply = wire.parse_reply([frame.buffer for frame in frames], self._codecs)
            except wire.Refused as refused:
                raise _AttemptFailed(self._unreadable(refused)) from None
            self._take(link, reply)
            if self._link is not link:  # a callback closed the connection
                return

    def _take(self, link: "_Link", reply: wire.Reply) -> None:
        if reply.id == link.hello or (reply.id is None and link.stage == "greeting"):
            self._greeted(link, reply)
            return
        asked = self._outstanding.get(reply.id or 0)
        if asked is None:
            return  # forgotten, or answered before it was sent again
        asked.heard_at = self._clock()
        self._pause_s = FIRST_PAUSE_S  # only now: a server that disconnects us at each request must not be flooded
        if not isinstance(reply, wire.Progress):
            del self._outstanding[reply.id or 0]
        asked.then(reply)

    def _greeted(self, link: "_Link", reply: wire.Reply) -> None:
        if isinstance(reply, wire.Error):
            if reply.code == "unsupported_version":
                raise _AttemptFailed(self._other_version(reply.text))
            raise _AttemptFailed(f"The texserver at {self.place} says: {reply.text}")
        if not isinstance(reply, wire.Welcome):
            raise _AttemptFailed(f"{self.place} answers, but is not a texserver. Check the address.")
        if reply.protocol != wire.PROTOCOL:
            raise _AttemptFailed(
                self._other_version(f"It speaks TX{reply.protocol}.", newer=reply.protocol > wire.PROTOCOL)
            )
        link.stage, link.hello = "ready", None
        self.welcome = reply
        self.state, self.reason = "ready", ""
        self._send_outstanding(link)

    def _send_outstanding(self, link: "_Link") -> None:
        for asked in self._outstanding.values():
            if asked.heard_at is None or self._overdue(asked):
                if not link.post(asked.frames):
                    return
                asked.heard_at = self._clock()

    def _overdue(self, asked: "_Asked") -> bool:
        if asked.heard_at is None or self._clock() - asked.heard_at <= ANSWER_WITHIN_S:
            return False
        coming = sum(each.bytes for each in self._outstanding.values())  # whatever is large delays all that follows
        return self._clock() - asked.heard_at > ANSWER_WITHIN_S + coming / SLOWEST_BYTES_S

    def _post(self, link: "_Link", message: wire.Request) -> None:
        link.post(wire.encode(message, self._letter, self._codecs))

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    # ----------------------------------------------------------------------------------------------------- connecting

    def _attempt(self) -> "_Link":
        pairing = self._find()
        self.place = f"{pairing.host}:{pairing.port}"
        if self.state == "connecting":
            self.reason = f"Connecting to the texture server at {self.place}."
        return _Link(self._zmq(), pairing, self._clock())

    def _zmq(self) -> "zmq.Context[zmq.Socket[bytes]]":
        """The given context, or that of the process. Never ended here: that would wait for name look-ups."""
        return self._context or zmq.Context.instance()

    def _see_to(self, link: "_Link") -> None:
        for event in link.events():
            if event == zmq.EVENT_CONNECT_DELAYED:
                link.address_known = True
            elif event == zmq.EVENT_CONNECTED:
                link.stage = "handshake"
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._greet(link)
            elif link.stage == "connecting":
                raise _AttemptFailed(self._why_unreachable(link))
            elif link.stage == "handshake":
                self._refused(link, event)
                return
            else:
                self._retreat("connecting", f"The connection to {self.place} was lost; connecting again.")
                return
        if link.stage == "ready" and any(self._overdue(asked) for asked in self._outstanding.values()):
            self._greet(link)  # the front answers within milliseconds, however busy its workers are, unless it hangs
        if link.stage == "ready":
            self._send_outstanding(link)
        elif self._clock() - link.since > GIVE_UP_S:
            raise _AttemptFailed(self._why_silent(link))
        elif self._clock() - link.since > SILENCE_S:
            self.state, self.reason = "failed-for-now", self._why_silent(link)

    def _greet(self, link: "_Link") -> None:
        if link.stage == "ready":
            link.since = self._clock()
        link.stage, link.hello = "greeting", self._new_id()
        self._post(link, wire.Hello(id=link.hello, client=self._client))

    def _refused(self, link: "_Link", event: int) -> None:
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            raise _AttemptFailed(
                f"The texserver at {self.place} does not know this client's key: the pairing is old. {_COPY_AGAIN}"
            )
        self._hang_up()
        self._doubt = _Doubt(Greeting(self._zmq(), link.pairing), link.pairing.keys is not None, self._clock())

    def _resolve(self, doubt: "_Doubt") -> None:
        mechanism = doubt.greeting.mechanism()
        if mechanism is not None or self._clock() - doubt.since > GREETING_S:
            raise _AttemptFailed(self._why_refused(mechanism, doubt.has_keys))

    def _retreat(self, state: State, reason: str) -> None:
        self.state, self.reason = state, reason
        self._hang_up()
        for asked in self._outstanding.values():
            asked.heard_at = None
        self._attempt_at = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _hang_up(self) -> None:
        if self._link:
            self._link.close()
            self._link = None
        if self._doubt:
            self._doubt.greeting.close()
            self._doubt = None

    # -------------------------------------------------------------------------------------------------------- reasons

    def _why_unreachable(self, link: "_Link") -> str:
        if not link.address_known:
            return f"There is no machine named {link.pairing.host}. Check the name and the network."
        return f"No texserver runs at {self.place}. Start it there, or give the pairing line of one that runs."

    def _why_refused(self, mechanism: str | None, has_keys: bool) -> str:
        if mechanism == "CURVE" and has_keys:
            return f"The texserver at {self.place} has another key than the paired one. {_COPY_AGAIN}"
        if mechanism == "CURVE":
            return f"The texserver at {self.place} requires keys, but this client has none. {_COPY_AGAIN}"
        if mechanism == "NULL" and has_keys:
            return f"The server at {self.place} uses no keys, so it is not the paired one. {_COPY_AGAIN}"
        return f"The program at {self.place} is not a texserver. Check the address and the port."

    def _why_silent(self, link: "_Link") -> str:
        if link.stage == "connecting":
            return (
                f"{self.place} does not answer. Check the address, that the machine is on, and that no firewall "
                "blocks the port."
            )
        if link.stage == "handshake":
            return (
                f"The program at {self.place} accepts connections but does not answer: a texserver that hangs, or "
                "another program. Check the port, or restart texserver."
            )
        return f"The texserver at {self.place} is too busy to answer, or hangs. If this lasts, restart it."

    def _other_version(self, said: str, *, newer: bool | None = None) -> str:
        update = {True: "Update this client.", False: "Update the server.", None: "Update the older of the two."}[newer]
        return (
            f"The texserver at {self.place} speaks another version than this client, which speaks TX{wire.PROTOCOL}. "
            f"{said} {update}"
        )

    def _unreadable(self, refused: wire.Refused) -> str:
        if refused.code == "unsupported_version":
            return self._other_version(str(refused))
        return f"The answer from {self.place} cannot be read. Check the address, or update the server. {refused}"


class _AttemptFailed(Exception):
    """The attempt failed; the text is the reason."""


@dataclass
class _Asked:
    """A request without an answer so far."""

    frames: list[bytes | bytearray | memoryview]
    then: Then
    heard_at: float | None = None  # when it was sent on this link, or its latest progress came

    @property
    def bytes(self) -> int:
        return sum(memoryview(frame).nbytes for frame in self.frames)


@dataclass
class _Doubt:
    """A second call to a server that hung up, to find out why."""

    greeting: Greeting
    has_keys: bool
    since: float


class _Link:
    """One attempt to connect: a socket, its monitor, and the stage it has reached."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], pairing: Pairing, now: float) -> None:
        self.pairing = pairing
        self.since = now
        self.stage: Literal["connecting", "handshake", "greeting", "ready"] = "connecting"
        self.address_known = False
        self.hello: int | None = None
        self.socket = context.socket(zmq.DEALER)
        self.monitor: zmq.Socket[bytes] | None = None
        try:
            self._set_up()
            self.monitor = self.socket.get_monitor_socket(_EVENTS)
            self.socket.connect(pairing.endpoint)
        except zmq.ZMQError:
            self.close()
            raise

    def _set_up(self) -> None:
        self.socket.linger = LINGER_MS
        self.socket.maxmsgsize = MAX_FRAME_BYTES
        self.socket.sndhwm = self.socket.rcvhwm = MOST_MESSAGES
        self.socket.ipv6 = self.pairing.host.startswith("[")
        self.socket.reconnect_ivl = int(1000 * FIRST_PAUSE_S)  # a link is closed at its first failure; these are for
        self.socket.reconnect_ivl_max = int(1000 * LONGEST_PAUSE_S)  # a client that does not tick for long
        notice_lost_connections(self.socket)
        if keys := self.pairing.keys:
            self.socket.curve_serverkey = z85(keys.server)
            self.socket.curve_secretkey = z85(keys.client)
            self.socket.curve_publickey = keys.client_public

    def events(self) -> Iterator[int]:
        """What has happened to the socket since the last call."""
        with suppress(zmq.Again):
            while self.monitor:
                yield recv_monitor_message(self.monitor, zmq.NOBLOCK)["event"]

    def post(self, frames: Sequence[bytes | bytearray | memoryview]) -> bool:
        """Send; False means try again later. It copies, because without copying pyzmq would start a Python thread."""
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        with suppress(zmq.ZMQError):  # the context may have been ended
            self.socket.disable_monitor()
        if self.monitor:
            self.monitor.close(0)
        self.socket.close()
