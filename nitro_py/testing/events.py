"""Server-sent events, from the bytes of a stream."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

_LINE = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event, as a browser would dispatch it.

    Args:
        data: The lines of data, joined by line feeds.
        event: The type of the event.
        id: The last id that the stream has named, empty if none.
        retry: How long to wait before a reconnect, in milliseconds, if this event names it.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


async def parse_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[ServerEvent]:
    """Yield the events of a stream, without its comments.

    Follows the HTML standard, section 9.2.6, "Interpreting an event stream".

    Args:
        chunks: The stream's bytes, cut anywhere.
    """
    rest = b""
    last_id = ""
    fields: dict[str, list[str]] = {}
    async for chunk in chunks:
        # A carriage return at the end may be half of a line break.
        held = b"\r" if (rest + chunk).endswith(b"\r") else b""
        *lines, rest = _LINE.split((rest + chunk).removesuffix(b"\r"))
        rest += held
        for line in lines:
            if line:
                name, _, value = line.decode().partition(":")
                fields.setdefault(name, []).append(value.removeprefix(" "))
                continue
            if "id" in fields:
                last_id = fields["id"][-1]
            if "data" in fields:
                retry = fields.get("retry", [""])[-1]
                yield ServerEvent(
                    data="\n".join(fields["data"]),
                    event=fields.get("event", ["message"])[-1],
                    id=last_id,
                    retry=int(retry) if retry.isdecimal() else None,
                )
            fields = {}
