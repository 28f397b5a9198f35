"""What the app raises is raised in the test, at the call that sees it or at the end."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nitro_py.testing import Client, SocketClosed, UpgradeRefused, client
from tests.bundles import write_files

pytestmark = pytest.mark.anyio

PROJECT = {
    "nitro.toml": "experimental.websocket = true\n",
    "handlers/boom.get.py": """
        from nitro_py import Event, HTTPError, define_handler

        def explode(kind):
            raise ValueError(kind)

        @define_handler
        async def handler(event: Event) -> str:
            if event.query["kind"] == "expected":
                raise HTTPError(500, "expected")
            explode(event.query["kind"])
        """,
    "handlers/plain.get.py": """
        from nitro_py import Event, define_handler

        @define_handler
        def handler(event: Event) -> str:
            raise ValueError("in a thread")
        """,
    "handlers/task.get.py": """
        import asyncio
        from nitro_py import Event, define_handler

        async def work(text: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            raise ValueError(text)

        @define_handler
        async def handler(event: Event) -> str:
            for text in event.query.getlist("text"):
                event.wait_until(work(text, float(event.query.get("after", "0"))))
            return "started"
        """,
    "handlers/feed.get.py": """
        import asyncio
        from nitro_py import Event, EventStream, create_event_stream, define_handler

        async def source():
            yield "first"
            await asyncio.sleep(0.2)
            raise ValueError("source")

        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, source())
        """,
    "handlers/wait.get.py": """
        import asyncio
        from nitro_py import Event, EventStream, create_event_stream, define_handler

        async def source():
            yield "first"
            await asyncio.sleep(60)

        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, source())
        """,
    "handlers/room.py": """
        from nitro_py import define_websocket_handler

        CLOSED: list[int] = []

        async def upgrade(request):
            if request.query.get("at") == "upgrade":
                raise ValueError("upgrade")

        async def open(peer):
            if peer.request.query.get("at") == "open":
                raise ValueError("open")

        async def message(peer, message):
            await peer.send("before")
            raise ValueError(message.text())

        async def close(peer, details):
            CLOSED.append(details.code)
            if peer.request.query.get("at") == "close":
                raise ValueError("close")

        handler = define_websocket_handler(upgrade=upgrade, open=open, message=message, close=close)
        """,
    "handlers/closed.get.py": """
        from nitro_py import Event, define_handler
        from .room import CLOSED

        @define_handler
        async def handler(event: Event) -> list[int]:
            return CLOSED
        """,
}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Client]:
    async with client(write_files(tmp_path, PROJECT), timeout=30) as app:
        yield app


async def test_handler_raises_in_the_test_with_its_frames(app: Client) -> None:
    with pytest.raises(ValueError, match="mine") as caught:
        await app.get("/boom?kind=mine")
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert (frames[0].name, frames[-1].name) == (
        "test_handler_raises_in_the_test_with_its_frames",
        "explode",
    )
    assert frames[-1].line == "raise ValueError(kind)"
    assert caught.value.__notes__ == [
        "GET /boom made the app raise this. `raise_errors=False` leaves it to the log."
    ]
    with pytest.raises(ValueError, match="in a thread"):
        await app.get("/plain")
    with pytest.raises(ValueError, match="mine"):
        async with app.stream("GET", "/boom?kind=mine"):
            pass


async def test_answers_on_purpose_are_no_failures(app: Client) -> None:
    assert (await app.get("/boom?kind=expected")).status == 500
    assert (await app.get("/nowhere")).status == 404
    assert (await app.get("/boom")).status == 400


async def test_hooks_raise_where_their_end_is_seen(app: Client) -> None:
    with pytest.raises(ValueError, match="upgrade"):
        async with app.connect("/room?at=upgrade"):
            pass
    with pytest.raises(ValueError, match="open"):
        async with app.connect("/room?at=open") as socket:
            await socket.receive()
    async with app.connect("/room") as socket:
        await socket.send("message")
        assert await socket.receive() == "before"
        with pytest.raises(ValueError, match="message") as caught:
            await socket.receive()
        assert "The socket /room made the app raise this." in caught.value.__notes__[0]
        assert (await socket.wait_closed()).code == 1011
    with pytest.raises(ValueError, match="close"):
        async with app.connect("/room?at=close"):
            pass


async def test_close_hook_runs_after_a_failure_that_is_expected(app: Client) -> None:
    before = (await app.get("/closed")).json()

    async def talk(error: Exception | None = None) -> None:
        async with app.connect("/room") as socket:
            if error is not None:
                raise error
            await socket.send("message")
            await socket.wait_closed()

    with pytest.raises(ValueError, match="message"):
        await talk()
    with pytest.raises(LookupError):
        await talk(LookupError())
    assert (await app.get("/closed")).json() == [*before, 1011, 1006]


async def test_failure_ends_the_wait_of_another_call(app: Client) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with app.connect("/room") as ada, app.new_client().connect("/room") as bob:
        await bob.send("by bob")
        with pytest.raises(ValueError, match="by bob"):
            await ada.receive(timeout=30)
        assert await bob.receive() == "before"
    assert loop.time() - began < 10


async def test_source_of_an_event_stream_raises_after_its_events(app: Client) -> None:
    async with app.stream("GET", "/feed") as stream:
        events = stream.events()
        assert (await anext(events)).data == "first"
        with pytest.raises(ValueError, match="source"):
            await anext(events)
    async with app.stream("GET", "/wait") as stream:
        assert (await anext(stream.events())).data == "first"


async def test_task_raises_at_the_next_call_or_at_the_end(tmp_path: Path) -> None:
    root = write_files(tmp_path, PROJECT)
    async with client(root) as app:
        assert (await app.get("/task?text=soon&after=0.1")).text == "started"
        await asyncio.sleep(0.3)
        with pytest.raises(ValueError, match="soon"):
            await app.get("/closed")
    with pytest.raises(ValueError, match="late"):
        async with client(root) as app:
            await app.get("/task?text=late&after=0.2")
    with pytest.raises(ExceptionGroup) as several:
        async with client(root) as app:
            await app.get("/task?text=a&text=b&after=0.2")
    assert sorted(map(str, several.value.exceptions)) == ["a", "b"]


async def test_test_that_fails_itself_keeps_its_reason_and_names_the_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with client(write_files(tmp_path, PROJECT)) as app:
            await app.get("/task?text=late&after=0.1")
            raise LookupError

    with pytest.raises(LookupError) as caught:
        await run()
    (note,) = caught.value.__notes__
    assert note.startswith("The app has failed, too:\nTraceback")
    assert "ValueError: late" in note


async def test_errors_are_left_to_the_log_if_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with client(write_files(tmp_path, PROJECT), raise_errors=False) as app:
        assert (await app.get("/boom?kind=mine")).status == 500
        await app.get("/task?text=soon")
        with pytest.raises(UpgradeRefused, match="500"):
            async with app.connect("/room?at=upgrade"):
                pass
        async with app.connect("/room") as socket:
            await socket.send("message")
            assert await socket.receive() == "before"
            with pytest.raises(SocketClosed, match="1011"):
                await socket.receive()
        async with app.stream("GET", "/feed") as stream:
            assert [event.data async for event in stream.events()] == ["first"]
        with pytest.raises(ValueError, match="loud"):
            await app.new_client(raise_errors=True).get("/boom?kind=loud")
    assert "GET /boom failed." in caplog.text
    assert "ValueError: soon" in caplog.text


async def test_loggers_that_are_off_hide_nothing(app: Client) -> None:
    log = logging.getLogger("nitro_py.http")
    log.disabled = True
    try:
        with pytest.raises(ValueError, match="quiet"):
            await app.get("/boom?kind=quiet")
    finally:
        log.disabled = False
