"""Calling plain `def` functions of the app, which may block: in threads where sockets share the event loop."""

from __future__ import annotations

import asyncio
import functools
import threading
import warnings
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from nitro_py.runtime.callables import is_awaitable, is_coroutine_function
from nitro_py.runtime.containment import stand_in

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from nitro_py.websocket import WebSocketHandler

# How many functions run at a time; the next ones wait. It is not asyncio's own pool, which looks up names, too.
MAX_THREADS: Final = 40
# The hooks that a thread takes over; `http` is called as handlers are.
HOOKS: Final = ("upgrade", "open", "message", "close", "error")

# Calls a function with arguments: `call_in_thread` or `call_inline`.
PlainCall = Callable[..., Awaitable[Any]]

_local = threading.local()


async def call_in_thread(function: Callable[..., Any], *arguments: Any, name: str) -> Any:
    """Call a plain function in a thread with the caller's context, and await what it returns, if it can be.

    Args:
        function: The function.
        arguments: What it is called with.
        name: What errors call it.

    Raises:
        Exception: What the function raised; a `RuntimeError` for an exception that is no `Exception`, and for a
            coroutine that the function made and dropped.
    """
    call = partial(copy_context().run, call_plain, function, arguments, name)
    result = await asyncio.get_running_loop().run_in_executor(_find_pool(), call)
    return await result if is_awaitable(result) else result


async def call_inline(function: Callable[..., Any], *arguments: Any, name: str) -> Any:
    """Call a plain function here and now; see `call_in_thread`."""
    result = call_plain(function, arguments, name)
    return await result if is_awaitable(result) else result


def call_plain(function: Callable[..., Any], arguments: tuple[Any, ...], name: str) -> Any:
    """Call a plain function, and refuse what a future cannot carry, or the code has forgotten to await."""
    watch_coroutines()
    dropped: list[str] = []
    _local.dropped = dropped
    try:
        result = function(*arguments)
    except StopIteration as error:
        # Python does the same for coroutines: a future that cannot take it would never be done.
        raise RuntimeError(f"{name} raised StopIteration.") from error
    except Exception:
        raise
    except BaseException as error:
        raise stand_in(error) from error
    finally:
        _local.dropped = None
    if dropped:
        calls = ", ".join(f"`{call}`" for call in dropped)
        raise RuntimeError(f"{name} never awaited {calls}: make it an `async def` and await the call.")
    return result


def move_plain_hooks(handler: WebSocketHandler, call: PlainCall) -> WebSocketHandler:
    """Return a handler whose plain `def` hooks are called by something else; async ones stay as they are."""
    plain = {name: hook for name in HOOKS if (hook := getattr(handler, name)) is not None and not _is_async(hook)}
    return (
        handler._replace(**{name: _move(name, hook, call) for name, hook in plain.items()}) if plain else handler
    )


def watch_coroutines() -> None:
    """Let Python name the coroutines that a plain function drops; without this name it warns of them as always."""
    if getattr(warnings, COROUTINE_HOOK, None) not in (None, _note_dropped):
        global _warn
        _warn = getattr(warnings, COROUTINE_HOOK)
        setattr(warnings, COROUTINE_HOOK, _note_dropped)


# What Python calls for a coroutine that ends without having begun: no public API tells which one it was.
COROUTINE_HOOK: Final = "_warn_unawaited_coroutine"


def _note_dropped(coroutine: CoroutineType[Any, Any, Any]) -> None:
    dropped = getattr(_local, "dropped", None)
    if dropped is None:
        assert _warn is not None
        _warn(coroutine)
    else:
        dropped.append(coroutine.__qualname__)


def _move(name: str, hook: Callable[..., Any], call: PlainCall) -> Callable[..., Any]:
    described = f"The hook `{name}` (`{getattr(hook, '__qualname__', type(hook).__name__)}`)"

    async def moved(*arguments: Any) -> Any:
        return await call(hook, *arguments, name=described)

    # The close hook is asked how many arguments it takes.
    moved.__wrapped__ = hook  # type: ignore[attr-defined]
    return moved


def _is_async(hook: Callable[..., Any]) -> bool:
    return is_coroutine_function(hook) or is_coroutine_function(type(hook).__call__)


@functools.cache
def _find_pool() -> ThreadPoolExecutor:
    # A function that calls its hooks inline has no pool.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="nitropy-plain")


_warn: Callable[[Any], None] | None = None
