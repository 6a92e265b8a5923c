"""A real server for the tests: its processes, its sockets, and clients of it. No mocks.

Everything a server would leave in the user's folders goes into a folder of the test's. What /proc tells of its
processes is what the facts about failures are checked by.
"""

import functools
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType, TracebackType
from typing import Any

import msgpack
import pytest
import torch
import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import Pairing, parse_pairing, read_connection_file, z85
from server.model.torus import Size, Window
from server.msgpack_codec import CODECS
from server.network.devices import prepare
from server.network.generator import Generator
from server.network.model_file import read_model
from server.network.texture import texture_bytes
from server.quilt.quilt import Quilt

ROOT = Path(__file__).resolve().parents[2]
SERVER = (sys.executable, "-m", "server")
ODD_SERVER = (sys.executable, str(Path(__file__).with_name("odd_worker.py")))  # its workers do what seeds tell them
PATIENCE_S = 60.0  # for what takes a second or two on a machine that has nothing else to do
ANSWERED_S = 20.0  # likewise, for an answer that takes far less
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_seeds = itertools.count(10_000)


def eventually(holds: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """Wait until it holds, and return what it gave."""
    end = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.02)
    return found


# ------------------------------------------------------------------------------------------------------------- servers


def environment(home: Path) -> dict[str, str]:
    """In which a server or client uses that folder as the user's own."""
    for folder in (home / "runtime", home / "state"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TEXSERVER", "XDG_"))}
    return kept | {
        "XDG_RUNTIME_DIR": str(home / "runtime"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_DATA_HOME": str(home / "data"),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }


def run_server(home: Path, *arguments: str, said: str = "") -> "subprocess.CompletedProcess[str]":
    """A server that is expected to end by itself. `said`: on its standard input."""
    return subprocess.run(
        [*SERVER, *arguments],
        env=environment(home),
        cwd=home,
        input=said,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def line_file(folder: Path, line: str) -> Path:
    """A file of one's own that holds a pairing line."""
    file = folder / f"{token_hex(4)}.line"
    file.touch(0o600)
    file.write_text(f"{line}\n")
    return file


class Session:
    """One server with its workers, ended with the `with` block at the latest."""

    def __init__(
        self,
        models: Path,
        home: Path,
        *arguments: str,
        command: Sequence[str] = SERVER,
        ready: bool = True,
        threads: int = 1,
        named: bool = True,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`named`: the models folder is named to it. `variables`: more of its environment."""
        self.models, self.home = models, home
        environ = environment(home) | {"OMP_NUM_THREADS": str(threads)} | variables
        folder = ("--models", str(models)) if named else ()
        self.file = home / "runtime" / "texserver" / "connection.json"
        self.log_path, self.out_path = home / "log", home / "out"
        precise = () if "--precision" in arguments else ("--precision", "exact")
        with self.log_path.open("ab") as log, self.out_path.open("wb") as out:
            self.popen = subprocess.Popen(
                [*command, *folder, "--device", "cpu", *precise, *arguments],
                env=environ,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.pairing: Pairing = eventually(self._found, "a connection file")
            if ready:
                self.wait_until_ready()
        except BaseException:
            self.end()
            raise

    def _found(self) -> Pairing | None:
        assert self.popen.poll() is None, f"it ended with {self.popen.returncode}: {self.log}"
        return read_connection_file(self.file) if self.file.exists() else None

    def wait_until_ready(self) -> None:
        """Until all workers are there and all models are checked."""
        with self.client() as client:

            def ready() -> bool:
                report = client.status()
                return not report["models"]["checking"] and len(report["devices"]) == len(self.workers()) > 0

            eventually(ready, "all workers and models")

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> int:
        """Ask it to end, at last without asking; its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.popen.wait()

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def ended(self, within_s: float = PATIENCE_S) -> int:
        """Wait until it has ended by itself; its exit code."""
        return self.popen.wait(within_s)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def out(self) -> str:
        return self.out_path.read_text()

    def line(self, name: str = "default") -> str:
        """The pairing line of that key, as a person gets it; that of "workers" is for workers on other machines."""
        done = run_server(self.home, "--pairing", name)
        assert done.returncode == 0, done
        return done.stdout.strip()

    @functools.cached_property
    def worker_line(self) -> str:
        """What workers on other machines are given."""
        return self.line("workers")

    def workers(self) -> list[int]:
        """The process ids of its workers, in order."""
        return sorted(pid for pid in _processes() if _parent(pid) == self.pid)

    def memory_mb(self) -> float:
        """Resident memory of the front."""
        return memory_mb(self.pid)

    def files(self) -> int:
        """How many descriptors the front has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def client(self, **options: Any) -> "Client":
        return Client(self.pairing, **options)

    def check(self, model: str = "brick") -> None:
        """A fresh client asks for a texture that nobody asked for before, and gets the right pixels."""
        seed = next(_seeds)
        with self.client() as client:
            result = client.generate(model, seed, (96, 80), timeout_s=ANSWERED_S)
            assert data_of(result) == painted(self.models / f"{model}.safetensors", seed, (96, 80))

    @contextmanager
    def unharmed(self, *, workers: bool = True) -> Iterator[None]:
        """Whatever happens inside: the processes are the same, memory and files are back, and others are served."""
        self.check()
        pids, memory, files = self.workers(), self.memory_mb(), self.files()
        yield
        self.check()
        assert self.popen.poll() is None
        if workers:
            assert self.workers() == pids
        eventually(
            lambda: self.memory_mb() < memory + 50, f"memory back to {memory:.0f} MB from {self.memory_mb():.0f}"
        )
        eventually(lambda: self.files() <= files + 3, f"files back to {files} from {self.files()}")
        assert "Traceback" not in self.log


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def client_status(session: Session) -> dict[str, Any]:
    """What a fresh client is told of the server's state."""
    with session.client() as client:
        return client.status()


def wait_for_workers(session: Session) -> None:
    """Until every worker process has reported."""
    eventually(lambda: len(client_status(session)["devices"]) == len(session.workers()) > 0, "all workers")


def finish(process: "subprocess.Popen[str]", within_s: float = PATIENCE_S) -> tuple[int, str]:
    """Its exit code and what it said on stderr; it is killed when it does not end."""
    try:
        _, said = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    return process.returncode, said


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


def runs(pid: int) -> bool:
    """Whether there is such a process, and not only what is left of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


# ------------------------------------------------------------------------------------------------------------- clients


class Client:
    """A DEALER with the keys of a pairing, or with others, and nothing clever: frames out, replies in."""

    def __init__(self, pairing: Pairing | str, *, receives: int = 1000) -> None:
        pairing = parse_pairing(pairing) if isinstance(pairing, str) else pairing
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvhwm = receives
        if pairing.keys:
            self.socket.curve_serverkey = z85(pairing.keys.server)
            self.socket.curve_publickey = pairing.keys.client_public
            self.socket.curve_secretkey = z85(pairing.keys.client)
        self.socket.connect(pairing.endpoint)
        self._ids = itertools.count(1)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """As if its process had been killed: what was not read is lost."""
        self._context.destroy(linger=0)

    def new_id(self) -> int:
        return next(self._ids)

    def send(self, frames: Sequence[bytes | bytearray | memoryview]) -> None:
        self.socket.send_multipart(frames)

    def tell(self, request: wire.Request, letter: bytes = wire.JSON) -> int:
        """Send it without waiting for the reply; its id."""
        self.send(wire.encode(request, letter, CODECS))
        return request.id

    def want(self, model: str, seed: int, size: tuple[int, int] = (64, 64), **fields: Any) -> int:
        """Ask for a texture without waiting for it; the request's id."""
        id = fields.pop("id", None) or self.new_id()
        return self.tell(wire.Generate(id=id, model=model, seed=seed, size=size, **fields))

    def frames(self, timeout_s: float = ANSWERED_S) -> list[bytes] | None:
        """The next message, or None when there is none in time."""
        return self.socket.recv_multipart() if self.socket.poll(int(timeout_s * 1000)) else None

    def reply(self, timeout_s: float = ANSWERED_S) -> wire.Reply | None:
        """The next reply, or None when there is none in time."""
        frames = self.frames(timeout_s)
        return None if frames is None else wire.parse_reply(frames, CODECS)

    def replies(self, count: int, timeout_s: float = PATIENCE_S) -> dict[int | None, wire.Reply]:
        """The next so many replies, by id."""
        found: dict[int | None, wire.Reply] = {}
        for _ in range(count):
            reply = self.reply(timeout_s)
            assert reply is not None, f"{len(found)} replies of {count} within {timeout_s:.0f} s"
            assert reply.id not in found, f"two replies: {found[reply.id]}, {reply}"
            found[reply.id] = reply
        return found

    def ask(self, request: wire.Request, timeout_s: float = ANSWERED_S, letter: bytes = wire.JSON) -> wire.Reply:
        """Send it and wait for its reply; others that come before are dropped."""
        self.tell(request, letter)
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            reply = self.reply(max(0.0, end - time.monotonic()))
            if reply is not None and reply.id == request.id and not isinstance(reply, wire.Progress):
                return reply
        raise AssertionError(f"no reply within {timeout_s:.0f} s to {request}")

    def header(self, header: object, *buffers: bytes, letter: bytes = wire.JSON) -> wire.Reply | None:
        """Send a header as it is, right or wrong, and give the reply."""
        data = wire.Json().dumps(header) if letter == wire.JSON else msgpack.packb(header)  # type: ignore[arg-type]
        self.send([b"TX1" + letter, data, *buffers])
        return self.reply()

    def generate(
        self,
        model: str,
        seed: int,
        size: tuple[int, int] = (64, 64),
        timeout_s: float = PATIENCE_S,
        letter: bytes = wire.JSON,
        **fields: Any,
    ) -> wire.Result:
        request = wire.Generate(id=self.new_id(), model=model, seed=seed, size=size, **fields)
        result = self.ask(request, timeout_s, letter)
        assert isinstance(result, wire.Result), result
        return result

    def hello(self, timeout_s: float = ANSWERED_S) -> wire.Welcome:
        welcome = self.ask(wire.Hello(id=self.new_id(), client="test"), timeout_s)
        assert isinstance(welcome, wire.Welcome), welcome
        return welcome

    def status(self) -> dict[str, Any]:
        status = self.ask(wire.GetStatus(id=self.new_id()))
        assert isinstance(status, wire.Status), status
        return dict(status.report)


def code_of(reply: wire.Reply | None) -> str:
    """The error's code, or what else the reply is."""
    if isinstance(reply, wire.Error):
        assert reply.text
        return reply.code
    return "silence" if reply is None else reply.op


def data_of(reply: wire.Reply | None) -> bytes:
    """The samples of the maps in a result, one after the other."""
    assert isinstance(reply, wire.Result), reply
    return b"".join(bytes(buffer.data) for buffer in reply.buffers)


# --------------------------------------------------------------------------------------------------------------- truth


@functools.cache
def _generator(path: Path, stamp: int) -> Generator | Quilt:
    torch.set_num_threads(1)
    return prepare(read_model(path).texture_generator(), torch.device("cpu"), "exact")


def painted(
    path: Path,
    seed: int,
    size: tuple[int, int] = (64, 64),
    window: tuple[int, int, int, int] | None = None,
    depth: int | None = None,
) -> bytes:
    """The samples that a server must answer, one map after the other, computed here."""
    generator = _generator(path, path.stat().st_mtime_ns)
    return _bytes(generator, seed, size, window, depth)


@functools.lru_cache(maxsize=200)
def _bytes(
    generator: Generator | Quilt,
    seed: int,
    size: tuple[int, int],
    window: tuple[int, int, int, int] | None,
    depth: int | None,
) -> bytes:
    pixels = texture_bytes(generator, seed, Size(*size), Window(*(window or (0, 0, *size))), depth)  # type: ignore[arg-type]
    return b"".join(each.numpy().tobytes() for each in pixels)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def beside(server: Session, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this the current folder, and the server the one that texget finds."""
    monkeypatch.chdir(folder)
    for name, value in environment(server.home).items():
        monkeypatch.setenv(name, value)
    return folder
