"""Streamed answers, byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.presets.aws_lambda.lambda_runtime.api import run_function, serve_api, write_stubs

pytestmark = pytest.mark.anyio

HANDLERS = """
import asyncio
from pathlib import Path

from nitro_presets.aws_lambda.lambda_runtime.response_stream import Prelude, StreamedAnswer

HERE = Path(__file__).parent


def handler(event, context):
    async def produce(stream):
        if event == "early":
            raise ValueError("before the start")
        if event == "nothing":
            return
        await stream.start(Prelude(201, {"x-a": "b"}, ("c=d", "e=f")))
        await stream.write(b"first")
        if event == "late":
            raise ValueError("after the start")
        if event == "long":
            raise ValueError("x" * 10_000)
        if event == "large":
            await stream.write(bytes(400_000))
            return
        while not (HERE / "gate").exists():
            await asyncio.sleep(0.01)
        await stream.write(b"")
        await stream.write(b"last")

    return StreamedAnswer(produce)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Make a package with a handler that streams."""
    write_stubs(tmp_path)
    (tmp_path / "streams.py").write_text(HANDLERS)
    return tmp_path


async def test_first_chunk_is_out_before_the_last_is_produced(package: Path) -> None:
    async with serve_api() as api, run_function(package, "streams.handler", api):
        post = await api.invoke("gated", id="s")
        await post.until(lambda: len(post.chunks) == 2)
        assert post.body == b"first"
        assert not post.complete
        (package / "gate").touch()
        await post.until(lambda: post.closed)
        await api.until_polled(2)
    assert post.complete
    assert post.path == "/2018-06-01/runtime/invocation/s/response"
    assert post.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert post.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert post.headers["transfer-encoding"] == "chunked"
    assert post.headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    prelude = b'{"statusCode":201,"headers":{"x-a":"b"},"cookies":["c=d","e=f"]}' + bytes(8)
    assert post.chunks == [prelude, b"first", b"last"]
    assert post.raw.endswith(b"\r\n4\r\nlast\r\n0\r\n\r\n")
    assert post.trailers == {}


@pytest.mark.parametrize(
    ("event", "message"), [("early", "before the start"), ("nothing", "The handler ended without a response.")]
)
async def test_error_before_the_start_is_the_invocations(package: Path, event: str, message: str) -> None:
    async with serve_api() as api, run_function(package, "streams.handler", api):
        post = await api.whole(event, id="s")
        await api.until_polled(2)
        assert api.connections == 1
    assert post.path == "/2018-06-01/runtime/invocation/s/error"
    assert post.json()["errorMessage"] == message


async def test_error_after_the_start_is_told_by_the_trailers(package: Path) -> None:
    async with serve_api() as api, run_function(package, "streams.handler", api):
        post = await api.invoke("late")
        await post.until(lambda: post.closed)
        assert (await api.whole("early")).path.endswith("/error")
    assert post.chunks[1:] == [b"first"]
    assert post.trailers["lambda-runtime-function-error-type"] == "Function.ValueError"
    error = post.late_error()
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "after the start")
    assert "produce" in error["stackTrace"][-1]


async def test_late_error_fits_into_a_trailer(package: Path) -> None:
    async with serve_api() as api, run_function(package, "streams.handler", api):
        post = await api.invoke("long")
        await post.until(lambda: post.closed)
    assert len(post.trailers["lambda-runtime-function-error-body"]) <= 4096
    assert post.late_error()["errorMessage"] == "x" * 512


async def test_large_chunk_arrives_whole(package: Path) -> None:
    async with serve_api() as api, run_function(package, "streams.handler", api):
        post = await api.invoke("large")
        await post.until(lambda: post.closed)
    assert len(post.body) == 400_005


async def test_refused_stream_is_logged_and_the_next_invocation_served(package: Path) -> None:
    async with serve_api(status=413) as api, run_function(package, "streams.handler", api):
        await api.whole("large")
        assert (await api.whole("early")).path.endswith("/error")
    assert "The Runtime API refused a streamed response: 413" in (package / "log").read_text()
