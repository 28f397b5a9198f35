"""The errors of calls to AWS services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nitro_py.errors import NitroError


class ServiceError(NitroError):
    """A call that an AWS service refused.

    Args:
        message: The service's message.
        status: The HTTP status; 0 if there was no response.
        code: The service's error code, such as `ThrottlingException`.
        details: The body of the response, if it is JSON.

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
    """A call without a response.

    Args:
        message: What happened to the connection.
        sent: Whether the request may have reached the service, which may then have acted on it.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message, status=0, code="TransportError")
        self.sent = sent


class CredentialError(ServiceError):
    """A call without credentials to sign it with.

    Args:
        message: Where they were looked for.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, status=0, code="CredentialError")


class ConditionFailedError(ServiceError):
    """A conditional write of DynamoDB whose condition is not met.

    Args:
        message: DynamoDB's message.
        code: `ConditionalCheckFailedException` or `TransactionCanceledException`.
        item: The row as it is, if the call asked for it by `ReturnValuesOnConditionCheckFailure`.
        reasons: For a transaction, the code of each action in order; `"None"` for one that would have passed.
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
