"""What an exception for a process, a task or a generator ends: no more than the code that raised it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from asyncio import Future

logger = logging.getLogger("nitro_py.tasks")

T = TypeVar("T")

# Called with each failure of the code that runs in this context, and the message that is logged.
failure_observer: ContextVar[Callable[[Exception, str], None] | None] = ContextVar(
    "nitro_py_failure_observer", default=None
)


def log_failure(log: logging.Logger, error: Exception, message: str, *args: object) -> None:
    """Log a failure of the app's code that its client only sees as a 500, as a 1011 or as a cut answer.

    Args:
        log: The logger of the caller.
        error: The failure.
        message: The message of the log.
        args: What the message is formatted with.
    """
    log.error(message, *args, exc_info=error, stacklevel=2)
    if (observe := failure_observer.get()) is not None:
        observe(error, message % args)


def contain(error: BaseException) -> Exception:
    """Return the error that stands for an exception which code of the app has raised.

    `SystemExit`, as `argparse` raises it, would end the process.

    Raises:
        BaseException: The exception itself, where it keeps its meaning: the task is cancelled, the generator or
            coroutine is closed, or a person has pressed Ctrl+C.
    """
    if isinstance(error, Exception):
        return error
    if _is_close(error) or _is_cancellation(error) or is_interrupt(error):
        raise error
    return stand_in(error)


def stand_in(error: BaseException) -> Exception:
    """Return an `Exception` with another exception as its cause."""
    cancelled = type(error).__name__ == "CancelledError"
    text = (
        "The code waited for a task or future that was cancelled."
        if cancelled
        else f"The code raised `{error!r}`."
    )
    failure = RuntimeError(text)
    failure.__cause__ = error
    return failure


def is_interrupt(error: BaseException) -> bool:
    """Return whether a `KeyboardInterrupt` comes from a signal, and not from a `raise` in the code that it left.

    Servers and `asyncio.run` replace Python's own handler of SIGINT, which alone raises it anywhere.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    import signal

    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return is_default and not _is_raised_by_statement(error)


async def contained(work: Awaitable[T]) -> T:
    """Await work for a task of its own: asyncio lets `SystemExit` in a task end the loop, too.

    Raises:
        Exception: What `contain` makes of the work's exception.
    """
    try:
        return await work
    except Exception:
        raise
    except BaseException as error:
        raise contain(error) from error


def run_until_done(run: Callable[[], T], work: Future[T] | None = None) -> T:
    """Run an event loop until it has done its work, and go on where a task or a callback of the app has ended it.

    asyncio lets `SystemExit` and `KeyboardInterrupt` end the loop, wherever they are raised.

    Args:
        run: Runs the loop; called again after such an end.
        work: What it runs until; what that raises is raised.
    """
    while True:
        try:
            return run()
        except (SystemExit, KeyboardInterrupt) as error:
            if work is not None and work.done():
                return work.result()
            if is_interrupt(error):
                raise
            logger.error("Code of the app raised `%r` in a task or callback.", error, exc_info=error)


def _is_close(error: BaseException) -> bool:
    """Return whether a `GeneratorExit` comes from a close, which raises it where the code waits or yields."""
    return isinstance(error, GeneratorExit) and not _is_raised_by_statement(error)


def _is_raised_by_statement(error: BaseException) -> bool:
    import opcode

    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti :][:1] == bytes([opcode.opmap["RAISE_VARARGS"]])


def _is_cancellation(error: BaseException) -> bool:
    """Return whether the running task is cancelled; one may also have waited for something that was."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is None or bool(task.cancelling())
