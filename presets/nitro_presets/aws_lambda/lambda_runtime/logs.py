"""Logging as the managed runtime's own client sets it up."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

from nitro_py.runtime.settings import LogSettings

# Begins a frame on the log descriptor of the managed runtimes: text without a level, or JSON, to which a level is
# added in steps of four.
FRAME = 0xA55A0003
JSON_FRAME = 0xA55A0002


class RequestId(logging.Filter):
    """A filter that adds the request id of the running invocation to each record."""

    def __init__(self) -> None:
        super().__init__()
        self.id = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id to a record, and let it pass."""
        record.aws_request_id = self.id
        return True


class LambdaJsonFormatter(logging.Formatter):
    """A formatter for Lambda's JSON log format."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line of JSON."""
        fields: dict[str, Any] = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": getattr(record, "aws_request_id", ""),
        }
        if record.exc_info:
            fields["stackTrace"] = self.formatException(record.exc_info).splitlines()
        return json.dumps(fields, ensure_ascii=False)


class TelemetryLogHandler(logging.Handler):
    """A handler that writes to Lambda's log descriptor, which keeps the lines of a record together.

    Args:
        descriptor: The file descriptor in `_LAMBDA_TELEMETRY_LOG_FD`.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as one frame: type, length, time and text."""
        text = self.format(record).encode("utf-8", "replace")
        stamp = (time.time_ns() // 1000).to_bytes(8, "big")
        frame = FRAME
        if isinstance(self.formatter, LambdaJsonFormatter):
            # By the level Lambda drops what is below that of the function.
            level = min(record.levelno, logging.CRITICAL) // 10
            frame = JSON_FRAME + 4 * (level + 1) if level else JSON_FRAME
        self._file.write(frame.to_bytes(4, "big") + len(text).to_bytes(4, "big") + stamp + text)


def configure_logging() -> RequestId:
    """Send all records to CloudWatch Logs, with the request id that is set on the returned filter.

    Follows `AWS_LAMBDA_LOG_LEVEL` and `AWS_LAMBDA_LOG_FORMAT`, from the function's logging configuration.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Buffered output would be frozen with the process.
            stream.reconfigure(line_buffering=True)
    logging.Formatter.converter = time.gmtime
    descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    handler = TelemetryLogHandler(int(descriptor)) if descriptor else logging.StreamHandler(sys.stdout)
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        handler.setFormatter(LambdaJsonFormatter())
    else:
        line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
        handler.setFormatter(logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
    request_id = RequestId()
    handler.addFilter(request_id)
    root = logging.getLogger()
    root.addHandler(handler)
    level = logging.getLevelNamesMapping().get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper())
    if level is not None:
        root.setLevel(level)
    return request_id


def set_levels(settings: LogSettings) -> None:
    """Set the levels that `log.level` and `log.levels` have."""
    root = {"": settings.level} if settings.level else {}
    for name, level in {**root, **settings.levels}.items():
        logging.getLogger(name).setLevel(level.upper())
