"""The order of a connection's hooks."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from nitro_py import CloseDetails, Message, MessageValidationError, Peer, define_websocket_handler
from nitro_py.runtime.contracts import ReadyState
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.hooks.session import MAX_QUEUE_SIZE, PeerSession
from nitro_py.runtime.topics.local_hub import LocalHub
from tests.runtime.peers import RecordingChannel, make_peer

pytestmark = pytest.mark.anyio


class Hooks:
    """Records which hooks ran; each lets others run in between."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.running = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def open(self, peer: Peer) -> None:
        """Take a while."""
        await self._work("open")

    async def message(self, peer: Peer, message: Message) -> None:
        """Take a while."""
        await self._work(f"message {message.text()}")

    async def close(self, peer: Peer, details: CloseDetails) -> None:
        """Take a while."""
        await self._work(f"close {details.code}")

    async def error(self, peer: Peer, error: Exception) -> None:
        """Record the error."""
        self.calls.append(f"error {type(error).__name__}")

    async def _work(self, name: str) -> None:
        self.running += 1
        assert self.running == 1, f"{name} runs beside another hook"
        self.calls.append(f"{name} starts")
        await self.gate.wait()
        await asyncio.sleep(0)
        self.calls.append(f"{name} ends")
        self.running -= 1


def connect(max_queue: int = 64, **hooks: Any) -> tuple[PeerSession, RecordingChannel]:
    """Make a connection with hooks, which has not started."""
    hub = LocalHub(Counters())
    peer, channel = make_peer("1", hub)
    handler = define_websocket_handler(**hooks)
    connection = PeerSession(peer, handler, hub, route="/chat", max_queue=max_queue, counters=Counters())
    return connection, channel


async def finish(connection: PeerSession, code: int = 1000) -> None:
    """Lose the socket, and wait for the last hook."""
    connection.on_close(CloseDetails(code))
    await asyncio.wait_for(connection.finished(), 30)


async def test_open_then_messages_in_order_then_close() -> None:
    hooks = Hooks()
    connection, _ = connect(open=hooks.open, message=hooks.message, close=hooks.close)
    connection.start()
    for text in "abc":
        connection.feed(text)
    await finish(connection, 4000)
    names = ["open", "message a", "message b", "message c", "close 4000"]
    assert hooks.calls == [f"{name} {step}" for name in names for step in ("starts", "ends")]


async def test_disconnect_does_not_cancel_a_running_hook() -> None:
    hooks = Hooks()
    hooks.gate.clear()
    connection, _ = connect(open=hooks.open, message=hooks.message, close=hooks.close)
    connection.start()
    connection.feed("a")
    await asyncio.sleep(0.01)
    connection.on_close(CloseDetails(1006))
    await asyncio.sleep(0.01)
    assert hooks.calls == ["open starts"]
    hooks.gate.set()
    await asyncio.wait_for(connection.finished(), 30)
    assert hooks.calls[1:] == [
        "open ends",
        "message a starts",
        "message a ends",
        "close 1006 starts",
        "close 1006 ends",
    ]


async def test_close_runs_once_and_nothing_after_it() -> None:
    hooks = Hooks()
    connection, _ = connect(message=hooks.message, close=hooks.close)
    connection.start()
    connection.on_close(CloseDetails(1000))
    connection.on_close(CloseDetails(1006))
    assert connection.feed("late")
    await asyncio.wait_for(connection.finished(), 30)
    await asyncio.sleep(0.01)
    assert hooks.calls == ["close 1000 starts", "close 1000 ends"]


async def test_peers_run_beside_each_other() -> None:
    slow, quick = Hooks(), Hooks()
    slow.gate.clear()
    first, _ = connect(message=slow.message)
    second, _ = connect(message=quick.message)
    for connection in (first, second):
        connection.start()
        connection.feed("x")
    await asyncio.sleep(0.01)
    assert (slow.calls, quick.calls) == (["message x starts"], ["message x starts", "message x ends"])
    slow.gate.set()
    await finish(first)
    await finish(second)


async def test_reading_pauses_past_the_queue() -> None:
    hooks = Hooks()
    hooks.gate.clear()
    connection, _ = connect(max_queue=2, message=hooks.message)
    connection.start()
    assert connection.feed("a")
    await asyncio.sleep(0.01)
    assert connection.feed("b")
    assert not connection.feed("c")
    waiting = asyncio.create_task(connection.wait_until_resumed())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    hooks.gate.set()
    await asyncio.wait_for(waiting, 30)
    await finish(connection)
    assert [call for call in hooks.calls if call.endswith("ends")] == [f"message {text} ends" for text in "abc"]


async def test_large_messages_pause_reading_before_they_are_many() -> None:
    hooks = Hooks()
    hooks.gate.clear()
    resumed: list[str] = []
    connection, _ = connect(max_queue=64, message=hooks.message)
    connection.start()
    large = "x" * (MAX_QUEUE_SIZE // 4)
    # The first one runs, and the next three have room.
    assert [connection.feed(large) for _ in range(5)] == [True, True, True, True, False]
    connection.on_resume = lambda: resumed.append("resumed")
    hooks.gate.set()
    await finish(connection)
    assert resumed == ["resumed"]
    assert len(hooks.calls) == 10


async def test_one_large_message_has_room_by_itself() -> None:
    hooks = Hooks()
    hooks.gate.clear()
    connection, _ = connect(message=hooks.message)
    connection.start()
    assert connection.feed("running")
    assert not connection.feed("x" * 2 * MAX_QUEUE_SIZE)
    connection.on_resume = hooks.gate.set
    hooks.gate.set()
    await finish(connection)
    assert len(hooks.calls) == 4


async def test_hooks_that_are_not_there_are_passed_over() -> None:
    connection, channel = connect()
    connection.start()
    assert all(connection.feed("x") for _ in range(200))
    await finish(connection)
    assert (channel.frames, channel.closes) == ([], [])


async def test_plain_functions_are_hooks_too() -> None:
    calls: list[object] = []
    connection, _ = connect(
        open=lambda peer: calls.append("open"),
        message=lambda peer, message: calls.append(message.data),
        close=lambda peer: calls.append("close"),
    )
    connection.start()
    connection.feed(b"x")
    await finish(connection)
    assert calls == ["open", b"x", "close"]


@pytest.mark.parametrize("hook", ["open", "message"])
async def test_exception_goes_to_error_and_closes_with_1011(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()

    def fail(*args: object) -> None:
        raise LookupError("broken")

    tried: dict[str, Any] = {"message": hooks.message, hook: fail}
    connection, channel = connect(close=hooks.close, error=hooks.error, **tried)
    with caplog.at_level(logging.ERROR, "nitro_py.websocket"):
        connection.start()
        connection.feed("a")
        connection.feed("b")
        await asyncio.sleep(0.01)
        assert connection.feed("c")
        await finish(connection, 1011)
    assert channel.closes == [(1011, "Internal error")]
    assert hooks.calls[0] == "error LookupError"
    assert hooks.calls[-2:] == ["close 1011 starts", "close 1011 ends"]
    assert not [call for call in hooks.calls if "message b" in call or "message c" in call]
    assert caplog.messages == ["A hook of /chat failed for peer 1."]


@pytest.mark.parametrize("hook", ["open", "message", "close"])
async def test_waiting_for_what_was_cancelled_is_an_error_like_others(hook: str) -> None:
    calls: list[str] = []

    async def wait(*args: object) -> None:
        work = asyncio.ensure_future(asyncio.sleep(10))
        work.cancel()
        await work

    def error(peer: Peer, error: Exception) -> None:
        calls.append(f"error {type(error.__cause__).__name__}")

    tried: dict[str, Any] = {"close": lambda peer: calls.append("close"), hook: wait}
    connection, channel = connect(error=error, **tried)
    connection.start()
    connection.feed("a")
    await asyncio.sleep(0.01)
    await finish(connection)
    assert channel.closes == [(1011, "Internal error")]
    assert calls == ["error CancelledError", *(["close"] if hook != "close" else [])]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "error", [SystemExit, KeyboardInterrupt, GeneratorExit, StopAsyncIteration, StopIteration]
)
@pytest.mark.parametrize("hook", ["open", "message", "close"])
async def test_exception_for_the_process_ends_the_connection_only(
    hook: str, error: type[BaseException], late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    async def fail(*args: object) -> None:
        if late:
            await asyncio.sleep(0)
        raise error

    async def note(peer: Peer, error: Exception) -> None:
        calls.append("error")

    async def close(peer: Peer) -> None:
        calls.append("close")

    tried: dict[str, Any] = {"close": close, hook: fail}
    connection, channel = connect(error=note, **tried)
    connection.start()
    connection.feed("a")
    await asyncio.sleep(0.01)
    await finish(connection)
    assert channel.closes == [(1011, "Internal error")]
    assert calls == ["error", *(["close"] if hook != "close" else [])]
    assert caplog.messages == ["A hook of /chat failed for peer 1."]


async def test_close_of_a_hook_that_waits_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()
    connection, channel = connect(error=hooks.error)
    connection.start()
    # As the end of a loop closes the coroutine of a task that is left.
    running = connection.continue_hook(asyncio.sleep(0))
    running.send(None)
    running.close()
    await asyncio.sleep(0.02)
    assert channel.ready_state is ReadyState.CLOSED
    assert channel.closes == []
    assert (hooks.calls, caplog.messages) == ([], [])


async def test_hook_that_cancels_its_own_task_ends_the_connection() -> None:
    async def cancel(peer: Peer) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)

    ended = asyncio.Event()
    connection, channel = connect(open=cancel)
    connection.on_end = lambda _: ended.set()
    connection.start()
    await asyncio.sleep(0.01)
    assert channel.ready_state is ReadyState.CLOSED
    await finish(connection, 1006)
    connection.on_connection_lost()
    assert ended.is_set()


@pytest.mark.parametrize("grouped", [False, True])
async def test_sending_to_a_peer_that_left_ends_the_hook_quietly(
    grouped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = Hooks()

    async def send(peer: Peer, message: Message) -> None:
        await peer.terminate()
        if grouped:
            async with asyncio.TaskGroup() as group:
                group.create_task(peer.send("x"))
        await peer.send("x")
        hooks.calls.append("never")

    connection, channel = connect(message=send, close=hooks.close, error=hooks.error)
    connection.start()
    connection.feed("a")
    await finish(connection, 1006)
    assert hooks.calls == ["close 1006 starts", "close 1006 ends"]
    assert (channel.closes, caplog.messages) == ([], [])


@pytest.mark.parametrize("model", [int, None])
async def test_bad_message_goes_to_error_and_leaves_the_connection_open(model: type | None) -> None:
    seen: list[object] = []

    def read(peer: Peer, message: Any) -> None:
        seen.append(message if model else message.json())

    def note(peer: Peer, error: Exception) -> None:
        assert isinstance(error, MessageValidationError)
        seen.append("bad")

    connection, channel = connect(message=read, error=note, message_model=model)
    connection.start()
    for data in ("1", "one", b"2", b"\xff"):
        connection.feed(data)
    await finish(connection)
    assert seen == [1, "bad", 2, "bad"]
    assert channel.closes == []


async def test_error_hook_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: object) -> None:
        raise LookupError("broken")

    hooks = Hooks()
    connection, channel = connect(open=fail, error=fail, close=hooks.close)
    connection.start()
    await asyncio.sleep(0.01)
    assert channel.closes == [(1011, "Internal error")]
    await finish(connection, 1011)
    assert hooks.calls[-1] == "close 1011 ends"
    assert "The error hook of /chat failed for peer 1." in caplog.messages


async def test_shutdown_closes_with_1001() -> None:
    hooks = Hooks()
    connection, channel = connect(close=hooks.close)
    connection.start()
    await connection.shut_down()
    await asyncio.wait_for(connection.finished(), 30)
    assert channel.closes == [(1001, "The server stops.")]
    assert hooks.calls == ["close 1001 starts", "close 1001 ends"]
