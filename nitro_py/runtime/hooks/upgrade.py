"""The decision on an upgrade, before a socket exists: origin, middleware and the upgrade hook."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from nitro_py.errors import HTTPError
from nitro_py.event import Event
from nitro_py.middleware import Middleware, run_middleware
from nitro_py.request import Request
from nitro_py.response import Response
from nitro_py.runtime.containment import contain
from nitro_py.runtime.hooks.origin import check_origin
from nitro_py.runtime.settings import WebSocketSettings
from nitro_py.websocket import Upgrade, WebSocketHandler, maybe_await

logger = logging.getLogger("nitro_py.websocket")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused upgrade, with the answer that a plain request would get."""

    answer: Any


async def decide_upgrade(
    handler: WebSocketHandler,
    event: Event,
    *,
    middleware: tuple[Middleware, ...],
    settings: WebSocketSettings,
    offered: tuple[str, ...],
    development: bool,
) -> tuple[Upgrade | Refusal, Request]:
    """Decide whether an upgrade is accepted.

    Args:
        handler: The route's hooks.
        event: The handshake, as middleware sees it.
        middleware: The app's middleware.
        settings: The settings `websocket.*`.
        offered: The subprotocols that the client offers.
        development: Whether loopback origins are allowed.

    Returns:
        The decision, and the request for the hooks.
    """
    request = Request(
        event.url,
        headers=event.headers,
        params=event.params,
        remote_address=event.remote_address,
        context=event.context,
    )
    if not check_origin(event.headers, settings.allowed_origins, development=development):
        return Refusal(HTTPError(403, "The origin is not allowed to open a socket here.")), request

    async def run_hook() -> Any:
        return None if handler.upgrade is None else await maybe_await(handler.upgrade(request))

    answer = await pass_middleware(event, middleware, run_hook)
    if isinstance(answer, Refusal):
        return answer, request
    if answer.protocol is not None and answer.protocol not in offered:
        logger.error(
            "`upgrade` accepted the subprotocol `%s`, which the client of %s did not offer: expected one of %s.",
            answer.protocol,
            request.path,
            ", ".join(f"`{name}`" for name in sorted(offered)) or "none",
        )
        return Refusal(Response(status=500)), request
    return answer, request


async def pass_middleware(
    event: Event, middleware: tuple[Middleware, ...], hook: Callable[[], Awaitable[Any]]
) -> Upgrade | Refusal:
    """Run a handshake through the middleware and the hook behind it; any answer but an `Upgrade` refuses it."""

    async def run_hook() -> Any:
        result = await hook()
        return Upgrade() if result is None else result

    try:
        answer = await run_middleware(middleware, event, run_hook)
    except HTTPError as error:
        return Refusal(error)
    except BaseException as error:
        failure = contain(error)
        logger.error("The upgrade to %s failed.", event.path, exc_info=failure)
        return Refusal(failure)
    return answer if isinstance(answer, Upgrade) else Refusal(answer)
