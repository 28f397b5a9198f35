"""What a handler returns or raises, and what of that reaches a real client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from nitro_py.build.config.load import load_config
from nitro_py.build.pipeline import make_manifest
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from tests.bundles import write_files
from tests.server.http.wire import Answer, Wire, serve

pytestmark = pytest.mark.anyio

HEAD = (
    "from nitro_py import Event, EventStream, HTTPError, Response, create_event_stream, define_handler, mount_asgi"
)
FILES = {
    "handlers/empty/[kind]/[status].get.py": """
        @define_handler
        def handler(event: Event):
            status, kind = int(event.params["status"]), event.params["kind"]
            content = {"text": "content", "bytes": b"content", "json": {"a": 1}, "none": None}[kind]
            if "staged" in event.query:
                event.response.status = status
                return content
            return Response(content, status, {"etag": '"1"'})
        """,
    "handlers/hello.get.py": """
        @define_handler
        def handler(event: Event) -> str:
            return "hello"
        """,
    "handlers/first/[kind].get.py": """
        from collections.abc import AsyncIterator, Iterator

        FAILURES = {"os": OSError(5, "Input/output error"), "reset": ConnectionResetError("by the database")}

        def plain(error) -> Iterator[str]:
            raise error
            yield "never"

        async def later(error) -> AsyncIterator[str]:
            raise error
            yield "never"

        @define_handler(streams=True)
        def handler(event: Event):
            error = FAILURES[event.params["kind"]]
            return plain(error) if "plain" in event.query else later(error)
        """,
    "handlers/cookies/[kind].get.py": """
        from starlette.responses import PlainTextResponse

        async def tick():
            yield "tick"

        @define_handler(streams=True)
        async def handler(event: Event):
            fields = event.response.headers
            for name in "ab":
                fields.append("set-cookie", f"{name}=1")
            fields["x-both"] = "staged"
            fields["x-staged"] = "1"
            match event.params["kind"]:
                case "response":
                    answer = Response("text", headers={"x-both": "own"})
                    answer.headers.append("set-cookie", "c=1")
                    answer.headers.append("set-cookie", "d=1")
                    return answer
                case "starlette":
                    answer = PlainTextResponse("text", headers={"x-both": "own"})
                    answer.headers.append("set-cookie", "c=1")
                    answer.headers.append("set-cookie", "d=1")
                    return answer
                case "events":
                    fields.append("set-cookie", "c=1")
                    fields.append("set-cookie", "d=1")
                    return create_event_stream(event, tick())
                case "chunks":
                    fields.append("set-cookie", "c=1")
                    fields.append("set-cookie", "d=1")
                    return tick()
                case "plain":
                    fields.append("set-cookie", "c=1")
                    fields.append("set-cookie", "d=1")
                    return "text"
                case "error":
                    raise HTTPError(409, headers={"x-both": "own"})
        """,
    "handlers/fails/[field].get.py": """
        @define_handler
        def handler(event: Event) -> None:
            event.response.headers[event.params["field"]] = "staged"
            event.response.headers["x-kept"] = "1"
            if "own" in event.query:
                raise HTTPError(404)
            raise ValueError("a bug")
        """,
    "handlers/static.get.py": """
        @define_handler
        def handler(event: Event) -> dict[str, str]:
            found = dict(event.params)
            event.params["left"] = "behind"
            return found
        """,
    "handlers/dynamic/[id].get.py": """
        @define_handler
        def handler(event: Event) -> dict[str, str]:
            found = dict(event.params)
            event.params["left"] = "behind"
            return found
        """,
    "handlers/api/[...].py": """
        import json

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                scope["state"]["pool"] = "open"
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
                return
            found = json.dumps({
                "state": dict(scope["state"]), "root_path": scope["root_path"], "path": scope["path"]
            }).encode()
            scope["state"]["left"] = "behind"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": found})

        handler = mount_asgi(app)
        """,
}


def by_messages(app: ASGIApplication) -> ASGIApplication:
    """Serve as another server would: by ASGI messages alone."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def plain_send(message: Any) -> None:
            await send(message)

        await app({**scope, "extensions": {}}, receive, plain_send)

    return wrapped


def directly(app: ASGIApplication) -> ASGIApplication:
    """Serve as our own server does."""
    return app


@asynccontextmanager
async def open_project(
    folder: Path, wrap: Callable[[ASGIApplication], ASGIApplication] = directly
) -> AsyncIterator[Wire]:
    """Serve the project, and open a connection to it."""
    root = write_files(folder, {path: f"{HEAD}\n{dedent(text)}" for path, text in FILES.items()})
    app = App(root, make_manifest(load_config(root, mode="production", overrides={}, environ={})))
    async with serve(wrap(Application(app))) as site:
        await app.start()
        async with site.connect() as wire:
            yield wire
        await app.stop()


async def ask(wire: Wire, target: str, method: str = "GET") -> Answer:
    """Send a request, and read its answer."""
    wire.send(f"{method} {target} HTTP/1.1", "Host: x")
    return await wire.read(method)


def get_all(answer: Answer, name: str) -> list[str]:
    """Return all values of a field."""
    return [value for key, value in answer.headers if key == name]


@pytest.mark.parametrize("wrap", [directly, by_messages])
@pytest.mark.parametrize("query", ["", "?staged"])
@pytest.mark.parametrize("kind", ["text", "bytes", "json", "none"])
@pytest.mark.parametrize("status", [204, 304])
async def test_content_of_an_answer_that_has_none_is_not_sent(
    tmp_path: Path, status: int, kind: str, query: str, wrap: Callable[[ASGIApplication], ASGIApplication]
) -> None:
    async with open_project(tmp_path, wrap) as wire:
        for _ in range(2):
            found = await ask(wire, f"/empty/{kind}/{status}{query}")
            assert (found.status, found.get("content-length"), found.get("connection")) == (status, None, None)
            assert found.get("etag") == (None if query else '"1"')
        # A byte of content would be read as the beginning of this answer.
        assert (await ask(wire, "/hello")).body == b"hello"


@pytest.mark.parametrize("wrap", [directly, by_messages])
@pytest.mark.parametrize("query", ["", "?plain"])
@pytest.mark.parametrize("kind", ["os", "reset"])
async def test_stream_whose_first_chunk_fails_is_answered_with_500(
    tmp_path: Path,
    kind: str,
    query: str,
    wrap: Callable[[ASGIApplication], ASGIApplication],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_project(tmp_path, wrap) as wire:
        found = await ask(wire, f"/first/{kind}{query}")
        assert (found.status, found.get("content-type")) == (500, "application/json")
        assert f"GET /first/{kind} failed." in caplog.text
        assert (await ask(wire, "/hello")).body == b"hello"


@pytest.mark.parametrize("wrap", [directly, by_messages])
@pytest.mark.parametrize("kind", ["response", "starlette", "events", "chunks", "plain"])
async def test_every_cookie_reaches_the_client(
    tmp_path: Path, kind: str, wrap: Callable[[ASGIApplication], ASGIApplication]
) -> None:
    async with open_project(tmp_path, wrap) as wire:
        found = await ask(wire, f"/cookies/{kind}")
        assert get_all(found, "set-cookie") == ["a=1", "b=1", "c=1", "d=1"]
        assert get_all(found, "x-staged") == ["1"]
        assert get_all(found, "x-both") == (["own"] if kind in ("response", "starlette") else ["staged"])


async def test_cookies_are_kept_when_a_handler_fails(tmp_path: Path) -> None:
    async with open_project(tmp_path) as wire:
        found = await ask(wire, "/cookies/error")
        assert (found.status, get_all(found, "x-both")) == (409, ["own"])
        assert get_all(found, "set-cookie") == ["a=1", "b=1"]


@pytest.mark.parametrize("query", ["", "?own"])
@pytest.mark.parametrize(
    "field",
    [
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "transfer-encoding",
    ],
)
async def test_field_about_content_is_dropped_when_a_handler_fails(tmp_path: Path, field: str, query: str) -> None:
    async with open_project(tmp_path) as wire:
        found = await ask(wire, f"/fails/{field}{query}")
        assert (found.status, found.get("x-kept")) == (404 if query else 500, "1")
        assert "staged" not in get_all(found, field)
        assert found.get("content-type") == "application/json"
        assert found.get("content-length") == str(len(found.body))


async def test_parameters_are_each_requests_own(tmp_path: Path) -> None:
    async with open_project(tmp_path) as wire:
        for _ in range(2):
            assert (await ask(wire, "/static")).body == b"{}"
            assert (await ask(wire, "/dynamic/7")).body == b'{"id":"7"}'


async def test_state_of_a_mounted_application_is_each_requests_own(tmp_path: Path) -> None:
    async with open_project(tmp_path) as wire:
        for path in ("/api/x", "/api", "/api/x"):
            found = json.loads((await ask(wire, path)).body)
            assert found == {"state": {"pool": "open"}, "root_path": "/api", "path": path}


async def test_mounted_application_serves_no_path_that_only_begins_like_its_own(tmp_path: Path) -> None:
    async with open_project(tmp_path) as wire:
        for path in ("/apix", "/apix/x", "/ap", "/x/api"):
            assert (await ask(wire, path)).status == 404
