"""Runs inside a Blender with a window: plays scenes as an artist would, and writes down what came of each.

    blender --factory-startup --enable-event-simulate --python harness.py -- TASK.json

A generator is stepped by one persistent timer, so that Blender draws and acts between any two steps; what a scene
yields is the seconds until its next step. Buttons are found by hovering: Blender then tells which operator is under the
mouse. Each scene begins in a new file with the add-on's panel open, and adds one line to the file of facts: a JSON
object with the scene's name and its facts, or what went wrong. At the end Blender is left by os._exit, but for scenes
that quit it themselves.

Of TASK.json: `zips` to install, the first that this Blender takes; `scenes` by name; `facts`, the file; `model` to
paint; `pictures`, a folder where the side outside takes NAME.png when it sees NAME.wanted; and what a scene reads.
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
from bpy_extras import view3d_utils

TASK: Final = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text("utf-8"))
MODULE: Final = "bl_ext.user_default.texserver"
LARGE: Final = 16384  # a side that takes even the tests' tiny models seconds
WITHIN_S: Final = 120.0  # for what takes seconds on a machine that has nothing else to do
DRAWN_S: Final = 0.15  # until Blender has drawn what was just changed
STEP_S: Final = 0.005
ROUNDS: Final = 3  # of what is timed: the best tells what it takes, the others what the machine did beside it

BESIDE: Final = ("variation_scenes", "library_scenes", "training_scenes")

Steps = Generator[float, None, Any]


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
    is_ours = addon("material.materials").is_ours
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
        self.beats: list[float] = []
        self._timer = self._beat  # Blender knows a timer by its identity, and each look at a method makes another

    def _beat(self) -> float:
        self.beats.append(time.monotonic())
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
        return round(1000 * max((b - a for a, b in zip(self.beats, self.beats[1:], strict=False)), default=0.0), 1)


def beating(steps: Steps) -> Steps:
    """The longest gap between two turns of the main loop while these steps are done."""
    with Heart() as heart:
        yield from steps
    return heart.longest_ms


@contextmanager
def stopwatch(**parts: tuple[Any, str]) -> Iterator[dict[str, list[float]]]:
    """Seconds that each call of these functions took, by the names given: parts of the add-on, on the main thread."""
    taken: dict[str, list[float]] = {name: [] for name in parts}
    originals = {name: getattr(owner, function) for name, (owner, function) in parts.items()}

    def timed(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return originals[name](*arguments, **options)
            finally:
                taken[name].append(time.perf_counter() - started)

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


# ------------------------------------------------------------------------------------------------------------- scenes


def scene_panel() -> Steps:
    """Open the tab, and look at what is in it."""
    desk = yield from new_file()
    place = yield from desk.find("texserver.generate")
    return {
        "tab": desk.region("UI").active_panel_category,
        "generate": place,
        "server": session().state_line,
        "models": [model.name for model in session().catalogue.models],
    }


def scene_click() -> Steps:
    """Generate, by a click: the preview, then the texture itself."""
    rounds = []
    for number in range(ROUNDS):
        desk = yield from new_file()
        task, at = yield from generate(desk, 2048, 100 + number)
        name = yield from until(lambda: shown(cube()), "a preview on the cube")
        preview_s = time.monotonic() - at
        ended_before = task.ended
        yield from until(lambda task=task: is_assigned(task), "the texture")
        rounds.append(
            {
                "preview": name,
                "preview_s": round(preview_s, 3),
                "preview_first": not ended_before,
                "texture_s": round(time.monotonic() - at, 3),
                "state": task.state,
                "texture": shown(cube()),
                "size": list(image_of(cube()).size),
                "packed": image_of(cube()).packed_file is not None,
                **of_ours(),
            }
        )
        yield 2 * DRAWN_S
        rounds[-1]["operators"] = running_operators()
    return rounds


def scene_alive() -> Steps:
    """Gaps of the main loop while a texture of 4096 x 4096 arrives and is assigned, and without the add-on at work."""
    rounds = []
    for number in range(ROUNDS):
        told: dict[str, Any] = {}
        desk = yield from new_file()
        ask_for(4096, 200 + number)
        place = yield from desk.find("texserver.generate")
        yield 0.5
        told["idle_ms"] = yield from beating(pause(2.0))
        told["redrawing_ms"] = yield from beating(redrawing(2.0))
        with stopwatch(**our_parts()) as taken:
            told["arriving_ms"] = yield from beating(arriving(desk, place))
        told["ours_ms"] = {name: round(1000 * max(each, default=0.0), 1) for name, each in taken.items()}
        task = session().tasks[-1]
        told["state"] = task.state

        # Blender reads the file when it first shows it: what it takes after the add-on, and after nobody
        show_textures(desk)
        told["shown_ms"] = yield from beating(pause(2.0))
        path = next(iter(task.result.files.values()))
        bpy.ops.wm.read_homefile()
        yield DRAWN_S
        material = bpy.data.materials.new("By hand")
        if bpy.app.version < (5, 0, 0):
            material.use_nodes = True
        node = material.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(str(path))
        cube().active_material = material
        yield 1.0
        show_textures(Desk())
        told["by_hand_ms"] = yield from beating(pause(2.0))
        rounds.append(told)
    return rounds


def pause(seconds: float) -> Steps:
    yield seconds


def redrawing(seconds: float) -> Steps:
    """The panels drawn as often as while a job runs, and the view as when a material comes."""
    materials = [cube().active_material, bpy.data.materials.new("Another")]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        materials.reverse()
        cube().active_material = materials[0]
        addon("loop.pump").redraw()
        yield 0.03


def arriving(desk: Desk, place: tuple[int, int]) -> Steps:
    """From the click to the texture on the object, and a little longer."""
    task, _ = yield from begin(desk, place)
    yield from until(lambda: is_assigned(task), "the texture")
    yield 0.5


def scene_share() -> Steps:
    """The add-on's own share of the time that a texture of 2048 x 2048 takes."""
    rounds = []
    for number in range(ROUNDS):
        desk = yield from new_file()
        with stopwatch(**our_parts()) as taken:
            task, at = yield from generate(desk, 2048, 300 + number)
            yield from until(lambda task=task: is_assigned(task), "the texture")
            whole_s = time.monotonic() - at
        spent = {f"{name}_s": round(sum(each), 4) for name, each in taken.items()}
        rounds.append({"whole_s": round(whole_s, 3), "state": task.state, "turns": len(taken["turn"]), **spent})
    return rounds


def scene_escape() -> Steps:
    """Esc while a second texture is under way: the first is shown as before, and the server has been told."""
    desk = yield from new_file()
    first, _ = yield from generate(desk, 1024, 1)
    yield from until(lambda: is_assigned(first), "the first texture")
    before, showed = of_ours(), shown(cube())
    counts = (yield from ask_status())["requests"]
    task, _ = yield from generate(desk, LARGE, 2)
    preview = yield from until(lambda: (name := shown(cube())) != showed and name, "the preview")
    yield from until(lambda: task.state == "running", "pixels")
    yield from desk.press("ESC")  # over the view, where it is for something else
    yield 0.5
    ended_elsewhere = task.ended
    at = time.monotonic()
    yield from desk.press("ESC", over_panel=True)
    yield from until(lambda: task.ended and shown(cube()) == showed, "what was there before", 10)
    escaped_s = time.monotonic() - at
    yield DRAWN_S
    told = {
        "preview": preview,
        "escaped_s": round(escaped_s, 3),
        "ended_elsewhere": ended_elsewhere,
        "state": task.state,
        "before": [before, showed],
        "after": [of_ours(), shown(cube())],
        "leftovers": leftovers(),
        "operators": running_operators(),
    }
    yield 1.0
    report = yield from ask_status()
    told["cancelled"] = report["requests"].get("cancelled", 0) - counts.get("cancelled", 0)
    told["queue"] = report["queue"]
    return told


def scene_escape_foreign() -> Steps:
    """Esc where the object had a material of the artist's own, and where it had none."""
    desk = yield from new_file()
    own = cube().active_material.name
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object.name
    told = {}
    for name in ("Cube", plane):
        bpy.context.view_layer.objects.active = bpy.data.objects[name]
        before = of_ours()
        task, _ = yield from generate(desk, LARGE, 3)
        yield from until(lambda name=name: shown(bpy.data.objects[name]), "the preview")
        yield from desk.press("ESC", over_panel=True)
        yield from until(lambda task=task: is_assigned(task), "the end", 10)
        material = bpy.data.objects[name].active_material
        told["own" if name == "Cube" else "none"] = {
            "material": material.name if material else None,
            "expected": own if name == "Cube" else None,
            "unchanged": of_ours() == before,
        }
    return told


def scene_cross() -> Steps:
    """The cross beside a job in the panel cancels it."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, LARGE, 4)
    yield from until(lambda: task.state == "running", "pixels")
    yield from desk.click("texserver.cancel", from_right=22)
    yield from until(lambda: is_assigned(task), "the end", 10)
    yield 0.6
    return {"state": task.state, "shown": shown(cube()), "leftovers": leftovers(), "operators": running_operators()}


def scene_live() -> Steps:
    """Values of the material are changed: how soon the view is drawn again, a picture of each, and what was painted."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, 512, 14)
    yield from until(lambda: is_assigned(task), "the texture")
    desk.area.spaces.active.shading.type = "MATERIAL"
    region, drawn = desk.region("WINDOW"), [time.monotonic()]
    handle = bpy.types.SpaceView3D.draw_handler_add(lambda: drawn.append(time.monotonic()), (), "WINDOW", "POST_PIXEL")
    told: dict[str, Any] = {}
    try:
        yield 10.0  # without a GPU it takes half a minute until there are shaders
        yield from until(lambda: time.monotonic() - drawn[-1] > 4, "a view that has settled")
        node = addon("material.live").node_of(cube().active_material.node_tree)
        for name, value in (("Value", 1.0), ("Value", 0.0), ("Hue", 0.5)):
            node.inputs["Value"].default_value = 1.0
            yield 3.0
            count, at = len(drawn), time.monotonic()
            node.inputs[name].default_value = value
            if value != 1.0:
                yield from until(lambda count=count: len(drawn) > count, "a redraw", 30)
                told[f"{name} {value}"] = round(drawn[count] - at, 3)
            yield 5.0
            yield from take(f"live-{name}-{value}")
    finally:
        bpy.types.SpaceView3D.draw_handler_remove(handle, "WINDOW")
    middle = view3d_utils.location_3d_to_region_2d(region, desk.area.spaces.active.region_3d, (0.0, 0.0, 0.0))
    place = [region.x + int(middle.x), desk.window.height - region.y - int(middle.y)]
    return {"redrawn_s": told, "jobs": len(session().tasks), "place": place}


def scene_workspace() -> Steps:
    """Another workspace is chosen while a job runs; the status bar of the first is empty afterwards."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, LARGE, 15)
    yield from until(lambda: task.state == "running", "pixels")
    said = sorted(addon("loop.status_bar")._said_in)
    first = desk.window.workspace
    desk.window.workspace = next(each for each in bpy.data.workspaces if each != first)
    yield 4 * DRAWN_S
    task.cancel()
    yield from until(lambda: not running_operators(), "the end", 10)
    yield DRAWN_S
    left = sorted(addon("loop.status_bar")._said_in)
    bpy.context.window_manager.windows[0].workspace = first
    yield 4 * DRAWN_S
    return {"said": said, "first": first.name, "left": left}


def scene_undo() -> Steps:
    """Ctrl+Z takes the texture away in one step, Ctrl+Shift+Z brings it back."""
    desk = yield from new_file()
    before = cube().active_material.name
    task, _ = yield from generate(desk, 1024, 5)
    yield from until(lambda: is_assigned(task), "the texture")
    yield DRAWN_S
    after = [cube().active_material.name, shown(cube())]
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: not shown(cube()), "no texture", 10)
    undone = cube().active_material.name
    seed = settings().seed
    yield from desk.press("Z", ctrl=True, shift=True)
    yield from until(lambda: shown(cube()), "the texture again", 10)
    image = next(iter(addon("material.materials").images_of(cube().active_material).values()))
    return {
        "before": before,
        "after": after,
        "undone": undone,
        "seed": seed,
        "redone": [cube().active_material.name, shown(cube())],
        "pixels": len(image.pixels) // image.channels,
        "differs": len(set(image.pixels[:300])) > 3,
    }


def scene_undo_set() -> Steps:
    """A set of maps at 1K takes the place of one at 512; undone, and done again."""
    desk = yield from new_file()
    found = [model.name for model in session().catalogue.models if len(model.maps) > 1]
    if not found:
        return None
    settings().model = found[0]
    told = {}
    for side, name in ((512, "small"), (1024, "large")):
        task, _ = yield from generate(desk, side, 5)
        yield from until(lambda task=task: is_assigned(task), "the texture")
        yield DRAWN_S
        told[name] = _set_of(cube().active_material)
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: _set_of(cube().active_material)["sizes"] == [512], "the smaller one", 10)
    told["undone"] = _set_of(cube().active_material)
    yield from desk.press("Z", ctrl=True, shift=True)
    yield from until(lambda: _set_of(cube().active_material)["sizes"] == [1024], "the larger one", 10)
    told["redone"] = _set_of(cube().active_material)
    return told


def _set_of(material: Any) -> dict[str, Any]:
    tree = material.node_tree
    images = addon("material.materials").images_of(material)
    return {
        "nodes": sorted(node.name for node in tree.nodes),
        "links": sorted([each.from_node.name, each.to_node.name, each.to_socket.identifier] for each in tree.links),
        "maps": sorted(images),
        "sizes": sorted({image.size[0] for image in images.values()}),
        "has_pixels": all(image.has_data or len(image.pixels) for image in images.values()),
        "method": material.displacement_method,
        "images": len(of_ours()["images"]),
    }


def scene_undo_under_way() -> Steps:
    """Ctrl+Z while a job runs: what the artist did before is undone, and the texture still comes, or says why not."""
    told: dict[str, Any] = {}
    desk = yield from new_file()
    ask_for(4096, 6)
    cube().location.x = 3
    bpy.ops.ed.undo_push(message="Move")
    place = yield from desk.find("texserver.generate")
    task, _ = yield from begin(desk, place)
    yield from until(lambda: shown(cube()), "the preview")
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: cube().location.x == 0, "the cube where it was", 10)
    told["ended_when_undone"] = task.ended
    yield from until(lambda: is_assigned(task), "the texture")
    told["moved"] = {"state": task.state, "shown": shown(cube()), "x": cube().location.x, **of_ours()}
    yield DRAWN_S
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: not shown(cube()), "no texture", 10)
    told["undone"] = {"material": cube().active_material.name, "x": cube().location.x}

    desk = yield from new_file()
    ask_for(4096, 7)
    with desk.override():
        bpy.ops.mesh.primitive_plane_add("EXEC_DEFAULT", True)
    yield DRAWN_S
    place = yield from desk.find("texserver.generate")
    task, _ = yield from begin(desk, place)
    yield from until(lambda: shown(bpy.data.objects["Plane"]), "the preview")
    yield from desk.press("Z", ctrl=True)
    yield from until(lambda: "Plane" not in bpy.data.objects, "no plane", 10)
    yield from until(lambda: is_assigned(task), "the end")
    yield 0.5
    told["gone"] = {"state": task.state, "message": task.message, "operators": running_operators(), **of_ours()}
    return told


def scene_edit_mode() -> Steps:
    """The artist is in Edit Mode when preview and texture come, leaves it, and undoes all of it."""
    desk = yield from new_file()
    ask_for(2048, 12)
    place = yield from desk.find("texserver.generate")
    with desk.override():
        bpy.ops.object.mode_set("EXEC_DEFAULT", True, mode="EDIT")
    task, _ = yield from begin(desk, place)
    yield from until(lambda: shown(cube()), "the preview")
    with desk.override():
        bpy.ops.mesh.subdivide("EXEC_DEFAULT", True)
    yield from until(lambda: is_assigned(task), "the texture")
    told: dict[str, Any] = {"state": task.state, "mode": cube().mode, "shown": shown(cube())}
    with desk.override():
        bpy.ops.mesh.subdivide("EXEC_DEFAULT", True)
        bpy.ops.object.mode_set("EXEC_DEFAULT", True, mode="OBJECT")
    told["kept"] = shown(cube())
    seen = []
    for _ in range(8):
        yield from desk.press("Z", ctrl=True)
        yield DRAWN_S
        seen.append([cube().mode, shown(cube())])
    told["undone"] = seen
    for _ in range(8):
        yield from desk.press("Z", ctrl=True, shift=True)
        yield DRAWN_S
    told["redone"] = [cube().mode, shown(cube())]
    return told


def scene_save() -> Steps:
    """A file saved while a job runs holds no preview, and the preview is there again afterwards."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, LARGE, 13)
    preview = yield from until(lambda: shown(cube()), "the preview")
    path = str(Path(bpy.app.tempdir, "saved.blend"))
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    with bpy.data.libraries.load(path) as (saved, _):
        told: dict[str, Any] = {"materials": list(saved.materials), "images": list(saved.images)}
    told["preview"] = preview
    told["again"] = yield from until(lambda: shown(cube()), "the preview again", 10)
    task.cancel()
    yield from until(lambda: is_assigned(task), "the end", 10)
    return told


def scene_new_file() -> Steps:
    """File > New while a job runs: it ends, and the next file works as ever."""
    desk = yield from new_file()
    task, _ = yield from generate(desk, LARGE, 8)
    yield from until(lambda: task.state == "running" and shown(cube()), "pixels")
    counts = (yield from ask_status())["requests"]
    desk = yield from new_file()
    yield 0.6
    report = yield from ask_status()
    told = {
        "state": task.state,
        "message": task.message,
        "leftovers": leftovers(),
        "operators": running_operators(),
        "cancelled": report["requests"].get("cancelled", 0) - counts.get("cancelled", 0),
        "cube": shown(cube()),
        **of_ours(),
    }
    task, _ = yield from generate(desk, 512, 9)
    yield from until(lambda: is_assigned(task), "a texture in the new file")
    told["next"] = {"state": task.state, "shown": shown(cube())}
    return told


def scene_render() -> Steps:
    """F12 while a job runs: the texture waits for the end of the rendering."""
    desk = yield from new_file()
    bpy.context.preferences.view.render_display_type = "NONE"
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 400, 300, 100
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = 4096, False, False
    scene.cycles.time_limit = 30.0  # seconds: both share the cores, and the texture is to be done first
    task, _ = yield from generate(desk, 2048, 10)
    yield from desk.press("F12")
    yield from until(lambda: bpy.app.is_job_running("RENDER"), "a rendering", 20)
    began_with = shown(cube())
    yield from until(lambda: task.ended, "the texture's files")
    told: dict[str, Any] = {"files_while_rendering": bpy.app.is_job_running("RENDER"), "state": task.state}
    changed = 0
    with Heart() as heart:
        while bpy.app.is_job_running("RENDER"):
            changed += shown(cube()) != began_with
            yield 0.02
    told["changed_while_rendering"] = changed
    told["gap_ms"] = heart.longest_ms
    yield from until(lambda: is_assigned(task), "the texture on the cube", 10)
    return told | {"shown": shown(cube()), "began_with": began_with, "title": task.order.title}


def scene_stylize() -> Steps:
    """F12, then Stylize in the Image Editor: a picture beside the render, and how long the window did not react."""
    yield from new_file()
    bpy.context.preferences.view.render_display_type = "NONE"
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 1920, 1080, 100
    yield from Desk().press("F12")
    yield from until(lambda: bpy.app.is_job_running("RENDER"), "a rendering", 20)
    yield from until(lambda: not bpy.app.is_job_running("RENDER"), "the end of the rendering")
    Desk().area.type = "IMAGE_EDITOR"
    desk = Desk("IMAGE_EDITOR")
    yield DRAWN_S
    yield from desk.open_tab()
    settings().style.content = "RENDER"
    by_hand = bpy.data.images.new("By hand", 1920, 1080)
    for image in (bpy.data.images["Render Result"], by_hand):  # what Blender takes to show a picture of this size
        desk.area.spaces.active.image = image
        by_hand_ms = yield from beating(pause(1.0))
    desk.area.spaces.active.image = bpy.data.images["Render Result"]
    place = yield from desk.find("texserver.stylize_image")
    yield 0.5
    parts = {
        "turn": (addon("loop.pump"), "step"),
        "save": (addon("material.content"), "of_render"),
        "begin": (addon("tasks.session").AddonSession, "order_picture"),
        "panel": (addon("panel.style_panels")._StylizePanel, "draw"),
    }
    told: dict[str, Any] = {"by_hand_ms": by_hand_ms}
    with stopwatch(**parts) as taken:
        told["gap_ms"] = yield from beating(stylizing(desk, place))
    told["ours_ms"] = {name: round(1000 * max(each, default=0.0), 1) for name, each in taken.items()}
    task = session().tasks[-1]
    image = desk.area.spaces.active.image
    return told | {"state": task.state, "title": task.order.title, "shown": image.name, "size": list(image.size)}


def stylizing(desk: Desk, place: tuple[int, int]) -> Steps:
    """From the click to the picture in the editor, and a little longer."""
    yield from desk.click("texserver.stylize_image", place)
    task = yield from until(lambda: session().tasks and session().tasks[-1], "a job", 10)
    yield from until(lambda: task.ended and desk.area.spaces.active.image.name != "Render Result", "the picture")
    yield 0.5


def scene_quit() -> Steps:
    """Start Local Server, a job, and Blender's own way out in the midst of it."""
    chosen = addon("panel.preferences").get()
    chosen.server_command, chosen.models_folder = TASK["server_command"], TASK["models"]
    bpy.ops.wm.read_homefile()
    yield DRAWN_S
    desk = Desk()
    yield from desk.open_tab()
    yield from until(lambda: session().connection.state == "failed-for-now", "no server, in words", 20)
    yield 3 * DRAWN_S
    yield from desk.click("texserver.start_server")
    server = addon("tasks.state").local_server()
    yield from until(lambda: server.state == "running", "the local server")
    yield from until(lambda: session().connection.state == "ready" and session().catalogue.settled, "its models")
    settings().model = TASK["model"]
    yield 2 * DRAWN_S
    task, _ = yield from generate(desk, LARGE, 11)
    yield from until(lambda: task.state == "running" and shown(cube()), "pixels")
    told = {
        "server": server._process.pid,
        "state": task.state,
        "drafts": leftovers(),
        "folder": str(session().folder),
        "temporary": bpy.app.tempdir,
    }
    _write("quit", {**told, "at": time.monotonic()})
    bpy.ops.wm.quit_blender()
    yield 60.0


def scene_quit_idle() -> Steps:
    """The same way out with nothing going on, for comparison."""
    yield from new_file()
    _write("quit_idle", {"at": time.monotonic()})
    bpy.ops.wm.quit_blender()
    yield 60.0


# ----------------------------------------------------------------------------------------------------------- pictures

MATERIAL_BELOW: Final = 64  # pixels from the large button to the header
VARIATIONS_BELOW: Final = 90  # the same while Material is closed


def scene_pictures() -> Steps:
    """The pictures of the README, with trained models: a small still life, and what the add-on shows beside it."""
    open_from_the_start("jobs", "history")
    desk = yield from new_file()
    yield from still_life(desk)
    yield from _toggle(desk, MATERIAL_BELOW)
    yield from take("panel")

    _active("Wall")
    settings().model = _model("castle")
    settings().variations = 4
    bpy.ops.texserver.variations()
    yield from until(lambda: all(task.ended for task in session().variations), "the variations")
    yield from _toggle(desk, VARIATIONS_BELOW)
    yield from take("variations")

    _active("Floor")
    settings().model = _model("tiles")
    ask_for(4096, 77, whole_periods=True)
    place = yield from desk.find("texserver.generate")
    task, _ = yield from begin(desk, place)
    yield from until(lambda: task.fraction > 0.4 or task.ended, "a good part")
    yield from take("job")
    task.cancel()
    yield from until(lambda: is_assigned(task), "the end", 10)

    desk.area.ui_type = "ShaderNodeTree"
    yield DRAWN_S
    nodes = Desk("NODE_EDITOR")
    yield from nodes.open_tab()
    _active("Wall")
    for node in bpy.context.object.active_material.node_tree.nodes:
        node.select = False
    yield DRAWN_S
    with nodes.override():
        bpy.ops.node.view_all()
    yield 1.5
    with nodes.override():
        bpy.ops.view2d.zoom_out()
        bpy.ops.view2d.zoom_out()
        bpy.ops.view2d.zoom_out()
        bpy.ops.view2d.pan(deltax=150)
    yield 1.0
    yield from take("nodes")
    return {}


def scene_preferences_picture() -> Steps:
    """The add-on's preferences with the log of a local server, where no other runs."""
    chosen = addon("panel.preferences").get()
    chosen.models_folder, chosen.server_command = TASK["models"], TASK["server_command"]
    bpy.ops.texserver.start_server()
    server = addon("tasks.state").local_server()
    yield from until(lambda: server.state in ("running", "failed"), "the local server")
    yield 2.0
    Desk().area.ui_type = "PREFERENCES"
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Texserver"
    bpy.ops.preferences.addon_expand(module=MODULE)
    yield 4.0
    yield from take("preferences")
    bpy.ops.texserver.stop_server()
    return {"server": server.state}


def still_life(desk: Desk) -> Steps:
    """A floor, a wall and a block, each with a texture of its own."""
    bpy.data.objects.remove(cube())
    for name, size, location, turned in (
        ("Floor", (9, 9, 0.2), (0, 0, -0.1), 0.0),
        ("Wall", (9, 0.4, 5), (0, 3, 2.5), 0.0),
        ("Block", (1.5, 1.5, 1.5), (0.3, 0.9, 0.75), 0.5),
    ):
        bpy.ops.mesh.primitive_cube_add(size=1, location=location, rotation=(0, 0, turned), scale=size)
        bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
        bpy.context.object.name = name
    space = desk.area.spaces.active
    space.shading.type = "MATERIAL"
    space.shading.studiolight_intensity = 0.6
    space.overlay.show_overlays = False
    space.show_gizmo = False
    space.lens = 32
    view = space.region_3d
    view.view_perspective = "PERSP"
    view.view_location, view.view_distance = (1.2, 0.9, 1.0), 3.9
    view.view_rotation = (0.8, 0.58, 0.09, 0.12)
    bpy.context.scene.view_settings.view_transform = "Standard"
    settings().mapping, settings().texels = "BOX", 150
    for name, model, seed in (("Wall", "castle", 21), ("Block", "rusty", 5), ("Floor", "tiles", 3)):
        _active(name)
        settings().model = _model(model)
        task, _ = yield from generate(desk, 2048, seed, whole_periods=True)
        yield from until(lambda task=task: is_assigned(task), "a texture")
    yield 5.0


def _toggle(desk: Desk, below: int) -> Steps:
    """A sub-panel, by its header, which lies so many pixels below the large button."""
    x, y = yield from desk.find("texserver.generate")
    yield from desk.press_at(x, y - below)
    for _ in range(10):  # it unfolds little by little, whenever it is drawn
        desk.area.tag_redraw()
        yield DRAWN_S


def _model(beginning: str) -> str:
    """The name of the model that begins like this, or of the first."""
    names = [model.name for model in session().catalogue.models]
    return next((name for name in names if name.startswith(beginning)), names[0])


def _active(name: str) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    bpy.context.view_layer.objects.active = bpy.data.objects[name]
    bpy.data.objects[name].select_set(True)


def open_from_the_start(*names: str, close: tuple[str, ...] = ()) -> None:
    """Sub-panels that are closed until someone opens them, and some that are open."""
    for name in (*names, *close):
        for editor in ("view", "shader"):
            kind = getattr(bpy.types, f"TEXSERVER_PT_{editor}_{name}")
            bpy.utils.unregister_class(kind)
            kind.bl_options = {"DEFAULT_CLOSED"} if name in close else set()
            bpy.utils.register_class(kind)


# ----------------------------------------------------------------------------------------------------------- running


def _write(name: str, told: Any, *, wrong: str = "") -> None:
    with Path(TASK["facts"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"scene": name, "facts": told, "wrong": wrong}) + "\n")


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
    """From this file or from those beside it."""
    modules = (sys.modules["harness"], *map(importlib.import_module, BESIDE))
    found: Callable[[], Steps] = next(vars(each)[f"scene_{name}"] for each in modules if f"scene_{name}" in vars(each))
    return found


def _play() -> Steps:
    bpy.context.preferences.view.use_save_prompt = False
    yield 0.3
    _write("install", _install())
    for name in TASK["scenes"]:
        try:
            told = yield from _scene(name)()
        except Exception:
            wrong = traceback.format_exc()
            yield from take(f"wrong-{name}")
            _write(name, None, wrong=wrong)
            for task in session().tasks:
                task.cancel()
            yield from until(lambda: not bpy.app.is_job_running("RENDER"), "the end of the rendering")
        else:
            _write(name, told)
    bpy.ops.preferences.addon_disable(module=MODULE)


def _tick() -> float:
    code = 1
    try:
        return next(_steps)
    except StopIteration:
        code = 0
    except BaseException:
        _write("harness", None, wrong=traceback.format_exc())
    sys.stdout.flush()
    os._exit(code)


sys.modules["harness"] = sys.modules["__main__"]  # for the files of scenes beside this one
sys.path.insert(0, str(Path(__file__).parent))
faulthandler.enable()  # says where it was, if Blender crashes
bpy.context.preferences.view.show_splash = False
_steps = _play()
bpy.app.timers.register(_tick, first_interval=0.3, persistent=True)
