"""Reading bytes in pieces."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from nitro_py.server.websocket.frames import (
    CLOSE,
    FrameError,
    read_close,
)
from nitro_py.server.websocket.parser import FrameParser

MAX = 100_000


def read_all(data: bytes, cuts: list[int] | None = None, **options: Any) -> list[Any]:
    """Read data in pieces, cut where it is said, and return the events, the code of an error as the last."""
    parser = FrameParser(**{"max_message": MAX} | options)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    events: list[Any] = []
    try:
        for start, end in pairwise(edges):
            parser.feed(data[start:end])
            while (event := parser.read()) is not None:
                if event[0] == CLOSE:
                    assert isinstance(event[1], bytes)
                    details = read_close(event[1])
                    return [*events, (details.code, details.reason)]
                events.append(event)
    except FrameError as error:
        events.append(error.code)
    return events
