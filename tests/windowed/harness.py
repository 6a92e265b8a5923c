"""Runs inside a Blender with a window: plays scenes as an artist would, and writes down what came of each.

    blender --factory-startup --enable-event-simulate --python harness.py -- TASK.json

A generator is stepped by one persistent timer, so that Blender draws and acts between any two steps; what a scene
yields is the seconds until its next step. Buttons are found by hovering: Blender then tells which operator is under the
mouse. Each scene begins in a new file with the add-on's panel open, and adds one line to the file of facts: a JSON
object with the scene's name and its facts, or what went wrong. At the end Blender is left by os._exit, but for scenes
that quit it themselves.

Of TASK.json: `zips` to install, the first that this Blender takes, if they are to be `installed`; `scenes` by name;
`facts`, the file; `model` to paint; `pictures`, a folder where the side outside takes NAME.png when it sees
NAME.wanted; and what a scene reads.
"""

import faulthandler
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import bpy

TASK: Final = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text("utf-8"))
MODULE: Final = "bl_ext.user_default.texserver"
CANCELLED: Final = ("cancelled", "not_found")  # how the server counts what it was told to cancel
LARGE: Final = 16384  # a side that takes even the tests' tiny models seconds
WITHIN_S: Final = 120.0  # for what takes seconds on a machine that has nothing else to do
DRAWN_S: Final = 0.15  # until Blender has drawn what was just changed
STEP_S: Final = 0.005
ROUNDS: Final = 3  # of what is timed: the best tells what it takes, the others what the machine did beside it

BESIDE: Final = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*_scenes.py")))  # which play them

Steps = Generator[float, None, Any]


class Lacking(Exception):
    """A scene cannot be shown here; says what it lacks."""


def addon(name: str) -> Any:
    """A module of the add-on."""
    return importlib.import_module(f"{MODULE}.{name}")


def until(holds: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Steps:
    """Step until it holds; what it gave."""
    end = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {within_s:.0f} s: {what}"
        yield STEP_S
    return found


# -------------------------------------------------------------------------------------------------------- the artist


class Desk:
    """The window, with a mouse and a keyboard."""

    def __init__(self, kind: str = "VIEW_3D") -> None:
        self.kind = kind

    @property
    def window(self) -> Any:
        return bpy.context.window_manager.windows[0]

    @property
    def area(self) -> Any:
        return max(
            (area for area in self.window.screen.areas if area.type == self.kind),
            key=lambda area: area.width * area.height,
        )

    def region(self, kind: str) -> Any:
        return next(region for region in self.area.regions if region.type == kind)

    def override(self, kind: str = "WINDOW") -> Any:
        return bpy.context.temp_override(window=self.window, area=self.area, region=self.region(kind))

    @property
    def middle(self) -> tuple[int, int]:
        """Of the view, beside the sidebar that lies over it."""
        region = self.region("WINDOW")
        return region.x + region.width // 3, region.y + region.height // 2

    def open_panel(self) -> Steps:
        """The tab, and the server's models in it."""
        yield from self.open_tab()
        it = session()
        yield from until(lambda: it.connection.state == "ready" and it.catalogue.settled, "the models")
        yield DRAWN_S

    def open_tab(self) -> Steps:
        """The sidebar with the tab of the add-on, which can be chosen once the sidebar has been drawn."""
        self.area.spaces.active.show_region_ui = True
        self.area.tag_redraw()
        yield DRAWN_S
        yield from until(self._choose_tab, "a tab", 20)
        yield DRAWN_S
        yield from until(self._choose_tab, "the tab", 20)

    def _choose_tab(self) -> bool:
        with suppress(AttributeError, TypeError, RuntimeError):  # read-only, or no such tab, until it was drawn
            self.region("UI").active_panel_category = "Texserver"
        self.area.tag_redraw()
        return bool(self.region("UI").active_panel_category == "Texserver")

    def press(self, key: str, *, over_panel: bool = False, **modifiers: bool) -> Steps:
        """A key, with the mouse over the view or over the sidebar with our tab."""
        panel = self.region("UI")
        x, y = (panel.x + panel.width // 3, panel.y + panel.height // 2) if over_panel else self.middle
        self.window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
        yield 2 * STEP_S
        self.window.event_simulate(type=key, value="PRESS", x=x, y=y, **modifiers)
        self.window.event_simulate(type=key, value="RELEASE", x=x, y=y, **modifiers)
        yield STEP_S

    def find(self, command: str, *, from_right: int | None = None) -> Steps:
        """The middle of the button that does this, by hovering down the sidebar: at its middle, or so far `from_right`.

        Pixels, without the tabs.
        """
        region = self.region("UI")
        tabs = 24  # pixels at the right
        x = region.x + (region.width - tabs - from_right if from_right else (region.width - tabs) // 2)
        found: list[int] = []
        for y in range(region.y + region.height - 12, region.y, -6):
            yield from self._hover(x, y)
            if self._under_mouse().startswith(command):
                found.append(y)
            elif found:
                return x, (found[0] + found[-1]) // 2
        raise AssertionError(f"there is no button {command}")

    def click(self, command: str, place: tuple[int, int] | None = None, **where: int) -> Steps:
        """On the button that does this; the time at which it was let go."""
        x, y = place or (yield from self.find(command, **where))
        yield from self._hover(x, y)
        assert self._under_mouse().startswith(command), f"{command} is not where it was"
        return (yield from self.press_at(x, y))

    def press_at(self, x: int, y: int) -> Steps:
        """The left button of the mouse there; the time at which it was let go."""
        yield from self._hover(x, y)
        self.window.event_simulate(type="LEFTMOUSE", value="PRESS", x=x, y=y)
        yield STEP_S
        self.window.event_simulate(type="LEFTMOUSE", value="RELEASE", x=x, y=y)
        return time.monotonic()

    def _hover(self, x: int, y: int) -> Steps:
        for dx in (2, 0):  # a mouse that has moved
            self.window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x + dx, y=y)
            yield 2 * STEP_S
        yield 2 * STEP_S

    def _under_mouse(self) -> str:
        """The Python command of the button under the mouse."""
        with self.override("UI"):
            if not bpy.ops.ui.copy_python_command_button.poll():
                return ""
            bpy.ops.ui.copy_python_command_button()
        return bpy.context.window_manager.clipboard.removeprefix("bpy.ops.")


def new_file(kind: str = "VIEW_3D") -> Steps:
    """A new file, with the panel open and the cube selected."""
    bpy.ops.wm.read_homefile()
    yield DRAWN_S
    desk = Desk(kind)
    settings().model = TASK["model"]
    bpy.ops.texserver.clear_jobs()
    yield from desk.open_panel()
    bpy.ops.ed.undo_push(message="Ready")
    return desk


def settings() -> Any:
    return bpy.context.scene.texserver


def ask_for(side: int, seed: int, *, whole_periods: bool = False) -> None:
    """Set in the panel, as one step to undo."""
    chosen = settings()
    sizes = {"512", "1024", "2048", "4096"}
    chosen.size = str(side) if str(side) in sizes else "CUSTOM"
    chosen.width = chosen.height = side
    chosen.whole_periods = whole_periods
    chosen.seed = seed
    bpy.ops.ed.undo_push(message="Settings")


def generate(desk: Desk, side: int, seed: int, *, whole_periods: bool = False) -> Steps:
    """Press Generate: the task, and when."""
    ask_for(side, seed, whole_periods=whole_periods)
    yield DRAWN_S
    place = yield from desk.find("texserver.generate")
    return (yield from begin(desk, place))


def begin(desk: Desk, place: tuple[int, int]) -> Steps:
    """Press Generate where it is, with the settings as they are: the task, and when."""
    before = list(session().tasks)
    at = yield from desk.click("texserver.generate", place)
    task = yield from until(lambda: next((task for task in session().tasks if task not in before), None), "a job", 10)
    return task, at


def session() -> Any:
    return addon("tasks.state").session()


def cube() -> Any:
    return bpy.data.objects["Cube"]


def image_of(thing: Any) -> Any:
    """The first image that our node in an object's material shows; None without one."""
    material = thing.active_material
    return next(iter(addon("material.materials").images_of(material).values()), None) if material else None


def shown(thing: Any) -> str:
    """The name of that image; "" without one."""
    image = image_of(thing)
    return image.name if image else ""


def is_assigned(task: Any) -> bool:
    """Whether all is done that was to be done with the texture."""
    return task.ended and not any(each.task is task for each in addon("loop.pump").pending())


def leftovers() -> list[str]:
    """Files of textures that were begun and not finished."""
    return sorted(path.name for path in session().folder.rglob("*.part"))


def of_ours() -> dict[str, list[str]]:
    """Data that the add-on has made, and the materials that there are."""
    is_ours = addon("material.marks").is_ours
    return {
        "images": sorted(image.name for image in bpy.data.images if is_ours(image)),
        "materials": sorted(material.name for material in bpy.data.materials),
    }


def ask_status() -> Steps:
    """The server's own report."""
    replies: list[Any] = []
    session().connection.ask(addon("protocol.wire").GetStatus, replies.append)
    yield from until(lambda: replies, "the server's status", 10)
    return replies[0].report


def report_of_cancelling(before: dict[str, Any], within_s: float = 10.0) -> Steps:
    """The server's report once it counts a cancelling since the earlier one, or the last one asked for.

    Of a request that it had just finished it counts "not_found": it was told, and had nothing left to cancel.
    """
    end = time.monotonic() + within_s
    while True:
        report = yield from ask_status()
        known = sum(report["requests"].get(each, 0) - before["requests"].get(each, 0) for each in CANCELLED)
        if (known and not report["queue"]["running"]) or time.monotonic() > end:
            return {**report, "cancelled": known}
        yield STEP_S


def running_operators() -> list[str]:
    """Ours that wait for events."""
    windows = bpy.context.window_manager.windows
    names = [operator.bl_idname for window in windows for operator in getattr(window, "modal_operators", ())]
    return [name for name in names if name.startswith("TEXSERVER_")]


def take(name: str) -> Steps:
    """A picture of the screen; the side outside takes it."""
    wanted = Path(TASK["pictures"], f"{name}.wanted")
    for x in (300, 303):  # the mouse leaves the sidebar, where its buttons would explain themselves
        Desk().window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=300)
        yield DRAWN_S
    wanted.touch()
    yield from until(lambda: not wanted.exists(), "a picture")


# ---------------------------------------------------------------------------------------------------------- measuring


class Heart:
    """Beats in Blender's main loop; a gap between two beats is how long the window did not react."""

    def __init__(self) -> None:
        self.beats: list[tuple[float, float]] = []  # by the clock, and by the main thread's processor time
        self._timer = self._beat  # Blender knows a timer by its identity, and each look at a method makes another

    def _beat(self) -> float:
        self.beats.append((time.monotonic(), time.thread_time()))
        return STEP_S

    def __enter__(self) -> "Heart":
        self._beat()
        bpy.app.timers.register(self._timer, persistent=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._beat()
        bpy.app.timers.unregister(self._timer)

    @property
    def longest_ms(self) -> float:
        """By the clock."""
        return self._longest_ms(0)

    @property
    def busiest_ms(self) -> float:
        """In processor time of the main thread, which other programs do not take."""
        return self._longest_ms(1)

    def _longest_ms(self, by: int) -> float:
        gaps = (after[by] - before[by] for before, after in zip(self.beats, self.beats[1:], strict=False))
        return round(1000 * max(gaps, default=0.0), 1)


def beating(steps: Steps) -> Steps:
    """The longest gap between two turns of the main loop while these steps are done."""
    with Heart() as heart:
        yield from steps
    return heart.longest_ms


@contextmanager
def stopwatch(
    clock: Callable[[], float] = time.perf_counter, /, **parts: tuple[Any, str]
) -> Iterator[dict[str, list[float]]]:
    """Seconds that each call of these functions took, by the names given: parts of the add-on, on the main thread."""
    taken: dict[str, list[float]] = {name: [] for name in parts}
    originals = {name: getattr(owner, function) for name, (owner, function) in parts.items()}

    def timed(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = clock()
            try:
                return originals[name](*arguments, **options)
            finally:
                taken[name].append(clock() - started)

        def draw(self: Any, context: Any) -> Any:  # Blender counts the parameters
            return call(self, context)

        return draw if parts[name][1] == "draw" else call

    for name, (owner, function) in parts.items():
        setattr(owner, function, timed(name))
    try:
        yield taken
    finally:
        for name, (owner, function) in parts.items():
            setattr(owner, function, originals[name])


def our_parts() -> dict[str, tuple[Any, str]]:
    """What the add-on does while it works: `turn` is one turn of the pump, and the others but for the panels parts."""
    sinks, panels, session = addon("client.sinks"), addon("panel.panels"), addon("tasks.session").AddonSession
    return {
        "turn": (addon("loop.pump"), "step"),
        "receive": (addon("client.connection").Connection, "tick"),
        "remember": (session, "remember"),
        "tidy": (session, "tidy"),
        "undo": (addon("loop.delivery"), "push_undo"),
        "begin": (sinks.FileSink, "begin"),
        "write": (sinks.FileSink, "write"),
        "finish": (sinks.FileSink, "finish"),
        "assign": (addon("material.assignment").Assignment, "show"),
        "panel": (panels._MainPanel, "draw"),
        "jobs": (panels.JobsPanel, "draw"),
        "history": (panels._HistoryPanel, "draw"),
    }


def show_textures(desk: Desk) -> None:
    """Solid shading with the textures, so that Blender itself reads them and hands them to the GPU."""
    shading = desk.area.spaces.active.shading
    shading.type, shading.color_type = "SOLID", "TEXTURE"


def pause(seconds: float) -> Steps:
    yield seconds


def open_from_the_start(*names: str, close: tuple[str, ...] = (), of: str = "panel.panels") -> None:
    """Sub-panels that are closed until someone opens them, and some that are open; `of`: the module that has them."""
    kinds = [each for each in addon(of).CLASSES if hasattr(each, "bl_parent_id")]
    for each in kinds:
        bpy.utils.unregister_class(each)
    for each in kinds:  # all of them, since they lie in the order in which they are registered
        name = each.__name__.rsplit("_", 1)[1]
        if name in (*names, *close):
            each.bl_options = {"DEFAULT_CLOSED"} if name in close else set()
        bpy.utils.register_class(each)


# ----------------------------------------------------------------------------------------------------------- running


def write_fact(name: str, told: Any, *, wrong: str = "", lacks: str = "") -> None:
    with Path(TASK["facts"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"scene": name, "facts": told, "wrong": wrong, "lacks": lacks}) + "\n")


def _install() -> dict[str, Any]:
    """The first zip that this Blender takes."""
    for path in TASK["zips"]:
        with suppress(RuntimeError):  # it is for another Python
            bpy.ops.extensions.package_install_files(
                filepath=path, repo="user_default", enable_on_install=True, overwrite=True
            )
        if MODULE in bpy.context.preferences.addons:
            import zmq

            return {"zip": Path(path).name, "zmq": zmq.__file__, "blender": bpy.app.version_string}
    raise AssertionError("this Blender takes none of the zips")


def _scene(name: str) -> Callable[[], Steps]:
    """From the files beside this one."""
    modules = map(importlib.import_module, BESIDE)
    found: Callable[[], Steps] = next(vars(each)[f"scene_{name}"] for each in modules if f"scene_{name}" in vars(each))
    return found


def _play() -> Steps:
    bpy.context.preferences.view.use_save_prompt = False
    yield 0.3
    if TASK["installed"]:
        write_fact("install", _install())
    for name in TASK["scenes"]:
        try:
            told = yield from _scene(name)()
        except Lacking as lacking:
            write_fact(name, None, lacks=str(lacking))
        except Exception:
            wrong = traceback.format_exc()
            yield from take(f"wrong-{name}")
            write_fact(name, None, wrong=wrong)
            for task in session().tasks:
                task.cancel()
            yield from until(lambda: not bpy.app.is_job_running("RENDER"), "the end of the rendering")
        else:
            write_fact(name, told)
    bpy.ops.preferences.addon_disable(module=MODULE)


def _tick() -> float:
    code = 1
    try:
        return next(_steps)
    except StopIteration:
        code = 0
    except BaseException:
        write_fact("harness", None, wrong=traceback.format_exc())
    sys.stdout.flush()
    os._exit(code)


sys.modules["harness"] = sys.modules["__main__"]  # for the files of scenes beside this one
sys.path.insert(0, str(Path(__file__).parent))
faulthandler.enable()  # says where it was, if Blender crashes
bpy.context.preferences.view.show_splash = False
_steps = _play()
bpy.app.timers.register(_tick, first_interval=0.3, persistent=True)
