"""`nitropy logs`."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from nitro_py.build.preset_commands import LogsRequest, OptionValues
from nitro_py.cli.deployed import find_deployed
from nitro_py.cli.output import print_line, replace_controls
from nitro_py.cli.project import PresetOption, load_project
from nitro_py.errors import UsageError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,9})([smhd])", re.ASCII)


def logs(
    preset: PresetOption = None,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Age of the oldest line, such as `30s`, `10m`, `2h` or `1d`, or its time.",
        ),
    ] = "10m",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for further lines until Ctrl+C.")] = False,
    *,
    options: OptionValues,
) -> None:
    """Show the logs of the deployed app."""
    oldest = read_since(since, datetime.now(UTC))
    loaded = load_project()
    target = find_deployed(loaded, preset, options, "logs")
    with suppress(KeyboardInterrupt):
        for line in target.read_logs(LogsRequest(loaded.config, options, oldest, follow)):
            time = line.time.astimezone().isoformat(sep=" ", timespec="milliseconds")
            # Clients choose some of what is logged, and must not control the terminal.
            print_line(f"{time} {line.source} {replace_controls(line.text.rstrip())}")


def read_since(text: str, now: datetime) -> datetime:
    """Read an age or a time.

    Args:
        text: An age such as `10m`, or a time after ISO 8601, which is local without an offset.
        now: The time that an age is counted from.

    Raises:
        UsageError: It is neither.

    Example:
        >>> now = datetime(2026, 1, 2, tzinfo=timezone.utc)
        >>> read_since("1d", now).isoformat()
        '2026-01-01T00:00:00+00:00'
    """
    found = _DURATION.fullmatch(text)
    try:
        if found is not None:
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"`--since {text}` is neither an age nor a time.",
            hint="Write `30s`, `10m`, `2h` or `1d`, or a time such as `2026-01-31T12:00`.",
        ) from None
