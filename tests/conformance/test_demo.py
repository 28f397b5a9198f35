"""The demo, built and running, behaves as others rely on it."""

from __future__ import annotations

import re
import time

import pytest

from nitro_py.testing.conformance import ServerTarget
from nitro_py.testing.conformance.suite.steps import hears_nothing
from nitro_py.testing.conformance.target import Socket

pytestmark = pytest.mark.anyio

CHAT = "/api/ws/chat"


@pytest.fixture(scope="module")
def target(demo_server: str) -> ServerTarget:
    """Return the running demo."""
    return ServerTarget(demo_server)


async def test_page_is_html(target: ServerTarget) -> None:
    answer = await target.request("GET", "/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "/api/sse" in answer.text
    assert '"/api/chat"' in answer.text
    assert (await target.request("GET", "/api/chat")).json() == {"url": CHAT}


async def wait_for_pong(socket: Socket) -> None:
    """Wait until a socket's `open` has ended, in which it joins the chat: messages come after it."""
    await socket.send("ping")
    assert await socket.receive_json() == {"user": "server", "message": "pong"}


async def test_chat(target: ServerTarget) -> None:
    first, second = "Calm Otter", "Quick Fox"
    async with target.connect(f"{CHAT}?name=Calm+Otter") as ada:
        assert await ada.receive_json() == {"user": "server", "message": f"Welcome {first}!"}
        await wait_for_pong(ada)
        async with target.connect(f"{CHAT}?name=Quick+Fox") as bob:
            assert await bob.receive_json() == {"user": "server", "message": f"Welcome {second}!"}
            await wait_for_pong(bob)
            assert await ada.receive_json() == {"user": "server", "message": f"{second} joined!"}
            await ada.send("hello")
            line = {"user": first, "message": "hello"}
            assert await ada.receive_json() == await bob.receive_json() == line
            await bob.send("a ping for me")
            assert await bob.receive_json() == {"user": "server", "message": "pong"}
            assert await hears_nothing(ada, bob)
        assert await ada.receive_json() == {"user": "server", "message": f"{second} left!"}


@pytest.mark.parametrize("query", ["", "?name=", "?name=server", "?name=Calm%20Otter!", "?name=calm+otter"])
async def test_chat_gives_names_that_people_can_read(target: ServerTarget, query: str) -> None:
    async with target.connect(CHAT + query) as socket:
        welcome = (await socket.receive_json())["message"]
    assert re.fullmatch(r"Welcome [A-Z][a-z]+ [A-Z][a-z]+!", welcome)


async def time_clock(target: ServerTarget) -> tuple[list[str], float, float]:
    """Return the first two ticks, the seconds until the first, and the seconds from that to the second."""
    started = time.monotonic()
    async with target.stream("GET", "/api/sse") as stream:
        events = stream.events()
        first = await anext(events)
        came = time.monotonic()
        second = await anext(events)
    return [first.data, second.data], came - started, time.monotonic() - came


async def test_clock_ticks_at_once_and_every_second(target: ServerTarget) -> None:
    ticks, at_once, later = await time_clock(target)
    for _ in range(20):
        if at_once < 0.5 and 0.8 < later < 1.5 and ticks[0] != ticks[1]:
            break
        # A machine that is busy is late now and then, a clock that is wrong always.
        ticks, at_once, later = await time_clock(target)
    assert at_once < 0.5
    assert 0.8 < later < 1.5
    assert all(re.fullmatch(r"Message @ \d\d:\d\d:\d\d", tick) for tick in ticks)
    assert ticks[0] != ticks[1]


async def test_hello(target: ServerTarget) -> None:
    assert (await target.request("GET", "/api/hello")).json() == {"message": "hello"}
    assert (await target.request("POST", "/api/hello")).headers["allow"] == "GET, HEAD"


async def test_users(target: ServerTarget) -> None:
    assert (await target.request("GET", "/api/users/a%2Fb")).json() == {"id": "a/b"}


@pytest.mark.parametrize("body", [{"text": 1}, {}, [], "text"])
async def test_echo_takes_a_text_and_nothing_else(target: ServerTarget, body: object) -> None:
    assert (await target.request("POST", "/api/echo", json={"text": "hi"})).json() == {"text": "hi"}
    answer = await target.request("POST", "/api/echo", json=body)
    assert (answer.status, answer.json()["status"]) == (400, 400)
    assert answer.json()["data"]
