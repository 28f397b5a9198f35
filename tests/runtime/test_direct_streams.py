"""Event streams that are written past the ASGI messages, and those that must not be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nitro_py.build.config.load import load_config
from nitro_py.build.pipeline import make_manifest
from nitro_py.encoding import encode_frame
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.http import streaming as streams
from nitro_py.sse import BUFFER_LIMIT
from tests.bundles import write_files
from tests.server.http.wire import PATIENCE, Site, Wire, serve

pytestmark = pytest.mark.anyio

FILES = {
    "handlers/topic.py": """
        from nitro_py import Event, EventStream, create_event_stream, define_handler

        @define_handler(topics=True)
        async def handler(event: Event) -> EventStream:
            stream = create_event_stream(event, subscribe="t", heartbeat=float(event.query.get("beat", "0")))
            await stream.push("first")
            return stream
        """,
    "handlers/endless.py": """
        from nitro_py import Event, EventStream, create_event_stream, define_handler

        made = 0

        async def source():
            global made
            while True:
                made += 1
                yield "x" * 10_000

        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, source())

        """,
    "handlers/made.py": """
        from nitro_py import Event, define_handler
        from . import endless

        @define_handler
        async def handler(event: Event) -> int:
            return endless.made
        """,
    "handlers/last.py": """
        from nitro_py import Event, EventStream, create_event_stream, define_handler

        @define_handler
        async def handler(event: Event) -> EventStream:
            async def work():
                for number in range(60):
                    await stream.push(f"{number} " + "x" * 50_000)
                await stream.close()

            stream = create_event_stream(event)
            event.wait_until(work())
            return stream
        """,
}


@asynccontextmanager
async def serve_project(
    folder: Path, wrap: Callable[[ASGIApplication], ASGIApplication] = lambda app: app
) -> AsyncIterator[tuple[Site, App]]:
    """Serve the project, with something around the application if there is."""
    root = write_files(folder, FILES)
    app = App(root, make_manifest(load_config(root, mode="production", overrides={}, environ={})))
    async with serve(wrap(Application(app))) as site:
        await app.start()
        yield site, app
        await app.stop()


def measure(application: ASGIApplication) -> ASGIApplication:
    """Measure the project, as the setting `metrics` does."""
    assert isinstance(application, Application)
    application.app.measure()
    return application


async def publish(app: App, data: object) -> None:
    """Publish to the project's topic."""
    await app.hub.publish("t", encode_frame(data))


async def read_events(wire: Wire, count: int) -> list[str]:
    """Read some events, each a chunk of its own."""
    events: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while len(events) < count:
            size = int(await wire.reader.readline(), 16)
            chunk = (await wire.reader.readexactly(size + 2)).decode()
            events += [part.removeprefix("data: ") for part in chunk.strip().split("\n\n")]
    return events


async def open_topic(wire: Wire, query: str = "") -> None:
    """Open a stream of the topic, up to its first event."""
    wire.send(f"GET /topic{query} HTTP/1.1", "Host: x")
    await wire.reader.readuntil(b"\r\n\r\n")
    assert await read_events(wire, 1) == ["first"]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that no event announces."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_topic_reaches_every_stream(tmp_path: Path) -> None:
    async with serve_project(tmp_path) as (site, app), site.connect() as one, site.connect() as other:
        for wire in (one, other):
            await open_topic(wire)
        for data in ("a", {"b": 1}, "c\nd"):
            await publish(app, data)
        for wire in (one, other):
            assert await read_events(wire, 3) == ["a", '{"b":1}', "c\ndata: d"]
        # A request takes one task, which also notices that the client left.
        assert len(site.state.tasks) == 2
        one.writer.transport.abort()
        await until(lambda: len(site.state.tasks) == 1)
        await publish(app, "e")
        assert await read_events(other, 1) == ["e"]
        other.writer.transport.abort()
        await until(lambda: not app.local_hub.has("t"))


async def test_measured_stream_is_written_past_the_messages_too(tmp_path: Path) -> None:
    async with serve_project(tmp_path, measure) as (site, app), site.connect() as wire:
        tasks = len(asyncio.all_tasks())
        await open_topic(wire)
        # By messages, it would take two more: one that sends, and one that waits for the client to leave.
        assert len(asyncio.all_tasks()) == tasks + 1
        began = time.monotonic()
        await publish(app, "a")
        assert await read_events(wire, 1) == ["a"]
        # Longer than a busy machine needs for the answer to begin.
        await asyncio.sleep(1)
        wire.writer.transport.abort()
        await until(lambda: not site.state.tasks)
        assert app.meter is not None
        histogram = app.meter.requests["GET", "/topic", "2xx"]
        # It was answered once it began.
        assert sum(histogram.counts) == 1
        assert histogram.total < time.monotonic() - began


async def test_measured_answer_that_fails_is_seen(tmp_path: Path) -> None:
    failing = """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event):
            async def work():
                raise ValueError("no")
                yield "never"
            return work()
        """
    write_files(tmp_path, {"handlers/failing.py": failing})

    async with serve_project(tmp_path, measure) as (site, app), site.connect() as wire:
        wire.send("GET /failing HTTP/1.1", "Host: x")
        assert (await wire.read()).status == 500
        assert app.meter is not None
        assert list(app.meter.requests) == [("GET", "/failing", "5xx")]


async def test_http_1_0_and_head_get_no_chunks(tmp_path: Path) -> None:
    async with serve_project(tmp_path) as (site, app):
        async with site.connect() as wire:
            wire.send("HEAD /topic HTTP/1.1", "Host: x")
            wire.send("GET /made HTTP/1.1", "Host: x")
            assert (await wire.read("HEAD")).get("content-type") == "text/event-stream"
            await publish(app, "to nobody")
            assert (await wire.read()).body == b"0"
        async with site.connect() as wire:
            wire.send("GET /topic HTTP/1.0")
            head = await wire.reader.readuntil(b"\r\n\r\n")
            assert b"transfer-encoding" not in head
            await publish(app, "a")
            async with asyncio.timeout(PATIENCE):
                await wire.reader.readuntil(b"data: first\n\ndata: a\n\n")


async def test_what_wraps_send_sees_every_event(tmp_path: Path) -> None:
    def shout(app: ASGIApplication) -> ASGIApplication:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            async def louder(message: Any) -> None:
                await send({**message, "body": message["body"].upper()} if "body" in message else message)

            await app(scope, receive, louder)

        return wrapped

    async with serve_project(tmp_path, shout) as (site, app), site.connect() as wire:
        wire.send("GET /topic HTTP/1.1", "Host: x")
        await wire.reader.readuntil(b"DATA: FIRST")
        await publish(app, "quiet")
        await wire.reader.readuntil(b"DATA: QUIET")


async def test_slow_reader_of_a_topic_is_cut_off_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streams, "END_TIMEOUT", 0.2)
    async with serve_project(tmp_path) as (site, app), site.connect() as slow, site.connect() as quick:
        await open_topic(slow)
        await open_topic(quick)
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        size, most = 20_000, 0
        for _ in range(400):
            await publish(app, "x" * size)
            assert len((await read_events(quick, 1))[0]) == size
            held = [connection.transport.get_write_buffer_size() for connection in site.state.connections]
            most = max(most, *held)
        # The transport's limit and one event; what was written beyond waits in the stream, up to its own limit.
        assert size < most < BUFFER_LIMIT + 2 * size
        assert "Closed a slow event stream" in caplog.text
        await until(lambda: len(site.state.connections) == 1)
        await publish(app, "goes on")
        assert await read_events(quick, 1) == ["goes on"]


async def test_reader_that_was_slow_for_a_while_misses_nothing(tmp_path: Path) -> None:
    async with serve_project(tmp_path) as (site, app), site.connect() as wire:
        await open_topic(wire)
        protocol: Any = next(iter(site.state.connections))
        sent = []
        for number in range(30):
            if number == 10:
                protocol.pause_writing()
            sent.append(f"event {number}")
            await publish(app, sent[-1])
        assert await read_events(wire, 10) == sent[:10]
        protocol.resume_writing()
        assert await read_events(wire, 20) == sent[10:]


async def test_source_waits_for_its_client_and_lets_others_run(tmp_path: Path) -> None:
    async with serve_project(tmp_path) as (site, _), site.connect() as wire, site.connect() as other:
        wire.send("GET /endless HTTP/1.1", "Host: x")
        await wire.reader.readuntil(b"\r\n\r\n")
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        made = [-1, 0]
        while made[-1] != made[-2]:
            await asyncio.sleep(0.1)
            other.send("GET /made HTTP/1.1", "Host: x")
            made.append(int((await other.read()).body))
        assert made[-1] < 2000


async def test_end_waits_for_a_slow_reader(tmp_path: Path) -> None:
    async with serve_project(tmp_path) as (site, _), site.connect() as wire:
        wire.send("GET /last HTTP/1.1", "Host: x")
        await asyncio.sleep(0.1)
        body = (await wire.read()).body.decode()
        assert [event.split()[1] for event in body.strip().split("\n\n")] == [str(number) for number in range(60)]
        wire.send("GET /made HTTP/1.1", "Host: x")
        assert (await wire.read()).body == b"0"


async def test_heartbeats_break_the_silence_only(tmp_path: Path) -> None:
    async with serve_project(tmp_path) as (site, app), site.connect() as wire:
        await open_topic(wire, "?beat=1.5")
        for _ in range(6):
            await publish(app, "x")
            await asyncio.sleep(0.3)
        assert await read_events(wire, 6) == ["x"] * 6
        assert await read_events(wire, 2) == [":", ":"]


async def test_stop_ends_streams_with_their_last_chunk(tmp_path: Path) -> None:
    async with serve_project(tmp_path) as (site, app), site.connect() as wire:
        await open_topic(wire)
        await app.drain()
        async with asyncio.timeout(PATIENCE):
            assert await wire.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
