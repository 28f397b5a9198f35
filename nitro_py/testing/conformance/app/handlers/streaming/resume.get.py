"""A route that goes on where a client that reconnects has stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nitro_py import (
    Event,
    EventStream,
    EventStreamMessage,
    create_event_stream,
    define_handler,
    event_stream_last_id,
)


@define_handler
async def handler(event: Event) -> EventStream:
    return create_event_stream(event, count(event_stream_last_id(event)))


async def count(last_id: str | None) -> AsyncIterator[EventStreamMessage]:
    for number in range(int(last_id or 0) + 1, 4):
        yield EventStreamMessage(f"message {number}", id=str(number))
