"""The connection to the Runtime API, after requests that were given up."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from nitro_presets.aws_lambda.lambda_runtime.client import RuntimeApiClient
from nitro_py.errors import NitroError
from tests.presets.aws_lambda.aws_client.service_double import Answer, answer

pytestmark = pytest.mark.anyio


def hand_out(id: str, *, pause: float = 0.0, pieces: int = 1) -> Answer:
    """Hand out an invocation with an id, in pieces with a pause before each."""
    (whole,) = answer(200, b'"event"', f"Lambda-Runtime-Aws-Request-Id: {id}").pieces
    size = -(-len(whole) // pieces)
    return Answer(tuple(whole[start : start + size] for start in range(0, len(whole), size)), pause)


class RuntimeServer:
    """A Runtime API on a real socket that answers in the order of its script.

    Args:
        script: What it does about each request, whichever connection it comes on.
    """

    def __init__(self, *script: Answer) -> None:
        self.connections = 0
        self.requests: list[tuple[int, str]] = []
        self._script = iter(script)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RuntimeServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % self._server.sockets[0].getsockname()[1]  # noqa: UP031
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length:")[2].split()[0])
                await reader.readexactly(length)
                self.requests.append((number, head.split()[1].rpartition("/runtime/")[2]))
                action = next(self._script)
                for piece in action.pieces:
                    await asyncio.sleep(action.pause)
                    writer.write(piece)
                    await writer.drain()
        writer.transport.abort()


@pytest.mark.parametrize("pieces", [1, 4])
async def test_answer_to_a_request_that_was_given_up_is_not_the_next_ones(pieces: int) -> None:
    async with RuntimeServer(hand_out("late", pause=0.1, pieces=pieces), hand_out("mine")) as server:
        client = RuntimeApiClient(server.address)
        polling = asyncio.create_task(client.next())
        # In pieces, a part of the answer has come by then.
        await asyncio.sleep(0.25 if pieces > 1 else 0.05)
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        assert (await asyncio.wait_for(client.next(), 30)).id == "mine"
        client.close()
    assert server.requests == [(1, "invocation/next"), (2, "invocation/next")]


async def test_request_that_was_given_up_while_it_was_written_is_not_gone_on_with() -> None:
    go, ended = asyncio.Event(), asyncio.Event()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        while await reader.read(1 << 20):
            pass
        writer.close()
        ended.set()

    server = await asyncio.start_server(read_late, "127.0.0.1", 0, limit=1000)
    client = RuntimeApiClient("127.0.0.1:%d" % server.sockets[0].getsockname()[1])  # noqa: UP031
    responding = asyncio.create_task(client.respond("1", bytes(32_000_000)))
    await asyncio.sleep(0.2)
    assert not responding.done()
    responding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await responding
    # What comes as the answer to it would be taken for that to the next request.
    assert client._connection is None
    go.set()
    await asyncio.wait_for(ended.wait(), 30)
    server.close()


async def test_connection_is_kept_from_one_invocation_to_the_next() -> None:
    async with RuntimeServer(hand_out("1"), answer(202), hand_out("2"), answer(202)) as server:
        client = RuntimeApiClient(server.address)
        for id in ("1", "2"):
            assert (await client.next()).id == id
            await client.respond(id, b"{}")
        client.close()
    assert server.connections == 1


async def test_answer_that_is_no_invocation_is_an_error() -> None:
    async with RuntimeServer(answer(200, b"{}"), answer(500, b"broken")) as server:
        client = RuntimeApiClient(server.address)
        for _ in range(2):
            with pytest.raises(NitroError, match="returned no invocation"):
                await client.next()
        client.close()
