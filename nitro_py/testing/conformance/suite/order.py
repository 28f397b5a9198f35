"""The order of hooks, and what bounds their work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nitro_py.testing.conformance.suite.steps import (
    PATIENCE,
    ask,
    do,
    make_key,
    open_script,
    reach,
    reach_close,
    read_journal,
    write_journal,
)
from nitro_py.testing.conformance.target import Target, requires

# The app's own `websocket.max_queue`.
MAX_QUEUE = 8


def measure_buffers() -> int:
    """Return how many bytes may be between a client and the app: those of two connections, if a proxy has one."""
    try:
        files = [Path(f"/proc/sys/net/ipv4/{name}").read_text() for name in ("tcp_rmem", "tcp_wmem")]
    except OSError:
        # Of Linux on another machine: what it has by default.
        files = ["4096 131072 6291456", "4096 16384 4194304"]
    # The third number is the size that the system lets a buffer grow to.
    return 2 * sum(int(text.split()[2]) for text in files)


@pytest.mark.anyio
class Order:
    """Tests of the contract's paragraph "Order"."""

    @requires("websocket")
    async def test_open_ends_before_the_first_message(self, target: Target) -> None:
        """Check W6 of the contract."""
        key = make_key()
        async with open_script(target, key, "?slow") as socket:
            await do(socket, "step", number=0)
            lines = await reach(target, key, "end 0")
        assert lines == ["open begins", "open ends", "begin 0", "end 0"]

    @requires("websocket.ordered")
    async def test_messages_run_one_at_a_time_in_order_and_close_is_last(self, target: Target) -> None:
        """Check W6 of the contract."""
        key = make_key()
        async with open_script(target, key, "?slow") as socket:
            for number in range(20):
                await do(socket, "step", number=number)
            await socket.close(4000, "enough")
        lines = await reach_close(target, key)
        steps = [f"{edge} {number}" for number in range(20) for edge in ("begin", "end")]
        assert lines[:-1] == ["open begins", "open ends", *steps]

    @requires("websocket")
    async def test_peers_run_concurrently(self, target: Target) -> None:
        """Check W6 of the contract."""
        key = make_key()
        async with open_script(target, key) as first, open_script(target, key) as second:
            for socket in (first, second):
                # Each hook waits for the other one to be running.
                await do(socket, "hold", until="holding", count=2)
            await reach(target, key, "held", 2)

    @requires("websocket")
    async def test_slow_open_holds_up_no_other_peer(self, target: Target) -> None:
        """Check W6 of the contract."""
        key = make_key()
        async with open_script(target, key), open_script(target, key) as socket:
            await do(socket, "hold", until="never")
            async with open_script(target) as other:
                assert (await ask(other, "state"))["ready_state"] == 1
            await write_journal(target, key, "never")

    @requires("websocket", "websocket.ordered")
    @pytest.mark.parametrize("way", ["close", "drop"])
    async def test_disconnect_cancels_no_running_hook(self, target: Target, way: str) -> None:
        """Check W8 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await do(socket, "hold", until="go on")
            await reach(target, key, "holding")
            await (socket.close() if way == "close" else socket.drop())
        await write_journal(target, key, "go on")
        lines = await reach_close(target, key)
        assert lines[:-1] == ["open begins", "open ends", "holding", "go on", "held"]

    @requires("websocket")
    async def test_close_runs_once_whoever_closes(self, target: Target) -> None:
        """Check W6 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await do(socket, "close", code=4002, reason="by the hook")
            await socket.wait_closed()
        await reach_close(target, key)
        async with open_script(target, key) as socket:
            await ask(socket, "state")
            await socket.drop()
        lines = await reach_close(target, key, 2)
        assert [line.partition(" ")[0] for line in lines] == ["open", "open", "close"] * 2

    @requires("websocket", "websocket.ordered")
    async def test_hooks_may_be_plain_functions(self, target: Target) -> None:
        """Check W1 of the contract."""
        key = make_key()
        async with target.connect(f"/ws/sync/{key}") as socket:
            await socket.send("one")
            await socket.send("fail")
            await socket.wait_closed()
        lines = await reach(target, key, "close")
        assert lines == ["upgrade", "open sync", "message one", "message fail", "error as told", "close"]

    @requires("websocket")
    async def test_every_hook_is_optional(self, target: Target) -> None:
        """Check W1 of the contract."""
        async with target.connect("/ws/silent") as socket:
            await socket.send("nobody listens")
            await socket.close(1000)

    @requires("websocket.ordered", "websocket.buffering")
    async def test_reading_pauses_while_messages_wait(self, target: Target) -> None:
        """Check W7 of the contract."""
        key = make_key()
        padding = "x" * 256 * 1024
        most = MAX_QUEUE + measure_buffers() // len(padding)
        sent = 0
        async with open_script(target, key) as socket:
            await do(socket, "hold", until="go on")
            await reach(target, key, "holding")
            sending = None
            for _ in range(2 * most):
                sending = asyncio.ensure_future(socket.send({"do": "count", "padding": padding}))
                # Before the queue is full, only a busy machine lets a client wait.
                done, _ = await asyncio.wait((sending,), timeout=PATIENCE if sent < MAX_QUEUE else 0.5)
                if not done:
                    break
                sending.result()
                sent += 1
            assert sending is not None
            assert not sending.done(), f"{sent} messages were taken while the hook was busy"
            assert MAX_QUEUE <= sent <= most
            # Other peers are read all the while.
            async with open_script(target) as other:
                await ask(other, "state")
            await write_journal(target, key, "go on")
            await sending
            # Nothing was lost.
            assert (await ask(socket, "remember"))["count"] == sent + 1

    @requires("websocket")
    async def test_journal_shows_no_close_while_a_socket_is_open(self, target: Target) -> None:
        """Check W6 of the contract."""
        key = make_key()
        async with open_script(target, key) as socket:
            await ask(socket, "state")
            assert await read_journal(target, key) == ["open begins", "open ends"]
        assert len(await reach_close(target, key)) == 3
