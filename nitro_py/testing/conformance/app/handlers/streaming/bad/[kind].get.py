"""Streams a source that cannot be sent, of the kind that the path names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from nitro_py import Event, EventStream, EventStreamMessage, create_event_stream, define_handler


async def produce(item: object) -> AsyncIterator[object]:
    yield item


def produce_plainly() -> Iterator[object]:
    yield object()


async def fail() -> AsyncIterator[object]:
    raise RuntimeError("secret detail")
    yield


SOURCES: dict[str, Any] = {
    "bytes": lambda: produce(b"1"),
    "data": lambda: produce(EventStreamMessage(object())),
    "dict": lambda: produce({"price": 1}),
    "fails": fail,
    "function": lambda: fail,
    "nan": lambda: produce(EventStreamMessage(float("nan"))),
    "none": lambda: produce(None),
    "plain": produce_plainly,
    "text": lambda: "text",
}


@define_handler
async def handler(event: Event) -> EventStream:
    return create_event_stream(event, SOURCES[event.params["kind"]]())
