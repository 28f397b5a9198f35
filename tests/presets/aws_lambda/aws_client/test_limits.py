"""How long requests take, how many there are, and what a cancelled one leaves behind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from nitro_presets.aws_lambda.aws_client.errors import TransportError
from nitro_presets.aws_lambda.aws_client.http import ConnectionPool
from tests.ports import find_port
from tests.presets.aws_lambda.aws_client.service_double import SILENCE, Answer, Peer, answer, ask

pytestmark = pytest.mark.anyio


async def test_each_request_has_its_own_time() -> None:
    async with Peer(SILENCE, SILENCE) as peer:
        transport = ConnectionPool(peer.url, timeout=0.2)
        loop = asyncio.get_running_loop()

        async def measure() -> float:
            started = loop.time()
            with pytest.raises(TransportError):
                await ask(transport)
            return loop.time() - started

        first = asyncio.create_task(measure())
        await asyncio.sleep(0.1)
        second = asyncio.create_task(measure())
        assert await first > 0.19
        # Not with the first.
        assert await second > 0.19
        await transport.close()


async def test_answer_that_does_not_come_is_given_up() -> None:
    async with Peer(SILENCE, SILENCE, answer(200, pause=0.05)) as peer:
        transport = ConnectionPool(peer.url, timeout=1.5)
        results = await asyncio.gather(*(ask(transport) for _ in range(3)), return_exceptions=True)
        again = await ask(transport)
        await transport.close()
    errors = [result for result in results if isinstance(result, TransportError)]
    assert len(errors) == 2
    assert all(error.sent and "no response within 1.5 s" in error.message for error in errors)
    assert again.status == 200


async def test_requests_under_way_are_bounded() -> None:
    async with Peer(*[answer(200, pause=0.01)] * 20) as peer:
        transport = ConnectionPool(peer.url, connections=3)
        await asyncio.gather(*(ask(transport) for _ in range(20)))
        await transport.close()
    assert (peer.most_open, peer.connections, len(peer.requests)) == (3, 3, 20)


async def test_cancelled_requests_leave_no_answer_and_no_place_behind() -> None:
    async with Peer(answer(200, b"late", pause=1.0), answer(200, b"mine")) as peer:
        transport = ConnectionPool(peer.url, connections=1)
        sent = asyncio.create_task(ask(transport))
        waiting = [asyncio.create_task(ask(transport)) for _ in range(3)]
        await peer.wait_for_requests(1)
        for task in (waiting[0], sent, waiting[1]):
            task.cancel()
        assert (await waiting[2]).body == b"mine"
        assert (await asyncio.wait_for(ask(transport), 30)).status == 200
        # The late answer is written meanwhile, and its connection found to be gone.
        async with asyncio.timeout(30):
            while peer.open != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert peer.connections == 2
        await transport.close()


async def test_place_given_to_a_cancelled_request_is_the_next_ones() -> None:
    async with Peer(answer(200, pause=0.05)) as peer:
        transport = ConnectionPool(peer.url, connections=1)

        async def ask_and_cancel() -> None:
            await ask(transport)
            # The first has left, and the second has not had its turn yet.
            second.cancel()

        first = asyncio.create_task(ask_and_cancel())
        await asyncio.sleep(0.02)
        second = asyncio.create_task(ask(transport))
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        assert (await asyncio.wait_for(ask(transport), 30)).status == 200
        await transport.close()
    assert len(peer.requests) == 2


async def test_connection_that_is_not_taken_is_given_up() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = listener.getsockname()
    fill = [socket.socket() for _ in range(4)]
    for one in fill:
        one.setblocking(False)
        one.connect_ex(address)
    transport = ConnectionPool(f"http://127.0.0.1:{address[1]}", connect_timeout=0.2)
    with pytest.raises(TransportError, match=r"accepted no connection within 0\.2 s") as caught:
        await ask(transport)
    assert not caught.value.sent
    for one in (listener, *fill):
        one.close()


async def test_requests_that_wait_behind_a_failed_connect_get_their_turn() -> None:
    port = find_port()
    transport = ConnectionPool(f"http://127.0.0.1:{port}", connections=1)
    asking = [asyncio.create_task(ask(transport)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[2].cancel()
    results = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 30)
    assert isinstance(results.pop(2), asyncio.CancelledError)
    assert [type(result) for result in results] == [TransportError] * 4
    async with Peer(port=port) as peer:
        # The one slot is free again, and only one.
        responses = await asyncio.wait_for(asyncio.gather(*(ask(transport) for _ in range(4))), 30)
        assert [response.status for response in responses] == [200] * 4
        assert peer.most_open == 1
        await transport.close()


@pytest.mark.parametrize("pieces", [1, 5])
async def test_answer_to_a_cancelled_request_is_not_taken_for_the_next_ones(pieces: int) -> None:
    (whole,) = answer(200, b"late").pieces
    size = -(-len(whole) // pieces)
    late = tuple(whole[start : start + size] for start in range(0, len(whole), size))
    script = (answer(200, b"first"), Answer(late, pause=0.05), answer(200, b"mine"))
    async with Peer(*script) as peer:
        transport = ConnectionPool(peer.url, connections=1)
        assert (await ask(transport)).body == b"first"
        cancelled = asyncio.create_task(ask(transport))
        await asyncio.sleep(0.12 if pieces > 1 else 0.02)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert (await asyncio.wait_for(ask(transport), 30)).body == b"mine"
        assert [request.connection for request in peer.requests] == [1, 1, 2]
        # The one that was given up is closed, not left open.
        async with asyncio.timeout(30):
            while peer.open != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await transport.close()
