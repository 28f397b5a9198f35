from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from nitro_presets.aws_lambda.gateway.bundle import read_bundle
from nitro_presets.aws_lambda.gateway.gateway import Gateway
from nitro_py.errors import NitroError
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
