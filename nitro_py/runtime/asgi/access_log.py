"""The access log: a line for each answer, at a small part of what a log record costs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TextIO

LOGGER = logging.getLogger("uvicorn.access")

LogAccess = Callable[[Any, int], None]

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class AccessLog(logging.StreamHandler[TextIO]):
    """Writes the lines of all answers that the loop gave in one turn at once.

    It takes log records too, as any handler does.
    """

    # Whether a terminal gets more than `note` writes.
    has_colours = True

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def note(self, scope: Any, status: int) -> None:
        """Takes what there is to say about an answer, in uvicorn's words.

        Args:
            scope: The request's ASGI scope.
            status: The answer's status.
        """
        self.add(
            f'INFO:     {name_client(scope)} - "{scope["method"]} {name_target(scope)}'
            f' HTTP/{scope["http_version"]}" {status} {_PHRASES.get(status, "")}\n'
        )

    def add(self, line: str) -> None:
        """Takes a line, its end included."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Writes what was noted."""
        lines, self._lines = self._lines, []
        if lines:
            try:
                self.stream.write("".join(lines))
            except (OSError, ValueError):
                # Nobody reads the log any more, which is no reason to stop serving.
                return
        super().flush()


def find_access_log() -> LogAccess | None:
    """Gives what logs an answer, as logging is configured; `None` if nothing does."""
    if not LOGGER.hasHandlers() or not LOGGER.isEnabledFor(logging.INFO):
        return None
    handler = LOGGER.handlers[0] if len(LOGGER.handlers) == 1 and not LOGGER.propagate else None
    # In a terminal uvicorn's formatter has colours to add.
    if isinstance(handler, AccessLog) and not (handler.has_colours and handler.stream.isatty()):
        return handler.note
    return _log_record


def _log_record(scope: Any, status: int) -> None:
    LOGGER.info(
        '%s - "%s %s HTTP/%s" %d',
        name_client(scope),
        scope["method"],
        name_target(scope),
        scope["http_version"],
        status,
    )


def name_client(scope: Any) -> str:
    """Names the client by address and port."""
    client = scope["client"]
    return f"{client[0]}:{client[1]}" if client else ""


def name_target(scope: Any) -> str:
    """Gives what was asked for, as it came: the parser lets in no byte that could begin another line."""
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target = b"%b?%b" % (target, scope["query_string"])
    return target.decode("latin-1")
