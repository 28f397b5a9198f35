"""Streamed answers and server-sent events."""

from __future__ import annotations

import pytest

from nitro_py.testing.conformance.suite.steps import RICH, make_key, poll, reach, read_journal, write_journal
from nitro_py.testing.conformance.target import Target, requires
from nitro_py.testing.events import ServerEvent

WIRE = """data: plain

id: 7
event: named
retry: 1500
data: full

id: ab
event: cde
data: broken

data: one
data: two
data: three
data: four

data: {"a":1}

data: first of two

data: second of two

: a comment

"""


@pytest.mark.anyio
class Streams:
    """Tests of the contract's section "Server-sent events", and chunks."""

    @requires("streaming")
    async def test_messages_have_the_wire_format_and_nothing_follows_the_close(self, target: Target) -> None:
        """Check S1, S3 and S5 of the contract."""
        answer = await target.request("GET", "/streaming/push")
        assert answer.text == WIRE

    @requires("streaming")
    async def test_source_may_be_plain_and_give_fields(self, target: Target) -> None:
        """Check S2 and H12 of the contract."""
        answer = await target.request("GET", "/streaming/rich")
        cut = "data: cut \N{REPLACEMENT CHARACTER}\n\n"
        assert answer.text == f"data: {RICH}\n\n{cut}id: 7\nevent: named\ndata: fields\n\n"

    @requires("streaming")
    @pytest.mark.parametrize(
        "kind", ["bytes", "data", "dict", "fails", "function", "nan", "none", "plain", "text"]
    )
    async def test_source_that_cannot_be_sent_is_500(self, target: Target, kind: str) -> None:
        """Check S2 of the contract."""
        answer = await target.request("GET", f"/streaming/bad/{kind}")
        assert (answer.status, answer.json()["status"]) == (500, 500)

    @pytest.mark.parametrize("query", ["", "?fail"])
    async def test_stream_that_is_not_returned_is_closed(self, target: Target, query: str) -> None:
        """Check S8 of the contract."""
        key = make_key()
        answer = await target.request("GET", f"/streaming/unused/{key}{query}")
        assert answer.text == "something else" or answer.status == 409
        assert await reach(target, key, "closed") == ["closed"]

    @requires("streaming")
    async def test_headers_keep_everybody_from_holding_the_stream(self, target: Target) -> None:
        """Check S4 of the contract."""
        answer = await target.request("GET", "/streaming/push")
        assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
        assert {"no-store", "no-transform"} <= set(answer.headers["cache-control"].split(", "))
        assert answer.headers["x-accel-buffering"] == "no"

    @requires("streaming")
    async def test_client_reads_what_was_pushed(self, target: Target) -> None:
        """Check S3 of the contract."""
        async with target.stream("GET", "/streaming/push") as stream:
            events = [event async for event in stream.events()]
        assert events[:4] == [
            ServerEvent("plain"),
            ServerEvent("full", "named", "7", 1500),
            ServerEvent("broken", "cde", "ab"),
            ServerEvent("one\ntwo\nthree\nfour", id="ab"),
        ]

    @requires("streaming")
    async def test_paused_stream_holds_messages_until_flush_or_resume(self, target: Target) -> None:
        """Check S1 of the contract."""
        key = make_key()
        async with target.stream("GET", f"/streaming/control/{key}") as stream:
            events = stream.events()
            assert (await anext(events)).data == "at once"
            await reach(target, key, "paused")
            await write_journal(target, key, "flush")
            assert (await anext(events)).data == "flushed"
            await reach(target, key, "flushed")
            await write_journal(target, key, "resume")
            assert [(await anext(events)).data for _ in range(2)] == ["resumed", "live"]

    @requires("streaming")
    async def test_callbacks_run_once_when_the_server_closes(self, target: Target) -> None:
        """Check S5 of the contract."""
        key = make_key()
        async with target.stream("GET", f"/streaming/closed/{key}?server") as stream:
            assert (await anext(stream.events())).data == "open"
            await write_journal(target, key, "close")
            assert [event async for event in stream.events()] == []
        await reach(target, key, "done")
        lines = await reach(target, key, "async callback")
        assert sorted(lines) == ["async callback", "callback", "close", "done", "late callback"]

    @requires("streaming.disconnect")
    async def test_callbacks_run_once_when_the_client_leaves(self, target: Target) -> None:
        """Check S5 of the contract."""
        key = make_key()
        async with target.stream("GET", f"/streaming/closed/{key}") as stream:
            assert (await anext(stream.events())).data == "open"
            assert await read_journal(target, key) == []
        await reach(target, key, "done")
        lines = await reach(target, key, "async callback")
        assert sorted(lines) == ["async callback", "callback", "done", "late callback"]

    @requires("streaming.disconnect")
    async def test_source_ends_when_the_client_leaves(self, target: Target) -> None:
        """Check S2 of the contract."""
        key = make_key()
        async with target.stream("GET", f"/streaming/source/{key}") as stream:
            events = stream.events()
            assert [(await anext(events)).id for _ in range(3)] == ["1", "2", "3"]
        lines = await wait_for_end(target, key)
        assert len(lines) == 1

    @requires("streaming.disconnect")
    async def test_source_waits_for_a_slow_client(self, target: Target) -> None:
        """Check S2 of the contract."""
        key, size = make_key(), 64 * 1024
        async with target.stream("GET", f"/streaming/source/{key}?size={size}") as stream:
            assert (await anext(stream.events())).id == "1"
            for _ in range(10):
                # A source that did not wait would be far ahead by then.
                await read_journal(target, key)
        produced = int((await wait_for_end(target, key))[0].removeprefix("produced "))
        assert produced * size < 32 * 1024 * 1024

    @requires("streaming")
    async def test_heartbeats_break_the_silence(self, target: Target) -> None:
        """Check S6 of the contract."""
        async with target.stream("GET", "/streaming/heartbeat") as stream:
            chunks = stream.chunks()
            text = b"".join([await anext(chunks) for _ in range(3)]).decode()
        assert text.replace(":", "").replace(" ", "").replace("\n", "") == ""
        assert text.count(":") >= 3

    @requires("streaming")
    @pytest.mark.parametrize(("last_id", "first"), [(None, 1), ("2", 3)])
    async def test_stream_goes_on_after_the_last_id(self, target: Target, last_id: str | None, first: int) -> None:
        """Check S6 of the contract."""
        headers = {} if last_id is None else {"last-event-id": last_id}
        async with target.stream("GET", "/streaming/resume", headers=headers) as stream:
            events = [event async for event in stream.events()]
        assert [(event.id, event.data) for event in events] == [
            (str(number), f"message {number}") for number in range(first, 4)
        ]

    @requires("streaming")
    async def test_chunk_is_sent_before_the_next_is_made(self, target: Target) -> None:
        """Check H3 of the contract."""
        key = make_key()
        async with target.stream("GET", f"/streaming/chunks/{key}") as stream:
            chunks = stream.chunks()
            assert await anext(chunks) == b"first "
            await write_journal(target, key, "go on")
            assert b"".join([chunk async for chunk in chunks]) == b"second"
        assert stream.headers["content-type"] == "text/plain; charset=utf-8"
        assert await reach(target, key, "ended") == ["go on", "ended"]

    @requires("streaming.disconnect")
    async def test_chunks_end_when_the_client_leaves(self, target: Target) -> None:
        """Check H3 of the contract."""
        key = make_key()
        async with target.stream("GET", f"/streaming/chunks/{key}") as stream:
            assert await anext(stream.chunks()) == b"first "
        assert await reach(target, key, "ended") == ["ended"]

    @requires("streaming")
    async def test_plain_iterator_is_streamed(self, target: Target) -> None:
        """Check H3 of the contract."""
        answer = await target.request("GET", "/streaming/lines")
        assert (answer.text, answer.headers["content-type"]) == ("0\n1\n2\n", "application/x-lines")
        head = await target.request("HEAD", "/streaming/lines")
        assert (head.status, head.body) == (200, b"")


async def wait_for_end(target: Target, key: str) -> list[str]:
    """Wait until a source has told how far it came."""
    lines: list[str] = await poll(lambda: read_journal(target, key), bool)
    return lines
