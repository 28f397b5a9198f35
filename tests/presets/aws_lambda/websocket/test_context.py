"""A peer's context: stored before anybody hears from the hook that changed it, for as few writes as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from nitro_presets.aws_lambda.aws_client.http import ServiceResponse
from nitro_presets.aws_lambda.store.contract import ConnectionRow
from nitro_py.message import Message
from nitro_py.peer import Peer
from nitro_py.websocket import Upgrade
from tests.presets.aws_lambda.websocket.events import ID, connecting, leaving, saying
from tests.presets.aws_lambda.websocket.log import Log
from tests.presets.aws_lambda.websocket.stage import Cloud

pytestmark = pytest.mark.anyio

OTHER = "other="


def begin_with(context: dict[str, Any]) -> Any:
    """Make an upgrade hook that gives every peer a context."""
    return lambda request: Upgrade(context=context)


async def read_row(cloud: Cloud) -> ConnectionRow:
    """Read what is stored about the peer."""
    row = await cloud.store.get_connection(ID)
    assert row is not None
    return row


def watch(cloud: Cloud) -> list[tuple[str, Mapping[str, Any]]]:
    """Note, whenever the API is called, what for and what is stored of the peer's context at that moment."""
    seen: list[tuple[str, Mapping[str, Any]]] = []
    answer = cloud.management.answer

    async def note(method: str, id: str, body: bytes) -> ServiceResponse:
        seen.append((body.decode() or method, (await read_row(cloud)).context))
        return await answer(method, id, body)

    cloud.management.answer = note  # type: ignore[method-assign]
    return seen


async def test_message_reads_once_and_writes_what_has_changed() -> None:
    async def message(peer: Peer, message: Message) -> None:
        if message.text() == "count":
            peer.context["seen"]["n"] += 1
        if message.text() == "drop":
            del peer.context["seen"]

    cloud = Cloud({"upgrade": begin_with({"seen": {"n": 1}, "kept": [1.5]}), "message": message})
    await cloud.run(connecting(ID))
    cloud.calls.clear()
    await cloud.run(saying(ID, "nothing"))
    assert cloud.calls == {"get_connection": 1}
    await cloud.run(saying(ID, "count"))
    assert cloud.calls == {"get_connection": 2, "save": 1}
    assert (await read_row(cloud)).context == {"seen": {"n": 2}, "kept": [1.5]}
    await cloud.run(saying(ID, "drop"))
    assert (await read_row(cloud)).context == {"kept": [1.5]}


async def test_change_of_type_is_a_change() -> None:
    def message(peer: Peer, message: Message) -> None:
        peer.context["on"] = True

    cloud = Cloud({"upgrade": begin_with({"on": 1}), "message": message})
    await cloud.run(connecting(ID))
    await cloud.run(saying(ID, "x"))
    assert (await read_row(cloud)).context["on"] is True


async def test_sends_at_the_same_time_wait_for_one_write() -> None:
    async def message(peer: Peer, message: Message) -> None:
        peer.context["said"] = message.text()
        await asyncio.gather(peer.send("a"), peer.send("b"))

    cloud = Cloud({"upgrade": begin_with({}), "message": message})
    await cloud.run(connecting(ID))
    save = cloud.store.save

    async def save_slowly(*arguments: Any, **options: Any) -> None:
        await asyncio.sleep(0.01)
        await save(*arguments, **options)

    cloud.store.save = save_slowly  # type: ignore[method-assign, assignment]
    cloud.calls.clear()
    seen = watch(cloud)
    await cloud.run(saying(ID, "hello"))
    assert sorted(seen) == [("a", {"said": "hello"}), ("b", {"said": "hello"})]
    assert cloud.calls["save"] == 1


async def test_what_a_hook_sends_is_heard_once_its_changes_are_stored() -> None:
    async def message(peer: Peer, message: Message) -> None:
        peer.context["list"].append(message.text())
        await peer.send("one")
        await peer.send("two")
        await peer.publish("news", "three")
        peer.context["list"].append("more")
        await peer.publish("news", "four")
        await peer.close()

    cloud = Cloud({"upgrade": begin_with({"list": []}), "message": message})
    await cloud.run(connecting(ID))
    await cloud.populate([OTHER])
    seen = watch(cloud)
    await cloud.run(saying(ID, "a"))
    first, second = {"list": ["a"]}, {"list": ["a", "more"]}
    assert seen == [("one", first), ("two", first), ("three", first), ("four", second), ("DELETE", second)]
    # One write for each change that a client hears of.
    assert (cloud.calls["get_connection"], cloud.calls["save"]) == (1, 2)


async def test_changes_before_the_only_send_cost_one_write() -> None:
    async def message(peer: Peer, message: Message) -> None:
        peer.context["n"] = 1
        peer.context["m"] = 2
        await asyncio.gather(*(peer.send(f"{n}") for n in range(5)))

    cloud = Cloud({"message": message})
    await cloud.run(connecting(ID))
    cloud.calls.clear()
    seen = watch(cloud)
    await cloud.run(saying(ID, "x"))
    assert cloud.calls == {"get_connection": 1, "save": 1}
    assert sorted(seen) == [(f"{n}", {"n": 1, "m": 2}) for n in range(5)]


async def test_whoever_sends_during_the_write_waits_for_it() -> None:
    async def message(peer: Peer, message: Message) -> None:
        peer.context["n"] = 1
        await asyncio.gather(peer.send("a"), peer.send("b"))

    cloud = Cloud({"message": message})
    await cloud.run(connecting(ID))
    save, gate = cloud.store.save, asyncio.Event()

    async def save_slowly(*args: Any, **options: Any) -> bool:
        await gate.wait()
        return await save(*args, **options)

    cloud.store.save = save_slowly  # type: ignore[method-assign]
    running = cloud.start(saying(ID, "x"))
    await asyncio.sleep(0.02)
    assert cloud.management.received == {}
    gate.set()
    await running
    assert sorted(cloud.management.received[ID]) == ["a", "b"]


async def test_greeting_of_the_open_hook_is_heard_once_its_changes_are_stored() -> None:
    async def open(peer: Peer) -> None:
        peer.context["greeted"] = True
        await peer.send("hello")
        peer.context["late"] = True

    cloud = Cloud({"open": open})
    seen = watch(cloud)
    await cloud.run(connecting(ID))
    await cloud.settle()
    assert seen == [("hello", {"greeted": True})]
    row = await read_row(cloud)
    assert (row.context, row.open_state) == ({"greeted": True, "late": True}, "done")


async def test_error_hook_is_heard_once_all_changes_are_stored() -> None:
    async def error(peer: Peer, error: Exception) -> None:
        peer.context["failed"] = str(error)
        await peer.send("sorry")

    def message(peer: Peer, message: Message) -> None:
        peer.context["tried"] = True
        raise ValueError("ink")

    cloud = Cloud({"message": message, "error": error})
    seen = watch(cloud)
    await cloud.run(connecting(ID))
    await cloud.run(saying(ID, "x"))
    expected = {"tried": True, "failed": "ink"}
    assert seen == [("sorry", expected), ("DELETE", expected)]


async def test_peer_that_leaves_while_a_hook_runs_leaves_nothing_behind() -> None:
    log, gate = Log(), asyncio.Event()

    async def message(peer: Peer, message: Message) -> None:
        await gate.wait()
        peer.context["n"] = 1
        await peer.publish("news", "left")

    cloud = Cloud(log.hooks("close", message=message))
    await cloud.run(connecting(ID))
    await cloud.populate([OTHER])
    running = cloud.start(saying(ID, "x"))
    await asyncio.sleep(0.01)
    await cloud.run(leaving(ID))
    gate.set()
    await running
    assert (log.entries, cloud.management.received) == (["close 1001"], {OTHER: ["left"]})
    assert await cloud.store.get_connection(ID) is None


async def test_overlapping_messages_keep_each_others_keys() -> None:
    gate = asyncio.Event()

    async def message(peer: Peer, message: Message) -> None:
        peer.context[message.text()] = True
        await gate.wait()

    cloud = Cloud({"message": message})
    await cloud.run(connecting(ID))
    first, second = cloud.start(saying(ID, "a")), cloud.start(saying(ID, "b"))
    await asyncio.sleep(0.02)
    gate.set()
    await asyncio.wait([first, second])
    assert (await read_row(cloud)).context == {"a": True, "b": True}
