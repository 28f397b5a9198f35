"""Ids, times and trace headers in the formats of AWS."""

from __future__ import annotations

import base64
import os
import re
import time
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

_CONNECTION = re.compile(r"[A-Za-z0-9_-]{15}=")


def make_connection_id() -> str:
    """Make the id of a connection, which ends in `=`.

    Example:
        >>> len(make_connection_id()), make_connection_id()[-1]
        (16, '=')
    """
    return base64.urlsafe_b64encode(os.urandom(11)).decode()


def is_connection_id(text: str) -> bool:
    """Return whether a text has the form of a connection id.

    Example:
        >>> is_connection_id("BFHPhfCWIAMCKlQ="), is_connection_id("BFHPhfCWIAMCKlQ")
        (True, False)
    """
    return _CONNECTION.fullmatch(text) is not None


def make_message_id() -> str:
    """Make the id of a message, which has the form of a connection id."""
    return make_connection_id()


def make_request_id() -> str:
    """Make the id of a request or of an invocation."""
    return str(uuid4())


def format_request_time(milliseconds: int) -> str:
    """Write a time in the format of `requestContext`.

    Example:
        >>> format_request_time(1_658_344_046_170)
        '20/Jul/2022:19:07:26 +0000'
    """
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


def format_iso_time(milliseconds: int) -> str:
    """Write a time in the format of the `@connections` API.

    Example:
        >>> format_iso_time(1_658_344_046_170)
        '2022-07-20T19:07:26.170Z'
    """
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


TRACE_HEADER = "X-Amzn-Trace-Id"


def start_trace() -> str:
    """Make the trace header of a client's request."""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"


def extend_trace(trace: str | None, function: str) -> tuple[str, int]:
    """Make the trace header of an invocation from that of the call, as recursive loop detection does.

    Args:
        trace: The call's `X-Amzn-Trace-Id`, if it has one.
        function: The function that is called.

    Returns:
        The invocation's trace header, and how often its lineage now holds the function.

    Example:
        >>> once, count = extend_trace("Root=1-0-0", "chat")
        >>> extend_trace(once, "chat")[1]
        2
    """
    fields = dict(part.partition("=")[::2] for part in (trace or "").split(";") if "=" in part)
    lineage = dict(entry.partition(":")[::2] for entry in fields.get("Lineage", "").split("|") if ":" in entry)
    key = sha256(function.encode()).hexdigest()[:8]
    count = (int(lineage[key]) if lineage.get(key, "").isdigit() else 0) + 1
    lineage[key] = str(count)
    entries = "|".join(f"{name}:{number}" for name, number in lineage.items())
    root = fields.get("Root") or start_trace().removeprefix("Root=")
    return f"Root={root};Parent={os.urandom(8).hex()};Sampled=0;Lineage={entries}", count
