"""Facts about the server's keys and its connection file: the owner's alone, complete or not there, never guessed."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from blender_addon.protocol.pairing import Pairing, parse_pairing, public_key, read_connection_file
from server.replace_file import UnusableOutput
from server.service.keys import (
    DEFAULT,
    WORKERS,
    ServerKeys,
    UnusableKeys,
    add_key,
    keep_keys,
    remove_connection_file,
    revoke_key,
    running_server,
    state_folder,
    write_connection_file,
)

NO_KEYS = {"format": 1} | dict.fromkeys(("server", "client", "worker"), "00" * 32)

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "keys.json"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---------------------------------------------------------------------------------------------------------------- keys


def test_keys_are_made_once_and_kept(path: Path) -> None:
    keys = keep_keys(path)
    assert len({keys.server, keys.client, keys.worker}) == 3
    assert {len(keys.server), len(keys.client), len(keys.worker)} == {32}
    content = path.read_bytes()
    assert keep_keys(path) == keys
    assert path.read_bytes() == content


def test_two_users_have_different_keys(tmp_path: Path) -> None:
    assert keep_keys(tmp_path / "one") != keep_keys(tmp_path / "other")


@posix
def test_the_file_and_its_folder_are_the_owners_alone(path: Path) -> None:
    keep_keys(path)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert {each.name for each in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


@posix
@pytest.mark.parametrize("shared", [0o640, 0o604, 0o666], ids=oct)
def test_keys_that_others_can_read_are_refused(path: Path, shared: int) -> None:
    keep_keys(path)
    path.chmod(shared)
    with pytest.raises(UnusableKeys, match=r"can be read by others\. Remove the file"):
        keep_keys(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "7",
        '{"format": 1}',
        json.dumps({"format": 2, "server": "00" * 32, "client": "00" * 32, "worker": "00" * 32}),
        json.dumps({"format": 1, "server": "00" * 32, "client": "00" * 32, "worker": "00" * 31}),
        json.dumps({"format": 1, "server": "00" * 32, "client": "zz" * 32, "worker": "00" * 32}),
        json.dumps({"format": 1, "server": 7, "client": "00" * 32, "worker": "00" * 32}),
        json.dumps(NO_KEYS | {"named": ["anna"]}),
        json.dumps(NO_KEYS | {"named": {"a": "00"}}),
        json.dumps(
            {"format": 1} | dict.fromkeys(("server", "client", "worker"), "00" * 32) | {"named": {"\n": "00" * 32}}
        ),
        "\ud800",
    ],
    ids=range(13),
)
def test_damaged_keys_are_refused_and_left_as_they_are(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    data = content.encode("utf-8", "surrogatepass")
    path.write_bytes(data)
    with pytest.raises(UnusableKeys, match=r"are damaged\. Remove the file"):
        keep_keys(path)
    assert path.read_bytes() == data


def test_keys_that_cannot_be_kept_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableKeys, match="cannot be read"):
        keep_keys(tmp_path / "file" / "keys.json")
    with pytest.raises(UnusableOutput, match="was not written"):
        write_connection_file(tmp_path / "file" / "connection.json", Pairing(host="127.0.0.1", port=1))


def test_no_secret_is_shown_by_accident(path: Path) -> None:
    keys = keep_keys(path)
    for shown in (repr(keys), repr(keys.for_clients()), repr(keys.for_workers())):
        for secret in (keys.server, keys.client, keys.worker):
            assert secret.hex() not in shown
            assert repr(secret) not in shown


def test_clients_and_workers_are_told_the_servers_public_key_and_their_own_secret_one() -> None:
    keys = ServerKeys(server=bytes(32), client=b"c" * 32, worker=b"w" * 32)
    assert keys.for_clients().server == keys.for_workers().server == public_key(bytes(32))
    assert (keys.for_clients().client, keys.for_workers().client) == (b"c" * 32, b"w" * 32)


@pytest.mark.skipif(sys.platform != "linux", reason="folders of Linux")
def test_the_usual_place_is_the_users_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "texserver"
    keep_keys()
    assert (tmp_path / "texserver" / "keys.json").exists()
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "texserver"


def test_named_keys_are_added_and_revoked(path: Path) -> None:
    first = keep_keys(path)
    anna = add_key(path, "anna").named["anna"]
    both = add_key(path, "ben")
    assert keep_keys(path) == both
    assert set(both.of_clients()) == {DEFAULT, "anna", "ben"}
    assert (both.server, both.client, both.worker, both.named["anna"]) == (
        first.server,
        first.client,
        first.worker,
        anna,
    )
    assert both.for_clients("anna").client == anna
    revoke_key(path, "anna")
    assert set(keep_keys(path).of_clients()) == {DEFAULT, "ben"}
    assert add_key(path, "anna").named["anna"] != anna
    if sys.platform != "win32":
        assert mode(path) == 0o600


@pytest.mark.parametrize("name", [DEFAULT, WORKERS])
def test_a_key_that_there_always_is_becomes_another(path: Path, name: str) -> None:
    before = keep_keys(path)
    revoke_key(path, name)
    after = keep_keys(path)
    assert after.server == before.server
    assert (after.client == before.client, after.worker == before.worker) == (name != DEFAULT, name != WORKERS)


def test_many_who_make_the_first_keys_at_once_make_the_same(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from server.service.keys import keep_keys; "
        "print(keep_keys(Path(sys.argv[1])).server.hex())"
    )
    makers = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    assert len({each.communicate(timeout=120)[0] for each in makers}) == 1
    assert {each.returncode for each in makers} == {0}


# -------------------------------------------------------------------------------------------------- the connection file


@pytest.fixture
def listening() -> "socket.socket":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def written(path: Path, listening: socket.socket, **changed: object) -> Pairing:
    """A connection file of a server that listens there."""
    pairing = Pairing(host="127.0.0.1", port=listening.getsockname()[1])
    write_connection_file(path, pairing)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changed))
    return pairing


def test_a_client_reads_what_the_server_wrote(path: Path) -> None:
    keys = keep_keys(path)
    pairing = Pairing(host="[::1]", port=7733, keys=keys.for_clients())
    file = path.with_name("connection.json")
    write_connection_file(file, pairing)
    assert read_connection_file(file) == pairing == parse_pairing(pairing.line)
    if sys.platform != "win32":
        assert mode(file) == 0o600
    content = json.loads(file.read_bytes())
    assert content["pid"] == os.getpid()
    assert keys.worker.hex() not in file.read_text()


def test_a_server_that_runs_is_found(path: Path, listening: socket.socket) -> None:
    written(path, listening, pid=os.getppid())
    assert running_server(path) == os.getppid()


@posix
def test_a_file_without_a_server_behind_it_is_no_obstacle(path: Path, listening: socket.socket) -> None:
    assert running_server(path) is None
    written(path, listening, pid=2**22 + 1)
    assert running_server(path) is None
    written(path, listening)  # this very process wrote it: one that was here before had the same number
    assert running_server(path) is None
    written(path, listening, pid="x")
    assert running_server(path) is None
    path.write_text("{")
    assert running_server(path) is None


@posix
def test_a_process_id_that_another_program_has_now_is_no_obstacle(path: Path, listening: socket.socket) -> None:
    written(path, listening, pid=os.getppid())
    listening.close()
    assert running_server(path) is None


def test_the_file_is_removed_only_by_who_wrote_it(path: Path, listening: socket.socket) -> None:
    remove_connection_file(path)
    written(path, listening, pid=os.getppid())
    remove_connection_file(path)
    assert path.exists()
    written(path, listening)
    remove_connection_file(path)
    assert not path.exists()
