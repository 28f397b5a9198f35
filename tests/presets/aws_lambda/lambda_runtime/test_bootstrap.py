"""The Runtime API client as a process, against a Runtime API that keeps every byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.presets.aws_lambda.lambda_runtime.api import run_function, serve_api, write_stubs

pytestmark = pytest.mark.anyio

HANDLERS = """
import os
import time
import asyncio
import logging
from pathlib import Path

HERE = Path(__file__).parent
calls = 0


def plain(event, context):
    global calls
    calls += 1
    print("printed")
    logging.getLogger("app").warning("logged")
    return {
        "event": event,
        "calls": calls,
        "id": context.aws_request_id,
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "left": context.get_remaining_time_in_millis(),
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }


async def slow(event, context):
    await asyncio.sleep(0)

    async def note():
        while not (HERE / "gate").exists():
            await asyncio.sleep(0.01)
        (HERE / "deferred").write_text("done")

    context.defer(note)
    return event["n"] * 2


def fickle(event, context):
    if event == "raise":
        raise ValueError("no such thing")
    if event == "cancel":
        raise asyncio.CancelledError
    if event == "object":
        return object()
    return event


class Live:
    async def start(self):
        (HERE / "started").write_text("")

    async def stop(self):
        (HERE / "stopped").write_text("")

    def __call__(self, event, context):
        return (HERE / "started").exists()


live = Live()
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Make a package with handlers of every sort."""
    write_stubs(tmp_path)
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "broken.py").write_text("raise RuntimeError('no database')\n")
    return tmp_path


async def test_serves_one_invocation_after_the_other_on_one_connection(package: Path) -> None:
    async with serve_api() as api, run_function(package, "handlers.plain", api):
        # The time of an invocation begins when it is handed out.
        await api.until_polled(1)
        first = await api.whole({"n": 1}, id="a", trace="Root=1-2;Sampled=0")
        second = await api.whole({"n": 2}, id="b", seconds=5)
        await api.until_polled(3)
        assert api.connections == 1
    answer = first.json()
    assert first.path == "/2018-06-01/runtime/invocation/a/response"
    assert 25_000 < answer.pop("left") <= 30_000
    assert answer == {
        "event": {"n": 1},
        "calls": 1,
        "id": "a",
        "name": "app",
        "memory": "512",
        "arn": "arn:aws:lambda:eu-central-1:1:function:app",
        "trace": "Root=1-2;Sampled=0",
    }
    assert second.path == "/2018-06-01/runtime/invocation/b/response"
    assert (second.json()["calls"], second.json()["trace"]) == (2, None)
    assert second.json()["left"] <= 5_000


async def test_deferred_work_is_done_after_the_answer_and_before_the_next_event(package: Path) -> None:
    async with serve_api() as api, run_function(package, "handlers.slow", api):
        post = await api.whole({"n": 21})
        assert post.json() == 42
        assert not (package / "deferred").exists()
        (package / "gate").touch()
        await api.until_polled(2)
        assert (package / "deferred").exists()


@pytest.mark.parametrize(
    ("event", "name"), [("raise", "ValueError"), ("cancel", "CancelledError"), ("object", "TypeError")]
)
async def test_error_is_told_and_the_next_invocation_served(package: Path, event: str, name: str) -> None:
    async with serve_api() as api, run_function(package, "handlers.fickle", api):
        failed = await api.whole(event, id="x")
        assert failed.path == "/2018-06-01/runtime/invocation/x/error"
        assert failed.headers["lambda-runtime-function-error-type"] == f"Function.{name}"
        assert failed.json()["errorType"] == name
        assert (await api.whole("fine")).json() == "fine"
    if event == "raise":
        assert failed.json()["errorMessage"] == "no such thing"
        assert "fickle" in failed.json()["stackTrace"][-1]


@pytest.mark.parametrize(
    ("handler", "name", "message"),
    [
        ("broken.handler", "RuntimeError", "no database"),
        ("missing.handler", "ModuleNotFoundError", "No module named 'missing'"),
        ("handlers.nothing", "NitroError", "The module `handlers` has no function `nothing`."),
        ("handlers", "NitroError", "`_HANDLER` is `handlers`: expected `module.function`."),
    ],
)
async def test_function_that_cannot_start_says_so_and_ends(
    package: Path, handler: str, name: str, message: str
) -> None:
    async with serve_api() as api, run_function(package, handler, api) as process:
        post = await api.next_post()
        await post.until(lambda: post.complete)
        assert await process.wait() == 1
        assert api.polls == 0
    assert post.path == "/2018-06-01/runtime/init/error"
    assert post.headers["lambda-runtime-function-error-type"] == f"Runtime.{name}"
    assert (post.json()["errorType"], post.json()["errorMessage"]) == (name, message)


async def test_handler_is_started_before_the_first_event_and_stopped_by_sigterm(package: Path) -> None:
    async with serve_api() as api, run_function(package, "handlers.live", api) as process:
        await api.until_polled(1)
        assert (package / "started").exists()
        assert (await api.whole(None)).json() is True
        await api.until_polled(2)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert (package / "stopped").exists()


async def test_snapshot_is_taken_before_the_start(package: Path) -> None:
    environ = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
    async with serve_api() as api, run_function(package, "handlers.live", api, environ):
        assert api.polls == 0
        assert not (package / "started").exists()
        api.restored.set()
        assert (await api.whole(None)).json() is True


async def test_answer_that_is_refused_is_logged_and_the_next_one_served(package: Path) -> None:
    async with serve_api(status=413) as api, run_function(package, "handlers.fickle", api):
        await api.whole("a")
        assert (await api.whole("b")).json() == "b"
    assert "The Runtime API refused a response: 413" in (package / "log").read_text()


async def test_logs_as_the_managed_runtime_does(package: Path) -> None:
    async with serve_api() as api, run_function(package, "handlers.plain", api):
        await api.whole({}, id="the-id")
        printed, logged = (package / "log").read_text().splitlines()
    assert printed == "printed"
    level, stamp, id, message = logged.split("\t")
    assert (level, id, message) == ("[WARNING]", "the-id", "logged")
    assert stamp.startswith(time.strftime("%Y-", time.gmtime()))
    assert stamp.endswith("Z")


async def test_logs_json_from_a_level_on(package: Path) -> None:
    environ = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "ERROR"}
    async with serve_api() as api, run_function(package, "handlers.fickle", api, environ):
        await api.whole("raise", id="the-id")
    record = json.loads((package / "log").read_text())
    assert (record["level"], record["requestId"], record["logger"]) == ("ERROR", "the-id", "nitro_py.aws")
    assert record["stackTrace"][-1] == "ValueError: no such thing"
    async with serve_api() as api, run_function(package, "handlers.plain", api, environ):
        await api.whole({})
    assert (package / "log").read_text() == "printed\n"


async def test_traceback_is_one_record_where_the_platform_takes_frames(package: Path) -> None:
    reading, writing = os.pipe()
    environ = {"_LAMBDA_TELEMETRY_LOG_FD": str(writing)}
    async with serve_api() as api, run_function(package, "handlers.fickle", api, environ, (writing,)):
        await api.whole("raise")
    os.close(writing)
    with os.fdopen(reading, "rb") as log:
        frame = log.read()
    assert frame[:4] == bytes.fromhex("a55a0003")
    assert abs(int.from_bytes(frame[8:16], "big") / 1e6 - time.time()) < 60
    text = frame[16:].decode()
    assert len(frame[16:]) == int.from_bytes(frame[4:8], "big")
    assert text.startswith("[ERROR]")
    assert text.endswith("ValueError: no such thing")
    assert (package / "log").read_text() == ""


def test_nothing_heavy_is_loaded_before_a_request_needs_it() -> None:
    probe = """
import sys
import nitro_presets.aws_lambda.http.function
import nitro_presets.aws_lambda.lambda_runtime.bootstrap
print(sorted({"anyio", "boto3", "botocore", "mangum", "pydantic", "starlette", "uvicorn"} & sys.modules.keys()))
"""
    probed = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert probed.stdout == "[]\n"


def test_says_what_is_missing_outside_of_lambda() -> None:
    command = [sys.executable, "-c", "from nitro_presets.aws_lambda.lambda_runtime.bootstrap import main; main()"]
    environ = {name: value for name, value in os.environ.items() if name != "AWS_LAMBDA_RUNTIME_API"}
    started = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert started.returncode == 1
    assert started.stderr.startswith("error: `AWS_LAMBDA_RUNTIME_API` is not set")
    assert "Traceback" not in started.stderr
