"""A route that streams a topic's messages."""

from __future__ import annotations

from nitro_py import Event, EventStream, create_event_stream, define_handler


@define_handler(topics=True)
async def handler(event: Event) -> EventStream:
    stream = create_event_stream(event, subscribe=event.params["topic"], namespace=event.query.get("namespace"))
    await stream.push("subscribed")
    return stream
