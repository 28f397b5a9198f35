"""Streams what JSON cannot hold as it is, from a plain generator of messages and fields."""

from __future__ import annotations

from collections.abc import Iterator

from nitro_py import Event, EventStream, EventStreamMessage, create_event_stream, define_handler

from .._values import HALF, RICH


def produce() -> Iterator[object]:
    yield EventStreamMessage(RICH)
    yield f"cut {HALF}"
    yield {"event": "named", "id": "7", "data": "fields"}


@define_handler
async def handler(event: Event) -> EventStream:
    return create_event_stream(event, produce())
