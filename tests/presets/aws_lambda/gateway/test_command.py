from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_sync

from nitro_presets.aws_lambda.gateway.access_log import GatewayRequestLog
from nitro_presets.aws_lambda.gateway.bundle import read_bundle
from nitro_presets.aws_lambda.gateway.gateway import Gateway
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest
from nitro_py.errors import NitroError
from tests.bundles import build_project, write_files
from tests.cli.commands import serve_project
from tests.presets.aws_lambda.gateway.bundles import write_bundle

COMMAND = [sys.executable, "-m", "nitro_presets.aws_lambda.gateway"]


@asynccontextmanager
async def run(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run the command until it listens."""
    running = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=subprocess.PIPE)
    assert running.stdout is not None
    try:
        line = (await asyncio.wait_for(running.stdout.readline(), 60)).decode()
        assert line.startswith("Listening on http://127.0.0.1:")
        yield running, line.removeprefix("Listening on ").strip()
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


@pytest.mark.anyio
async def test_command_serves_until_it_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITRO_RUNTIME_CONFIG__A", "1")
    write_bundle(tmp_path / "output", http={"environment": {"LOG": str(tmp_path / "log")}}, websocket={})
    async with run(str(tmp_path / "output"), "--port", "0", "--concurrency", "2") as (running, url):
        async with httpx.AsyncClient() as client:
            response = await client.get(url + '/?order={"do":"environment"}')
        told = response.json()
        assert told["NITRO_RUNTIME_CONFIG__A"] == "1"
        async with httpx.AsyncClient() as client:
            # DynamoDB was started along with it.
            assert (await client.get(told["AWS_ENDPOINT_URL_DYNAMODB"])).status_code < 500
        running.send_signal(signal.SIGTERM)
        assert running.stdout is not None
        rest = (await running.stdout.read()).decode()
        assert await running.wait() == 0
        assert "[http 1] hello nitro_http.handler" in rest


@pytest.mark.anyio
async def test_command_logs_requests_and_sockets(tmp_path: Path) -> None:
    environment = {"environment": {"LOG": str(tmp_path / "log")}}
    write_bundle(tmp_path / "output", http=environment, websocket=environment)
    refusal = json.dumps({"do": "return", "value": {"statusCode": 403}})
    async with run(str(tmp_path / "output"), "--port", "0") as (running, url):
        async with httpx.AsyncClient() as client:
            await client.post(f"{url}/a%1b?b=1", content=b"")
            assert (await client.get(f"{url}/_aws/nothing")).status_code == 404
            assert (await client.get(f"{url}/c", headers={"host": "evil.test"})).status_code == 403
        sockets = url.replace("http", "ws")
        async with connect(f"{sockets}/chat?room=1") as socket:
            port = socket.local_address[1]
            await socket.close(4001, "enough")
        with pytest.raises(InvalidStatus):
            await connect(f"{sockets}/chat?order={quote(refusal)}")
        async with connect(f"{sockets}/other"):
            running.send_signal(signal.SIGTERM)
            assert running.stdout is not None
            rest = (await running.stdout.read()).decode()
    assert re.search(r'^INFO:     127\.0\.0\.1:\d+ - "POST /a%1b\?b=1 HTTP/1\.1" 200 OK$', rest, re.MULTILINE)
    assert re.search(r'^INFO:     127\.0\.0\.1:\d+ - "GET /c HTTP/1\.1" 403 Forbidden$', rest, re.MULTILINE)
    lines = rest.splitlines()
    first = f'INFO:     127.0.0.1:{port} - "WebSocket /chat?room=1"'
    assert [line for line in lines if "room=1" in line and line.startswith("INFO:")] == [
        f"{first} [accepted]",
        f"{first} [closed 4001 enough]",
    ]
    assert [line.rpartition('" ')[2] for line in lines if "WebSocket /chat?order=" in line] == ["403"]
    assert [line.rpartition('" ')[2] for line in lines if '"WebSocket /other"' in line] == [
        "[accepted]",
        "[closed 1001 Going away]",
    ]
    assert "/_aws/" not in "".join(line for line in lines if line.startswith("INFO:"))
    assert "\033" not in rest


ECHO = """
    from nitro_py import Message, Peer, define_websocket_handler

    async def message(peer: Peer, message: Message) -> None:
        await peer.send(message.text())

    handler = define_websocket_handler(message=message)
    """


def test_preview_injects_faults_and_tells_what_ran(tmp_path: Path) -> None:
    settings = 'experimental.websocket = true\npreset = "aws-lambda"\n'
    build_project(write_files(tmp_path, {"nitro.toml": settings, "handlers/echo.py": ECHO}))
    # The share of everything: the message is delivered all the same.
    faults = ("--fault", "double_disconnect=1", "--fault", "slow=0.01", "--fault", "seed=1")
    with serve_project(tmp_path, "preview", "--port", "0", *faults) as server:
        with connect_sync(f"{server.socket_url}/echo") as socket:
            socket.send("hello")
            assert socket.recv(60) == "hello"
        server.stop()
        lines = server.read_log().splitlines()
    work = [line for line in lines if re.match(r"(websocket|[a-z-]+): \d+ (invocation|call)s?", line)]
    assert [line.partition(":")[0] for line in work] == ["websocket", "dynamodb", "execute-api"]
    assert re.fullmatch(r"websocket: \d+ invocations, \d+ cold starts?", work[0])
    assert re.fullmatch(r"dynamodb: \d+ calls \(.*GetItem \d+.*PutItem \d+.*\)", work[1])
    assert work[2] == "execute-api: 1 call (POST 1)"


def test_control_characters_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    request = GatewayRequest("GET", "/a\x9b2J", (), "127.0.0.1")
    with caplog.at_level("INFO", "nitro_py.aws.gateway"):
        GatewayRequestLog("127.0.0.1:1", request).on_status(200)
        GatewayRequestLog("127.0.0.1:1", request).on_disconnect(4000, "a\r\nINFO: b")
    assert caplog.messages == [
        'INFO:     127.0.0.1:1 - "GET /a\\x9b2J HTTP/1.1" 200 OK',
        'INFO:     127.0.0.1:1 - "WebSocket /a\\x9b2J" [closed 4000 a\\r\\nINFO: b]',
    ]


def fail(*arguments: str) -> str:
    """Run the command in vain, and return what it says."""
    failed = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr
    return failed.stderr


def test_command_says_what_is_wrong(tmp_path: Path) -> None:
    write_bundle(tmp_path / "output", http={})
    assert "There is no bundle in" in fail(str(tmp_path), "--port", "0")
    assert "There is no fault `x`" in fail(str(tmp_path / "output"), "--port", "0", "--fault", "x=1")
    for count in ("0", "-1", "x"):
        said = fail(str(tmp_path / "output"), "--port", "0", f"--concurrency={count}")
        assert f"argument --concurrency: expected a number from 1 on, got `{count}`" in said


def test_bundle_of_another_preset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nitro.json").write_text(json.dumps({"preset": "asgi"}))
    with pytest.raises(NitroError, match="not one of the preset `aws-lambda`"):
        read_bundle(tmp_path)


def test_broken_bundle_is_named(tmp_path: Path) -> None:
    (tmp_path / "nitro.json").write_text("{")
    with pytest.raises(NitroError, match=r"`nitro\.json` is no JSON"):
        read_bundle(tmp_path)
    broken: list[object] = [1, ["http"], {"http": 1}, {"http": {}}, {"http": {"handler": "a.b", "memory": "much"}}]
    for functions in broken:
        (tmp_path / "nitro.json").write_text(json.dumps({"functions": functions}))
        with pytest.raises(NitroError, match=r"`functions` in `nitro\.json` is broken"):
            read_bundle(tmp_path)
    functions = {"http": {"handler": "a.b"}}
    (tmp_path / "nitro.json").write_text(json.dumps({"functions": functions, "public": {"folders": []}}))
    with pytest.raises(NitroError, match=r"`public` in `nitro\.json` is broken: KeyError"):
        read_bundle(tmp_path)


@pytest.mark.anyio
async def test_missing_moto_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path, websocket={})
    # As the import system sees a package that is not there.
    monkeypatch.setitem(sys.modules, "moto", None)
    with pytest.raises(NitroError) as error:
        await Gateway(tmp_path).__aenter__()
    assert "needs `moto`" in str(error.value)
    assert 'pip install "nitropy-kit[aws]"' in str(error.value)


@pytest.mark.parametrize("package", ["flask", "h11", "moto", "wsproto"])
def test_command_names_the_extra_that_is_missing(tmp_path: Path, package: str) -> None:
    write_bundle(tmp_path, websocket={})
    missing = f"import runpy, sys; sys.modules[{package!r}] = None"
    program = f"{missing}; runpy.run_module({COMMAND[-1]!r}, run_name='__main__')"
    command = [sys.executable, "-c", program, str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: The local gateway needs `{package}`, which is not installed.\n"
        '  hint: Install the extra `aws`: `pip install "nitropy-kit[aws]"`.\n',
    )
