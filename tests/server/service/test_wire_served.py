"""What clients may send, to a running server: every message gets a reply, and nothing wrong gets through."""

import sys
import time
from typing import Any

import msgpack
import pytest
import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.fields import Limits
from server.msgpack_codec import CODECS
from tests.server.odd_worker import sleeping
from tests.server.session import (
    Client,
    Session,
    client_status,
    code_of,
    data_of,
    eventually,
    painted,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")


def tries(server: Session, letter: bytes, header: bytes, *buffers: bytes) -> wire.Reply | None:
    """The reply to frames as they are, on a connection that must be usable afterwards."""
    with server.client() as client:
        client.send([letter, header, *buffers])
        reply = client.reply()
        client.hello()
    return reply


def test_what_is_no_message_is_a_bad_frame(server: Session) -> None:
    hello, packed = b'{"op":"hello","id":1}', msgpack.packb({"op": "hello", "id": 1})
    cases = {
        "bad_frame": [
            [b""], [b"TX1j"], [b"TX1"], [b"", b""], [b"hello", hello], [b"TX1x", hello], [b"TX1jj", hello],
            [b"TX1j", packed], [b"TX1m", hello], [b"x" * 100_000],
        ],
        "unsupported_version": [[b"TX9j", hello], [b"TX2m", packed], [b"TX0j", b""]],
    }  # fmt: skip
    with server.unharmed(), server.client() as client:
        for code, messages in cases.items():
            for frames in messages:
                client.send(frames)
                received = client.frames()
                assert received is not None
                reply = wire.parse_reply(received[1:] if frames[0] == b"" else received, CODECS)
                assert (code_of(reply), frames[0][:8]) == (code, frames[0][:8])
                assert client.hello().protocol == 1


def test_a_req_socket_can_read_why_it_is_refused(server: Session) -> None:
    with server.unharmed(), server.client() as client:
        client.send([b"", b"TX1j", b'{"op":"hello","id":1}'])
        delimiter, *frames = client.frames() or [b"?"]
        assert delimiter == b""
        assert code_of(wire.parse_reply(frames)) == "bad_frame"


def test_what_is_too_large_is_refused_or_cut(server: Session) -> None:
    with server.unharmed():
        assert code_of(tries(server, b"TX1j", b'{"op":"hello","id":1,"x":"' + b"x" * 65536 + b'"}')) == "too_large"
        assert code_of(tries(server, b"TX1j", b'{"op":"hello","id":1}', *[b""] * 98)) == "too_large"
        assert code_of(tries(server, b"TX1j", b'{"op":"hello","id":1}', *[bytes(2**20)] * 30)) == "too_large"
        content = {"name": "content", "dtype": "uint8", "shape": [4097, 4097, 1]}
        header = wire.Json().dumps({"op": "stylize", "id": 1, "model": "brick", "buffers": [content]})
        assert code_of(tries(server, b"TX1j", header, bytes(4097 * 4097))) == "too_large"
        with server.client() as cut:
            cut.send([b"TX1j", b'{"op":"hello","id":1}', bytes(80 * 2**20)])
            assert cut.reply(1.0) is None


LARGEST_MB = Limits().max_train_bytes / 1e6  # the largest messages are the maps of a training


@pytest.mark.serial
def test_a_message_of_very_many_bytes_is_cut_before_it_is_there(server: Session) -> None:
    """The client sends it from one piece of memory, 1.5 GB in all."""
    frame, worst = bytes(32 * 2**20), 0.0
    with server.unharmed(), server.client() as client:
        before = server.memory_mb()
        for _ in range(46):
            client.socket.send(frame, zmq.SNDMORE, copy=False)
        client.socket.send(frame, copy=False)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            worst = max(worst, server.memory_mb() - before)
            time.sleep(0.02)
        assert worst < LARGEST_MB * 1.3, f"{worst:.0f} MB for one message"
        server.check()


@pytest.mark.serial
def test_a_message_of_very_many_frames_keeps_nobody_waiting(server: Session) -> None:
    with server.unharmed(), server.client() as client, server.client() as other:
        for _ in range(300_000):
            client.socket.send(b"x", zmq.SNDMORE)
        client.socket.send(b"x")
        longest, end = 0.0, time.monotonic() + 5
        while time.monotonic() < end:
            began = time.monotonic()
            other.hello()
            longest = max(longest, time.monotonic() - began)
        assert longest < 4, f"others waited {longest:.1f} s"
        assert "sends a message that is too large and is cut" in server.log


BAD_JSON = (
    b"", b"{", b"[]", b"null", b'"hello"', b"7", b"{}x", b'{"op":"hello","id":1}{}', b"{'op':'hello'}",
    b"[" * 60_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"op":"hello","id":1,"x":[[[[[[[[[1]]]]]]]]]}',
    b'{"op":"hello","id":' + b"9" * 5000 + b"}", b'{"op":"hello","id":1,"x":NaN}', b'{"op":"hello","id":1,"x":1e999}',
    b'{"op":"hello","id":1,"id":2}', b'{"op":"hello","op":"hello","id":1}', '{"op":"hello","id":1}'.encode("utf-16"),
    b'{"op":"hello","id":1,"x":"\\ud800"}', b'{"op":"hello","id":1,"x":"\xff"}',
    b'{"op":"hello","id":1,"x":[' + b"1," * 1024 + b"1]}", b"\xef\xbb\xbf" + b'{"op":"hello","id":1}',
)  # fmt: skip
BAD_MSGPACK = (
    b"", b"\x80\x80", b"\x81", b"\x81\xa2op\xa5hell", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x81\xdd\xff\xff\xff\xff",
    b"\x81\xa1x\xdb\xff\xff\xff\xff", b"\x81\xa1x\xc6\xff\xff\xff\xff", b"\x82\xa2id\x01\xa2id\x02",
    b"\x81\xa1x" + b"\x91" * 60_000, b"\x81\xa1x\xd4\x01\x00", b"\x81\xa1x\xc4\x01\x00", b"\x81\x01\x02",
    b"\x81\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\x81\xa1x\xa3\xed\xa0\x80",
    b"\x81\xa1x\xd6\xff\x00\x00\x00\x00",
)  # fmt: skip


def test_headers_that_cannot_be_read_are_bad(server: Session) -> None:
    with server.unharmed():
        for first, headers in ((b"TX1j", BAD_JSON), (b"TX1m", BAD_MSGPACK)):
            for header in headers:
                codes = ("bad_header", "bad_frame") if header[:1] in (b"[", b"") else ("bad_header",)
                assert code_of(tries(server, first, header)) in codes, header[:60]


def test_a_wrong_op_or_id_is_told(server: Session, client: Client) -> None:
    with server.unharmed():
        for id in (None, 0, -1, 2**53 + 1, True, "7", 1.5, [1], {}):
            with server.client() as other:
                assert (code_of(other.header({"op": "hello", "id": id})), id) == ("bad_header", id)
        with server.client() as other:
            assert code_of(other.header({"op": "hello"})) == "bad_header"
            assert code_of(other.header({"id": 1})) == "bad_header"
            assert code_of(other.header({"id": 1, "op": 7})) == "bad_header"
            reply = other.header({"id": 2**53, "op": "reboot"})
            assert (code_of(reply), reply and reply.id) == ("unknown_op", 2**53)
            assert code_of(other.header({"id": 2, "op": ""})) == "unknown_op"


WRONG_FIELDS: dict[str, tuple[Any, ...]] = {
    "size": (None, 0, [0, 64], [-1, 64], [64, 15], [16385, 64], [64.0, 64], [1.5, 64], [True, 64], ["2048", 64],
             [64], [64, 64, 3], "2048", [2**63, 2**63], [2**64, 64]),
    "window": ([0, 0, 0, 1], [0, 0, 65, 64], [64, 0, 1, 1], [-65, 0, 1, 1], [0, 0, 1], [0, 0, 1, 1.5], "all",
               [0, 0, -1, 1], [0, 0, True, 1], [2**60, 0, 1, 1]),
    "seed": (None, -1, 2**64, 1.5, "7", True, [7]),
    "depth": (0, 1, 12, 32, "8", True),
    "maps": ([], ["basecolor", "basecolor"], ["albedo"], [7], "basecolor", ["x"] * 17),
    "deadline_ms": (0, -1, 1.5, 2**40),
    "progress": (1, "yes", None),
    "model": (None, 7, ["brick"], True),
    "sha256": (7, "0" * 65),
}  # fmt: skip


@pytest.mark.parametrize("letter", [wire.JSON, wire.MSGPACK], ids=["json", "msgpack"])
def test_a_field_out_of_range_is_named(server: Session, client: Client, letter: bytes) -> None:
    good = {"op": "generate", "id": 1, "model": "brick", "seed": 7, "size": [64, 64]}
    with server.unharmed():
        for field, values in WRONG_FIELDS.items():
            for value in values:
                if letter == wire.MSGPACK and value in (2**64, [2**64, 64]):
                    continue  # cannot be said in msgpack
                reply = client.header(good | {field: value}, letter=letter)
                assert (code_of(reply), field, value) == ("bad_request", field, value)
                assert isinstance(reply, wire.Error)
                assert reply.text.startswith(f"{field}:")
        big = client.header(good | {"size": [4096, 4096]})
        assert code_of(big) == "bad_request"
        assert "smaller windows" in big.text  # type: ignore[union-attr]


def test_names_that_are_no_models_open_nothing(server: Session, client: Client) -> None:
    secret = server.models.parent / "secret.safetensors"
    secret.write_bytes((server.models / "brick.safetensors").read_bytes())
    names = ("", "../secret", "../../etc/passwd", str(secret.with_suffix("")), "a/b", "a\0b", "x" * 10_000, "Brick",
             "brick.safetensors", "brick ", ".", "..", "\u202e", "broken")  # fmt: skip
    with server.unharmed():
        for name in names:
            for op in ("generate", "thumbnail"):
                reply = client.header({"op": op, "id": 1, "model": name, "seed": 7, "size": [64, 64]})
                assert (code_of(reply), name) == ("unknown_model", name)


def test_content_that_is_not_what_it_says_is_refused(server: Session, client: Client) -> None:
    """Before anything of its claimed size is allocated."""

    def stylize(*buffers: bytes, **changed: Any) -> str:
        described = {"name": "content", "dtype": "uint8", "shape": [16, 16, 3]} | changed
        header = {"op": "stylize", "id": 1, "model": "brick", "buffers": [described]}
        return code_of(client.header(header, *buffers))

    good = bytes(768)
    with server.unharmed():
        assert stylize(good) == "unknown_model"  # right, and no model here stylizes
        assert stylize(good, shape=[1, 256, 3]) == stylize(good, shape=[192, 1, 4]) == "unknown_model"
        assert stylize(good, shape=[16, 24, 1], dtype="uint16") == "unknown_model"
        for changed in (
            {"shape": [16, 16, 4]}, {"shape": [16, 16, 1]}, {"shape": [16, 24, 2]}, {"shape": [16, 16]},
            {"shape": [2**40, 2**40, 3]}, {"shape": [-16, -16, 3]}, {"shape": [1, 255, 3]}, {"shape": "16x16"},
            {"dtype": "float64"}, {"dtype": "uint16"}, {"dtype": None}, {"name": "style"}, {"name": None},
        ):  # fmt: skip
            assert (stylize(good, **changed), changed) == ("bad_request", changed)
        assert stylize() == "bad_request"
        assert stylize(good, good) == "bad_request"
        assert stylize(bytes(16_700_000), shape=[1, 16_700_000, 1]) == "bad_request"
        assert code_of(client.header({"op": "generate", "id": 1, "model": "brick", "seed": 7, "size": [64, 64],
                                      "buffers": [{"name": "x", "dtype": "uint8", "shape": [1, 1, 1]}]}, b"x")) \
            == "bad_request"  # fmt: skip


def test_the_same_id_twice_is_one_request(odd: Session) -> None:
    seed = sleeping(0.5)
    with odd.unharmed(), odd.client() as client:
        tiles = client.status()["devices"][0]["tiles"]
        for _ in range(3):
            client.want("brick", seed, id=500)
        client.want("brick", seed + 1, id=500)
        refusal, result = client.reply(), client.reply()
        assert (code_of(refusal), refusal and refusal.id) == ("duplicate_id", 500)
        assert data_of(result) == painted(odd.models / "brick.safetensors", seed)
        assert client.status()["devices"][0]["tiles"] == tiles + 1
        assert client.frames(0.2) is None


def test_cancel_ends_what_is_waiting_or_running_and_nothing_else(odd: Session) -> None:
    with odd.unharmed(), odd.client() as client, odd.client() as other:
        running = client.want("brick", sleeping(1.0), (1024, 1024))
        theirs = other.want("brick", sleeping(0.3, 1), id=900)
        waiting = [client.want("brick", sleeping(0.3, which)) for which in (2, 3, 4)]
        eventually(lambda: client_status(odd)["queue"]["running"], "a request that runs")
        for target in (running, waiting[1]):
            cancel = client.new_id()
            client.tell(wire.Cancel(id=cancel, target=target))
            replies = client.replies(2)
            assert code_of(replies[target]) == "cancelled"
            assert replies[cancel] == wire.Result(id=cancel)
        for target in (running, 2**53, theirs):
            assert code_of(client.ask(wire.Cancel(id=client.new_id(), target=target))) == "not_found"
        finished = client.replies(2)
        assert {id: data_of(reply) for id, reply in finished.items()} == {
            waiting[0]: painted(odd.models / "brick.safetensors", sleeping(0.3, 2)),
            waiting[2]: painted(odd.models / "brick.safetensors", sleeping(0.3, 4)),
        }
        assert code_of(client.ask(wire.Cancel(id=client.new_id(), target=waiting[0]))) == "not_found"
        assert data_of(other.reply()) == painted(odd.models / "brick.safetensors", sleeping(0.3, 1))
