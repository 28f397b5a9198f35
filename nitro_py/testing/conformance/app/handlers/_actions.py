"""What the scripted socket can do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nitro_py import Peer, PeerClosedError

from ._journal import note, reach


@dataclass
class Point:
    x: int


class Note(BaseModel):
    text: str


VALUES: dict[str, object] = {
    "str": "text é",
    "bytes": b"\x00\xff",
    "none": None,
    "dict": {"a": 1},
    "list": [1, "two"],
    "dataclass": Point(3),
    "model": Note(text="hi"),
    "int": 7,
    "float": 1.5,
    "bool": True,
}


async def state(peer: Peer) -> None:
    request = peer.request
    await peer.send(
        {
            "buffered_amount": peer.buffered_amount,
            "context": peer.context,
            "cookies": dict(request.cookies),
            "header": request.headers.get("X-Word"),
            "id": peer.id,
            "namespace": peer.namespace,
            "params": dict(peer.params),
            "protocol": peer.protocol,
            "query": dict(request.query),
            "ready_state": peer.ready_state,
            "remote_address": peer.remote_address,
            "request": f"{type(request).__module__}.{type(request).__name__}",
            "str": str(peer),
            "topics": sorted(peer.topics),
            "url": request.url,
        }
    )


async def send(peer: Peer, kind: str) -> None:
    await peer.send(VALUES[kind])


async def remember(peer: Peer, **values: Any) -> None:
    peer.context.update(values)
    await peer.send(peer.context)


async def subscribe(peer: Peer, topic: str) -> None:
    await peer.subscribe(topic)
    await peer.send({"topics": sorted(peer.topics)})


async def subscribe_odd(peer: Peer, topic: Any = None, surrogate: bool = False) -> None:
    """Subscribe and publish to what a client sends in place of a topic, without any check."""
    refused: list[str] = []
    odd = "\ud800" if surrogate else topic
    for call in (peer.subscribe(odd), peer.publish(odd, "x"), peer.unsubscribe(odd)):
        try:
            await call
        except (TypeError, ValueError) as error:
            refused.append(type(error).__name__)
    await peer.send({"refused": refused})


async def unsubscribe(peer: Peer, topic: str) -> None:
    await peer.unsubscribe(topic)
    await peer.send({"topics": sorted(peer.topics)})


async def publish(
    peer: Peer, topic: str, data: object, include_self: bool = False, times: int = 1, binary: bool = False
) -> None:
    for number in range(times):
        value = b"\x01" if binary else data if times == 1 else number
        await peer.publish(topic, value, include_self=include_self)
    await peer.send({"published": topic})


async def close(peer: Peer, code: int = 1000, reason: str = "") -> None:
    try:
        await peer.close(code, reason)
    except (TypeError, ValueError) as error:
        await peer.send({"refused": str(error)})


async def terminate(peer: Peer) -> None:
    await peer.terminate()
    note(peer.params["key"], f"terminated {peer.ready_state.name}")


async def fail(peer: Peer) -> None:
    raise RuntimeError("as told")


async def exit(peer: Peer) -> None:
    # What `argparse` does with arguments that it does not know.
    raise SystemExit(2)


async def raise_close(peer: Peer) -> None:
    raise GeneratorExit


async def step(peer: Peer, number: int) -> None:
    note(peer.params["key"], f"begin {number}")
    await asyncio.sleep(0.01)
    note(peer.params["key"], f"end {number}")


async def hold(peer: Peer, until: str, count: int = 1) -> None:
    key = peer.params["key"]
    note(key, "holding")
    await reach(key, until, count)
    note(key, "held")


async def count(peer: Peer, padding: str) -> None:
    peer.context["count"] = peer.context.get("count", 0) + 1


async def send_late(peer: Peer, caught: bool) -> None:
    """Send once the peer is gone."""
    key = peer.params["key"]
    note(key, "waiting")
    await reach(key, "gone")
    try:
        # The news may still be on its way, and not every target tells a hook that runs.
        async with asyncio.timeout(5):
            while True:
                await peer.send("too late")
                await asyncio.sleep(0.01)
    except PeerClosedError as error:
        note(key, f"caught {type(error).__name__}")
        if not caught:
            raise
    note(key, "went on")


async def flood(peer: Peer, messages: int, size: int) -> None:
    """Send more than a client that does not read takes."""
    for number in range(messages):
        await peer.send(f"{number} ".ljust(size, "x"))
    note(peer.params["key"], f"buffered {peer.buffered_amount > 0}")
    await peer.wait_for_drain()
    note(peer.params["key"], f"drained {peer.buffered_amount}")


ACTIONS: dict[str, Callable[..., Awaitable[None]]] = {
    action.__name__: action
    for action in (
        close,
        count,
        exit,
        fail,
        flood,
        hold,
        publish,
        raise_close,
        remember,
        send,
        send_late,
        state,
        step,
        subscribe,
        subscribe_odd,
        terminate,
        unsubscribe,
    )
}
