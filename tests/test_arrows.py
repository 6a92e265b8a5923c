"""Facts about the house: which way imports run, that everything says what it is, and that no file knows a machine."""

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "blender_addon": set(),
    "server": {"blender_addon"},
    "trainer": {"server", "blender_addon"},
}
PACKAGES = tuple(MAY_IMPORT)
FOLDERS = (*PACKAGES, "packaging", "tests", "benchmarks")


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tops(path: Path) -> set[str]:
    """The packages that a file imports from."""
    return {name.split(".")[0] for name in imported(path)}


def imported(path: Path) -> Iterator[str]:
    """Every absolute import anywhere in the file, functions too, by full name; of relative ones, where they lead."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= len(package), f"{named(path)} imports from above its package"
            home = ".".join(package[: len(package) - node.level + 1])
            yield f"{home}.{node.module}" if node.module else home
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "importlib.import_module"):
            (name, *_) = node.args
            assert isinstance(name, ast.Constant), f"{named(path)} imports what only running it would tell"
            yield str(name.value)


def test_imports_run_from_trainer_to_server_to_add_on_and_never_back() -> None:
    for path in python_files(*PACKAGES):
        package = path.relative_to(ROOT).parts[0]
        back = tops(path) & {*PACKAGES, "tests", "benchmarks"} - MAY_IMPORT[package] - {package}
        assert not back, f"{named(path)} imports {back}"


BLENDERS = {"bpy", "blf", "bmesh", "bl_operators", "bl_ui", "bpy_extras", "gpu", "gpu_extras"}


def test_the_add_on_needs_the_standard_library_zmq_and_bpy_alone() -> None:
    """And reaches its own files relatively, so that they load as an extension and as a plain package alike."""
    allowed = sys.stdlib_module_names | {"zmq", *BLENDERS}
    for path in python_files("blender_addon"):
        tree = parsed(path)
        absolute = [
            *(alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names),
            *(node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0),
        ]
        others = {name.split(".")[0] for name in absolute} - allowed
        assert not others, f"{named(path)} imports {others}"


def loaded(path: Path) -> set[Path]:
    """The add-on's modules that one of them imports when it is loaded, packages too."""
    package = path.relative_to(ROOT).parent.parts
    found: set[Path] = set()
    for node in parsed(path).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            home = ROOT.joinpath(*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            for alias in node.names:
                found |= {home / f"{alias.name}.py", home.with_suffix(".py"), home / "__init__.py"}
    return {path for path in found if path.exists()}


def needs(wanted: str, path: Path) -> bool:
    """Whether loading this module loads that package, by whatever way."""
    seen, ahead = set(), {path}
    while ahead:
        module = ahead.pop()
        seen.add(module)
        for node in parsed(module).body:
            if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == wanted for alias in node.names):
                return True
            if isinstance(node, ast.ImportFrom) and node.level == 0 and str(node.module).split(".")[0] == wanted:
                return True
        ahead |= loaded(module) - seen
    return False


def test_the_second_blender_needs_no_zmq() -> None:
    """It lies on the path only of a Blender with the extension."""
    assert not needs("zmq", ROOT / "blender_addon" / "material" / "asset_build.py")
    assert needs("zmq", ROOT / "blender_addon" / "client" / "connection.py")


# Rooms: the folders of each package, and which other rooms of it each may import. What lies beside the rooms (errors,
# names of precisions) is everyone's. A room stands below those that it may import, so there is no circle.
ROOMS: dict[str, dict[str, set[str]]] = {
    "blender_addon": {
        "protocol": set(),
        "pictures": {"protocol"},
        "client": {"protocol", "pictures"},
        "tasks": {"protocol", "pictures", "client"},
        "material": {"protocol", "pictures", "client", "tasks"},
        "loop": {"protocol", "pictures", "client", "tasks", "material"},
        "panel": {"protocol", "pictures", "client", "tasks", "material", "loop"},
    },
    "server": {
        "model": set(),
        "front": {"model"},
        "files": {"model"},
        "quilt": {"model"},
        "strokes": {"model", "quilt"},
        "network": {"model", "quilt", "strokes"},
        "worker": {"model", "network", "quilt", "strokes"},
        "client": {"model", "network", "quilt"},  # the local painter paints without a server
        "service": {"model", "front", "worker"},
        "cli": {"model", "files", "client"},
    },
    "trainer": {
        "swatch": set(),
        "loss": {"swatch"},
        "descriptor": {"swatch", "loss"},
        "quilt": {"swatch"},
        "strokes": {"swatch"},
        "training": {"swatch", "loss", "descriptor"},
        "judge": {"swatch", "loss"},
        "starter": {"swatch", "quilt", "judge"},
    },
}
# Which rooms of another package a package may enter.
DOORS = {
    ("server", "blender_addon"): {"protocol", "pictures", "client"},
    ("trainer", "server"): {"model", "files", "network", "quilt", "strokes"},
    ("trainer", "blender_addon"): {"pictures"},
}
WITH_TORCH = {"network", "quilt", "strokes", "worker"}  # rooms of the server
ABOVE_THE_LINE = {"protocol", "pictures", "client", "tasks"}  # rooms of the add-on without bpy
# The local painter paints without a server; it is loaded only when that is asked for.
TORCH_BESIDE = {"server/client/local_painter.py", "server/client/local_blends.py"}


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module's full name or path; "" for what lies beside the rooms."""
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS[parts[0]] else ""


def test_rooms_are_entered_one_way() -> None:
    for path in python_files(*PACKAGES):
        package, *_ = parts = path.relative_to(ROOT).parts
        own = room_of(parts)
        for name in imported(path):
            target = tuple(name.split("."))
            if target[0] not in PACKAGES or not (room := room_of(target)):
                continue
            if target[0] != package:
                assert room in DOORS[package, target[0]], f"{named(path)} imports {name}"
            elif own and room != own:
                assert room in ROOMS[package][own], f"{named(path)} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_of_rooms_names_every_folder_and_has_no_circle(package: str) -> None:
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert folders == set(ROOMS[package])
    done: set[str] = set()
    for room, may in ROOMS[package].items():
        assert may <= done, f"{room} stands before a room that it imports"
        done.add(room)


def test_torch_stays_in_its_rooms() -> None:
    for path in python_files("server"):
        if room_of(path.relative_to(ROOT).parts) not in WITH_TORCH and named(path) not in TORCH_BESIDE:
            assert not tops(path) & {"torch", "safetensors"}, f"{named(path)} loads torch"


def test_bpy_stays_below_the_line() -> None:
    for path in python_files(*(f"blender_addon/{room}" for room in ABOVE_THE_LINE)):
        assert not needs("bpy", path), f"{named(path)} loads bpy"


def test_what_needs_no_bpy_says_so_and_the_rest_does_not() -> None:
    for path in python_files("blender_addon"):
        says = "no bpy" in " ".join((ast.get_docstring(parsed(path)) or "").lower().split())
        assert says or path.name == "__init__.py" or needs("bpy", path), (
            f"{named(path)} needs no bpy and does not say so"
        )
        assert not (needs("bpy", path) and says), f"{named(path)} says that it needs no bpy"


def test_loading_the_package_loads_no_bpy() -> None:
    assert not needs("bpy", ROOT / "blender_addon" / "__init__.py")


def test_the_add_on_starts_no_thread() -> None:
    for path in python_files("blender_addon"):
        threads = tops(path) & {"threading", "_thread", "concurrent", "multiprocessing"}
        assert not threads, f"{named(path)} imports {threads}"


def test_nothing_is_pickled() -> None:
    for path in python_files(*PACKAGES):
        pickles = tops(path) & {"pickle", "cPickle", "shelve", "marshal", "dill"}
        assert not pickles, f"{named(path)} imports {pickles}"
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                safe = {keyword.arg: keyword.value for keyword in node.keywords}.get("weights_only")
                assert isinstance(safe, ast.Constant), f"{named(path)}:{node.lineno}"
                assert safe.value is True, f"{named(path)}:{node.lineno}"
            saves = isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.save"
            assert not saves, f"{named(path)}:{node.lineno}"


def test_every_module_says_what_it_is() -> None:
    for path in python_files(*FOLDERS):
        docstring = ast.get_docstring(parsed(path))
        assert docstring, f"{named(path)} has no docstring"
        first = docstring.strip().splitlines()[0]
        assert first.endswith((".", ":", ",", ";")) or "\n" in docstring, f"{named(path)}: {first}"


def test_every_public_class_and_function_says_what_it_does() -> None:
    """Those of a module's surface. Methods may be plain from their names and their class's docstring."""
    silent = [
        f"{named(path)}: {node.name}"
        for path in python_files(*PACKAGES)
        for node in parsed(path).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def text_files() -> list[Path]:
    """Everything a clone brings that people wrote, whatever else lies beside it."""
    hidden = {".gitignore", ".pre-commit-config.yaml"}
    top = (path for path in ROOT.iterdir() if path.is_file() and path.name != "LICENSE")
    found = [path for path in top if path.name in hidden or not path.name.startswith(".")]
    for folder in (*FOLDERS, "docs", "farm", ".ci"):
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    endings = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".cfg", ".sh", ".js", ""}
    return sorted(path for path in found if path.suffix in endings)


SERVICES = r"(?!(?:opt/texserver|var/lib)\b)"  # where services lie on every machine: docs/OPERATIONS.md
MACHINES = re.compile(rf"(?<![\w.:/<-])/{SERVICES}(?:work|root|tmp|home|Users|mnt|opt|var|scratch)(?:/|\b)|\b[A-Z]:\\")


def test_no_file_knows_a_path_of_a_machine() -> None:
    known = [
        f"{named(path)}: {line}"
        for path in text_files()
        for line in path.read_text("utf-8").splitlines()
        if MACHINES.search(line) and not line.startswith("MACHINES = ")
    ]
    assert known == []


def test_the_pattern_for_paths_knows_them_from_others() -> None:
    slash = "/"
    assert all(MACHINES.search(text.replace("|", slash)) for text in ('"|tmp|x"', "cd |work|main", "(|home|me"))
    others = ("a|work|b", "https:||host|home|x", "..|tmp|x", "demo|models|brick", "and|or")
    assert not any(MACHINES.search(text.replace("|", slash)) for text in others)


def test_tests_are_no_package() -> None:
    """A package `tests.server` would shadow `server`; pytest imports by path instead."""
    assert not list((ROOT / "tests").rglob("__init__.py"))
