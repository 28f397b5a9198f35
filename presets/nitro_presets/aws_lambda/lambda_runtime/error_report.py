"""Errors in the form that Lambda takes them in."""

from __future__ import annotations

import base64
import json
import traceback
from dataclasses import dataclass

# Trailers are header fields, and those have their limits on the way.
MAX_TRAILER = 4096


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Describes an exception.

    Args:
        kind: Lambda's `category.reason`.
        name: The exception's class.
        message: Its text.
        trace: Its traceback, a line or more each.
    """

    kind: str
    name: str
    message: str
    trace: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException, category: str = "Function") -> ErrorReport:
        """Describe an exception that was raised.

        Args:
            error: The exception.
            category: `Function` for the handler's, `Runtime` for what goes wrong before there is one.
        """
        name = type(error).__name__
        return cls(f"{category}.{name}", name, str(error), tuple(traceback.format_tb(error.__traceback__)))

    def to_json(self) -> bytes:
        """Write the body of the Runtime API's error requests."""
        content = {"errorMessage": self.message, "errorType": self.name, "stackTrace": self.trace}
        return json.dumps(content).encode()

    def to_trailer(self) -> bytes:
        """Write the value of `Lambda-Runtime-Function-Error-Body`, with no more than fits into it."""
        for fault in (self, ErrorReport(self.kind, self.name, self.message[:512])):
            encoded = base64.b64encode(fault.to_json())
            if len(encoded) <= MAX_TRAILER:
                return encoded
        return base64.b64encode(ErrorReport(self.kind, self.name, "").to_json())
