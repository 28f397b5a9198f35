"""The logs of the server: uvicorn's lines of text, or one JSON object in each line."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TextIO

from uvicorn.config import LOGGING_CONFIG
from uvicorn.logging import DefaultFormatter

from nitro_py.runtime.log_context import read_log_fields
from nitro_py.runtime.settings import LogFormat, LogLevel, LogSettings

# Writes a line about a request, by its ASGI scope and the answer's status.
LogAccess = Callable[[Any, int], None]

logger = logging.getLogger("nitro_py.app")
ACCESS_LOGGER: Final = logging.getLogger("uvicorn.access")

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
# The attributes of every record; the others came by `extra=`.
_RECORD_NAMES: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime",
    "color_message",
    "message",
    "taskName",
}
# Characters that end a line, or control a terminal. A path is shown decoded, and so may hold any of them.
_NOT_IN_LINE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
# The level of the app's loggers without `log.level`: a program reads more than a person.
_DEFAULT_LEVELS: Final[Mapping[LogFormat, LogLevel]] = {"json": "info", "text": "warning"}


def make_log_config(settings: LogSettings) -> dict[str, Any]:
    """Return the server's configuration for `logging.config.dictConfig`.

    Text has uvicorn's own lines, and JSON one kind of line for everything, because another would break programs
    that read the log.

    Args:
        settings: The settings `log.*`.
    """
    config = _make_format_config(settings.format)
    config["root"]["level"] = (settings.level or _DEFAULT_LEVELS[settings.format]).upper()
    add_levels(config, settings.levels)
    return config


def add_levels(config: dict[str, Any], levels: Mapping[str, LogLevel]) -> None:
    """Add the levels of single loggers, and of those below them, to a configuration for `dictConfig`.

    Args:
        config: The configuration.
        levels: The levels by the loggers' names.
    """
    loggers = config["loggers"]
    for name, level in levels.items():
        loggers.setdefault(name, {})["level"] = level.upper()
        for below in loggers:
            # Such as `uvicorn.error` below `uvicorn`.
            if below.startswith(f"{name}.") and below not in levels:
                loggers[below].pop("level", None)


def _make_format_config(format: LogFormat) -> dict[str, Any]:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["nitro_py"] = {"handlers": ["app"], "level": "INFO", "propagate": False}
    if format == "text":
        # uvicorn asks about standard output for both, and knows no variables.
        config["formatters"]["default"]["use_colors"] = takes_colours(sys.stderr)
        config["formatters"]["access"]["use_colors"] = takes_colours(sys.stdout)
        config["handlers"]["access"]["class"] = f"{AccessLog.__module__}.{AccessLog.__name__}"
        config["formatters"]["app"] = {**config["formatters"]["default"], "()": TextFormatter}
        config["handlers"]["app"] = {**config["handlers"]["default"], "formatter": "app"}
        # Records of the app's own loggers: Python would print the bare messages of its warnings.
        named = {"fmt": "%(levelprefix)s %(name)s: %(message)s"}
        config["formatters"]["named"] = {**config["formatters"]["app"], **named}
        config["handlers"]["root"] = {**config["handlers"]["default"], "formatter": "named"}
        config["root"] = {"handlers": ["root"]}
        return config
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    config["formatters"] = {"json": {"()": JsonFormatter}}
    access = {**handler, "class": f"{JsonAccessLog.__module__}.{JsonAccessLog.__name__}"}
    config["handlers"] = {"json": handler, "access": access}
    config["root"] = {"handlers": ["json"]}
    for name, logger in config["loggers"].items():
        if name != ACCESS_LOGGER.name:
            logger.pop("handlers", None)
            logger["propagate"] = True
    return config


def announce(text: str, format: LogFormat) -> None:
    """Write a line for the user who has started the server: by itself, or to the log if that is JSON.

    Args:
        text: The line.
        format: The setting `log.format`.
    """
    if format == "json":
        logger.info(text)
    else:
        print(text, flush=True)


class TextFormatter(DefaultFormatter):
    """uvicorn's formatter, with the id of the request that a record is about."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line that stands before a traceback: one line, whatever a client has put into it."""
        record = copy.copy(record)
        record.message = escape_controls(record.message)
        text = super().formatMessage(record)
        id = read_log_fields().get("request_id")
        return text if id is None else f"{text} [request {id}]"


class JsonFormatter(logging.Formatter):
    """A formatter that writes one line of JSON, with the id of the request or the peer that a record is about.

    The fields are `time` (RFC 3339, UTC), `level`, `logger`, `message`, then `request_id` or `peer_id`, `route`,
    the caller's `extra`, and `exception`, a traceback.

    Example:
        >>> record = logging.makeLogRecord({"name": "shop", "levelname": "INFO", "msg": "sold", "created": 0.5})
        >>> JsonFormatter().format(record)
        '{"time": "1970-01-01T00:00:00.500Z", "level": "INFO", "logger": "shop", "message": "sold"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields: dict[str, Any] = {
            "time": format_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **read_log_fields(),
        }
        for name, value in vars(record).items():
            if name not in _RECORD_NAMES:
                fields.setdefault(name, _make_plain(value))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        # ASCII goes through every encoding that the output may have, and so does half a character in a path.
        return json.dumps(fields)


class AccessLog(logging.StreamHandler[TextIO]):
    """The access log's handler, which writes the lines of all answers of one turn of the event loop at once.

    One write for each answer would be a system call more for each request (row `http`). The handler takes log
    records too, as any other does.
    """

    # Whether uvicorn's formatter would add colours to what `note` writes.
    has_colours = True

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def note(self, scope: Any, status: int) -> None:
        """Add uvicorn's line about an answer.

        Args:
            scope: The request's ASGI scope.
            status: The answer's status.
        """
        self.add(
            f'INFO:     {name_client(scope)} - "{scope["method"]} {name_target(scope)}'
            f' HTTP/{scope["http_version"]}" {status} {_PHRASES.get(status, "")}\n'
        )

    def add(self, line: str) -> None:
        """Add a line, its end included."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write the lines."""
        lines, self._lines = self._lines, []
        if lines:
            try:
                self.stream.write("".join(lines))
            except (OSError, ValueError):
                # A log that is closed at its other end is no reason to stop serving.
                return
        super().flush()


class JsonAccessLog(AccessLog):
    """The access log's handler for JSON: the fields of `JsonFormatter`, and those of the request."""

    has_colours = False

    def note(self, scope: Any, status: int) -> None:
        """Add the line about an answer.

        Args:
            scope: The request's ASGI scope.
            status: The answer's status.
        """
        client, method, target, version = (
            name_client(scope),
            scope["method"],
            name_target(scope),
            scope["http_version"],
        )
        fields = {
            "time": format_time(time.time()),
            "level": "INFO",
            "logger": ACCESS_LOGGER.name,
            "message": f'{client} - "{method} {target} HTTP/{version}" {status}',
            **read_log_fields(),
            "client": client,
            "method": method,
            "path": target,
            "http_version": version,
            "status": status,
        }
        self.add(json.dumps(fields) + "\n")


def find_access_log() -> LogAccess | None:
    """Return the function that logs an answer as logging is configured; `None` if it is not logged."""
    if not ACCESS_LOGGER.hasHandlers() or not ACCESS_LOGGER.isEnabledFor(logging.INFO):
        return None
    handler = (
        ACCESS_LOGGER.handlers[0] if len(ACCESS_LOGGER.handlers) == 1 and not ACCESS_LOGGER.propagate else None
    )
    # In a terminal uvicorn's formatter has colours to add.
    if isinstance(handler, AccessLog) and not (handler.has_colours and takes_colours(handler.stream)):
        return handler.note
    return _log_record


def _log_record(scope: Any, status: int) -> None:
    ACCESS_LOGGER.info(
        '%s - "%s %s HTTP/%s" %d',
        name_client(scope),
        scope["method"],
        name_target(scope),
        scope["http_version"],
        status,
    )


def name_client(scope: Any) -> str:
    """Return the client's address and port, or nothing for a Unix socket."""
    client = scope["client"]
    return f"{client[0]}:{client[1]}" if client else ""


def name_target(scope: Any) -> str:
    """Return the request's target as it came; the parser refuses bytes that could begin another line."""
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target = b"%b?%b" % (target, scope["query_string"])
    return target.decode("latin-1")


def format_time(seconds: float) -> str:
    """Return a time in UTC as RFC 3339 writes it.

    Args:
        seconds: The time since the epoch, in seconds.

    Example:
        >>> format_time(0.5)
        '1970-01-01T00:00:00.500Z'
    """
    whole = int(seconds)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{text}.{int((seconds - whole) * 1000):03d}Z"


def takes_colours(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a stream takes colours; `NO_COLOR` and `FORCE_COLOR` decide where they are set."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (stream.isatty() and environ.get("TERM") != "dumb")


def escape_controls(text: str) -> str:
    r"""Return a text with escapes for what would end its line, or control a terminal.

    Example:
        >>> escape_controls("a\x1b[2Jb\r\n")
        'a\\x1b[2Jb\\r\\n'
    """
    return _NOT_IN_LINE.sub(_escape, text)


def _make_plain(value: object) -> object:
    """Return a value as JSON can hold it, as text if need be: an odd value must not stop the log."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=str))
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
