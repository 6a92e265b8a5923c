"""A client for scripts: asks a running texture server and waits for the answer. numpy, no torch.

    from server.client import Client

    with Client() as client:                                    # the server of this machine, or Client("texserver://…")
        print([model.name for model in client.list()])
        brick = client.texture("brick", seed=7, size=2048)      # {"basecolor": (2048, 2048, 3) uint8}
        client.save("wall.png", "brick", seed=7, size=(4096, 16384))
        frame = client.stylize("starry_night", frame).image     # (height, width, 3) uint8, sRGB
        client.train("wall", {"basecolor": photo}, metres=2.0)  # a new model, on the server

The server may restart between two calls. Sizes are (height, width) or one number for both, windows (top, left, height,
width), in pixels; a window wraps around both edges. Only one thread at a time may use a client.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

import numpy as np
import zmq
from numpy.typing import NDArray

from blender_addon.client.blend_download import BlendDownload
from blender_addon.client.blending import Blending
from blender_addon.client.connection import Connection
from blender_addon.client.download import Download
from blender_addon.client.sinks import FileSink, MemorySink, Sink
from blender_addon.client.style_download import StyleDownload
from blender_addon.client.texture_download import TextureDownload
from blender_addon.client.training import ServerTraining, new_token
from blender_addon.pictures.draft import ImageFileError
from blender_addon.protocol import wire
from blender_addon.protocol.pairing import find_server
from server import __version__
from server.client.stylized import Stylizer, Used, checked_content
from server.client.trained import TrainingFailed, TrainingOptions, request_for
from server.errors import BadRequest, Refused, TexserverError
from server.msgpack_codec import CODECS

R = TypeVar("R", bound=wire.Reply)

LOOK_MS: Final = 20  # longest wait before timers are looked at
PAGE: Final = 200  # models

RequestRefused = Refused  # the name by which scripts know it


class ServerUnreachable(TexserverError):
    """No server can be reached. The text says why and what to do."""


class TimedOut(TexserverError):
    """The server is there, but has sent nothing for too long."""


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model of the server. `reason` says why it is broken, if it is; `facts` is its entry in the server's list."""

    name: str
    state: str
    reason: str = ""
    facts: Mapping[str, Any]


class Client(Stylizer):
    """A connection to a server: `server` is a pairing line or a connection file; by default the server of this machine.

    Raises ServerUnreachable at once if there is none. Later calls wait for up to `timeout_s` for a server that is gone,
    and for the next sign of progress. `tell` receives a sentence when the connection is lost meanwhile.
    """

    def __init__(
        self, server: str | None = None, *, timeout_s: float = 60.0, tell: Callable[[str], None] = lambda sentence: None
    ) -> None:
        self._timeout_s, self._tell, self._is_lost = timeout_s, tell, False
        self._connection = Connection(
            partial(find_server, server), client=f"texserver {__version__}", letter=wire.MSGPACK, codecs=CODECS
        )
        try:
            while self._connection.state == "connecting":
                self._connection.tick()
                self._look()
            if self._connection.state != "ready":
                raise ServerUnreachable(self._connection.reason)
        except BaseException:
            self.close()
            raise

    def list(self) -> tuple[ModelInfo, ...]:
        """All models by name, the broken ones too."""
        models: tuple[ModelInfo, ...] = ()
        after = ""
        while True:
            page = self._answer(partial(wire.ListModels, after=after, limit=PAGE), wire.Models)
            models += tuple(
                ModelInfo(name=each["name"], state=each["state"], reason=str(each.get("reason") or ""), facts=each)
                for each in page.models
            )
            if not page.after > after:  # the last page, or a server that repeats itself
                return models
            after = page.after

    def texture(
        self,
        model: str | Blending,
        *,
        seed: int,
        size: int | tuple[int, int],
        window: tuple[int, int, int, int] | None = None,
        maps: Sequence[str] | None = None,
        depth: int | None = None,
        variant: int | None = None,
        wang: int = 0,
    ) -> dict[str, NDArray[Any]]:
        """The maps by name: (height, width, channels), uint8, or uint16 at a depth of 16 bits. All in memory.

        `model`: its name, or several models and a mask (server.client.blended.blending).
        `depth`: 8 or 16 bits for all maps; by default each has its own: 16 for `height`, 8 for the others. `variant`,
        0 to 9999: the variants of one seed and size are equal along their edges and different inside. `wang` = 2: a
        Wang set, `size` that of the atlas; docs/SURFACES.md explains both.

        Raises RequestRefused, TimedOut, ServerUnreachable.
        """
        sink = MemorySink()
        self.paint(
            model, seed=seed, size=size, sink=sink, window=window, maps=maps, depth=depth, variant=variant, wang=wang
        )
        assert sink.painting
        rows, columns = sink.painting.window[2:]
        return {
            each.name: np.frombuffer(sink.pixels[each.name], f"<u{each.depth // 8}").reshape(rows, columns, -1)
            for each in sink.painting.maps
        }

    def save(
        self,
        path: str | Path,
        model: str | Blending,
        *,
        seed: int,
        size: int | tuple[int, int],
        window: tuple[int, int, int, int] | None = None,
        maps: Sequence[str] | None = None,
        depth: int | None = None,
        variant: int | None = None,
        wang: int = 0,
    ) -> dict[str, Path]:
        """Paint into PNG or TIFF files, one for each map, of any size in little memory. Returns them by map.

        {map} in the name stands for the name of a map. Without it, the names of several maps are added before the
        suffix. Raises what texture() raises, and blender_addon.pictures.draft.ImageFileError.
        """
        sink = FileSink(partial(_named, Path(path)))
        self.paint(
            model, seed=seed, size=size, sink=sink, window=window, maps=maps, depth=depth, variant=variant, wang=wang
        )
        return sink.paths

    def paint(
        self,
        model: str | Blending,
        *,
        seed: int,
        size: int | tuple[int, int],
        sink: Sink,
        window: tuple[int, int, int, int] | None = None,
        maps: Sequence[str] | None = None,
        depth: int | None = None,
        variant: int | None = None,
        wang: int = 0,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> None:
        """Paint into any sink of blender_addon.client.sinks or server.files.map_sinks; `progress` receives
        the number of finished pixels.

        Raises as save(), and what the sink raises.
        """
        height, width = (size, size) if isinstance(size, int) else size
        whole = index(seed), (index(height), index(width)), sink  # numpy's whole numbers, too
        job: Download
        if isinstance(model, Blending):
            if variant is not None or wang:
                raise BadRequest("variant: several models in one texture have no variants; leave it out.")
            job = BlendDownload(self._connection, model, *whole, window=window, maps=maps, depth=depth)
        else:
            job = TextureDownload(
                self._connection,
                model,
                *whole,
                window=window,
                maps=maps,
                depth=depth,
                variant=None if variant is None else index(variant),
                wang=index(wang),
            )
        self._run(job, progress)

    def stylize_into(
        self,
        sink: Sink,
        model: str,
        content: NDArray[Any],
        *,
        strength: float = 1.0,
        seed: int = 0,
        keep_colours: bool = False,
        noise: float = 1.0,
        stroke: float = 1.0,
        statistics: str = "",
        carry: bytes | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Used:
        """As Stylizer. Raises what save() raises, and BadRequest."""
        array = checked_content(content)
        job = StyleDownload(
            self._connection,
            model,
            array.data,
            array.shape,
            sink,
            dtype=array.dtype.name,
            strength=float(strength),
            seed=index(seed),
            keep_colours=bool(keep_colours),
            noise=float(noise),
            stroke=float(stroke),
            statistics=statistics,
            sequence=carry is not None,
            carry=carry or b"",
        )
        self._run(job, progress)
        return Used(job.statistics, job.carry)

    def train(
        self,
        name: str,
        maps: Mapping[str, NDArray[Any]],
        *,
        progress: Callable[[ServerTraining], None] = lambda training: None,
        **options: Unpack[TrainingOptions],
    ) -> str:
        """Have the server make a model of these maps, and wait for it. Returns the sha256 of the model file.

        `maps`: (height, width, channels) uint8 or uint16, by the names that docs/PROTOCOL.md lists, `basecolor` among
        them. `progress` receives how it is: `fraction`, `message`, and `picture`, the growing texture. If this is
        interrupted, the server goes on; trainings() tells how it is. Raises TrainingFailed, BadRequest, and what
        texture() raises.
        """
        training = self.begin_training(name, maps, **options)
        self.follow(training, progress)
        return training.sha256

    def begin_training(
        self, name: str, maps: Mapping[str, NDArray[Any]], **options: Unpack[TrainingOptions]
    ) -> ServerTraining:
        """As train(), without waiting: to be given to follow() or cancel_training()."""
        if (welcome := self._connection.welcome) is None:
            raise ServerUnreachable(self._connection.reason)
        return ServerTraining(self._connection, new_token(), request_for(welcome, name, maps, options))

    def follow(
        self, training: ServerTraining, progress: Callable[[ServerTraining], None] = lambda training: None
    ) -> None:
        """Wait until a training has ended. Raises as train()."""
        patience = _Patience(self._timeout_s)
        steps = 0
        while True:
            self._connection.tick()
            if not training.tick():
                break
            steps += self._connection.state == "ready"
            if patience.ends(steps):
                raise ServerUnreachable(self._connection.reason)
            progress(training)
            self._look()
        progress(training)
        if training.state != "done":
            raise TrainingFailed(training.message)

    def cancel_training(self, training: ServerTraining) -> None:
        """End a training on the server. Raises as train()."""
        training.leave()
        self._answer(partial(wire.CancelJob, token=training.token), wire.Job)

    def trainings(self) -> tuple[Mapping[str, Any], ...]:
        """The trainings of this client's key in the last day, the latest first; docs/PROTOCOL.md explains them."""
        return self._answer(wire.ListJobs, wire.Jobs).jobs

    def _run(self, job: Download, progress: Callable[[int], None]) -> None:
        patience = _Patience(self._timeout_s)
        try:
            while job.tick():
                progress(job.done_pixels)
                if patience.ends(job.signs):
                    self._give_up(job.message)
                if job.idle:
                    self._look()
        finally:
            job.cancel()
        if job.error:
            raise job.error
        progress(job.done_pixels)

    def thumbnail(self, model: str) -> NDArray[np.uint8]:
        """A model's small picture: (height, width, 3) uint8, sRGB."""
        result = self._answer(partial(wire.GetThumbnail, model=model), wire.Result)
        for each in result.buffers:
            return np.frombuffer(bytes(each.data), np.uint8).reshape(each.shape)
        raise Refused("", f"The server has no picture of {model!r}.")

    def status(self) -> Mapping[str, Any]:
        """The server's figures; docs/PROTOCOL.md explains them."""
        return self._answer(wire.GetStatus, wire.Status).report

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, make: Callable[..., wire.Request], kind: type[R]) -> R:
        replies: list[wire.Reply] = []
        id = self._connection.ask(make, replies.append)
        patience = _Patience(self._timeout_s)
        try:
            while True:
                self._connection.tick()
                if replies:
                    break
                if patience.ends(0):
                    self._give_up(self._connection.reason)
                self._look()
        finally:
            self._connection.forget(id)
        reply = replies[-1]
        if isinstance(reply, wire.Error):
            raise Refused(reply.code, reply.text)
        if not isinstance(reply, kind):
            raise Refused("", f"The server answered with {reply.op}, which was not asked for. Update the server.")
        return reply

    def _give_up(self, message: str) -> None:
        if self._connection.state != "ready":
            raise ServerUnreachable(self._connection.reason)
        raise TimedOut(f"The server sent nothing for {self._timeout_s:g} s. {message}".strip())

    def _look(self) -> None:
        """Wait until something arrives, or for a moment."""
        is_lost = self._connection.state != "ready" and self._connection.welcome is not None
        if is_lost and not self._is_lost:
            self._tell("The connection is lost; trying again.")
        elif self._is_lost and not is_lost:
            self._tell("The connection is back.")
        self._is_lost = is_lost
        poller = zmq.Poller()
        for each in self._connection.sockets:
            poller.register(each, zmq.POLLIN)
        poller.poll(LOOK_MS)


class _Patience:
    """Ends if there is no progress for too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: object = None
        self._since = time.monotonic()

    def ends(self, progress: object) -> bool:
        """`progress` is any value that changes with it."""
        if progress != self._last:
            self._last, self._since = progress, time.monotonic()
        return time.monotonic() - self._since > self._seconds


def _named(path: Path, maps: Sequence[str]) -> Sequence[Path]:
    if not path.name:
        raise ImageFileError(f"{str(path)!r} is a folder. Add a file name that ends in .png or .tif.")
    added = "-{map}" if len(maps) > 1 and "{map}" not in path.name else ""
    return [path.with_name(f"{path.stem}{added}{path.suffix}".replace("{map}", each)) for each in maps]
