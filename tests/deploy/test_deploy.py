"""The files of deploy/ agree with the server that they start, and with the programs that read them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from server.config_flags import from_options
from server.front.front import Front
from server.service import serve
from server.service.metrics import FrontCollector
from server.service.server_config import ServerConfig
from tests.models import save_tiny
from tests.server.front.house import House

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNIT, CONTAINER = DEPLOY / "texserver.service", DEPLOY / "Containerfile"
MOST_EXPOSED = 20  # tenths, of systemd-analyze security: below 2.0 of 10


def config_of(arguments: list[str]) -> ServerConfig:
    """What the server would be started with."""
    return from_options(ServerConfig, serve._parser().parse_args(arguments))


def instructions(name: str) -> list[str]:
    """The values of all instructions of this kind in the container's file."""
    text = CONTAINER.read_text("utf-8").replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", text, re.M)


# ------------------------------------------------------------------------------------------------------------- systemd


def unit(folder: Path) -> Path:
    """The unit, with a program that is there."""
    text = UNIT.read_text("utf-8").replace("/opt/texserver/bin/texserver", sys.executable)
    (folder / UNIT.name).write_text(text)
    return folder / UNIT.name


def test_the_unit_starts_a_server_whose_figures_stay_on_its_machine() -> None:
    command = re.search(r"^ExecStart=(.*?[^\\])$", UNIT.read_text("utf-8"), re.M | re.S)
    assert command
    program, *arguments = shlex.split(command[1].replace("\\\n", " "))
    assert program == "/opt/texserver/bin/texserver"
    config = config_of(arguments)
    assert (config.metrics_port, config.metrics_host, config.log_format) == (7780, "127.0.0.1", "json")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_takes_the_unit_and_finds_it_locked_down(tmp_path: Path) -> None:
    for command in (
        ["verify", "--man=no"],
        ["security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager"],
    ):
        done = subprocess.run(
            ["systemd-analyze", *command, str(unit(tmp_path))], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "texserver.service:" not in done.stderr


# ---------------------------------------------------------------------------------------------------------- containers


def test_the_container_s_server_is_no_root_and_listens_beyond_it() -> None:
    (entry,), (command,), (user,) = (instructions(name) for name in ("ENTRYPOINT", "CMD", "USER"))
    program, *arguments = [*json.loads(entry), *json.loads(command)]
    config = config_of(arguments)
    assert program == "texserver"
    assert not user.startswith(("0", "root"))
    assert (config.bind, config.metrics_host) == ("tcp://0.0.0.0:7733", "0.0.0.0")
    assert instructions("EXPOSE") == [f"7733 {config.metrics_port}"]
    for copied in instructions("COPY"):
        *sources, _ = copied.split()
        assert all((DEPLOY.parent / each).exists() for each in sources if not copied.startswith("--from"))


def test_kubernetes_probes_pages_that_there_are() -> None:
    yaml = pytest.importorskip("yaml")
    objects: dict[str, Any] = {
        each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8"))
    }
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    probes = {name: each["httpGet"] for name, each in container.items() if name.endswith("Probe")}
    assert {name: each["path"] for name, each in probes.items()} == {
        "startupProbe": "/readyz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert {each["port"] for each in probes.values()} == {"figures"}
    assert instructions("EXPOSE") == [f"{ports['clients']} {ports['figures']}"]
    assert instructions("USER") == [f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"]
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    assert set(json.loads(instructions("VOLUME")[0])) <= mounted


# ------------------------------------------------------------------------------------------------------------ dashboard


@pytest.fixture
def front(tmp_path: Path) -> Front:
    """One that has painted something, so that it has all its figures."""
    save_tiny(tmp_path, "brick")
    house = House(tmp_path)
    house.joins()
    house.generate()
    house.paint_all()
    house.front._cluster = lambda: {"state": "connected", "wanted": 2, "placed": 2, "workers": 1, "restarts": 1}
    return house.front


def test_every_figure_of_the_dashboard_exists(front: Front) -> None:
    registry = CollectorRegistry()
    registry.register(FrontCollector(front))
    there = set(re.findall(r"^(\w+)(?:\{| )", generate_latest(registry).decode(), re.M))
    text = (DEPLOY / "grafana-dashboard.json").read_text("utf-8")
    named = set(re.findall(r"texserver_\w+", " ".join(every(json.loads(text), "expr"))))
    assert len(named) > 15
    assert named <= there


def every(value: Any, key: str) -> list[str]:
    """All values of this key, wherever it stands."""
    if isinstance(value, dict):
        return [each for name, inner in value.items() for each in ([inner] if name == key else every(inner, key))]
    return [each for inner in value for each in every(inner, key)] if isinstance(value, list) else []


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [each["gridPos"] for each in json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))["panels"]]
    cells = [
        (x, y)
        for each in places
        for x in range(each["x"], each["x"] + each["w"])
        for y in range(each["y"], each["y"] + each["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
