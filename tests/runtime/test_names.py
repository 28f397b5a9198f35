"""Topics, namespaces and ids that are none, in every place that takes one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nitro_py import Upgrade
from nitro_py.runtime.topics.names import MAX_TOPIC, check_namespace, check_peer_id, check_topic
from nitro_py.testing import Client, client
from tests.bundles import write_files

NOT_TEXT: list[Any] = [5, None, 1.5, True, b"x", ["a"], {"a": 1}]
NOT_UTF8 = ["\ud800", "a\udfff"]


@pytest.mark.parametrize("value", NOT_TEXT, ids=repr)
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="is text: expected `str`"):
        check_topic(value)
    with pytest.raises(TypeError):
        check_peer_id(value)
    if value is not None:
        with pytest.raises(TypeError, match="namespace"):
            check_namespace(value)
        with pytest.raises(TypeError, match="namespace"):
            Upgrade(namespace=value)


@pytest.mark.parametrize("value", NOT_UTF8, ids=ascii)
def test_halves_of_surrogate_pairs_are_refused(value: str) -> None:
    for check in (check_topic, check_namespace, check_peer_id):
        with pytest.raises(ValueError, match="UTF-8"):
            check(value)


def test_size_counts_in_bytes() -> None:
    for topic in ("", "\x00", "x" * MAX_TOPIC, "😀" * (MAX_TOPIC // 4)):
        check_topic(topic)
    for topic in ("x" * (MAX_TOPIC + 1), "😀" * (MAX_TOPIC // 4) + "x"):
        with pytest.raises(ValueError, match=f"at most {MAX_TOPIC} bytes"):
            check_topic(topic)


PROJECT = {
    "nitro.toml": "experimental.websocket = true\n",
    "handlers/ask.post.py": """
        from nitro_py import Event, create_event_stream, define_handler, get_peer, peers, publish

        @define_handler(topics=True)
        async def handler(event: Event) -> object:
            order = await event.request.json()
            value = "\\ud800" if order.get("surrogate") else order.get("value")
            try:
                match order["call"]:
                    case "publish":
                        await publish(value, "x")
                    case "publish namespace":
                        await publish("topic", "x", namespace=value)
                    case "peers":
                        [peer async for peer in peers(value)]
                    case "get_peer":
                        await get_peer(value)
                    case "stream":
                        create_event_stream(event, subscribe=value)
                    case "stream namespace":
                        create_event_stream(event, subscribe="topic", namespace=value)
            except (TypeError, ValueError) as error:
                return {"refused": type(error).__name__}
            return {"refused": None}
        """,
}


@pytest.fixture
async def odd_app(tmp_path: Path) -> AsyncIterator[Client]:
    """Run an app that names what it is told to."""
    async with client(write_files(tmp_path, PROJECT)) as started:
        yield started


@pytest.mark.anyio
@pytest.mark.parametrize(
    "call", ["publish", "publish namespace", "peers", "get_peer", "stream", "stream namespace"]
)
async def test_every_entrance_refuses_them(odd_app: Client, call: str) -> None:
    answers = [
        (await odd_app.post("/ask", json={"call": call, **order})).json()["refused"]
        for order in ({"value": 5}, {"value": ["a"]}, {"surrogate": True}, {"value": "x" * 70_000})
    ]
    assert answers == ["TypeError", "TypeError", "ValueError", "ValueError"]
