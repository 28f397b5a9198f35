"""The main loop of a function's process: it starts the handler, then calls it for each invocation."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from nitro_presets.aws_lambda.lambda_runtime.client import Invocation, RuntimeApiClient
from nitro_presets.aws_lambda.lambda_runtime.context import InvocationContext
from nitro_presets.aws_lambda.lambda_runtime.error_report import ErrorReport
from nitro_presets.aws_lambda.lambda_runtime.logs import configure_logging
from nitro_presets.aws_lambda.lambda_runtime.response_stream import StreamedAnswer
from nitro_presets.aws_lambda.lambda_runtime.runner import enter_loop, run
from nitro_py.errors import NitroError
from nitro_py.runtime.containment import contain

logger = logging.getLogger("nitro_py.aws")

# Its coroutine `start`, if it has one, runs in the init phase, and `stop` at `SIGTERM`.
LambdaHandler = Callable[[Any, InvocationContext], Any]


def main() -> NoReturn:
    """Serve invocations by the handler that `_HANDLER` names until the process ends."""
    request_id = configure_logging()
    client = RuntimeApiClient(_expect("AWS_LAMBDA_RUNTIME_API"))
    stopping = asyncio.Event()
    enter_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    try:
        handler = load_handler(_expect("_HANDLER"))
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            # Started after the restore, so that plugins' connections are not part of the snapshot.
            run(client.wait_for_restore())
        _call_if_there(handler, "start")
    except (Exception, SystemExit) as error:
        logger.exception("The function cannot start.")
        run(client.report_init_error(ErrorReport.of(error, "Runtime")))
        raise SystemExit(1) from None
    while (invocation := run(_next(client, stopping))) is not None:
        request_id.id = invocation.id
        set_trace(invocation.trace)
        answer(client, handler, invocation)
    _call_if_there(handler, "stop")
    client.close()
    raise SystemExit(0)


def load_handler(name: str) -> LambdaHandler:
    """Import a handler by its `module.function`.

    Raises:
        NitroError: The name has no dot, or the module no such function.
    """
    module, _, function = name.rpartition(".")
    if not module:
        raise NitroError(f"`_HANDLER` is `{name}`: expected `module.function`.")
    found = getattr(importlib.import_module(module.replace("/", ".")), function, None)
    if not callable(found):
        raise NitroError(f"The module `{module}` has no function `{function}`.")
    handler: LambdaHandler = found
    return handler


def answer(client: RuntimeApiClient, handler: LambdaHandler, invocation: Invocation) -> None:
    """Call the handler outside of the event loop, and send its response or error to the Runtime API.

    Args:
        client: The client of the Runtime API.
        handler: A function, plain or async, that returns a JSON-able value or a `StreamedAnswer`.
        invocation: The invocation.
    """
    try:
        result = handler(json.loads(invocation.payload), invocation.context)
        if inspect.isawaitable(result):
            result = run(_settle(result))
        if isinstance(result, StreamedAnswer):
            run(client.stream(invocation.id, result))
        else:
            run(client.respond(invocation.id, json.dumps(result).encode()))
    except (Exception, asyncio.CancelledError, SystemExit, KeyboardInterrupt) as error:
        logger.exception("The invocation failed.")
        run(client.report_error(invocation.id, ErrorReport.of(error)))
    run(_finish(invocation.context))


def set_trace(trace: str | None) -> None:
    """Put the trace header into `_X_AMZN_TRACE_ID`, where tracing libraries and our own calls read it."""
    if trace is None:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    else:
        os.environ["_X_AMZN_TRACE_ID"] = trace


async def _next(client: RuntimeApiClient, stopping: asyncio.Event) -> Invocation | None:
    polling = asyncio.ensure_future(client.next())
    ending = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({polling, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if polling.done():
        return polling.result()
    polling.cancel()
    await asyncio.wait({polling})
    return None


async def _finish(context: InvocationContext) -> None:
    for work in context.deferred:
        try:
            await work()
        except BaseException as error:
            logger.error("A task after a response failed.", exc_info=contain(error))


async def _settle(result: Awaitable[Any]) -> Any:
    return await result


def _call_if_there(handler: LambdaHandler, name: str) -> None:
    method = getattr(handler, name, None)
    if method is not None:
        run(method())


def _expect(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SystemExit(f"error: `{name}` is not set: this program runs on Lambda only.")
    return value
