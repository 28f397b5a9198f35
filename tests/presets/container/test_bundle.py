"""The bundle as its user meets it: what is in it, where it listens, and that it is built again the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from nitro_py.build.pipeline import write_plan
from nitro_py.errors import UsageError
from tests.bundles import build_project, clean_environment, copy_demo, plan_project, run_bundle


def build(folder: Path, *, vendored: bool = False) -> Path:
    """Build a project for containers, and return its output folder."""
    plan = plan_project(folder, vendored=vendored, preset="container")
    write_plan(plan)
    return plan.output


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the repository's own handlers."""
    return build(copy_demo(tmp_path_factory.mktemp("demo")))


def list_bytes(folder: Path) -> dict[str, bytes]:
    """Read a folder: path → bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_bundle_holds_what_builds_an_image_and_runs_it(demo: Path) -> None:
    beside = {name for name in list_bytes(demo) if not name.startswith("server/")}
    assert beside == {
        ".dockerignore",
        "Dockerfile",
        "compose.yaml",
        "k8s/deployment.yaml",
        "k8s/service.yaml",
        "nginx.conf",
        "nitro.json",
    }
    assert json.loads((demo / "nitro.json").read_text())["preset"] == "container"
    shipped = {path.name for path in (demo / "server/nitro_presets/container").iterdir()}
    assert shipped == {"__init__.py", "entry.py", "health.py"}


def test_bundle_can_be_one_of_many(demo: Path) -> None:
    lines = (demo / "server/requirements.txt").read_text().splitlines()
    assert "redis" in {line.partition("==")[0] for line in lines}


def test_bundle_answers_where_the_variables_say(demo: Path) -> None:
    command = ("--port", "0")
    with run_bundle(demo, *command, environ={"HOST": "127.0.0.2"}) as server:
        assert server.url.startswith("http://127.0.0.2:")
        assert httpx.get(f"{server.url}/api/hello").json() == {"message": "hello"}
        server.stop()
    with run_bundle(demo, "--host", "127.0.0.3", environ={"PORT": "0"}) as server:
        assert server.url.startswith("http://127.0.0.3:")
        assert httpx.post(f"{server.url}/api/echo", json={"text": "hi"}).json() == {"text": "hi"}


def test_bundle_listens_to_everybody_by_default(demo: Path) -> None:
    with run_bundle(demo, "--port", "0") as server:
        port = server.url.rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.9:{port}/api/hello").status_code == 200


def test_port_is_8080_by_default(demo: Path) -> None:
    shown = subprocess.run(
        # Taken by an address that this machine does not have: the error names what was tried.
        [sys.executable, demo / "server", "--host", "192.0.2.1"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 2
    assert "192.0.2.1:8080" in shown.stderr


def test_health_is_asked_where_the_server_listens(demo: Path) -> None:
    probe: list[str | Path] = [sys.executable, "-I", "-S", demo / "server/nitro_presets/container/health.py"]
    for host in ("0.0.0.0", "127.0.0.4"):
        with run_bundle(demo, "--host", host, "--port", "0") as server:
            variables = {"HOST": host, "PORT": server.url.rpartition(":")[2]}
            asked = subprocess.run(probe, env=variables, capture_output=True, text=True, check=False)
            assert (asked.returncode, asked.stdout) == (0, "/_nitro/live: 200\n"), asked.stderr
            server.stop()
        gone = subprocess.run(probe, env=variables, capture_output=True, text=True, check=False)
        assert (gone.returncode, gone.stderr) == (1, "")
        assert "ConnectionRefusedError" in gone.stdout


def test_server_that_answers_something_else_is_not_healthy(demo: Path) -> None:
    class Sick(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

    server = HTTPServer(("127.0.0.1", 0), Sick)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    probe: list[str | Path] = [sys.executable, "-I", "-S", demo / "server/nitro_presets/container/health.py"]
    variables = {"PORT": str(server.server_port)}
    asked = subprocess.run(probe, env=variables, capture_output=True, text=True, check=False)
    thread.join()
    server.server_close()
    assert (asked.returncode, asked.stdout) == (1, "/_nitro/live: 503\n"), asked.stderr


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for name in ("one", "two/deeper"):
        (tmp_path / name).mkdir(parents=True)
        outputs.append(build(copy_demo(tmp_path / name)))
    assert list_bytes(outputs[0]) == list_bytes(outputs[1])


def test_vendored_bundle_carries_what_linux_needs(tmp_path: Path) -> None:
    output = build(copy_demo(tmp_path), vendored=True)
    dockerfile = (output / "Dockerfile").read_text()
    assert "COPY server/vendor server/vendor\n" in dockerfile
    assert "pip" not in dockerfile
    wheels = [path.read_text() for path in (output / "server/vendor").glob("uvloop-*.dist-info/WHEEL")]
    assert len(wheels) == 1
    assert f"manylinux_2_28_{os.uname().machine}" in wheels[0] or "manylinux2014" in wheels[0]
    with run_bundle(output, python=[sys.executable, "-I", "-S"]) as server:
        assert httpx.get(f"{server.url}/api/hello").status_code == 200


def test_the_other_servers_bundle_is_the_same_but_for_its_preset(demo: Path, tmp_path: Path) -> None:
    other = list_bytes(build_project(copy_demo(tmp_path)) / "server")
    own = list_bytes(demo / "server")
    assert {name for name in other.keys() ^ own.keys() if "nitro_presets/" not in name} == set()


def test_broker_of_one_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`backplane` does not fit the preset `container`"):
        plan_project(copy_demo(tmp_path), preset="container", backplane="local")
