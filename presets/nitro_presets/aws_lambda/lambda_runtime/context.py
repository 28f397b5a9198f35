"""What a handler is told about its invocation."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

Deferred = Callable[[], Awaitable[None]]


class LambdaContext(Protocol):
    """What every runtime client passes to a handler, awslambdaric too."""

    @property
    def aws_request_id(self) -> str:
        """The invocation's id."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the platform ends the invocation."""


class InvocationContext:
    """What our own runtime client passes, with the names that awslambdaric gives them.

    Args:
        aws_request_id: The invocation's id.
        deadline: When the platform ends the invocation, in milliseconds of Unix time.
        invoked_function_arn: The function, as its invoker named it.
    """

    def __init__(self, aws_request_id: str, deadline: int, invoked_function_arn: str) -> None:
        environ = os.environ
        self.aws_request_id = aws_request_id
        self.deadline = deadline
        self.invoked_function_arn = invoked_function_arn
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        self.deferred: list[Deferred] = []

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> InvocationContext:
        """Read the header fields of the Runtime API's next invocation."""
        return cls(
            aws_request_id=headers["lambda-runtime-aws-request-id"],
            deadline=int(headers.get("lambda-runtime-deadline-ms", "0")),
            invoked_function_arn=headers.get("lambda-runtime-invoked-function-arn", ""),
        )

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the platform ends the invocation."""
        return max(0, self.deadline - int(time.time() * 1000))

    def defer(self, work: Deferred) -> None:
        """Run work once the answer is out and before the environment freezes: the caller does not wait for it."""
        self.deferred.append(work)
