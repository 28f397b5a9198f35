"""The end of a connection: the close hook once, whatever is told twice, late, early or not at all."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from nitro_py.peer import Peer
from tests.presets.aws_lambda.websocket.events import ID, connecting, leaving, record, saying
from tests.presets.aws_lambda.websocket.log import Log
from tests.presets.aws_lambda.websocket.stage import PATH, ROUTE, Cloud

pytestmark = pytest.mark.anyio


async def test_close_runs_once_though_the_end_is_told_twice() -> None:
    log = Log()
    cloud = Cloud(log.hooks("open", "close"))
    await cloud.run(connecting(ID))
    await cloud.settle()
    await asyncio.gather(cloud.run(leaving(ID)), cloud.run(leaving(ID)))
    await cloud.run(leaving(ID))
    assert log.entries == ["open", "close 1001"]
    assert await cloud.store.get_connection(ID) is None


async def test_sweep_finds_the_end_that_was_never_told() -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"))
    await cloud.run(connecting(ID))
    await cloud.sweep()
    assert log.entries == []
    cloud.clock.ahead = 3 * 3600
    await cloud.sweep()
    await cloud.sweep()
    assert log.entries == ["close 1006"]


@pytest.mark.parametrize(("names", "expected"), [(("open", "close"), []), (("close",), ["close 1006"])])
async def test_end_that_is_told_before_its_connection_is_written(
    names: tuple[str, ...], expected: list[str]
) -> None:
    log = Log()
    cloud = Cloud(log.hooks(*names))
    await cloud.run(leaving(ID))
    await cloud.run(connecting(ID))
    await cloud.settle()
    assert log.entries == expected
    await cloud.sweep()
    assert log.entries == expected
    assert await cloud.store.get_connection(ID) is None


async def test_close_waits_for_the_open_hook() -> None:
    log, gate = Log(), asyncio.Event()

    async def open(peer: Peer) -> None:
        await gate.wait()
        await log.open(peer)

    cloud = Cloud(log.hooks("close", open=open))
    await cloud.run(connecting(ID))
    await asyncio.sleep(0.01)
    ending = cloud.start(leaving(ID))
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.wait([ending])
    assert log.entries == ["open", "close 1001"]


async def test_message_after_the_end_is_dropped() -> None:
    log = Log()
    cloud = Cloud(log.hooks("message", "close"))
    await cloud.run(connecting(ID))
    await cloud.run(leaving(ID))
    await cloud.run(saying(ID, "late"))
    await cloud.run(saying("unknown=", "late"))
    assert log.entries == ["close 1001"]


async def test_failing_hook_is_told_and_ends_the_connection() -> None:
    log = Log()

    def fail(peer: Peer, *rest: Any) -> None:
        raise ValueError("out of ink")

    cloud = Cloud(log.hooks("error", "close", open=fail, message=fail))
    cloud.copies = 0
    await cloud.run(connecting(ID))
    await cloud.run(saying(ID, "x"))
    # The message had to open, which failed: it is not handled any more.
    assert log.entries == ["error out of ink"]
    assert cloud.management.deleted == [ID]
    await cloud.run(leaving(ID))
    assert log.entries == ["error out of ink", "close 1001"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration])
async def test_hook_that_ends_processes_ends_its_connection(error: type[BaseException]) -> None:
    log = Log()

    def fail(peer: Peer, *rest: Any) -> None:
        raise error

    cloud = Cloud(log.hooks("error", message=fail))
    await cloud.run(connecting(ID))
    await cloud.run(saying(ID, "x"))
    assert len(log.entries) == 1
    assert error.__name__ in log.entries[0]
    assert cloud.management.deleted == [ID]
    assert cloud.failures == []


async def test_plain_hook_runs_inline_and_must_not_drop_a_call() -> None:
    log = Log()
    threads: list[str] = []

    def message(peer: Peer, message: Any) -> None:
        threads.append(threading.current_thread().name)
        peer.send("lost")  # type: ignore[unused-coroutine]

    cloud = Cloud(log.hooks("error", message=message))
    await cloud.run(connecting(ID))
    await cloud.run(saying(ID, "x"))
    assert threads == [threading.current_thread().name]
    assert "never awaited `Peer.send`" in log.entries[0]


async def test_connection_of_a_route_that_is_gone_ends_without_its_hook() -> None:
    cloud = Cloud(Log().hooks("close"))
    await cloud.run(connecting(ID))
    await cloud.run(connecting("other="))
    cloud.app.manifest = type(cloud.app.manifest)("production", ())
    cloud.clock.ahead = 3 * 3600
    await cloud.sweep()
    assert cloud.failures == []
    assert await cloud.store.get_connection(ID) is None
    assert (await cloud.store.expired()).items == ()


async def test_sweep_goes_on_behind_one_that_fails() -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"))
    for n in range(3):
        await cloud.run(connecting(f"{n}="))
    cloud.clock.ahead = 3 * 3600
    delete = cloud.store.delete_topics

    async def fail(row: Any) -> None:
        if row.id == "1=":
            raise OSError("unplugged")
        await delete(row)

    cloud.store.delete_topics = fail  # type: ignore[method-assign]
    await cloud.sweep()
    assert log.entries == ["close 1006"] * 2


async def test_ordered_events_go_through_the_peers_queue() -> None:
    log = Log()
    cloud = Cloud(log.hooks("open", "message", "close"), ordered=True)
    await cloud.run(connecting(ID))
    assert [(group, work["nitro"]["kind"]) for group, _, work in cloud.queued] == [(ID, "open")]
    await cloud.run(record(cloud.queued[0][2]))
    await cloud.run(record(saying(ID, "grüße \0")))
    await cloud.run(leaving(ID))
    assert log.entries == ["open", "message grüße \0"]
    group, dedup, work = cloud.queued[1]
    assert (group, dedup) == (ID, f"left-{ID}")
    await cloud.run(record(work))
    await cloud.run(record(work))
    assert log.entries == ["open", "message grüße \0", "close 1001"]
    assert cloud.sent == []


async def test_queued_message_that_comes_again_runs_no_hook_twice(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    cloud = Cloud(log.hooks("message"), ordered=True)
    await cloud.run(connecting(ID))
    for text, number in (("one", 256), ("one", 256), ("two", 512)):
        await cloud.run(record(saying(ID, text), number))
    assert log.entries == ["message one", "message two"]
    assert caplog.messages == [f"Lost a message of peer {ID}: the invocation died that had begun with it."]


async def test_ordered_end_that_is_told_early_is_not_taken_for_a_repetition() -> None:
    log = Log()
    cloud = Cloud(log.hooks("close"), ordered=True)
    await cloud.run(leaving(ID))
    await cloud.run(record(cloud.queued[0][2]))
    await cloud.run(connecting(ID))
    assert len({dedup for _, dedup, _ in cloud.queued}) == 2
    await cloud.run(record(cloud.queued[1][2]))
    assert log.entries == ["close 1006"]


async def test_peer_of_a_removed_route_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    cloud = Cloud(log.hooks("open", "message", "close"))
    await cloud.run(connecting(ID))
    await cloud.settle()
    # A later deployment has another route.
    cloud.app.manifest = cloud.app.manifest._replace(routes=(ROUTE._replace(path="/other"),))
    await cloud.run(saying(ID, "hello"))
    assert (log.entries, cloud.management.deleted, cloud.failures) == (["open"], [ID], [])
    assert caplog.messages[-1] == f"The route `{PATH}` of peer `{ID}` is no longer served. The peer is closed."
    await cloud.run(leaving(ID))
    assert await cloud.store.get_connection(ID) is None


async def test_peer_whose_route_was_removed_before_it_opened_is_closed() -> None:
    log = Log()
    cloud = Cloud(log.hooks("open", "message"))
    cloud.copies = 0
    await cloud.run(connecting(ID))
    cloud.app.manifest = cloud.app.manifest._replace(routes=())
    await cloud.run({"nitro": {"kind": "open", "id": ID}})
    assert (log.entries, cloud.management.deleted, cloud.failures) == ([], [ID], [])
