"""How the bundle's own server logs: uvicorn's lines of text, or one JSON object a line."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TextIO

from uvicorn.config import LOGGING_CONFIG
from uvicorn.logging import DefaultFormatter

from nitro_py.runtime.log_context import describe_subject

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
        """Take what there is to say about an answer, in uvicorn's words.

        Args:
            scope: The request's ASGI scope.
            status: The answer's status.
        """
        self.add(
            f'INFO:     {name_client(scope)} - "{scope["method"]} {name_target(scope)}'
            f' HTTP/{scope["http_version"]}" {status} {_PHRASES.get(status, "")}\n'
        )

    def add(self, line: str) -> None:
        """Take a line, its end included."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write what was noted."""
        lines, self._lines = self._lines, []
        if lines:
            try:
                self.stream.write("".join(lines))
            except (OSError, ValueError):
                # Nobody reads the log any more, which is no reason to stop serving.
                return
        super().flush()


def find_access_log() -> LogAccess | None:
    """Return what logs an answer, as logging is configured; `None` if nothing does."""
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
    """Name the client by address and port."""
    client = scope["client"]
    return f"{client[0]}:{client[1]}" if client else ""


def name_target(scope: Any) -> str:
    """Return what was asked for, as it came: the parser lets in no byte that could begin another line."""
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target = b"%b?%b" % (target, scope["query_string"])
    return target.decode("latin-1")


logger = logging.getLogger("nitro_py.app")

# What every record has; all else came by `extra=`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "color_message", "message", "taskName"}
# What ends a line, or tells a terminal what to do. A path is shown decoded, and so may hold any of them.
_NOT_IN_LINE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
# Made once: `json.dumps` looks at its arguments each time.
_encode = json.JSONEncoder().encode


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON, with the ids of the request or the peer that it is about.

    The fields are `time` (RFC 3339, UTC), `level`, `logger`, `message`, then `request_id` or `peer_id`, `route`,
    what the caller gave as `extra`, and `exception`, a traceback.

    Example:
        >>> record = logging.makeLogRecord({"name": "shop", "levelname": "INFO", "msg": "sold", "created": 0.5})
        >>> JsonFormatter().format(record)
        '{"time": "1970-01-01T00:00:00.500Z", "level": "INFO", "logger": "shop", "message": "sold"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        fields: dict[str, Any] = {
            "time": format_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **describe_subject(),
        }
        for name, value in vars(record).items():
            if name not in _OWN:
                fields.setdefault(name, _plain(value))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        # ASCII goes through whatever encoding the output has, and half a character in a client's path, too.
        return _encode(fields)


class JsonAccessLog(AccessLog):
    """Writes the access log as JSON: what `JsonFormatter` would, and what a request consists of."""

    has_colours = False

    def note(self, scope: Any, status: int) -> None:
        """Take what there is to say about an answer."""
        client, method, target, version = (
            name_client(scope),
            scope["method"],
            name_target(scope),
            scope["http_version"],
        )
        fields = {
            "time": format_time(time.time()),
            "level": "INFO",
            "logger": LOGGER.name,
            "message": f'{client} - "{method} {target} HTTP/{version}" {status}',
            **describe_subject(),
            "client": client,
            "method": method,
            "path": target,
            "http_version": version,
            "status": status,
        }
        self.add(_encode(fields) + "\n")


def format_time(seconds: float) -> str:
    """Write a moment as RFC 3339 has it, in UTC.

    Example:
        >>> format_time(0.5)
        '1970-01-01T00:00:00.500Z'
    """
    whole = int(seconds)
    return f"{_format_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=2)
def _format_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _plain(value: object) -> object:
    """Return a value as JSON can hold it, if need be as text: what cannot be written must not stop the log."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=str))
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class TextFormatter(DefaultFormatter):
    """Writes a record as uvicorn does, and which request it is about."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write the line that stands before a traceback: one line, whatever a client has put into it."""
        record = copy.copy(record)
        record.message = _NOT_IN_LINE.sub(_escape, record.message)
        text = super().formatMessage(record)
        id = describe_subject().get("request_id")
        return text if id is None else f"{text} [request {id}]"


def make_log_config(style: str = "text") -> dict[str, Any]:
    """Return the logging configuration of the server.

    Args:
        style: The setting `log`. As text, uvicorn's own lines and those of `nitro_py` are written; as JSON
            everything, from `INFO` on, because a line of another kind would break whoever reads them.
    """
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["nitro_py"] = {"handlers": ["app"], "level": "INFO", "propagate": False}
    if style == "text":
        config["handlers"]["access"]["class"] = f"{AccessLog.__module__}.{AccessLog.__name__}"
        config["formatters"]["app"] = {**config["formatters"]["default"], "()": TextFormatter}
        config["handlers"]["app"] = {**config["handlers"]["default"], "formatter": "app"}
        return config
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    config["formatters"] = {"json": {"()": JsonFormatter}}
    access = {**handler, "class": f"{JsonAccessLog.__module__}.{JsonAccessLog.__name__}"}
    config["handlers"] = {"json": handler, "access": access}
    config["root"] = {"handlers": ["json"], "level": "INFO"}
    for name, logger in config["loggers"].items():
        if name != LOGGER.name:
            logger.pop("handlers", None)
            logger["propagate"] = True
    return config


def announce(text: str, style: str) -> None:
    """Tell whoever started the server something: on a line of its own, or in the log where all lines are."""
    if style == "json":
        logger.info(text)
    else:
        print(text, flush=True)
