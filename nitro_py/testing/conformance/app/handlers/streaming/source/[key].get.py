"""A route that streams a source without end, and tells the journal how far it came."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nitro_py import Event, EventStream, EventStreamMessage, create_event_stream, define_handler

from ..._journal import note

# Kept, so that no garbage collector closes a source in the place of the stream.
SOURCES: list[AsyncIterator[EventStreamMessage]] = []


@define_handler
async def handler(event: Event) -> EventStream:
    source = produce(event.params["key"], int(event.query.get("size", "10")))
    SOURCES.append(source)
    return create_event_stream(event, source)


async def produce(key: str, size: int) -> AsyncIterator[EventStreamMessage]:
    number = 0
    try:
        while True:
            number += 1
            yield EventStreamMessage("x" * size, id=str(number))
    finally:
        note(key, f"produced {number}")
