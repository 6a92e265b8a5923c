"""Facts about who is let in: real sockets with real keys, each domain with its own."""

from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from blender_addon.protocol.pairing import new_key, public_key, z85
from server.service.gate import ENDPOINT, Gate
from tests.server.session import eventually

SERVER, CLIENT, WORKER = new_key(), new_key(), new_key()
KNOWN = {"clients": frozenset({public_key(CLIENT)}), "workers": frozenset({public_key(WORKER)})}


@pytest.fixture
def context() -> Iterator["zmq.Context[Any]"]:
    context: zmq.Context[Any] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def gate(context: "zmq.Context[Any]") -> Iterator[Gate]:
    gate = Gate(context, KNOWN)
    yield gate
    gate.socket.close()


def comes_in(gate: Gate, context: "zmq.Context[Any]", domain: str, key: bytes | None) -> bool:
    """Whether a message of a client with this key arrives; the gate has been asked either way, if there is a key."""
    refused = gate.refused
    with context.socket(zmq.ROUTER) as router, context.socket(zmq.DEALER) as dealer:
        router.curve_server, router.curve_secretkey, router.zap_domain = True, z85(SERVER), domain.encode()
        router.bind("tcp://127.0.0.1:*")
        dealer.linger = 0
        if key:
            dealer.curve_serverkey, dealer.curve_secretkey = z85(public_key(SERVER)), z85(key)
            dealer.curve_publickey = z85(public_key(key))
        dealer.connect(router.last_endpoint.decode().rstrip("\0"))  # type: ignore[union-attr]
        dealer.send(b"let me in")

        def decided() -> bool:
            gate.answer()
            return bool(router.poll(10)) or gate.refused > refused or key is None

        eventually(decided, "an answer of the gate")
        return bool(router.poll(200))


@pytest.mark.parametrize("domain", ["clients", "workers"])
def test_each_domain_is_opened_by_its_own_key_alone(gate: Gate, context: "zmq.Context[Any]", domain: str) -> None:
    right, wrong = (CLIENT, WORKER) if domain == "clients" else (WORKER, CLIENT)
    assert comes_in(gate, context, domain, right)
    assert gate.refused == 0
    for key in (wrong, new_key(), SERVER):
        assert not comes_in(gate, context, domain, key)
    assert gate.refused >= 3
    assert not comes_in(gate, context, domain, None)
    assert comes_in(gate, context, domain, right)


def test_a_domain_that_nobody_knows_is_closed_to_all(gate: Gate, context: "zmq.Context[Any]") -> None:
    assert not comes_in(gate, context, "others", CLIENT)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, b"200"),
        ({0: b"2.0"}, b"400"),
        ({2: b"workers"}, b"400"),
        ({2: b"\xff"}, b"400"),
        ({5: b"NULL"}, b"400"),
        ({5: b"PLAIN"}, b"400"),
        ({6: b""}, b"400"),
        ({6: public_key(CLIENT)[:31]}, b"400"),
    ],
    ids=["right", "version", "domain", "no text", "NULL", "PLAIN", "no key", "short key"],
)
def test_only_the_right_question_is_answered_by_yes(
    gate: Gate, context: "zmq.Context[Any]", changed: dict[int, bytes], status: bytes
) -> None:
    gate.answer()  # nobody has asked
    question = [b"1.0", b"7", b"clients", b"127.0.0.1", b"", b"CURVE", public_key(CLIENT)]
    for place, value in changed.items():
        question[place] = value
    with context.socket(zmq.REQ) as asking:
        asking.connect(ENDPOINT)
        asking.send_multipart(question)
        gate.answer()
        assert asking.poll(5000)
        version, request, answered, *_ = asking.recv_multipart()
    assert (version, request, answered) == (b"1.0", b"7", status)
    assert gate.refused == (status == b"400")


def test_keys_that_are_let_in_later_are_told_with_each_message(gate: Gate, context: "zmq.Context[Any]") -> None:
    late = new_key()
    assert not comes_in(gate, context, "clients", late)
    gate.let_in("clients", frozenset({public_key(late)}))
    assert comes_in(gate, context, "clients", late)
    assert not comes_in(gate, context, "clients", CLIENT)
    with context.socket(zmq.REQ) as asking:
        asking.connect(ENDPOINT)
        asking.send_multipart([b"1.0", b"7", b"clients", b"127.0.0.1", b"", b"CURVE", public_key(late)])
        gate.answer()
        assert asking.recv_multipart()[4] == public_key(late).hex().encode()
