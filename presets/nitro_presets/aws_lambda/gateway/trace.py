"""Trace headers, by which Lambda finds functions that call each other in circles."""

from __future__ import annotations

import os
import time
from hashlib import sha256

TRACE_HEADER = "X-Amzn-Trace-Id"


def start_trace() -> str:
    """Make the trace of a request that comes from outside."""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"


def extend_trace(trace: str | None, function: str) -> tuple[str, int]:
    """Make the trace that an invocation is told, from that of the call.

    Args:
        trace: The call's `X-Amzn-Trace-Id`, if it has one.
        function: The function that is called.

    Returns:
        The invocation's trace, and how often the function now stands in it.

    Example:
        >>> once, count = extend_trace("Root=1-0-0", "chat")
        >>> extend_trace(once, "chat")[1]
        2
    """
    fields = dict(part.partition("=")[::2] for part in (trace or "").split(";") if "=" in part)
    lineage = dict(entry.partition(":")[::2] for entry in fields.get("Lineage", "").split("|") if ":" in entry)
    mark = sha256(function.encode()).hexdigest()[:8]
    count = (int(lineage[mark]) if lineage.get(mark, "").isdigit() else 0) + 1
    lineage[mark] = str(count)
    entries = "|".join(f"{name}:{number}" for name, number in lineage.items())
    root = fields.get("Root") or start_trace().removeprefix("Root=")
    return f"Root={root};Parent={os.urandom(8).hex()};Sampled=0;Lineage={entries}", count
