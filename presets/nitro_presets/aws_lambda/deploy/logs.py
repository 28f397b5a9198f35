"""The logs of a deployed stack's functions, from CloudWatch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from nitro_presets.aws_lambda.deploy.stack import explain_errors, require_stack
from nitro_py.errors import UsageError
from nitro_py.preset import LogLine

# The outputs that name the log groups, by function.
LOG_GROUPS = {"http": "HttpLogGroupName", "websocket": "WebSocketLogGroupName"}
# Seconds between two looks for further lines.
POLL = 2.0
# CloudWatch shows lines out of order while it takes them in.
OVERLAP = timedelta(seconds=60)


def list_outputs(stack_name: str, *, region: str | None = None) -> dict[str, str]:
    """Return the outputs of a deployed stack.

    Args:
        stack_name: The stack.
        region: The region; by default boto3's own.

    Raises:
        UsageError: There is no such stack, no credentials or no region.
        NitroError: AWS refuses a call.
    """
    import boto3  # type: ignore[import-untyped]

    with explain_errors():
        session = boto3.Session(region_name=region or None)
        return dict(require_stack(session.client("cloudformation"), stack_name).outputs)


def read_logs(
    stack_name: str,
    *,
    region: str | None = None,
    function: str | None = None,
    since: datetime,
    follow: bool = False,
) -> Iterator[LogLine]:
    """Read the logs of a stack's functions, the oldest line first.

    Args:
        stack_name: The stack.
        region: The region; by default boto3's own.
        function: One of `LOG_GROUPS`; by default all.
        since: The time of the oldest line.
        follow: Whether to wait for further lines, without end.

    Raises:
        UsageError: There is no such stack or function, no credentials or no region.
        NitroError: AWS refuses a call.
    """
    import boto3

    if function is not None and function not in LOG_GROUPS:
        listed = ", ".join(f"`{name}`" for name in sorted(LOG_GROUPS))
        raise UsageError(f"There is no function `{function}`.", hint=f"Expected one of {listed}.")
    with explain_errors():
        session = boto3.Session(region_name=region or None)
        stack = require_stack(session.client("cloudformation"), stack_name)
        groups = _find_groups(stack_name, dict(stack.outputs), function)
        client = session.client("logs")
        seen: dict[str, datetime] = {}
        while True:
            lines = sorted(
                (row for name, group in groups.items() for row in _list_lines(client, name, group, since)),
                key=lambda row: row[1].time,
            )
            for ident, line in lines:
                if ident not in seen:
                    seen[ident] = line.time
                    yield line
            if not follow:
                return
            if lines:
                since = max(since, lines[-1][1].time - OVERLAP)
                seen = {ident: when for ident, when in seen.items() if when >= since}
            time.sleep(POLL)


def _find_groups(stack: str, outputs: Mapping[str, str], function: str | None) -> dict[str, str]:
    found = {name: outputs[output] for name, output in LOG_GROUPS.items() if output in outputs}
    if function is None and found:
        return found
    if function in found:
        return {function: found[function]}
    what = "function that logs" if function is None else f"function `{function}`"
    listed = ", ".join(f"`{name}`" for name in sorted(found))
    raise UsageError(f"The stack `{stack}` has no {what}.", hint=f"Expected one of {listed}." if found else None)


def _list_lines(client: Any, function: str, group: str, since: datetime) -> Iterator[tuple[str, LogLine]]:
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=int(since.timestamp() * 1000)
    )
    for page in pages:
        for event in page["events"]:
            when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            # An event's id is unique in its group only.
            yield f"{group}/{event['eventId']}", LogLine(when, function, event["message"])
