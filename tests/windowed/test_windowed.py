"""The add-on in a Blender with a window: real clicks and keys, a real server, and a screen of the test's own.

    TEXSERVER_BLENDER=blender-5.2/blender pytest tests/windowed -m slow -s
    TEXSERVER_BLENDER_CHROOT=sid pytest tests/windowed -m slow -s

takes that Blender, 4.2 or newer; without either, the one on the PATH. A chroot is entered in a mount namespace of its
own, in which this repository and its Python are where they are outside. Xvfb gives the screen. The measured figures
are printed as one line of JSON. With a folder of trained models the same is measured with them:

    TEXSERVER_MODELS=models ...                        paints with the first of them
    TEXSERVER_MODELS=models TEXSERVER_PICTURES=out ... also takes the pictures for the README, into out/
    TEXSERVER_PHOTOGRAPH=wall.jpg ...                  learns that one for the film among them
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

import pytest
from PIL import Image, ImageChops, ImageGrab, ImageStat

from server.model.maps import MATERIAL
from tests.models import save_tiny, save_tiny_style
from tests.server.session import SERVER, Session, environment, eventually, runs

pytestmark = [pytest.mark.slow, pytest.mark.blender, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
HARNESS = Path(__file__).with_name("harness.py")
SCREEN = (1400, 900)
OLDEST = (4, 2)
OPENGL_FROM = (4, 5)  # these may choose Vulkan, which a machine without a GPU lacks
PLAYED_WITHIN_S = 1500.0
SCENES = (
    "panel",
    "click",
    "escape",
    "escape_foreign",
    "cross",
    "live",
    "try_on",
    "wander",
    "library",
    "drop",
    "refused",
    "corners",
    "disabled",
    "workspace",
    "undo",
    "undo_set",
    "undo_under_way",
    "edit_mode",
    "save",
    "new_file",
    "render",
    "share",
    "alive",
    "stylize",
)
GAP_MS = 100.0  # of our making
FILM, FILM_RATE = (770, 495), 3  # pixels, pictures a second
PREVIEW_S = 1.0
PICTURE_S = 15.0  # until a dropped picture is on the object
LIVE_S = 3.0  # without a GPU
QUIT_S = 1.0

# Mounts what is the same inside, then becomes Blender. $1 is the chroot, then folders, "--", and the command.
ENTER = """
root=$1; shift
mkdir -p "$root/proc" "$root/dev" && mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" || exit 1
while [ "$1" != -- ]; do mkdir -p "$root$1" && mount --bind "$1" "$root$1" || exit 1; shift; done
shift
exec chroot "$root" "$@"
"""


# ------------------------------------------------------------------------------------------------------- what it takes


class WindowedBlender:
    """The command of a Blender that can open a window."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
        found = re.search(r"Blender (\d+)\.(\d+)", said)
        self.version = (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def zip(self) -> str:
        """Which of the extension's zips is for it."""
        return "4.2" if self.version < (5, 1) else "5.1"

    def start(self, task: Path, environ: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
        options = ["--factory-startup", "--enable-event-simulate", "--window-geometry", "0", "0", *map(str, SCREEN)]
        if self.version >= OPENGL_FROM:
            options += ["--gpu-backend", "opengl"]
        with log.open("wb") as file:
            return subprocess.Popen(
                [*self.command, *options, "--python", str(HARNESS), "--", str(task)],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _inside(chroot: Path, temporary: Path) -> list[str]:
    """The command of the Blender in a chroot."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip(f"TEXSERVER_BLENDER_CHROOT={chroot} takes root and the program unshare")
    folders = {ROOT, Path(sys.prefix), temporary}
    if Path(sys.base_prefix) != Path("/usr"):  # which the chroot has itself
        folders.add(Path(sys.base_prefix))
    alone = ["unshare", "--mount", "--propagation", "private"]
    return [*alone, "sh", "-c", ENTER, "sh", str(chroot), *map(str, sorted(folders)), "--", "blender"]


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory) -> WindowedBlender:
    if chroot := os.environ.get("TEXSERVER_BLENDER_CHROOT"):
        command = _inside(Path(chroot), tmp_path_factory.getbasetemp())
    elif named := os.environ.get("TEXSERVER_BLENDER"):
        command = shlex.split(named)
    else:
        command = ["blender"]
    if not shutil.which(command[0]):
        pytest.skip("there is no Blender with windows: name one by TEXSERVER_BLENDER or TEXSERVER_BLENDER_CHROOT")
    found = WindowedBlender(command)
    if found.version < OLDEST:
        pytest.skip(f"{command[-1]} is no Blender of 4.2 or newer: name one by TEXSERVER_BLENDER")
    return found


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    if not shutil.which("Xvfb"):
        pytest.skip("there is no Xvfb for a window to open on")
    width, height = SCREEN
    reads, writes = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(writes), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
        pass_fds=[writes],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(writes)
        try:
            with os.fdopen(reads) as file:
                number = file.readline().strip()
            assert number, "Xvfb did not start"
            yield f":{number}"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def zips(
    blender: WindowedBlender, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """The extension for this Blender, and the same without wheels, for one whose Python has its own pyzmq."""
    found = []
    with suppress(pytest.skip.Exception):
        found.append(str(request.getfixturevalue("addon_zips")[blender.zip]))
    plain = tmp_path_factory.mktemp("plain") / "plain.zip"
    with zipfile.ZipFile(plain, "w") as archive:
        for path in sorted((ROOT / "blender_addon").rglob("*")):
            if path.suffix in (".py", ".toml"):
                archive.write(path, path.relative_to(ROOT / "blender_addon"))
    return [*found, str(plain)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("TEXSERVER_MODELS"):
        return Path(given).absolute()
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "grass", 1)
    save_tiny_style(folder, "ink", 1)
    save_tiny(folder, "stone", 2, maps=MATERIAL)
    return folder


# -------------------------------------------------------------------------------------------------------------- playing


class Stage:
    """Everything that a run of the harness needs."""

    def __init__(self, blender: WindowedBlender, display: str, zips: Sequence[str], models: Path, home: Path) -> None:
        self.blender, self.display, self.zips, self.models = blender, display, zips, models
        self.facts = home / "facts"
        self.log = home / "log"
        self.pictures = home / "pictures"
        self.temporary = home / "temporary"
        self.at_first = sorted(path.stem for path in models.glob("*.safetensors"))  # scenes make more
        self.photograph = ""  # where this Blender sees it
        self.home = home

    @contextmanager
    def play(self, *scenes: str, runtime: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """Blender, playing these; it is ended with the `with` block at the latest."""
        for folder in (self.pictures, self.temporary, self.home / "user"):
            folder.mkdir(parents=True, exist_ok=True)
        task = self.home / "task.json"
        told = {
            "zips": self.zips,
            "scenes": scenes,
            "facts": str(self.facts),
            "model": sorted(self.models.glob("*.safetensors"))[0].stem,
            "models": str(self.models),
            "pictures": str(self.pictures),
            "photograph": self.photograph,
            "server_command": sys.executable,
        }
        task.write_text(json.dumps(told), "utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TEXSERVER", "XDG_", "PYTHON"))}
        environ = kept | {
            "DISPLAY": self.display,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.home / "user"),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_STATE_HOME": str(self.home / "state"),
            "BLENDER_USER_RESOURCES": str(self.home / "user"),
            "TMPDIR": str(self.temporary),
        }
        popen = self.blender.start(task, environ, self.log)
        try:
            yield popen
        finally:
            if popen.poll() is None:
                popen.kill()
            popen.wait()

    def take_pictures(self) -> None:
        """Those that the harness waits for."""
        for wanted in self.pictures.glob("*.wanted"):
            ImageGrab.grab(xdisplay=self.display).save(wanted.with_suffix(".png"))
            wanted.unlink()

    def told(self) -> dict[str, Any]:
        """What each scene has written, by its name. Fails where one went wrong."""
        lines = self.facts.read_text("utf-8").splitlines() if self.facts.exists() else []
        return {line["scene"]: line for line in map(json.loads, lines)}

    def fact(self, scene: str) -> Any:
        line = self.told().get(scene)
        if line is None:
            self.fail(f"it has not come to {scene}")
        if line["wrong"]:
            self.fail(line["wrong"])
        return line["facts"]

    def fail(self, why: str) -> NoReturn:
        output = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        pytest.fail(f"{why}\n\nBlender said:\n{output[-6000:]}", pytrace=False)

    def run(self, *scenes: str, runtime: Path) -> None:
        """To the end, taking the pictures that are wanted."""
        with self.play(*scenes, runtime=runtime) as popen:
            end = time.monotonic() + PLAYED_WITHIN_S
            while popen.poll() is None and time.monotonic() < end:
                self.take_pictures()
                time.sleep(0.05)
            if popen.poll() is None:
                self.fail(f"it plays for more than {PLAYED_WITHIN_S:.0f} s")
            if popen.returncode:
                self.fail(f"it ended with {popen.returncode}")


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    command: Sequence[str] = SERVER
    if os.environ.get("TEXSERVER_MODELS"):
        command = ["env", f"OMP_NUM_THREADS={os.cpu_count()}", *SERVER]
    with Session(models, tmp_path_factory.mktemp("server"), "--precision", "auto", command=command) as session:
        yield session


@pytest.fixture(scope="module")
def stage(
    blender: WindowedBlender, display: str, zips: list[str], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    return Stage(blender, display, zips, models, tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def played(stage: Stage, server: Session) -> Stage:
    """All scenes that leave Blender running."""
    stage.run(*SCENES, runtime=server.home / "runtime")
    return stage


# ---------------------------------------------------------------------------------------------------------------- facts


def test_the_panel_is_in_the_sidebar_with_the_server_s_models(played: Stage) -> None:
    panel = played.fact("panel")
    assert panel["tab"] == "Texserver"
    assert panel["models"] == played.at_first
    assert f"{len(panel['models'])} model" in panel["server"]


def test_a_click_on_generate_shows_a_preview_and_then_the_texture(played: Stage) -> None:
    for told in played.fact("click"):
        assert told["state"] == "done"
        assert told["preview_first"]
        assert told["preview"] != told["texture"]
        assert told["size"] == [2048, 2048]
        assert told["packed"]
        assert told["images"] == [told["texture"]], "the preview stays behind"
        assert told["operators"] == []


def test_the_preview_is_on_the_object_within_a_second(played: Stage) -> None:
    assert min(told["preview_s"] for told in played.fact("click")) <= PREVIEW_S


def test_the_interface_lives_while_a_large_texture_arrives(played: Stage) -> None:
    """Of our making are our own calls, and what the window takes longer than when it only draws the same panels."""
    rounds = played.fact("alive")
    assert all(told["state"] == "done" for told in rounds)
    assert min(max(told["ours_ms"].values()) for told in rounds) <= GAP_MS
    assert min(told["arriving_ms"] - told["redrawing_ms"] for told in rounds) <= GAP_MS


def test_escape_brings_back_what_was_shown_and_tells_the_server(played: Stage) -> None:
    told = played.fact("escape")
    assert not told["ended_elsewhere"]
    assert told["state"] == "cancelled"
    assert told["after"] == told["before"]
    assert told["leftovers"] == []
    assert told["operators"] == []
    assert told["cancelled"] >= 1
    assert told["queue"] == {"waiting": 0, "running": 0}


@pytest.mark.parametrize("material", ["own", "none"])
def test_escape_brings_back_the_artist_s_material(played: Stage, material: str) -> None:
    told = played.fact("escape_foreign")[material]
    assert told["material"] == told["expected"]
    assert told["unchanged"]


def test_the_cross_beside_a_job_cancels_it(played: Stage) -> None:
    assert played.fact("cross") == {"state": "cancelled", "shown": "", "leftovers": [], "operators": []}


def test_a_value_of_a_material_is_seen_at_once_and_paints_nothing(played: Stage) -> None:
    """A black one is black, and the opposite of a hue is another colour."""
    told = played.fact("live")
    assert told["jobs"] == 1
    assert max(told["redrawn_s"].values()) < LIVE_S, told
    x, y = told["place"]
    cube = (x - 24, y + 8, x - 8, y + 24)
    as_made, black, turned = (
        Image.open(played.pictures / f"live-{name}.png").convert("RGB").crop(cube)
        for name in ("Value-1.0", "Value-0.0", "Hue-0.5")
    )
    assert sum(ImageStat.Stat(black).mean) < 0.5 * sum(ImageStat.Stat(as_made).mean)
    assert max(ImageStat.Stat(ImageChops.difference(as_made, turned)).mean) > 1


def test_a_dropped_picture_becomes_a_material_of_true_size(played: Stage) -> None:
    """The picture at once, then the finished texture with all maps; as one step to undo."""
    told = played.fact("drop")
    assert "Material from Picture" in told["offered"]
    assert told["state"] == "done", told["message"]
    assert told["picture_s"] <= PICTURE_S
    assert told["sizes"] == [1.6, pytest.approx(1.6 * 512 / 256)]
    assert told["maps"] == ["basecolor", "height", "normal", "roughness"]
    assert len(told["images"]) == 4, "a preview stays behind"
    assert told["model"] == told["name"] == told["redone"]
    assert told["undone"] == told["before"]["materials"]
    assert told["operators"] == []


def test_a_refusal_keeps_the_dialog_and_what_was_typed(played: Stage) -> None:
    assert played.fact("refused") == {"begun": 0, "name": "kept_name", "metres": 1.6, "category": "Walls"}


def test_four_corners_are_dragged_and_leave_nothing_behind(played: Stage) -> None:
    told = played.fact("corners")
    assert told["left_by_escape"] == [True, True]
    assert told["learned_corners"] == told["escaped_corners"] == told["sent"] != [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert told["learned_corners"][0] == pytest.approx([0.2, 0.1], abs=0.03)
    assert (told["state"], told["after"], told["operators"]) == ("cancelled", True, [])


def test_the_add_on_can_be_disabled_while_the_server_learns(played: Stage) -> None:
    told = played.fact("disabled")
    assert (told["left"], told["operators"]) == ([], [])
    assert told["materials"] == told["before"]


def test_a_variation_is_tried_on_by_a_click_and_comes_off_by_escape_the_cross_and_undo(played: Stage) -> None:
    told = played.fact("try_on")
    first, second = 31, 32
    assert told["seconds"] < 1
    assert told["ours_ms"] < 10 * GAP_MS
    assert told["first"] == [str(first), first]
    assert told["second"] == [str(second), second]
    assert told["undone"] == told["redone"] == told["escaped_elsewhere"] == [str(first), first]
    assert told["undone_twice"] == told["escaped"] == told["crossed"] == ["", None]
    assert told["unchanged"]
    assert told["unchanged_again"]
    assert told["jobs"] == 0
    assert told["while_painting"] == [str(first), None]
    assert told["kept"] == [str(first), None, [1024, 1024]]
    assert told["images"]
    assert told["operators"] == []


def test_no_walk_with_undo_and_redo_leaves_anything_behind(played: Stage) -> None:
    for told in played.fact("wander"):
        assert told["unused"] == [], told["done"]
        assert told["leftovers"] == []
        for text in told["said"]:
            assert text.endswith("."), text


def test_materials_are_dragged_from_the_asset_browser_onto_objects_and_faces(played: Stage) -> None:
    told = played.fact("library")
    assert told["state"] == "done", told["message"]
    assert told["unchanged"]
    assert told["ours_ms"] < 10 * GAP_MS
    for drop in (told["dropped"], told["dropped_on_top"]):
        assert drop["ours"]
        assert drop["local"]
        assert drop["images"]
    assert told["sides"] == told["dropped"]["material"] != told["dropped_on_top"]["material"]
    assert told["on_faces"] == {"slots": [0, 0, 0, 0, 1, 0], "ours": True}
    assert told["other_seed"]["seed"] == "77"
    assert told["other_seed"]["model"] in told["published"]


def test_the_status_bar_is_empty_after_a_change_of_workspace(played: Stage) -> None:
    told = played.fact("workspace")
    assert told["said"] == [told["first"]]
    assert told["left"] == []


def test_undo_takes_the_texture_away_in_one_step_and_redo_brings_it_back(played: Stage) -> None:
    told = played.fact("undo")
    assert told["undone"] == told["before"]
    assert told["seed"] == 5, "the settings were undone, too"
    assert told["redone"] == told["after"]
    assert told["pixels"] == 1024 * 1024
    assert told["differs"], "the pixels are gone"


def test_undo_brings_a_set_of_maps_back_as_it_was_in_its_place(played: Stage) -> None:
    told = played.fact("undo_set")
    if told is None:
        pytest.skip("no model here paints several maps")
    assert told["undone"] == told["small"]
    assert told["redone"] == told["large"]
    assert told["large"]["nodes"] == told["small"]["nodes"]
    assert [told[each]["images"] for each in ("small", "large")] == [len(told["small"]["maps"])] * 2
    assert told["small"]["has_pixels"]


def test_undo_in_the_midst_of_a_job_takes_back_what_was_done_before_it(played: Stage) -> None:
    told = played.fact("undo_under_way")
    assert not told["ended_when_undone"]
    assert told["moved"]["state"] == "done"
    assert told["moved"]["x"] == 0
    assert told["moved"]["images"] == [told["moved"]["shown"]]
    assert told["undone"] == {"material": "Material", "x": 0}


def test_a_texture_whose_object_was_undone_says_so(played: Stage) -> None:
    told = played.fact("undo_under_way")["gone"]
    assert told["state"] == "failed"
    assert told["message"].startswith("Plane no longer exists")
    assert told["operators"] == []
    assert told["images"] == []


def test_a_texture_comes_in_edit_mode_too_and_can_be_undone_from_there(played: Stage) -> None:
    told = played.fact("edit_mode")
    assert (told["state"], told["mode"]) == ("done", "EDIT")
    assert told["kept"] == told["shown"] == told["redone"][1]
    assert told["undone"][-1] == ["OBJECT", ""]


def test_a_file_saved_in_the_midst_of_a_job_holds_no_preview(played: Stage) -> None:
    told = played.fact("save")
    assert told["materials"] == ["Material"]
    assert told["preview"] not in told["images"]
    assert told["again"] == told["preview"]


def test_a_new_file_ends_the_job(played: Stage) -> None:
    told = played.fact("new_file")
    assert told["state"] == "cancelled"
    assert "another file" in told["message"]
    assert told["leftovers"] == told["operators"] == told["images"] == []
    assert told["cube"] == ""
    assert told["cancelled"] >= 1
    assert told["next"]["state"] == "done"
    assert told["next"]["shown"]


def test_a_rendering_holds_the_texture_back(played: Stage) -> None:
    told = played.fact("render")
    assert told["state"] == "done"
    assert told["files_while_rendering"], "the rendering was over too soon to show anything"
    assert told["changed_while_rendering"] == 0
    assert told["shown"] != told["began_with"]


def test_a_render_becomes_a_picture_in_a_style_beside_it(played: Stage) -> None:
    """What Blender takes to write its render is told apart: there is no faster way to its pixels as they are seen."""
    told = played.fact("stylize")
    assert told["state"] == "done"
    assert told["shown"].startswith(told["title"][:40])
    assert told["size"] == [1920, 1080]
    ours = {name: taken for name, taken in told["ours_ms"].items() if name != "save"}
    assert max(ours.values()) <= GAP_MS


def test_quitting_in_the_midst_of_a_job_leaves_nothing_behind(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the server that Blender started, nor files, and in a second more than Blender takes by itself."""
    alone = Stage(stage.blender, stage.display, stage.zips, stage.models, tmp_path)
    environ = environment(tmp_path)
    runtime = Path(environ["XDG_RUNTIME_DIR"])
    with alone.play("quit", runtime=runtime) as popen:
        while "quit" not in alone.told() and popen.poll() is None:
            alone.take_pictures()
            time.sleep(0.02)
        told = alone.fact("quit")
        children = [told["server"], *_children(told["server"])]
        popen.wait(30)
        quit_s = time.monotonic() - told["at"]
        assert popen.returncode == 0
    assert len(children) >= 2, "the local server had no worker"
    eventually(lambda: not any(map(runs, children)), "the end of the local server", 10)
    assert told["state"] == "running"
    assert told["drafts"], "it was not in the midst of anything"
    assert list(Path(told["folder"]).rglob("*.part")) == []
    left = {path.name for path in alone.temporary.iterdir()}
    assert left <= {"quit.blend", "blender"}, "these two are Blender's own: Recover Last Session, and shaders"
    assert not (runtime / "texserver" / "connection.json").exists()
    idle_s = _quits_by_itself_in_s(stage, tmp_path / "idle")
    with capsys.disabled():
        print("\n" + json.dumps({"quit_s": round(quit_s, 2), "quit_idle_s": round(idle_s, 2)}))
    assert quit_s <= QUIT_S + idle_s


def _quits_by_itself_in_s(stage: Stage, home: Path) -> float:
    home.mkdir()
    idle = Stage(stage.blender, stage.display, stage.zips, stage.models, home)
    with (
        Session(stage.models, home / "server") as server,
        idle.play("quit_idle", runtime=server.home / "runtime") as it,
    ):
        it.wait(60)
    return time.monotonic() - float(idle.fact("quit_idle")["at"])


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


@pytest.mark.skipif("TEXSERVER_PICTURES" not in os.environ, reason="TEXSERVER_PICTURES names no folder for pictures")
def test_the_pictures_for_the_readme(stage: Stage, server: Session, tmp_path: Path) -> None:
    out = Path(os.environ["TEXSERVER_PICTURES"]).absolute()
    out.mkdir(parents=True, exist_ok=True)
    alone = {"pictures": server.home / "runtime", "preferences_picture": Path(environment(tmp_path)["XDG_RUNTIME_DIR"])}
    for scene, runtime in alone.items():
        home = tmp_path / scene
        home.mkdir()
        it = Stage(stage.blender, stage.display, stage.zips, stage.models, home)
        it.run(scene, runtime=runtime)
        it.fact(scene)
        for picture in it.pictures.glob("*.png"):
            shutil.copy(picture, out)
    assert {path.stem for path in out.glob("*.png")} >= {"panel", "variations", "job", "nodes", "preferences"}


@pytest.mark.skipif("TEXSERVER_PICTURES" not in os.environ, reason="TEXSERVER_PICTURES names no folder for pictures")
def test_the_film_of_a_photograph(
    stage: Stage, server: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """film.webp: from the dropped photograph to the material, and the times of it."""
    it = Stage(stage.blender, stage.display, stage.zips, stage.models, tmp_path)
    if given := os.environ.get("TEXSERVER_PHOTOGRAPH"):
        it.pictures.mkdir()
        it.photograph = shutil.copy(given, it.pictures)
    frames: list[Image.Image] = []
    with it.play("film", runtime=server.home / "runtime") as popen:
        while popen.poll() is None:
            if (it.pictures / "film.begins").exists() and not (it.pictures / "film.ends").exists():
                frames.append(ImageGrab.grab(xdisplay=it.display).resize(FILM, Image.Resampling.LANCZOS))
            it.take_pictures()
            time.sleep(1 / FILM_RATE)
    told = it.fact("film")
    assert told["state"] == "done", told["message"]
    shown = [
        frame
        for before, frame in zip([None, *frames], frames, strict=False)
        if before is None or ImageChops.difference(before, frame).getbbox()
    ]
    times = [round(1000 / FILM_RATE)] * len(shown)
    times[-1] = 2500
    out = Path(os.environ["TEXSERVER_PICTURES"]).absolute() / "film.webp"
    shown[0].save(out, save_all=True, append_images=shown[1:], duration=times, loop=0, quality=62, method=6)
    with capsys.disabled():
        print("\n" + json.dumps(told))


def test_the_figures(played: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what was measured: the median of the rounds, and all of them."""
    clicks, shares, gaps = played.fact("click"), played.fact("share"), played.fact("alive")
    figures = {
        **played.fact("install"),
        "preview_s": median(each["preview_s"] for each in clicks),
        "texture_2048_s": median(each["texture_s"] for each in clicks),
        "share_2048": {key: median(each[key] for each in shares) for key in shares[0] if key != "state"},
        "gap_ms": {
            key: median(each[f"{key}_ms"] for each in gaps)
            for key in ("idle", "redrawing", "arriving", "shown", "by_hand")
        },
        "ours_ms": {key: median(each["ours_ms"][key] for each in gaps) for key in gaps[0]["ours_ms"]},
        "rounds": {"click": [each["preview_s"] for each in clicks], "share": shares, "alive": gaps},
        "escaped_s": played.fact("escape")["escaped_s"],
        "stylize": played.fact("stylize"),
    }
    with capsys.disabled():
        print("\n" + json.dumps(figures))
