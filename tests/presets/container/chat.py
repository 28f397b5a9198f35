"""The demo as people use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote_plus

from nitro_py.testing.conformance import ServerTarget
from nitro_py.testing.conformance.target import Socket

CHAT = "/api/ws/chat"
PONG = {"user": "server", "message": "pong"}


@asynccontextmanager
async def join(target: ServerTarget, name: str) -> AsyncIterator[Socket]:
    """Join the chat by one of its names, and return the socket."""
    async with target.connect(f"{CHAT}?name={quote_plus(name)}") as socket:
        await expect_line(socket, "server", f"Welcome {name}!")
        # Messages come after the end of `open`, in which the chat is subscribed to.
        await socket.send("ping")
        while await socket.receive_json() != PONG:
            pass
        yield socket


async def expect_line(socket: Socket, user: str, message: str) -> None:
    """Expect a line of the chat, after those that tell who left it before: other processes tell that late."""
    line = await socket.receive_json()
    while line != {"user": user, "message": message} and line["message"].endswith(" left!"):
        line = await socket.receive_json()
    assert line == {"user": user, "message": message}


async def check_chat(one: ServerTarget, two: ServerTarget) -> None:
    """Check that two clients of the chat hear each other, wherever each of them is connected."""
    first, second = "Calm Otter", "Quick Fox"
    async with join(one, first) as ada:
        async with join(two, second) as bob:
            await expect_line(ada, "server", f"{second} joined!")
            await ada.send("hello")
            for socket in (ada, bob):
                await expect_line(socket, first, "hello")
            await bob.send("hi")
            for socket in (ada, bob):
                await expect_line(socket, second, "hi")
        await expect_line(ada, "server", f"{second} left!")


async def check_clock(target: ServerTarget) -> None:
    """Check that the clock ticks, event by event."""
    async with target.stream("GET", "/api/sse") as stream:
        events = stream.events()
        ticks = [(await anext(events)).data for _ in range(2)]
    assert all(re.fullmatch(r"Message @ \d\d:\d\d:\d\d", tick) for tick in ticks)
