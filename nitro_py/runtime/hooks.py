"""Running a hook, and what happens when it fails: the same on every target."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from nitro_py.errors import MessageValidationError, PeerClosedError
from nitro_py.peer import Peer
from nitro_py.runtime.subject import enter_subject
from nitro_py.websocket import WebSocketHandler, settle

logger = logging.getLogger("nitro_py.websocket")


async def run_hook(call: Callable[[], Awaitable[None]], handler: WebSocketHandler, peer: Peer, route: str) -> bool:
    """Runs a hook; an exception is logged, goes to the error hook, and closes the connection with 1011.

    A peer that is gone ends the hook quietly, and a message that does not fit leaves the connection open.

    Args:
        call: Calls the hook.
        handler: The route's hooks.
        peer: Whose hook it is.
        route: The route's path, for the log.

    Returns:
        False when the hook failed, and the peer must get no more messages.
    """
    enter_subject(peer, route)
    try:
        await call()
    except PeerClosedError:
        return True
    except MessageValidationError as error:
        if handler.error is None:
            logger.warning("Peer %s of %s sent a bad message: %s", peer.id, route, error)
        await _report(error, handler, peer, route)
    except Exception as error:
        logger.exception("A hook of %s failed for peer %s.", route, peer.id)
        await _report(error, handler, peer, route)
        await peer.close(1011, "Internal error")
        return False
    return True


async def _report(error: Exception, handler: WebSocketHandler, peer: Peer, route: str) -> None:
    if handler.error is None:
        return
    try:
        await settle(handler.error(peer, error))
    except PeerClosedError:
        return
    except Exception:
        logger.exception("The error hook of %s failed for peer %s.", route, peer.id)
