"""The context of an invocation, which a handler gets beside the event."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

Deferred = Callable[[], Awaitable[None]]
# Returns the seconds that an invocation has left.
TimeLeft = Callable[[], float]

# The part of an invocation's time that is kept for its end, in seconds.
MARGIN = 0.5


class LambdaContext(Protocol):
    """The context of any runtime client, awslambdaric included."""

    @property
    def aws_request_id(self) -> str:
        """The request id of the invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""


def seconds_left(context: LambdaContext) -> float:
    """Return the seconds that an invocation has left, without those for its end."""
    return max(0.0, context.get_remaining_time_in_millis() / 1000 - MARGIN)


class InvocationContext:
    """The context of our own runtime client, with the attributes of awslambdaric's.

    Args:
        aws_request_id: The request id of the invocation.
        deadline: When Lambda ends the invocation, in milliseconds since the epoch.
        invoked_function_arn: The ARN by which the function was invoked.
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
        """Make the context from the header fields of the Runtime API's next invocation."""
        return cls(
            aws_request_id=headers["lambda-runtime-aws-request-id"],
            deadline=int(headers.get("lambda-runtime-deadline-ms", "0")),
            invoked_function_arn=headers.get("lambda-runtime-invoked-function-arn", ""),
        )

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""
        return max(0, self.deadline - int(time.time() * 1000))

    def defer(self, work: Deferred) -> None:
        """Run work once the response is sent and before Lambda freezes the process."""
        self.deferred.append(work)
