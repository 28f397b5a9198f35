"""The bundle as an operator meets it: where it runs, what it listens on, what it holds, how it is built again."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import venv
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from nitro_py import __version__
from tests.bundles import (
    build_project,
    clean_environment,
    copy_demo,
    plan_project,
    run_bundle,
    run_refused,
    run_server,
    write_files,
)
from tests.ports import find_port, listen_somewhere

PROJECT = {
    "handlers/prices/[name].get.py": """
        from nitro_py import Event, define_handler
        from shop import price_of

        from .._money import format_money

        @define_handler
        def handler(event: Event) -> dict[str, str]:
            import vault

            return {"price": format_money(price_of(event.params["name"])), "vault": vault.open()}
        """,
    "handlers/_money.py": """
        def format_money(cents: int) -> str:
            return f"{cents / 100:.2f}"
        """,
    "shop/__init__.py": """
        from importlib.resources import files

        def price_of(name: str) -> int:
            # Loaded at the first call, when the project may long be gone.
            from shop.tax import add_tax

            listed = dict(line.split() for line in (files("shop") / "prices.txt").read_text().splitlines())
            return add_tax(int(listed[name]))
        """,
    "shop/tax.py": """
        def add_tax(cents: int) -> int:
            return cents * 2
        """,
    "shop/prices.txt": "apple 150\nbread 300\n",
    "src/vault/__init__.py": """
        def open() -> str:
            from .door import unlock

            return unlock()
        """,
    "src/vault/door.py": """
        def unlock() -> str:
            return "open"
        """,
    "public/notes/hello.txt": "Hello.",
    "unused/__init__.py": "raise RuntimeError('nobody imports me')",
}


def list_bytes(folder: Path) -> dict[str, bytes]:
    """Read a folder: path → bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_bundle_runs_without_its_project(tmp_path: Path) -> None:
    root = write_files(tmp_path / "project", PROJECT)
    moved = tmp_path / "elsewhere" / "bundle"
    moved.parent.mkdir()
    shutil.move(build_project(root), moved)
    shutil.rmtree(root)
    before = list_bytes(moved)
    assert not [path for path in before if "unused" in path]
    with run_bundle(moved, cwd=Path("/"), environ={"PYTHONDONTWRITEBYTECODE": "1"}) as server:
        answer = httpx.get(f"{server.url}/prices/apple")
        assert (answer.status_code, answer.json()) == (200, {"price": "3.00", "vault": "open"}), server.read_log()
        assert httpx.get(f"{server.url}/notes/hello.txt").text == "Hello."
        server.stop()
    assert list_bytes(moved) == before


def test_demo_answers(demo_server: str) -> None:
    assert httpx.get(f"{demo_server}/api/hello").json() == {"message": "hello"}
    assert httpx.get(f"{demo_server}/api/users/a%2Fb").json() == {"id": "a/b"}
    assert httpx.post(f"{demo_server}/api/echo", json={"text": "hi"}).json() == {"text": "hi"}
    assert httpx.post(f"{demo_server}/api/echo", json={"text": 1}).status_code == 400
    assert httpx.get(f"{demo_server}/_nitro/health").json() == {"status": "ok"}


@pytest.mark.parametrize("by", ["flags", "variables"])
def test_address_is_chosen(demo_bundle: Path, by: str) -> None:
    port = find_port("127.0.0.2")
    environ = {"HOST": "127.0.0.2", "PORT": str(port)}
    arguments = ["--host", "127.0.0.2", "--port", str(port)]
    if by == "flags":
        # The flags win.
        environ = {"HOST": "127.0.0.3", "PORT": "1"}
    else:
        arguments = []
    command: list[str | Path] = [sys.executable, demo_bundle / "server", *arguments]
    with run_server(command, log=demo_bundle.with_name(by), environ=environ) as server:
        assert server.url == f"http://127.0.0.2:{port}"
        assert httpx.get(f"http://127.0.0.2:{port}/api/hello").status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/api/hello")


def fail_to_run(bundle: Path, *arguments: str) -> str:
    """Run a bundle that cannot start, and return its error."""
    done = subprocess.run(
        [sys.executable, str(bundle / "server"), *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    return done.stderr


def test_busy_port_names_the_next_free_one(demo_bundle: Path) -> None:
    with listen_somewhere() as listener:
        port = listener.getsockname()[1]
        shown = fail_to_run(demo_bundle, "--port", str(port))
        lines = shown.splitlines()
        assert lines[0] == f"error: Port {port} on 127.0.0.1 is busy."
        hint, _, rest = lines[1].partition("--port ")
        assert hint == "  hint: Use `"
        named = int(rest.partition("`")[0])
        assert port < named
        with socket.create_server(("127.0.0.1", named)):
            pass
        assert len(lines) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "error: `70000` is no port: expected 0 to 65535."),
        (["--port", "http"], "argument --port: invalid int value: 'http'"),
        (["--host", "nowhere.invalid"], "error: The host `nowhere.invalid` is unknown."),
    ],
)
def test_wrong_address_is_explained(demo_bundle: Path, arguments: list[str], message: str) -> None:
    shown = fail_to_run(demo_bundle, *arguments)
    assert message in shown
    assert "Traceback" not in shown


def test_declared_dependencies_are_required_and_vendored(tmp_path: Path) -> None:
    # No handler imports it, as none imports a database's driver.
    text = '[project]\nname = "shop"\ndependencies = ["nitropy-kit", "markdown-it-py>=3"]\n'
    handler = "from nitro_py import define_handler\n\n\n@define_handler\nasync def handler(event): ...\n"
    files = {"pyproject.toml": text, "handlers/index.get.py": handler}
    server = build_project(write_files(tmp_path, files), vendored=True) / "server"
    required = (server / "requirements.txt").read_text()
    assert {"markdown-it-py", "mdurl"} < {line.partition("==")[0] for line in required.splitlines()}
    assert list(server.rglob("markdown_it/__init__.py"))


def test_file_that_is_gone_is_named(tmp_path: Path) -> None:
    bundle = build_project(copy_demo(tmp_path))
    (bundle / "server/handlers/api/hello.get.py").unlink()
    told = run_refused(bundle)
    assert "The file `handlers/api/hello.get.py` does not exist." in told
    assert "hint: Build the bundle again." in told


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for folder in ("one", "two/deeper"):
        (tmp_path / folder).mkdir(parents=True)
        root = write_files(copy_demo(tmp_path / folder), PROJECT)
        outputs.append(build_project(root))
    # What Python leaves beside the sources must not matter either.
    (tmp_path / "two/deeper/handlers/__pycache__").mkdir()
    (tmp_path / "two/deeper/handlers/__pycache__/x.pyc").write_bytes(b"x")
    build_project(tmp_path / "two/deeper")
    first, second = (list_bytes(output) for output in outputs)
    assert "server/requirements.txt" in first
    assert first == second
    modes = [{path.relative_to(o): path.stat().st_mode for path in o.rglob("*")} for o in outputs]
    assert modes[0] == modes[1]
    assert not [path for path, data in first.items() if str(tmp_path).encode() in data]


def test_vendored_bundle_runs_on_a_bare_python(tmp_path: Path) -> None:
    output = build_project(copy_demo(tmp_path), vendored=True)
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)
    python = bare / "bin/python"
    lacking = subprocess.run([python, "-I", "-c", "import uvicorn"], capture_output=True, text=True, check=False)
    assert "No module named 'uvicorn'" in lacking.stderr
    # `-S` leaves out site-packages altogether.
    with run_bundle(output, python=[python, "-I", "-S"]) as server:
        assert httpx.post(f"{server.url}/api/echo", json={"text": "hi"}).json() == {"text": "hi"}
        assert httpx.get(f"{server.url}/api/echo").status_code == 405
        server.stop()
    lines = (output / "server/requirements.txt").read_text().splitlines()
    installed = {path.name.partition("-")[0].lower() for path in (output / "server/vendor").glob("*.dist-info")}
    assert installed == {Requirement(line).name.replace("-", "_") for line in lines}


def test_requirements_are_pinned_and_no_more_than_needed(demo_bundle: Path) -> None:
    lines = (demo_bundle / "server/requirements.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines]
    assert [str(item.specifier)[:2] for item in requirements] == ["=="] * len(lines)
    names = {item.name for item in requirements}
    assert {"uvicorn", "uvloop", "httptools", "websockets", "starlette", "pydantic"} <= names
    assert not names & {"nitropy-kit", "boto3", "mangum", "typer", "watchfiles", "uv"}


def test_uvicorn_serves_the_bundle(demo_bundle: Path) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        demo_bundle / "server",
        "nitro_server:app",
        "--port=0",
    ]
    announcement = "Uvicorn running on "
    with run_server(command, log=demo_bundle.with_name("uvicorn"), announcement=announcement) as server:
        assert httpx.get(f"{server.url}/api/users/7").json() == {"id": "7"}
        assert "text/html" in httpx.get(server.url).headers["content-type"]


def test_description_says_how_to_run_it(demo_bundle: Path) -> None:
    described = json.loads((demo_bundle / "nitro.json").read_text())
    assert described == {
        "preset": "asgi",
        "versions": {"nitro-py": __version__, "python": "{}.{}".format(*sys.version_info[:2])},
        "mode": "production",
        "entry": "server/__main__.py",
        "app": "nitro_server:app",
        "manifest": "server/manifest.json",
        "commands": {"preview": "python .output/server", "deploy": None},
    }
    assert all((demo_bundle / described[name]).is_file() for name in ("entry", "manifest"))


def test_manifest_describes_every_route(demo_bundle: Path) -> None:
    manifest = json.loads((demo_bundle / "server/manifest.json").read_text())
    assert (manifest["version"], manifest["mode"]) == (2, "production")
    described = {
        route["path"]: (route["kind"], route["methods"], route["hooks"], route["requires"], route["file"])
        for route in manifest["routes"]
    }
    hooks = ["upgrade", "open", "message", "close"]
    assert described == {
        "/": ("http", ["GET"], [], ["http"], "handlers/index.get.py"),
        "/api/chat": ("http", ["GET"], [], ["http"], "handlers/api/chat.get.py"),
        "/api/echo": ("http", ["POST"], [], ["http"], "handlers/api/echo.post.py"),
        "/api/hello": ("http", ["GET"], [], ["http"], "handlers/api/hello.get.py"),
        "/api/sse": ("sse", [], [], ["http", "streaming"], "handlers/api/sse.py"),
        "/api/users/[id]": ("http", ["GET"], [], ["http"], "handlers/api/users/[id].get.py"),
        "/api/ws/chat": ("websocket", [], hooks, ["websocket"], "handlers/api/ws/chat.py"),
    }
    for route in manifest["routes"]:
        source = (demo_bundle / "server" / route["file"]).read_bytes()
        assert route["hash"] == hashlib.sha256(source).hexdigest()


def test_settings_ship_and_the_rest_of_the_configuration_does_not(tmp_path: Path) -> None:
    text = "[websocket]\nmax_queue = 7\n[dev]\nport = 4321\n[runtime_config]\nname = 'shop'\n"
    root = write_files(tmp_path, PROJECT | {"nitro.toml": text})
    settings = plan_project(root).manifest.settings
    assert not {"aws", "dev", "features", "handlers_dir", "include", "output_dir", "preset"} & set(settings)
    assert settings["websocket"]["max_queue"] == 7
    assert settings["runtime_config"] == {"name": "shop"}
