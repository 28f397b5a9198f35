"""The wire format of server-sent events (HTML standard, section 9.2.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nitro_py.encoding import Frame, encode_frame
from nitro_py.runtime.direct import frame_chunk

LINE_BREAK = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class EventStreamMessage:
    """Is one server-sent event.

    Args:
        data: Its text; anything that is no text is written as JSON.
        id: What the client sends back as `Last-Event-ID` when it reconnects.
        event: The event's name; without it `message`.
        retry: Milliseconds until the client reconnects.

    Example:
        >>> format_message(EventStreamMessage("a\\nb", id="7"))
        'id: 7\\ndata: a\\ndata: b\\n\\n'
    """

    data: object = ""
    id: str | None = None
    event: str | None = None
    retry: int | None = None


def format_message(message: str | EventStreamMessage) -> str:
    """Writes a message in the wire format."""
    if isinstance(message, str):
        return _format_data(message)
    lines = ""
    if message.id is not None:
        # A NUL would make the client ignore the id.
        lines += f"id: {_one_line(message.id).replace(chr(0), '')}\n"
    if message.event is not None:
        lines += f"event: {_one_line(message.event)}\n"
    if isinstance(message.retry, int) and not isinstance(message.retry, bool):
        lines += f"retry: {message.retry}\n"
    return lines + _format_data(_read_text(encode_frame(message.data)))


def format_comment(text: str) -> str:
    """Writes a comment in the wire format."""
    return "".join(f": {line}\n" for line in LINE_BREAK.split(text)) + "\n"


def encode_event(frame: Frame) -> bytes:
    """Writes a topic's frame as an event."""
    return format_message(_read_text(frame)).encode()


def encode_chunk(frame: Frame) -> bytes:
    """Writes a topic's frame as an event that is a chunk of a body, too."""
    return frame_chunk(encode_event(frame))


def _read_text(frame: Frame) -> str:
    return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")


def _format_data(text: str) -> str:
    return "".join(f"data: {line}\n" for line in LINE_BREAK.split(text)) + "\n"


def _one_line(text: str) -> str:
    return str(text).replace("\r", "").replace("\n", "")
