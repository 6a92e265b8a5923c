"""Facts about README.md and docs/: what they tell readers to run, to import and to open is there."""

import argparse
import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from blender_addon.tasks import paint_options
from server.cli import texget
from server.service import serve
from trainer import __main__ as trainer
from trainer import evaluate
from trainer.descriptor import distillation
from trainer.starter import __main__ as starter

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS: dict[str, Callable[[Sequence[str]], Any]] = {
    ".venv/bin/texserver": serve.main,
    ".venv/bin/texget": texget.main,
    "trainer": trainer.main,
    "trainer.evaluate": evaluate.main,
    "trainer.starter": starter.main,
    "trainer.descriptor.distillation": distillation.main,
    "blender": paint_options.parse,
}
OTHERS_OPTIONS = {
    *("--python", "--python-exit-code", "--command", "--online-mode"),  # Blender's
    *("--system", "--home-dir", "--shell", "--now"),  # of useradd and systemctl
    *("--build-arg", "--name"),  # of docker
}


def named(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


def blocks(document: Path, language: str) -> Iterator[str]:
    """The fenced blocks of a language, without the indent they have in a list."""
    for indent, block in re.findall(rf"^( *)```{language}\n(.*?)^ *```$", document.read_text("utf-8"), re.M | re.S):
        yield "\n".join(line.removeprefix(indent) for line in block.splitlines())


def commands(document: Path) -> Iterator[str]:
    for block in blocks(document, "sh"):
        yield from (line for line in block.replace("\\\n", " ").splitlines() if line.strip())


EVERY_COMMAND = [(document, command) for document in DOCUMENTS for command in commands(document)]


class ParsedError(BaseException):
    """The arguments were understood; nothing is done with them."""


@pytest.fixture
def parsers(monkeypatch: pytest.MonkeyPatch) -> list[argparse.ArgumentParser]:
    """Programs stop once they have read their arguments; their parsers are kept here."""
    used: list[argparse.ArgumentParser] = []
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self: argparse.ArgumentParser, arguments: Any = None, namespace: Any = None) -> NoReturn:
        used.append(self)
        parse(self, arguments, namespace)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    return used


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Of a program, and of the commands that it takes."""
    yield from parser._option_string_actions
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options(command)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


def test_the_documents_have_commands() -> None:
    assert len(EVERY_COMMAND) > 20
    assert {README, ROOT / "docs" / "TRAINING.md", ROOT / "docs" / "SERVING.md"} <= {path for path, _ in EVERY_COMMAND}


@pytest.mark.parametrize(("document", "command"), EVERY_COMMAND, ids=named)
@pytest.mark.usefixtures("parsers")
def test_a_command_is_understood_by_the_program_it_names(document: Path, command: str) -> None:
    assert "…" not in command
    assert "..." not in command
    program, *arguments = shlex.split(command)
    if program == ".venv/bin/python" and arguments[0] == "-m":
        _, program, *arguments = arguments
    match program:
        case "make":
            assert set(arguments) <= targets()
        case "blender":
            assert arguments[0] == "-b"
            if arguments[2] == "--command":
                assert arguments[3] == paint_options.NAME
                with pytest.raises(ParsedError):
                    paint_options.parse(arguments[4:])
            else:
                assert arguments[2] == "--python"
        case ".venv/bin/openjd":
            assert arguments[0] == "run"
            defined = re.findall(r"^  - name: (\w+)$", (ROOT / arguments[1]).read_text("utf-8"), re.M)
            assert {each.split("=")[0] for each in arguments[3::2]} <= set(defined)
        case ".venv/bin/python":
            assert (ROOT / arguments[0]).is_file()
        case _:
            with pytest.raises(ParsedError):
                PROGRAMS[program](arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_an_option_that_is_named_is_one_of_our_programs(document: Path, parsers: list[argparse.ArgumentParser]) -> None:
    needed = {"trainer": ["--swatch", "x"], "trainer.evaluate": ["x"], "blender": ["paint"]}
    for name, main in PROGRAMS.items():
        with pytest.raises(ParsedError):
            main(needed.get(name, []))
    with pytest.raises(ParsedError):
        serve.main(["keys", "list"])
    known = {option for parser in parsers for option in options(parser)} | OTHERS_OPTIONS
    text = " ".join(re.findall(r"`[^`]*`", document.read_text("utf-8")))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w=]*\.)", text)) <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_and_pictures_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(document: Path) -> set[str]:
    """Of the headings, as GitHub and others make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_picture_lies_unused() -> None:
    shown = "".join(document.read_text("utf-8") for document in DOCUMENTS)
    assert [path.name for path in (ROOT / "docs" / "images").iterdir() if f"images/{path.name}" not in shown] == []


PYTHON = [(document, block) for document in DOCUMENTS for block in blocks(document, "python")]


@pytest.mark.parametrize(("document", "block"), PYTHON, ids=[named(document) for document, _ in PYTHON])
def test_python_of_the_documents_parses_and_imports_what_there_is(document: Path, block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module != "pathlib":
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_readme_is_a_gallery_of_at_most_160_lines() -> None:
    lines = README.read_text("utf-8").splitlines()
    assert len(lines) <= 160
    first_screen = "\n".join(lines[:14])
    assert "](docs/images/" in first_screen
    assert "```sh" in first_screen


def test_the_readme_names_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/\w+\.md)", README.read_text("utf-8")))
    assert linked == {named(path) for path in (ROOT / "docs").glob("*.md")}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_commands_and_the_python_of_the_readme_run_one_after_the_other(tmp_path: Path) -> None:
    """After what `make demo` leaves: its photographs. The server of the Python part is started here."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    environment.pop("TEXSERVER_CONNECTION", None)
    ours = {".venv/bin/python": [], ".venv/bin/texget": ["-m", "server.cli.texget"]}
    (tmp_path / "demo").mkdir()

    def run(arguments: Sequence[str]) -> None:
        subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment, check=True, timeout=600)

    recipe = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    photographs = [line for line in recipe.splitlines() if line.startswith(".venv/bin/python -c")]
    assert photographs
    for line in photographs:
        run(shlex.split(line)[1:])
    for command in commands(README):
        program, *arguments = shlex.split(command)
        if program != "make":
            run([*ours[program], *arguments])
    server = subprocess.Popen(
        [sys.executable, "-m", "server", "--models", "models"], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL
    )
    try:
        until_found = "import time\nfrom blender_addon.protocol.pairing import default_connection_file as file\n"
        run(["-c", until_found + "for _ in range(300):\n    file().exists() or time.sleep(0.1)"])
        for block in blocks(README, "python"):
            run(["-c", block])
    finally:
        server.terminate()
        server.wait(60)
