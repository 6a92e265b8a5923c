"""Facts about finding a server: the line and the file come back, damage is a sentence, and no key is ever shown."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.protocol import pairing
from blender_addon.protocol.pairing import Keys, NoServer, Pairing, find_server, parse_pairing, read_connection_file

SECRET = bytes(range(100, 132))
KEYS = Keys(server=pairing.public_key(bytes(range(32))), client=SECRET)
PAIRING = Pairing(host="127.0.0.1", port=5555, keys=KEYS)
SHOWN = [SECRET.hex(), repr(SECRET)[2:-1], PAIRING.line.rsplit("/", 1)[1], pairing.z85(SECRET).decode()]

posix = pytest.mark.skipif(sys.platform == "win32", reason="the modes of POSIX")


def no_server(how: str, *args: object) -> str:
    """The sentence of a failure, which holds no key."""
    with pytest.raises(NoServer) as error:
        getattr(pairing, how)(*args)
    text = str(error.value)
    assert text.endswith(".")
    assert not any(each in text for each in SHOWN)
    return text


def connection_file(folder: Path, content: bytes | str | None = None, mode: int = 0o600) -> Path:
    path = folder / "connection.json"
    content = json.dumps({"format": 1, "pairing": PAIRING.line}) if content is None else content
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


# ---------------------------------------------------------------------------------------------------------------- line

hosts = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True) | st.sampled_from(["[::1]", "[fe80::1:2]"])
keys = st.builds(Keys, server=st.binary(min_size=32, max_size=32), client=st.binary(min_size=32, max_size=32))


@given(known=st.builds(Pairing, host=hosts, port=st.integers(1, 65535), keys=st.none() | keys))
def test_a_line_comes_back_as_it_was_printed(known: Pairing) -> None:
    assert parse_pairing(known.line) == known
    assert parse_pairing(f"  {known.line}/\n") == known
    assert known.endpoint == f"tcp://{known.host}:{known.port}"


def test_a_line_is_43_characters_a_key() -> None:
    scheme, host, *both = PAIRING.line.replace("//", "/", 1).split("/")
    assert (scheme, host, [len(each) for each in both]) == ("texserver:", "127.0.0.1:5555", [43, 43])


DAMAGED = {
    "empty": "",
    "another scheme": PAIRING.line.replace("texserver", "https"),
    "no scheme": PAIRING.line.removeprefix(pairing.SCHEME),
    "cut short": PAIRING.line[:-1],
    "one key": PAIRING.line.rsplit("/", 1)[0],
    "a third key": PAIRING.line + PAIRING.line[-44:],
    "a blank in it": PAIRING.line[:60] + " " + PAIRING.line[61:],
    "two lines": f"{PAIRING.line}\n{PAIRING.line}",
    "a letter of no base64": PAIRING.line[:-1] + "é",
    "a sign of no base64": PAIRING.line[:-1] + "+",
    "port 0": "texserver://host:0",
    "port 65536": "texserver://host:65536",
    "no port": "texserver://host",
    "a port in words": "texserver://host:http",
    "a port in other digits": "texserver://host:\u0665\u0665",
    "no host": "texserver://:5555",
    "a path": "texserver://host:5555/../..",
    "a user": "texserver://me@host:5555",
    "very long": pairing.SCHEME + "x" * 10**6,
    "a zero byte": PAIRING.line + "\0",
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_line_is_a_sentence_that_says_to_copy_it_again(line: str) -> None:
    text = no_server("parse_pairing", line)
    assert "opy the whole line" in text
    assert len(text) < 300


@given(at=st.integers(0, len(PAIRING.line)), text=st.text())
def test_any_text_is_a_pairing_or_a_sentence(at: int, text: str) -> None:
    for line in (text, PAIRING.line[:at] + text + PAIRING.line[at + 1 :]):
        with suppress(NoServer):
            parse_pairing(line)


def test_no_secret_is_shown() -> None:
    for shown in (repr(KEYS), str(KEYS), repr(PAIRING), f"{PAIRING}", repr([PAIRING])):
        assert not any(each in shown for each in SHOWN)


def test_the_keys_are_those_of_zeromq() -> None:
    secret = pairing.new_key()
    assert len(secret) == 32
    assert secret != pairing.new_key()
    assert pairing.z85(pairing.public_key(secret)) == zmq.curve_public(pairing.z85(secret))
    assert Keys(server=KEYS.server, client=secret).client_public == pairing.z85(pairing.public_key(secret))


# ---------------------------------------------------------------------------------------------------------------- file


def test_the_server_of_a_connection_file_is_found(tmp_path: Path) -> None:
    path = connection_file(tmp_path)
    assert read_connection_file(path) == PAIRING
    assert find_server(str(path)) == PAIRING


def test_a_missing_connection_file_says_how_to_start_a_server(tmp_path: Path) -> None:
    text = no_server("read_connection_file", tmp_path / "connection.json")
    assert "texserver --models DIR" in text
    assert "pairing line" in text


@posix
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666, 0o644, 0o601], ids=oct)
def test_a_connection_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    assert "Other users can read" in no_server("read_connection_file", connection_file(tmp_path, mode=mode))


BROKEN_FILES = {
    "empty": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"format":1,"pairing":"\xff"}',
    "a list": b"[]",
    "a text": b'"texserver"',
    "null": b"null",
    "no format": json.dumps({"pairing": PAIRING.line}),
    "no pairing": b'{"format":1}',
    "a cut line": json.dumps({"format": 1, "pairing": PAIRING.line[:-1]}),
    "a line that is a list": json.dumps({"format": 1, "pairing": [PAIRING.line]}),
    "too long": json.dumps({"format": 1, "pairing": PAIRING.line, "more": "x" * pairing.MAX_FILE_BYTES}),
    "a depth bomb": b"[" * 16_000,
    "a number of 5000 digits": b'{"format":' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("content", BROKEN_FILES.values(), ids=list(BROKEN_FILES))
def test_a_damaged_connection_file_is_a_sentence_that_names_it(tmp_path: Path, content: bytes | str) -> None:
    path = connection_file(tmp_path, content)
    text = no_server("read_connection_file", path)
    assert str(path) in text
    assert "is damaged" in text


def test_a_connection_file_of_another_format_says_to_update(tmp_path: Path) -> None:
    for format in (2, 0, "1", None):
        path = connection_file(tmp_path, json.dumps({"format": format, "pairing": PAIRING.line}))
        assert "Update this client or the server" in no_server("read_connection_file", path)


def test_a_folder_and_a_name_that_no_file_can_have_are_sentences(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert "cannot be read" in no_server("read_connection_file", tmp_path)
    assert "cannot be read" in no_server("read_connection_file", Path("a\0b"))


@posix
@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_connection_file_is_a_sentence(tmp_path: Path) -> None:
    assert "cannot be read" in no_server("read_connection_file", connection_file(tmp_path, mode=0o200))


@posix
@pytest.mark.timeout(20)
def test_a_fifo_in_its_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "connection.json", 0o600)
    assert "not a file" in no_server("read_connection_file", tmp_path / "connection.json")


# -------------------------------------------------------------------------------------------------------- where to look


def test_what_is_named_goes_before_the_environment_and_that_before_this_machines_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv(pairing.ENVIRONMENT, raising=False)
    no_server("find_server")
    here, there, named = (Pairing(host=host, port=1) for host in ("here", "there", "named"))
    pairing.default_connection_file().parent.mkdir(parents=True)
    connection_file(pairing.default_connection_file().parent, json.dumps({"format": 1, "pairing": here.line}))
    assert find_server() == here
    monkeypatch.setenv(pairing.ENVIRONMENT, there.line)
    assert find_server() == there
    assert find_server(f" {named.line}\n") == named
    monkeypatch.setenv(pairing.ENVIRONMENT, str(connection_file(tmp_path)))
    assert find_server() == PAIRING
    monkeypatch.setenv(pairing.ENVIRONMENT, "")
    assert find_server() == here


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folders of XDG")
def test_the_runtime_folder_is_that_of_the_session_or_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert pairing.runtime_folder() == Path("/run/user/7/texserver")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert pairing.runtime_folder() == Path("/cache/texserver")
