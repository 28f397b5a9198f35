"""Streamed answers of the HTTP function in its own process, against the Runtime API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.presets.aws_lambda.http.project import make_event, write_project
from tests.presets.aws_lambda.lambda_runtime.api import run_function, serve_api

pytestmark = pytest.mark.anyio

HANDLER = "nitro_http.handler"


async def test_events_stream_as_they_are_produced_and_end_after_their_time(tmp_path: Path) -> None:
    package = write_project(tmp_path, streaming="function-url", stream_seconds=2)
    async with serve_api() as api, run_function(package, HANDLER, api):
        post = await api.invoke(make_event("function-url", "/api/ticks", query="gate=1"))
        await post.until(lambda: len(post.chunks) == 2)
        assert post.body == b"data: 0\n\n"
        (package / "gate").touch()
        await post.until(lambda: post.closed)
        await api.until_polled(2)
    assert (package / "cleaned").exists()
    assert post.complete
    assert post.trailers == {}
    assert post.body.startswith(b"data: 0\n\ndata: 1\n\ndata: 2\n\n")
    assert post.prelude["statusCode"] == 200
    assert post.prelude["cookies"] == ["a=1", "b=2"]
    assert post.prelude["headers"]["content-type"] == "text/event-stream"


async def test_every_answer_of_a_function_url_streams(tmp_path: Path) -> None:
    package = write_project(tmp_path, streaming="function-url")
    async with serve_api() as api, run_function(package, HANDLER, api):
        shown = await api.whole(
            make_event("function-url", "/api/show/a%2Fb", method="POST", query="q=1", cookies=("c=1",), body=b"x")
        )
        missing = await api.whole(make_event("function-url", "/api/nothing"))
        unsaid = await api.whole(make_event("function-url", "/api/unsaid"))
        empty = await api.whole(make_event("function-url", "/api/bytes", method="HEAD"))
        await api.until_polled(5)
        assert (package / "plugin.log").read_text() == "start "
    assert (package / "plugin.log").read_text() == "start stop "
    seen = json.loads(shown.body)
    assert (seen["name"], seen["cookies"], seen["body"], seen["query"]) == ("a/b", {"c": "1"}, "x", ["1"])
    assert seen["url"] == "https://app.test/api/show/a%2Fb?q=1"
    assert shown.prelude["cookies"] == ["a=1", "b=2"]
    assert missing.prelude["statusCode"] == 404
    assert (unsaid.prelude["statusCode"], unsaid.body) == (200, b"chunk")
    assert (empty.prelude["headers"]["content-length"], empty.body) == ("256", b"")


async def test_error_in_a_stream_is_told_by_the_trailers(tmp_path: Path) -> None:
    package = write_project(tmp_path, streaming="function-url")
    async with serve_api() as api, run_function(package, HANDLER, api):
        post = await api.invoke(make_event("function-url", "/api/breaks"))
        await post.until(lambda: post.closed)
        assert (await api.whole(make_event("function-url", "/api/bytes"))).prelude["statusCode"] == 200
    assert post.body == b"some"
    assert post.late_error()["errorMessage"] == "out of ink"


async def test_answer_does_not_wait_for_the_work_after_it(tmp_path: Path) -> None:
    package = write_project(tmp_path, streaming="function-url")
    async with serve_api() as api, run_function(package, HANDLER, api):
        post = await api.whole(make_event("function-url", "/api/later", query="gate=1"))
        assert post.body == b"soon"
        assert not (package / "last").exists()
        (package / "gate").touch()
        await api.until_polled(2)
        assert (package / "last").exists()


async def test_whole_answers_where_streaming_is_not_configured(tmp_path: Path) -> None:
    package = write_project(tmp_path)
    async with serve_api() as api, run_function(package, HANDLER, api):
        post = await api.whole(make_event("httpapi", "/api/later"))
        assert "lambda-runtime-function-response-mode" not in post.headers
        assert post.json()["body"] == "soon"
        await api.until_polled(2)
        assert (package / "last").exists()


async def test_app_that_cannot_start_is_an_init_error(tmp_path: Path) -> None:
    package = write_project(tmp_path)
    (package / "handlers/plugins/count.py").write_text("raise RuntimeError('no database')\n")
    async with serve_api() as api, run_function(package, HANDLER, api) as process:
        post = await api.next_post()
        await post.until(lambda: post.complete)
        assert await process.wait() == 1
    assert post.path.endswith("/init/error")
    assert post.json()["errorMessage"] == "no database"
