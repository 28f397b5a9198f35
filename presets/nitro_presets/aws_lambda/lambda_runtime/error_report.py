"""Exceptions in the form of the Runtime API's error reports."""

from __future__ import annotations

import base64
import json
import traceback
from dataclasses import dataclass

# The largest value of a trailer, in bytes, as proxies limit header fields.
MAX_TRAILER = 4096


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """The report of an exception.

    Args:
        kind: The value of `Lambda-Runtime-Function-Error-Type`, such as `Function.ValueError`.
        name: The name of the exception's class.
        message: The exception's text.
        trace: The entries of its traceback.
    """

    kind: str
    name: str
    message: str
    trace: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException, category: str = "Function") -> ErrorReport:
        """Report an exception that was raised.

        Args:
            error: The exception.
            category: `Function` for one of the handler, `Runtime` for one before the handler is loaded.
        """
        name = type(error).__name__
        return cls(f"{category}.{name}", name, str(error), tuple(traceback.format_tb(error.__traceback__)))

    def to_json(self) -> bytes:
        """Write the body of an error request."""
        content = {"errorMessage": self.message, "errorType": self.name, "stackTrace": self.trace}
        return json.dumps(content).encode()

    def to_trailer(self) -> bytes:
        """Write the value of `Lambda-Runtime-Function-Error-Body`, shortened to fit into a trailer."""
        for report in (self, ErrorReport(self.kind, self.name, self.message[:512])):
            encoded = base64.b64encode(report.to_json())
            if len(encoded) <= MAX_TRAILER:
                return encoded
        return base64.b64encode(ErrorReport(self.kind, self.name, "").to_json())
