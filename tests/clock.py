"""A clock that only waiting moves on, so that times can be asserted on a machine that is busy."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable

import pytest

Events = list[tuple[selectors.SelectorKey, int]]


def use_own_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Give the running loop a clock of its own, which `time.monotonic` tells, too.

    It stands still while the loop works. Where the loop would wait for its next timer, it moves on to that
    timer at once; only waiting for sockets alone takes real time.

    Args:
        monkeypatch: What puts the real clock back.

    Returns:
        The clock, in seconds.
    """
    loop = asyncio.get_running_loop()
    selector: selectors.BaseSelector = loop._selector  # type: ignore[attr-defined]
    select = selector.select
    now = loop.time()

    def tell() -> float:
        return now

    def select_at_once(timeout: float | None = None) -> Events:
        nonlocal now
        if timeout is None:
            return select()
        events = select(0)
        if not events:
            now += timeout
        return events

    monkeypatch.setattr(loop, "time", tell)
    monkeypatch.setattr(selector, "select", select_at_once)
    monkeypatch.setattr(time, "monotonic", tell)
    return tell
