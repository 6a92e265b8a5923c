"""A server of one's own is started without waiting, says how it is, keeps its keys to itself and never stays behind."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from blender_addon.client.connection import Connection
from blender_addon.protocol.pairing import find_server
from blender_addon.tasks import local_server as module
from blender_addon.tasks.local_server import GRACE_S, SLOW_S, LocalServer
from tests.models import save_tiny

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="the programs that stand in for texserver are scripts"),
]

ROOT = Path(__file__).resolve().parents[3]
KEYS = "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8/ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1-f4CBgoM"
SAYS = f"""texserver 9.9 serves models (1 files) at tcp://127.0.0.1:7441.
Clients on other machines need this line. Treat it like a password:
    texserver://127.0.0.1:7441/{KEYS}
Other machines can work for this server: texserver --worker-of texserver://[::1]:7442/{KEYS}"""

LISTENS = f"print('''{SAYS}''')\n"
WAITS = "sys.stdin.read()\n"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(60)\n"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[LocalServer]:
    with closing(LocalServer(tmp_path / "logs" / "server.log", clock=clock)) as server:
        yield server


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Makes a program that tells of itself and does what it is given."""

    def make(body: str, name: str = "texserver") -> str:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        told = tmp_path / "told.json"
        tells = (
            "import json, os, signal, sys, time\n"
            "told = {'pid': os.getpid(), 'group': os.getpgid(0), 'argv': sys.argv[1:], 'env': dict(os.environ)}\n"
            f"open({str(told)!r} + '.part', 'w').write(json.dumps(told))\n"
            f"os.replace({str(told)!r} + '.part', {str(told)!r})\n"
        )
        path.write_text(f"#!{sys.executable} -S\n{tells}{body}")
        path.chmod(0o755)
        return str(path)

    return make


def told(tmp_path: Path) -> dict[str, Any]:
    """What the program tells of itself."""
    path = tmp_path / "told.json"
    within(path.exists)
    return dict(json.loads(path.read_text()))


def within(holds: Callable[[], object], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def until(server: LocalServer, state: str, limit_s: float = 20.0) -> None:
    """Tick until it is so, and its process is there or not, accordingly."""

    def holds() -> bool:
        server.tick()
        return server.state == state and (server._process is None) == (state in ("stopped", "failed"))

    within(holds, limit_s)


def runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# ----------------------------------------------------------------------------------------------------- the real thing


def test_a_real_server_runs_is_found_and_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))  # as Blender's own may be
    (tmp_path / "models").mkdir()
    save_tiny(tmp_path / "models", "brick")
    file = tmp_path / "own" / "connection.json"
    server = LocalServer(tmp_path / "server.log")
    with closing(server), closing(Connection(lambda: find_server(str(file)))) as connection:
        server.start(sys.executable, tmp_path / "models", file, ["--device", "cpu"])
        assert server.state == "starting"
        until(server, "running")
        assert f"127.0.0.1:{find_server(str(file)).port}" in server.message
        within(lambda: connection.tick() or connection.state == "ready")  # type: ignore[func-returns-value]
        keys = find_server(str(file)).line.rpartition(":")[2].partition("/")[2]
        assert not any(part in server.log.read_text() for part in keys.split("/"))
        server.stop()
        until(server, "stopped")
        assert server.message == ""
        assert not file.exists()


def test_what_a_real_server_refuses_is_told_in_its_own_words(tmp_path: Path, server: LocalServer) -> None:
    server.start(sys.executable, tmp_path / "nowhere", tmp_path / "connection.json")
    until(server, "failed")
    assert server.message.startswith(f"The local server did not start: There is no models folder {tmp_path}/nowhere.")
    assert "Train a model" in server.message


def test_a_python_without_texserver_is_named(server: LocalServer, tmp_path: Path) -> None:
    bare = tmp_path / "bin" / "python3.11"
    bare.parent.mkdir()
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    server.start(str(bare), tmp_path)
    until(server, "failed")
    assert "That Python has no texserver" in server.message


# ----------------------------------------------------------------------------------------------------------- starting


def test_it_runs_once_it_says_that_it_listens(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path
) -> None:
    server.start(program(f"time.sleep(0.3)\n{LISTENS}{WAITS}"), tmp_path)
    states = []
    within(lambda: server.tick() or states.append(server.state) or server.state == "running")  # type: ignore[func-returns-value]
    assert set(states) == {"starting", "running"}
    assert server.message == "The local server runs at 127.0.0.1:7441."


def test_the_command_says_where_models_and_connection_file_are(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.start(program(WAITS), Path("my models"), Path("c.json"), ["--workers", "2"])
    arguments = told(tmp_path)["argv"]
    assert arguments[:3] == ["--models", str(tmp_path / "my models"), "--leave-with-parent"]
    assert arguments[-4:] == ["--connection-file", str(tmp_path / "c.json"), "--workers", "2"]
    assert not server.makes_library


def test_without_a_folder_the_server_makes_its_library(server: LocalServer, program: Callable[[str], str]) -> None:
    server.start(program(WAITS), None)
    assert server.makes_library


def test_a_python_is_told_which_module(server: LocalServer, program: Callable[..., str], tmp_path: Path) -> None:
    server.start(program(WAITS, "python3.13"), tmp_path)
    assert told(tmp_path)["argv"][:3] == ["-m", "server", "--models"]


@pytest.mark.parametrize(
    ("name", "is_python"),
    [
        ("python", True),
        ("python3", True),
        ("python3.11", True),
        ("Python.exe", True),
        ("pythonw.exe", True),
        ("texserver", False),
        ("texserver.exe", False),
        ("python-texserver", False),
    ],
)
def test_a_python_is_known_by_its_name(name: str, is_python: bool, tmp_path: Path) -> None:
    command = module._program(str(tmp_path / name))
    assert command == [str(tmp_path / name), *(["-m", "server"] if is_python else [])]


def test_without_a_command_the_path_is_searched(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    server.start("", tmp_path)
    assert server.state == "failed"
    assert "There is no program texserver on the PATH" in server.message
    program(WAITS)
    server.start(" ", tmp_path)
    assert server.state == "starting"
    assert told(tmp_path)["argv"]


def test_what_is_meant_for_blenders_python_does_not_reach_it(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    server.start(program(WAITS), tmp_path)
    environment = told(tmp_path)["env"]
    assert not {"PYTHONHOME", "PYTHONPATH", "PYTHONWARNINGS"} & set(environment)
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["PYTHONUNBUFFERED"]) == ("1", "1")


def test_it_has_a_process_group_of_its_own(server: LocalServer, program: Callable[[str], str], tmp_path: Path) -> None:
    server.start(program(WAITS), tmp_path)
    it = told(tmp_path)
    assert it["group"] == it["pid"] != os.getpgid(0)


def test_one_that_runs_is_not_started_again(server: LocalServer, program: Callable[[str], str], tmp_path: Path) -> None:
    server.start(program(LISTENS + WAITS), tmp_path)
    until(server, "running")
    pid = told(tmp_path)["pid"]
    server.start(program(LISTENS + WAITS), tmp_path)
    server.tick()
    assert server.state == "running"
    assert told(tmp_path)["pid"] == pid


def test_one_that_takes_long_is_told(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path, clock: Clock
) -> None:
    server.start(program(WAITS), tmp_path)
    server.tick()
    assert server.message == "The local server is starting."
    clock.now += SLOW_S + 1
    server.tick()
    assert (server.state, "takes long" in server.message) == ("starting", True)


# ------------------------------------------------------------------------------------------------------------ failing


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('texserver: No room. Make some.')", "The local server did not start: No room. Make some."),
        (
            "print('texserver worker cuda:0/0: There is no CUDA.')\nprint('worker=cuda:0/0 has died')\nsys.exit(2)",
            "The local server did not start: There is no CUDA.",
        ),
        ("raise RuntimeError('on purpose')", "Its last words: RuntimeError: on purpose"),
        ("sys.exit(3)", "ended with code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
    ],
)
def test_one_that_fails_says_why_and_what_to_do(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path, body: str, said: str
) -> None:
    server.start(program(body), tmp_path)
    until(server, "failed")
    assert said in server.message
    assert "did not start" in server.message or f"Read its log, {server.log}" in server.message


def test_one_that_ends_by_itself_is_told(server: LocalServer, program: Callable[[str], str], tmp_path: Path) -> None:
    server.start(program(LISTENS), tmp_path)
    until(server, "stopped")
    assert server.message == "The local server has ended. Start it again when you need it."


def folder(path: Path) -> str:
    return str(path)


def no_program(path: Path) -> str:
    (path / "notes").write_text("not a program")
    return str(path / "notes")


def odd_format(path: Path) -> str:
    (path / "odd").write_bytes(b"\x00\x01")
    (path / "odd").chmod(0o755)
    return str(path / "odd")


@pytest.mark.parametrize(
    "command",
    [
        folder,
        no_program,
        odd_format,
        lambda path: str(path / "nowhere"),
        lambda path: "no-such-one",
        lambda path: "a\0",
    ],
    ids=["a folder", "no program", "an odd format", "nothing", "nothing on the PATH", "a zero byte"],
)
def test_what_cannot_be_started_is_named(server: LocalServer, tmp_path: Path, command: Callable[[Path], str]) -> None:
    server.start(command(tmp_path), tmp_path)
    assert server.state == "failed"
    assert "cannot be started" in server.message
    assert "Give the path" in server.message
    server.tick()
    server.stop()
    assert server.state == "failed"


def test_a_log_that_cannot_be_written_is_told(program: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = LocalServer(tmp_path / "file" / "server.log")
    server.start(program(WAITS), tmp_path)
    assert server.state == "failed"
    assert f"The log {server.log} cannot be written" in server.message
    assert server.tail() == []


# ---------------------------------------------------------------------------------------------------------------- log


def test_no_key_is_shown(server: LocalServer, program: Callable[[str], str], tmp_path: Path) -> None:
    server.start(program(LISTENS + WAITS), tmp_path)
    until(server, "running")
    shown = server.tail()
    assert shown[2:] == [
        "    texserver://127.0.0.1:7441/…",
        "Other machines can work for this server: texserver --worker-of texserver://[::1]:7442/…",
    ]


@pytest.mark.parametrize("spare", [0, 1, 30, 60, 100, 10_000])
def test_no_part_of_a_key_is_shown_wherever_the_tail_begins(server: LocalServer, spare: int) -> None:
    server.log.parent.mkdir()
    after = "x" * (module.TAIL_BYTES - spare - 1) + "\n"
    server.log.write_text(f"begin\ntexserver://127.0.0.1:7441/{KEYS}\n{after}")
    text = "\n".join(server.tail())
    assert not any(KEYS[place : place + 8] in text for place in range(len(KEYS) - 8))


def test_the_log_is_the_owners_alone_and_begins_anew(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path
) -> None:
    server.log.parent.mkdir()
    server.log.write_text("from before\n" * 100_000)
    server.log.chmod(0o644)
    server.start(program(LISTENS + WAITS), tmp_path)
    until(server, "running")
    assert stat.S_IMODE(server.log.stat().st_mode) == 0o600
    assert "from before" not in server.log.read_text()
    assert len(server.tail(2)) == 2


# ------------------------------------------------------------------------------------------------------------- ending


def test_asked_to_stop_it_stops(server: LocalServer, program: Callable[[str], str], tmp_path: Path) -> None:
    server.start(program(f"{LISTENS}{WAITS}time.sleep(0.2)\nprint('last words')\n"), tmp_path)
    until(server, "running")
    server.stop()
    assert (server.state, server.message) == ("stopped", "The local server is stopping.")
    until(server, "stopped")
    assert (server.message, server.tail(1)) == ("", ["last words"])


@pytest.mark.serial
def test_one_that_does_not_stop_is_killed_after_a_while(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path, clock: Clock
) -> None:
    server.start(program(LISTENS + DEAF), tmp_path)
    until(server, "running")
    pid = told(tmp_path)["pid"]
    start = time.monotonic()
    server.stop()
    server.stop()
    for _ in range(20):
        server.tick()
    assert time.monotonic() - start < 5  # it waits for nothing
    assert runs(pid)
    clock.now += GRACE_S + 1
    until(server, "stopped")
    assert not runs(pid)
    assert server.message == ""


def test_started_again_while_it_stops_it_starts_when_it_has_stopped(
    server: LocalServer, program: Callable[[str], str], tmp_path: Path
) -> None:
    server.start(program(f"{LISTENS}{WAITS}time.sleep(0.3)\n"), tmp_path)
    until(server, "running")
    first = told(tmp_path)["pid"]
    server.stop()
    server.start(program(LISTENS + WAITS, "other"), tmp_path)
    assert (server.state, server.message) == ("starting", "Waiting for the earlier server to end.")
    assert runs(first)
    until(server, "running")
    assert not runs(first)
    assert told(tmp_path)["pid"] != first
    server.stop()
    server.start(program(WAITS), tmp_path)
    server.stop()
    until(server, "stopped")


@pytest.mark.serial
def test_closing_ends_it_at_once(server: LocalServer, program: Callable[[str], str], tmp_path: Path) -> None:
    server.start(program(LISTENS + DEAF), tmp_path)
    until(server, "running")
    start = time.monotonic()
    server.close()
    assert time.monotonic() - start < 5
    assert not runs(told(tmp_path)["pid"])
    assert server.state == "stopped"
    server.close()


def test_a_script_around_it_is_ended_with_it(server: LocalServer, tmp_path: Path) -> None:
    script = tmp_path / "texserver"
    sleep = shutil.which("sleep")
    script.write_text(f"#!/bin/sh\n{sleep} 60 &\necho $! > {tmp_path}/child\nwait\n")
    script.chmod(0o755)
    server.start(str(script), tmp_path)
    within(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"))
    server.close()
    within(lambda: not runs(int((tmp_path / "child").read_text())))


def test_it_does_not_outlive_a_killed_blender(program: Callable[[str], str], tmp_path: Path) -> None:
    blender = (
        "import sys, time; from pathlib import Path; from blender_addon.tasks.local_server import LocalServer\n"
        "server = LocalServer(Path(sys.argv[2])); server.start(sys.argv[1], Path('models'))\n"
        "while True: server.tick(); print(server.state, flush=True); time.sleep(0.01)\n"
    )
    command = [sys.executable, "-c", blender, program(LISTENS + WAITS), str(tmp_path / "log")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, env=environment, text=True) as killed:
        assert killed.stdout
        assert any(line == "running\n" for line in killed.stdout)
        pid = told(tmp_path)["pid"]
        assert runs(pid)
        killed.send_signal(signal.SIGKILL)
    within(lambda: not runs(pid))
