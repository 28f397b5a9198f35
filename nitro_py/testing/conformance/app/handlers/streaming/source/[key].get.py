"""Streams a source without end, and tells the journal how far it came."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nitro_py import Event, EventStream, EventStreamMessage, create_event_stream, define_handler

from ..._journal import note


@define_handler
async def handler(event: Event) -> EventStream:
    return create_event_stream(event, produce(event.params["key"], int(event.query.get("size", "10"))))


async def produce(key: str, size: int) -> AsyncIterator[EventStreamMessage]:
    number = 0
    try:
        while True:
            number += 1
            yield EventStreamMessage("x" * size, id=str(number))
    finally:
        note(key, f"produced {number}")
