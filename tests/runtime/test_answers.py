"""Answers that cannot be sent, and streams that never are: what is logged, and what is kept."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nitro_py.capabilities import Mode
from nitro_py.errors import HTTPError
from nitro_py.headers import MissingKeyError, Params, Query
from nitro_py.runtime.current_app import current_app
from nitro_py.testing import client
from tests.bundles import write_files

pytestmark = pytest.mark.anyio

FAIL = """
    from nitro_py import Event, HTTPError, define_handler

    @define_handler
    async def handler(event: Event) -> object:
        match event.params["kind"]:
            case "data":
                raise HTTPError(400, data=ValueError())
            case "nan":
                return float("nan")
            case "field":
                raise HTTPError(400, headers={"x": "a\\nb"})
            case "number":
                raise HTTPError(400, headers={"x": 1})
            case "headers":
                event.response.headers = {"x": "\\ud83d"}
                raise RuntimeError("told")
            case "status":
                raise HTTPError("404")
            case "pair":
                return "made", 201
            case "work":
                event.wait_until(handler.function)
        return "told"
    """

STREAM = """
    from nitro_py import Event, create_event_stream, define_handler

    @define_handler(streams=True, topics=True)
    async def handler(event: Event) -> str:
        create_event_stream(event)
        await create_event_stream(event, subscribe="news").push("x" * 1000)
        return "something else"
    """

SLOW = """
    import asyncio
    from nitro_py import Event, EventStream, create_event_stream, define_handler

    async def source():
        await asyncio.sleep(0.3)
        yield object()

    @define_handler
    async def handler(event: Event) -> EventStream:
        return create_event_stream(event, source())
    """


PAGE = """
    from nitro_py import Event, define_handler

    @define_handler
    async def handler(event: Event) -> str:
        if "typed" in event.query:
            event.response.headers["content-type"] = "text/html"
        return event.query["text"]
    """


@pytest.mark.parametrize("text", ["<!DOCTYPE html><p>", "\n <html lang=en>"])
async def test_markup_as_text_is_told_once_in_development(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    root = write_files(tmp_path, {"handlers/page.get.py": PAGE})
    async with client(root, mode="development") as app:
        await app.get("/page", params={"text": "plain <html>"})
        await app.get("/page", params={"text": text, "typed": "1"})
        assert "/page returns HTML" not in caplog.text
        for _ in range(2):
            answer = await app.get("/page", params={"text": text})
            assert (answer.text, answer.headers["content-type"]) == (text, "text/plain; charset=utf-8")
    assert caplog.text.count("/page returns HTML") == 1
    caplog.clear()
    async with client(root) as app:
        await app.get("/page", params={"text": text})
    assert "returns HTML" not in caplog.text


@pytest.mark.parametrize("kind", ["data", "nan", "field", "number", "headers", "status", "pair", "work"])
@pytest.mark.parametrize("mode", ["development", "production"])
async def test_what_cannot_be_sent_is_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, mode: Mode
) -> None:
    root = write_files(tmp_path, {"handlers/[kind].get.py": FAIL})
    async with client(root, mode=mode, raise_errors=False) as app:
        caplog.clear()
        answer = await app.get(f"/{kind}")
    assert (answer.status, answer.json()["status"]) == (500, 500)
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in failures] == [f"GET /{kind} failed."]
    if kind == "work":
        assert "Expected work that can be awaited, such as `handler(…)`, got `function`." in caplog.text
    if kind == "pair":
        assert "event.response.status = 201" in caplog.text
        assert mode == "production" or "event.response.status = 201" in answer.json()["message"]


async def test_streams_that_are_not_returned_are_not_kept(tmp_path: Path) -> None:
    async with client(write_files(tmp_path, {"handlers/news.get.py": STREAM})) as app:
        for _ in range(2000):
            assert (await app.get("/news")).text == "something else"
        running = current_app()
        assert not running._streams  # type: ignore[attr-defined]
        assert not running.local_hub._topics  # type: ignore[attr-defined]


async def test_source_that_fails_late_cuts_its_answer_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(write_files(tmp_path, {"handlers/slow.get.py": SLOW})) as app:
        with pytest.raises(TypeError, match="EventStreamMessage"):
            await app.get("/slow")
    assert "GET /slow failed." in caplog.text


def test_missing_parameter_is_both_errors() -> None:
    for mapping in (Query("a=1"), Params({"a": "1"})):
        assert (mapping["a"], mapping.get("b"), "b" in mapping) == ("1", None, False)
        with pytest.raises(KeyError) as caught:
            mapping["b"]
        error = caught.value
        assert isinstance(error, MissingKeyError)
        assert isinstance(error, HTTPError)
        assert (error.status, "`b`" in error.message) == (400, True)


@pytest.mark.parametrize("status", [0, 200, 302, 399, 600, "404", None])
def test_error_has_the_status_of_an_error(status: int) -> None:
    with pytest.raises(ValueError, match="400 to 599"):
        HTTPError(status, "text")
