"""The demo as people use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nitro_py.testing.conformance import ServerTarget
from nitro_py.testing.conformance.target import Socket

CHAT = "/api/ws/chat"
PONG = {"user": "server", "message": "pong"}


@asynccontextmanager
async def join(target: ServerTarget) -> AsyncIterator[tuple[Socket, str]]:
    """Join the chat, and return the socket and the name that it has there."""
    async with target.connect(CHAT) as socket:
        name = (await socket.receive_json())["message"].removeprefix("Welcome ").removesuffix("!")
        # Messages come after the end of `open`, in which the chat is subscribed to.
        await socket.send("ping")
        while await socket.receive_json() != PONG:
            pass
        yield socket, name


async def check_chat(one: ServerTarget, two: ServerTarget) -> None:
    """Check that two clients of the chat hear each other, wherever each of them is connected."""
    async with join(one) as (ada, first):
        async with join(two) as (bob, second):
            assert second not in ("", first)
            assert await ada.receive_json() == {"user": "server", "message": f"{second} joined!"}
            await ada.send("hello")
            line = {"user": first, "message": "hello"}
            assert await ada.receive_json() == await bob.receive_json() == line
            await bob.send("hi")
            line = {"user": second, "message": "hi"}
            assert await ada.receive_json() == await bob.receive_json() == line
        assert await ada.receive_json() == {"user": "server", "message": f"{second} left!"}


async def check_clock(target: ServerTarget) -> None:
    """Check that the clock ticks, event by event."""
    async with target.stream("GET", "/api/sse") as stream:
        events = stream.events()
        ticks = [(await anext(events)).data for _ in range(2)]
    assert all(re.fullmatch(r"Message @ \d\d:\d\d:\d\d", tick) for tick in ticks)
