"""`preview` and `publish` against real bundles and sockets."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.bundles import Server
from tests.cli.commands import fail, make_project, run_nitropy, serve_project, succeed

PATIENCE = 60.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Build a project and return its folder."""
    root = make_project(tmp_path / "project")
    succeed(root, "build")
    return root


def end(server: Server, number: int = signal.SIGTERM) -> int:
    """Send a signal and return the status."""
    server.process.send_signal(number)
    return server.process.wait(PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serves_until_a_signal_comes(project: Path, number: int) -> None:
    with serve_project(project, "preview", "--port", "0") as server:
        assert httpx.get(f"{server.url}/api/hello").json() == {"message": "hello"}
        pid = int(re.findall(r"Started server process \[(\d+)\]", server.read_log())[0])
        with connect(f"{server.socket_url}/api/chat") as socket:
            assert socket.recv(PATIENCE) == "welcome"
            status = end(server, number)
            assert [*socket] == []
            assert socket.close_code == 1001
    assert status == 0
    assert "Traceback" not in server.read_log()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_listens_where_it_is_told(project: Path) -> None:
    environ = {"HOST": "localhost", "PORT": "0"}
    with serve_project(project, "preview", environ=environ) as server:
        assert httpx.get(f"{server.url}/api/hello").status_code == 200
    with serve_project(project, "preview", "--host", "0.0.0.0", "--port", "0", environ=environ) as server:
        assert server.url.startswith("http://localhost:")
        assert httpx.get(server.url.replace("localhost", "127.0.0.1")).status_code == 200


def test_serves_a_bundle_in_another_folder(project: Path) -> None:
    succeed(project, "build", "--output-dir", "my build")
    with serve_project(project, "preview", "--port", "0", "--output-dir", "my build") as server:
        assert httpx.get(f"{server.url}/api/hello").status_code == 200


def test_hands_the_status_of_the_bundle_on(project: Path) -> None:
    info = json.loads((project / ".output/nitro.json").read_text())
    info["commands"]["preview"] = "python -c 'raise SystemExit(7)'"
    (project / ".output/nitro.json").write_text(json.dumps(info))
    assert run_nitropy(project, "preview").returncode == 7


def test_refuses_another_preset_than_the_built_one(project: Path) -> None:
    (project / ".output/nitro.json").write_text(
        (project / ".output/nitro.json").read_text().replace('"preset": "asgi"', '"preset": "other"')
    )
    assert fail(project, "preview", "--preset", "asgi") == (
        "The bundle in `.output` is built with the preset `other`, not `asgi`.\n"
        "  hint: Build it first: `nitropy build --preset asgi`.\n"
    )
    assert fail(project, "preview", "--preset", "nope").startswith("Unknown preset `nope`")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "`preset`: Field required"),
        ("[" * 9000, "Invalid JSON: recursion limit exceeded"),
        ("\0", "Invalid JSON: "),
        (
            '{"preset": 3, "commands": {"preview": "x", "deploy": null}}',
            "`preset`: Input should be a valid string",
        ),
        ('{"preset": "asgi", "commands": {"preview": "", "deploy": null}}', "`commands.preview`: "),
        ('{"preset": "asgi", "commands": {"preview": "\'", "deploy": null}}', "`commands.preview`: "),
        ('{"preset": "asgi", "commands": {"preview": "a\\u0000", "deploy": null}}', "`commands.preview`: "),
    ],
)
def test_broken_description_of_a_bundle(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / ".output").mkdir()
    (tmp_path / ".output/nitro.json").write_text(text)
    for command in ("preview", "deploy"):
        error = fail(tmp_path, command)
        assert error.startswith(f"`.output/nitro.json` cannot be read: {reason}")
        assert error.endswith("\n  at .output/nitro.json\n  hint: Build one first: `nitropy build`.\n")


@pytest.mark.parametrize("arguments", [("dev", "--port", "0", "--hmr-port", "0"), ("preview", "--port", "0")])
def test_project_that_cannot_be_written(project: Path, arguments: tuple[str, ...]) -> None:
    # In the place of the folder: root may write whatever a folder's mode says.
    (project / ".nitro").write_text("")
    done = run_nitropy(project, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    # Before it, a preview's server says what it does.
    assert done.stderr.endswith(
        "error: `.nitro` cannot be written, by which other commands find the server: File exists.\n"
        "  at .nitro\n"
        "  hint: Make the project a folder that you may write.\n"
    )


def test_publish_reaches_a_connected_peer(project: Path) -> None:
    with serve_project(project, "preview", "--port", "0") as server:
        file = project / ".nitro/run.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text())["url"] == server.url
        assert (project / ".nitro/.gitignore").read_text() == "*\n"
        with connect(f"{server.socket_url}/api/chat") as socket:
            assert socket.recv(PATIENCE) == "welcome"
            assert succeed(project, "publish", "chat", "hello there") == "Published to `chat`.\n"
            assert socket.recv(PATIENCE) == "hello there"
            succeed(project, "publish", "chat", '{"a": [1, "ö"]}', "--namespace", "/api/chat")
            assert socket.recv(PATIENCE) == '{"a":[1,"ö"]}'
            succeed(project, "publish", "chat", "unheard", "--namespace", "/elsewhere")
            # A number is text, as everything is that is no object or array.
            succeed(project, "publish", "chat", "1")
            assert socket.recv(PATIENCE) == "1"
        assert end(server) == 0
        assert not file.exists()
    assert fail(project, "publish", "chat", "hi").startswith("Neither `nitropy dev` nor `nitropy preview` runs")


def test_address_is_found_in_a_log_of_objects(project: Path) -> None:
    with serve_project(project, "preview", "--port", "0", environ={"NITRO_LOG": "json"}) as server:
        assert json.loads((project / ".nitro/run.json").read_text())["url"] == server.url
        assert end(server) == 0


def test_publish_by_address(project: Path, tmp_path: Path) -> None:
    with serve_project(project, "preview", "--port", "0") as server:
        token = json.loads((project / ".nitro/run.json").read_text())["token"]
        succeed(tmp_path, "publish", "chat", "hi", "--url", f"{server.url}/", "--token", token)
        succeed(tmp_path, "publish", "chat", "hi", "--url", server.url, environ={"NITRO_PUBLISH_TOKEN": token})
        wrong = fail(tmp_path, "publish", "chat", "hi", "--url", server.url, "--token", f"{token}x")
        assert wrong.startswith(f"The server at {server.url}/_nitro/publish refused: 403, ")
        assert token not in wrong
    gone = fail(tmp_path, "publish", "chat", "hi", "--url", server.url, "--token", token)
    assert gone.startswith(f"The server at {server.url}/_nitro/publish cannot be reached: ")
    assert fail(tmp_path, "publish", "chat", "hi", "--url", server.url).startswith("`--url` needs the token")
    assert fail(tmp_path, "publish", "chat", "hi", "--url", "file:///etc", "--token", "x").startswith(
        "`file:///etc` is no URL of a server."
    )
