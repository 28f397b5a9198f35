"""What can go wrong between a function and a service of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nitro_py.errors import NitroError


class ServiceError(NitroError):
    """Says that a service of AWS refused a call, and why.

    Args:
        message: What the service said.
        status: The HTTP status; 0 when there was no answer.
        code: The service's own name for the error, such as `ThrottlingException`.
        details: The rest of what it said, as JSON; empty when it said none.

    Example:
        >>> ServiceError("Slow down.", status=429, code="LimitExceededException").status
        429
    """

    def __init__(self, message: str, *, status: int, code: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details or {}


class TransportError(ServiceError):
    """Says that a call got no answer.

    Args:
        message: What happened to the connection.
        sent: Whether the request may have reached the service, which may then have acted on it.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message, status=0, code="TransportError")
        self.sent = sent


class CredentialError(ServiceError):
    """Says that there are no credentials to sign a call with.

    Args:
        message: Where they were looked for.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, status=0, code="CredentialError")


class ConditionFailedError(ServiceError):
    """Says that a conditional write of DynamoDB found another state.

    Args:
        message: What the service said.
        code: `ConditionalCheckFailedException` or `TransactionCanceledException`.
        item: The row as it stands, where the call asked for it by `ReturnValuesOnConditionCheckFailure`.
        reasons: Of a transaction: each action's code in order, `"None"` where it would have passed.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        item: Mapping[str, Any] | None = None,
        reasons: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, status=400, code=code)
        self.item = item
        self.reasons = reasons
