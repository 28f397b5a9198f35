"""What a server of our own keeps, beyond what any ASGI server does."""

from __future__ import annotations

import pytest

from nitro_py.testing.conformance.suite.steps import do, make_key, open_script, poll, reach, write_journal
from nitro_py.testing.conformance.suite.topics import publish
from nitro_py.testing.conformance.target import Target, requires

# The default of `websocket.max_message`, in bytes.
LARGEST = 1024 * 1024


@pytest.mark.anyio
class Limits:
    """Tests of sizes, slow event streams and `terminate`; for targets that run nitropy-kit's own server."""

    @requires("websocket")
    async def test_largest_message_is_taken(self, target: Target) -> None:
        """Check W18 of the contract."""
        async with target.connect("/ws/echo") as socket:
            await socket.send("x" * LARGEST)
            assert await socket.receive_text() == "x" * LARGEST

    @requires("websocket.close-code")
    @pytest.mark.parametrize("data", ["x" * (LARGEST + 1), b"x" * (LARGEST + 1)], ids=["text", "bytes"])
    async def test_larger_message_closes_with_1009(self, target: Target, data: str | bytes) -> None:
        """Check W18 of the contract."""
        async with target.connect("/ws/echo") as socket:
            await socket.send(data)
            assert (await socket.wait_closed()).code == 1009

    @requires("websocket")
    async def test_terminate_drops_the_connection_and_close_runs(self, target: Target) -> None:
        """Check W11 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await do(socket, "terminate")
            assert (await socket.wait_closed()).code == 1006
        lines = await reach(target, key, "close 1006")
        assert lines[2:] == ["terminated CLOSED", "close 1006"]

    @requires("websocket")
    async def test_message_of_a_peer_that_left_is_still_handled(self, target: Target) -> None:
        """Check W8 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await do(socket, "hold", until="go on")
            await do(socket, "step", number=1)
            await reach(target, key, "holding")
        await write_journal(target, key, "go on")
        lines = await reach(target, key, "close 1000")
        assert lines[2:] == ["holding", "go on", "held", "begin 1", "end 1", "close 1000"]

    @requires("topics.sse")
    async def test_event_stream_that_is_not_read_is_cut_off(self, target: Target) -> None:
        """Check S7 of the contract."""
        topic = make_key()
        async with target.stream("GET", f"/topics_sse/{topic}") as slow:
            events = slow.events()
            assert (await anext(events)).data == "subscribed"
            for _ in range(16):
                await publish(target, topic, size=256 * 1024, times=8)
            heard = [event.data.partition(" ")[0] async for event in events]
        assert len(heard) < 128

    @requires("websocket")
    async def test_peers_leave_nothing_behind(self, target: Target) -> None:
        """Check W13 of the contract."""
        async with open_script(target), open_script(target):
            pass
        await poll(lambda: target.request("GET", "/peers"), lambda answer: answer.json() == [])
