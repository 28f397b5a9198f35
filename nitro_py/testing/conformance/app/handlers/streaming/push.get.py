"""A route that pushes a bit of everything, then closes, then pushes once more."""

from __future__ import annotations

from typing import Any

from nitro_py import Event, EventStream, EventStreamMessage, create_event_stream, define_handler

MESSAGES: list[Any] = [
    "plain",
    EventStreamMessage("full", id="7", event="named", retry=1500),
    EventStreamMessage("broken", id="a\r\nb", event="c\nd\re"),
    "one\ntwo\r\nthree\rfour",
    EventStreamMessage({"a": 1}, retry=2.5),  # type: ignore[arg-type]
    ["first of two", EventStreamMessage("second of two")],
]


@define_handler
async def handler(event: Event) -> EventStream:
    stream = create_event_stream(event)
    for message in MESSAGES:
        await stream.push(message)
    await stream.push_comment("a comment")
    await stream.close()
    await stream.push("too late")
    await stream.push_comment("too late")
    return stream.send()
