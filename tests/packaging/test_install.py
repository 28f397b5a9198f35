"""The wheel, installed where nothing else is, does what the README promises."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import httpx
import pytest
from uv import find_uv_bin
from websockets.sync.client import connect

from tests.bundles import clean_environment, run_server
from tests.checkout import ROOT

# Downloads on a fresh machine take longer than a test may.
pytestmark = pytest.mark.timeout(600)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that must succeed, away from the checkout, and return what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and what it asks for into a new environment, and return the folder of its programs."""
    folder = tmp_path_factory.mktemp("install")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    programs = folder / "venv/bin"
    pins = ("--constraints", ROOT / "constraints.txt")
    run(find_uv_bin(), "pip", "install", "--quiet", "--python", programs / "python", *pins, wheel, cwd=folder)
    return programs


@pytest.fixture(scope="module")
def app(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an app with `nitropy init` and build it."""
    folder = tmp_path_factory.mktemp("outside")
    run(installed / "nitropy", "init", "app", cwd=folder)
    run(installed / "nitropy", "build", "--preset", "asgi", cwd=folder / "app")
    return folder / "app"


def test_what_is_installed_is_the_wheel(installed: Path, tmp_path: Path) -> None:
    probe = "import nitro_py, nitro_presets.asgi.preset as preset; print(nitro_py.__file__, preset.__file__)"
    site = (installed.parent / "lib").resolve()
    for file in run(installed / "python", "-I", "-c", probe, cwd=tmp_path).split():
        assert Path(file).resolve().is_relative_to(site)
    assert "build" in run(installed / "nitropy", "--help", cwd=tmp_path)


def test_bundle_is_described(app: Path) -> None:
    described = json.loads((app / ".output/nitro.json").read_text())
    assert described["preset"] == "asgi"
    assert (app / ".output" / described["entry"]).is_file()


def test_preview_serves_the_chat(installed: Path, app: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [installed / "nitropy", "preview", "--port", "0"]
    with run_server(command, log=tmp_path / "preview.log", cwd=app) as server:
        assert httpx.get(f"{server.url}/api/hello").json() == {"message": "hello"}
        assert "<title>" in httpx.get(server.url).text
        url = f"{server.socket_url}/api/ws/chat"
        with connect(f"{url}?name=Calm+Otter") as ada:
            assert json.loads(ada.recv(60))["message"].startswith("Welcome ")
            # Messages come after the end of `open`, in which Ada joins the chat.
            ada.send("alone")
            assert json.loads(ada.recv(60))["message"] == "alone"
            with connect(f"{url}?name=Quick+Fox") as ben:
                name = "Quick Fox"
                assert json.loads(ben.recv(60))["message"] == f"Welcome {name}!"
                assert json.loads(ada.recv(60)) == {"user": "server", "message": f"{name} joined!"}
                ben.send("hello")
                for socket in (ada, ben):
                    assert json.loads(socket.recv(60)) == {"user": name, "message": "hello"}
        server.stop()


def test_routes_and_check_work(installed: Path, app: Path) -> None:
    assert "/api/ws/chat" in run(installed / "nitropy", "routes", cwd=app)
    run(installed / "nitropy", "check", cwd=app)
