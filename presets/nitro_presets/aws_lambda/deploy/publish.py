"""Publishing to the peers of a deployed stack, by its WebSocket function."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nitro_presets.aws_lambda.deploy.stack import explain_errors, require_stack
from nitro_py.errors import NitroError, UsageError

FUNCTION = "WebSocketFunctionName"
# Longer than the time-out of the function, in seconds.
TIMEOUT = 70


def publish(stack_name: str, message: Mapping[str, object], *, region: str | None = None) -> None:
    """Publish, and wait until all posts are made or left to other invocations.

    Args:
        stack_name: The stack.
        message: `topic`, `data` and `namespace`.
        region: The region; by default boto3's own.

    Raises:
        UsageError: There is no such stack, it has no WebSocket function, or there are no credentials or region.
        NitroError: AWS refuses a call, or the function fails.
    """
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    with explain_errors():
        session = boto3.Session(region_name=region or None)
        # A call that is repeated would publish twice.
        once = Config(read_timeout=TIMEOUT, retries={"total_max_attempts": 1})
        function = find_function(session.client("cloudformation"), stack_name)
        call_function(session.client("lambda", config=once), function, {"kind": "publish", **message})


def find_function(formation: Any, stack_name: str) -> str:
    """Find the WebSocket function of a stack.

    Args:
        formation: boto3's client of CloudFormation.
        stack_name: The stack.

    Raises:
        UsageError: There is none.
    """
    stack = require_stack(formation, stack_name)
    name = dict(stack.outputs).get(FUNCTION)
    if name is None:
        raise UsageError(f"The stack `{stack_name}` has no WebSocket routes that could be published to.")
    return name


def call_function(client: Any, function: str, work: Mapping[str, object]) -> None:
    """Invoke the WebSocket function, and wait until it has ended.

    Args:
        client: boto3's client of Lambda.
        function: The function.
        work: The work, JSON-able, with its `kind`.

    Raises:
        NitroError: The function failed.
    """
    answer = client.invoke(FunctionName=function, Payload=json.dumps({"nitro": work}).encode())
    if "FunctionError" in answer:
        fault: Any = json.loads(answer["Payload"].read())
        raise NitroError(f"The function `{function}` failed: {fault.get('errorMessage', fault)}")
