"""SIGTERM under load: sockets that chat, event streams, and requests under way."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.brokers.processes import run_broker
from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SOCKETS = 200
STREAMS = 40
# Requests that are under way at any moment.
REQUESTS = 20
# Longer than a stop takes on a machine that is busy with other things, in seconds.
GRACE = 60.0
# How long the load lasts before the signal, from when all sockets and streams are there, in seconds.
LOAD = 1.0
# How many messages may be published between a socket's close frame and the moment at which its hook looks: what
# comes in a second. A socket that is left out while the others get their goodbyes would miss more.
MEANWHILE = 20

PROJECT = {
    "nitro.toml": f"""
        experimental.websocket = true
        server.grace = {GRACE}
        """,
    "handlers/_state.py": """
        import json
        import os
        import time

        published = 0

        def write(kind: str, **fields: object) -> None:
            with open(os.environ["JOURNAL"], "a") as file:
                file.write(json.dumps({"kind": kind, "at": time.monotonic(), **fields}) + "\\n")
        """,
    "handlers/plugins/publisher.py": """
        import asyncio
        import os
        from collections.abc import AsyncIterator

        from nitro_py import define_plugin, publish
        from .. import _state

        @define_plugin
        async def publisher() -> AsyncIterator[None]:
            task = asyncio.create_task(run())
            yield
            task.cancel()
            _state.write("plugin stopped")

        async def run() -> None:
            while True:
                _state.published += 1
                await publish("room", f"{os.getpid()} {_state.published}")
                await asyncio.sleep(0.05)
        """,
    "handlers/room.py": """
        import os

        from nitro_py import CloseDetails, Message, Peer, define_websocket_handler
        from . import _state

        async def open(peer: Peer) -> None:
            await peer.send(f"id {peer.id}")
            await peer.subscribe("room")

        async def message(peer: Peer, message: Message) -> None:
            await peer.send(f"echo {message}")

        async def close(peer: Peer, details: CloseDetails) -> None:
            _state.write(
                "closed",
                peer=peer.id,
                code=details.code,
                process=os.getpid(),
                published=_state.published,
            )

        handler = define_websocket_handler(open=open, message=message, close=close)
        """,
    "handlers/ticks.get.py": """
        import asyncio
        from collections.abc import AsyncIterator

        from nitro_py import Event, EventStream, create_event_stream, define_handler
        from . import _state

        async def tick() -> AsyncIterator[str]:
            number = 0
            try:
                while True:
                    number += 1
                    yield str(number)
                    await asyncio.sleep(0.1)
            finally:
                _state.write("stream ended")

        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, tick())
        """,
    "handlers/work/[id].get.py": """
        import asyncio

        from nitro_py import Event, define_handler
        from .. import _state

        @define_handler
        async def handler(event: Event) -> str:
            id = event.params["id"]
            _state.write("begun", id=id)
            await asyncio.sleep(0.1 + int(id) % 5 / 10)
            return id
        """,
}


@dataclass
class Seen:
    """Collects what the clients have seen.

    Args:
        sockets: By the peer's id: the numbers it got of each process, the close code, and when it was closed.
        streams: For each stream the numbers it got, and when it ended.
        answered: Ids of requests that were answered.
        unanswered: Ids of requests that failed after they were sent, and how.
        refused: How many connections the server did not take.
        there: How many sockets and streams have begun.
    """

    sockets: dict[str, tuple[dict[int, list[int]], int | None, float]] = field(default_factory=dict)
    streams: list[tuple[list[int], float]] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    unanswered: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    there: int = 0


async def chat(server: Server, seen: Seen, number: int) -> None:
    """Listen to the room and talks, until the server says goodbye."""
    numbers: dict[int, list[int]] = {}
    options: dict[str, float | None] = {"open_timeout": PATIENCE, "close_timeout": 1, "ping_interval": None}
    async with connect(f"{server.socket_url}/room", compression=None, **options) as socket:  # type: ignore[arg-type]
        id = str(await socket.recv()).removeprefix("id ")
        async for message in socket:
            if str(message).startswith("echo"):
                continue
            if not numbers:
                # In the room, and not only through its door.
                seen.there += 1
            process, published = map(int, str(message).split())
            numbers.setdefault(process, []).append(published)
            if (published + number) % 10 == 0:
                # The goodbye may be there already, behind messages that are yet to be read.
                with suppress(ConnectionClosed):
                    await socket.send("hello")
    seen.sockets[id] = (numbers, socket.close_code, time.monotonic())


async def listen(client: httpx.AsyncClient, seen: Seen) -> None:
    """Follow an event stream to its end; one that breaks off raises."""
    async with client.stream("GET", "/ticks") as answer:
        seen.there += 1
        lines = [line async for line in answer.aiter_lines() if line]
    seen.streams.append(([int(line.removeprefix("data: ")) for line in lines], time.monotonic()))


async def ask(client: httpx.AsyncClient, seen: Seen, number: int) -> None:
    """Ask again and again, until the server takes no more connections."""
    while True:
        id = str(number)
        number += REQUESTS
        try:
            answer = await client.get(f"/work/{id}")
        except httpx.ConnectError:
            seen.refused += 1
            return
        except httpx.TransportError as error:
            seen.unanswered[id] = repr(error)
        else:
            assert (answer.status_code, answer.text) == (200, id)
            seen.answered.add(id)


async def put_under_load(server: Server) -> tuple[Seen, float, float]:
    """Load a server and stop it; return what clients saw, when the signal came, and how long the stop took."""
    seen = Seen()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE, limits=limits) as client,
        asyncio.TaskGroup() as group,
    ):
        for number in range(SOCKETS):
            group.create_task(chat(server, seen, number))
        for _ in range(STREAMS):
            group.create_task(listen(client, seen))
        for number in range(REQUESTS):
            group.create_task(ask(client, seen, number))
        async with asyncio.timeout(PATIENCE):
            while seen.there < SOCKETS + STREAMS:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(LOAD)
        signalled = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(server.process.wait, GRACE + PATIENCE)
        assert status == 0, server.read_log()
        return seen, signalled, time.monotonic() - signalled


def find_gaps(numbers: list[int]) -> list[int]:
    """Return the numbers that are missing between the first and the last, or stand in the wrong place."""
    return [
        number
        for number, expected in zip(numbers, range(numbers[0], numbers[-1] + 1), strict=False)
        if number != expected
    ]


def busiest(times: list[float], window: float) -> int:
    """Return the most ends that fall into any window of some seconds."""
    return max(sum(time <= other < time + window for other in times) for time in times)


@pytest.mark.parametrize("workers", [1, 2])
async def test_nothing_is_lost_and_everybody_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    output = build_project(write_files(tmp_path, PROJECT))
    journal = tmp_path / "journal.jsonl"
    with ExitStack() as stack:
        environ = {"JOURNAL": str(journal)}
        if workers > 1:
            broker = stack.enter_context(run_broker("redis"))
            environ |= {"NITRO_BACKPLANE": "redis", "NITRO_BACKPLANE_URL": broker.url}
        arguments = ("--port", "0", "--workers", str(workers))
        server = stack.enter_context(run_bundle(output, *arguments, environ=environ))
        seen, signalled, seconds = await put_under_load(server)
        log = server.read_log()
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    closed = {record["peer"]: record for record in records if record["kind"] == "closed"}
    begun = {record["id"] for record in records if record["kind"] == "begun"}
    # Of what its own process published, each socket must have got all up to its goodbye.
    missing = {
        id: closed[id]["published"] - numbers[closed[id]["process"]][-1]
        for id, (numbers, _, _) in seen.sockets.items()
    }
    series = [numbers for by_process, _, _ in seen.sockets.values() for numbers in by_process.values()]
    ends = sorted([when for _, _, when in seen.sockets.values()] + [when for _, when in seen.streams])
    with capsys.disabled():
        print(
            f"\nSIGTERM under load, {workers} at work: {len(seen.sockets)} sockets and {len(seen.streams)} "
            f"streams ended {ends[0] - signalled:.2f} to {ends[-1] - signalled:.2f} s after the signal, at most "
            f"{busiest(ends, 0.5)} in half a second; {len(begun)} requests begun, {len(begun - seen.answered)} "
            f"of them without an answer, {len(set(seen.unanswered) - begun)} never begun, {seen.refused} refused; "
            f"{sum(map(len, series))} messages in order, at most {max(missing.values())} published after "
            f"a goodbye; stopped in {seconds:.2f} s of {GRACE:g} s"
        )
    assert "Traceback" not in log
    assert len(seen.sockets) == SOCKETS
    assert Counter(code for _, code, _ in seen.sockets.values()) == {1001: SOCKETS}
    # Once for each, and with the code that the client got.
    assert Counter(record["kind"] for record in records if record["kind"] != "begun") == {
        "closed": SOCKETS,
        "stream ended": STREAMS,
        "plugin stopped": workers,
    }
    assert {id: record["code"] for id, record in closed.items()} == dict.fromkeys(seen.sockets, 1001)
    assert records[-1]["kind"] == "plugin stopped"
    assert [gaps for numbers in series if (gaps := find_gaps(numbers))] == []
    assert max(missing.values()) <= MEANWHILE
    assert [gaps for numbers, _ in seen.streams if (gaps := find_gaps(numbers))] == []
    assert len(seen.streams) == STREAMS
    assert begun == seen.answered
    # Each process closes 100 in a second. One that stands still has some catching up to do, so not all of it.
    goodbyes = [record["at"] for record in records if record["kind"] in ("closed", "stream ended")]
    assert max(goodbyes) - min(goodbyes) > 0.5 * (SOCKETS + STREAMS) / 100 / workers
    # No peer was given up.
    assert seconds < GRACE / 2
