"""Hooks and their errors, the same on every target."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from nitro_py.errors import MessageValidationError, PeerClosedError
from nitro_py.peer import Peer
from nitro_py.runtime.containment import contain, log_failure
from nitro_py.runtime.log_context import enter_log_context
from nitro_py.websocket import WebSocketHandler, maybe_await

logger = logging.getLogger("nitro_py.websocket")


async def run_hook(call: Callable[[], Awaitable[None]], handler: WebSocketHandler, peer: Peer, route: str) -> bool:
    """Run a hook; an exception is logged, passed to the error hook, and closes the connection with 1011.

    `PeerClosedError` is not logged, and a message that is not valid leaves the connection open.

    Args:
        call: The function that calls the hook.
        handler: The route's hooks.
        peer: The peer.
        route: The route's path, for the log.

    Returns:
        False if the hook failed, and the peer must get no more messages.
    """
    return await finish_hook(call(), handler, peer, route)


async def finish_hook(rest: Awaitable[None], handler: WebSocketHandler, peer: Peer, route: str) -> bool:
    """Await the rest of a hook; see `run_hook`."""
    enter_log_context(peer, route)
    try:
        await rest
    except PeerClosedError:
        return True
    except MessageValidationError as error:
        if handler.error is None:
            logger.warning("Peer %s of %s sent a message that is not valid: %s", peer.id, route, error)
        await _report(error, handler, peer, route)
    except BaseException as error:
        # A task group may raise several `PeerClosedError` at once.
        if isinstance(error, ExceptionGroup) and error.split(PeerClosedError)[1] is None:
            return True
        await _fail(contain(error), handler, peer, route)
        return False
    return True


async def fail_with(error: BaseException) -> None:
    """Raise an error: the rest of a hook that failed when it was called."""
    raise error


async def _fail(error: Exception, handler: WebSocketHandler, peer: Peer, route: str) -> None:
    log_failure(logger, error, "A hook of %s failed for peer %s.", route, peer.id)
    await _report(error, handler, peer, route)
    await peer.close(1011, "Internal error")


async def _report(error: Exception, handler: WebSocketHandler, peer: Peer, route: str) -> None:
    if handler.error is None:
        return
    try:
        await maybe_await(handler.error(peer, error))
    except PeerClosedError:
        return
    except BaseException as raised:
        log_failure(logger, contain(raised), "The error hook of %s failed for peer %s.", route, peer.id)
