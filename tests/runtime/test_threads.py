"""Plain `def` functions of the app: in threads of a bounded pool, or inline where peers share no loop."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from contextvars import ContextVar
from typing import Any

import pytest

from nitro_py import Message, Peer, define_websocket_handler, publish
from nitro_py.runtime import threads
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.hooks.session import PeerSession
from nitro_py.runtime.threads import call_in_thread, call_inline, move_plain_hooks
from nitro_py.runtime.topics.local_hub import LocalHub
from nitro_py.websocket import CloseDetails
from tests.runtime.peers import RecordingChannel, make_peer

pytestmark = pytest.mark.anyio

WORD: ContextVar[str] = ContextVar("word", default="none")


def connect(call: Any = call_in_thread, **hooks: Any) -> tuple[PeerSession, RecordingChannel]:
    """Make a connection whose plain hooks are moved."""
    hub = LocalHub(Counters())
    peer, channel = make_peer("1", hub)
    handler = move_plain_hooks(define_websocket_handler(**hooks), call)
    return PeerSession(peer, handler, hub, route="/chat", max_queue=64, counters=Counters()), channel


async def finish(connection: PeerSession) -> None:
    """Lose the socket, and wait for the last hook."""
    connection.on_close(CloseDetails(1000))
    await asyncio.wait_for(connection.finished(), 60)


async def test_order_is_kept_and_a_peer_has_one_thread() -> None:
    calls: list[str] = []
    running: list[int] = []

    def note(name: str) -> None:
        running.append(1)
        assert len(running) == 1
        time.sleep(0.005)
        assert threading.current_thread() is not threading.main_thread()
        calls.append(name)
        running.pop()

    connection, _ = connect(
        open=lambda peer: note("open"),
        message=lambda peer, message: note(message.text()),
        close=lambda peer: note("close"),
    )
    connection.start()
    for text in "abc":
        connection.feed(text)
    await finish(connection)
    assert calls == ["open", "a", "b", "c", "close"]


async def test_context_is_the_callers() -> None:
    seen: list[str] = []

    def read() -> None:
        seen.append(WORD.get())
        WORD.set("changed")

    WORD.set("set")
    await call_in_thread(read, name="It")
    assert (seen, WORD.get()) == (["set"], "set")


async def test_full_pool_delays_plain_hooks_only() -> None:
    gate = threading.Event()
    calls: list[str] = []

    async def quick(peer: Peer, message: Message) -> None:
        calls.append("quick")

    crowd = [connect(message=lambda peer, message: gate.wait(10)) for _ in range(threads.MAX_THREADS + 1)]
    late, _ = connect(message=lambda peer, message: calls.append("late"))
    other, _ = connect(message=quick)
    try:
        for connection, _ in [*crowd, (late, None)]:
            connection.feed("x")
        other.feed("x")
        # Name look-ups and the app's own threads are not held up either.
        await asyncio.wait_for(asyncio.to_thread(time.sleep, 0), 30)
        assert calls == ["quick"]
        assert (
            sum(thread.name.startswith("nitropy-plain") for thread in threading.enumerate()) <= threads.MAX_THREADS
        )
    finally:
        gate.set()
    await finish(late)
    assert calls == ["quick", "late"]


@pytest.mark.parametrize("call", [call_in_thread, call_inline])
async def test_call_that_is_never_awaited_is_an_error_that_names_the_hook(
    call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []

    def message(peer: Peer, message: Message) -> None:
        peer.send("lost")  # type: ignore[unused-coroutine]
        publish("topic", "lost")  # type: ignore[unused-coroutine]

    connection, channel = connect(call, message=message, error=lambda peer, error: errors.append(error))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        connection.start()
        connection.feed("x")
        await finish(connection)
    assert channel.closes == [(1011, "Internal error")]
    assert [str(error).partition(" (")[0] for error in errors] == ["The hook `message`"]
    assert "never awaited `Peer.send`, `publish`" in str(errors[0])


async def test_coroutine_that_is_dropped_elsewhere_is_still_warned_of() -> None:
    await call_in_thread(len, "", name="It")
    with pytest.warns(RuntimeWarning, match="never awaited"):
        asyncio.sleep(0)  # type: ignore[unused-coroutine]


async def test_awaitable_that_a_plain_hook_returns_is_awaited() -> None:
    connection, channel = connect(message=lambda peer, message: peer.send(message.text()))
    connection.feed("x")
    await finish(connection)
    assert channel.frames == ["x"]


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("hook", ["open", "message", "close", "error"])
async def test_exception_that_a_future_cannot_carry_ends_the_hook(
    hook: str, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> None:
        raise error

    async def wrong(*arguments: Any) -> None:
        raise LookupError

    hooks: dict[str, Any] = {hook: fail, **({"message": wrong} if hook == "error" else {})}
    connection, channel = connect(**hooks)
    connection.start()
    connection.feed("x")
    await finish(connection)
    assert channel.closes == [(1011, "Internal error")]
    assert any("failed for peer" in line for line in caplog.messages)


async def test_async_hooks_and_callable_objects_stay_as_they_are() -> None:
    class Hook:
        async def __call__(self, peer: Peer) -> None: ...

    async def message(peer: Peer, message: Message) -> None: ...

    handler = define_websocket_handler(message=message, open=Hook())
    assert move_plain_hooks(handler, call_in_thread) is handler


def test_python_has_the_name_that_dropped_coroutines_are_told_by() -> None:
    assert hasattr(warnings, threads.COROUTINE_HOOK)
