"""The decision on an upgrade, before a socket exists: origin, middleware and the upgrade hook."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nitro_py.errors import HTTPError, NitroError
from nitro_py.event import Event
from nitro_py.headers import Headers
from nitro_py.middleware import Middleware, run_middleware
from nitro_py.request import Request
from nitro_py.response import Response
from nitro_py.runtime.containment import contain, log_failure
from nitro_py.runtime.hooks.origin import check_origin
from nitro_py.runtime.http.responses import find_http_error, is_asgi_answer
from nitro_py.runtime.settings import WebSocketSettings
from nitro_py.websocket import Upgrade, WebSocketHandler, maybe_await

logger = logging.getLogger("nitro_py.websocket")


# What only the server may say in the answer to an upgrade (RFC 6455, 4.2.2; RFC 9110, 15.2.2).
HANDSHAKE_FIELDS = frozenset({"connection", "content-length", "trailer", "transfer-encoding", "upgrade"})


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
        result = None if handler.upgrade is None else await maybe_await(handler.upgrade(request))
        check_result(result)
        return result

    answer = await pass_middleware(event, middleware, run_hook)
    if isinstance(answer, Refusal):
        return answer, request
    try:
        check_upgrade_fields([*event.response.headers, *Headers(answer.headers)])
    except Exception as error:
        log_failure(logger, error, "The answer to the upgrade of %s cannot be sent.", request.path)
        return Refusal(error), request
    if answer.protocol is not None and answer.protocol not in offered:
        logger.error(
            "`upgrade` accepted the subprotocol `%s`, which the client of %s did not offer: expected one of %s.",
            answer.protocol,
            request.path,
            ", ".join(f"`{name}`" for name in sorted(offered)) or "none",
        )
        return Refusal(HTTPError(500)), request
    return answer, request


def check_upgrade_fields(names: Iterable[str]) -> None:
    """Refuse header fields that the handshake sets itself, or that describe content.

    Raises:
        NitroError: There is one.
    """
    for name in names:
        if name in HANDSHAKE_FIELDS or name.startswith("sec-websocket-"):
            raise NitroError(
                f"The answer to an upgrade cannot have the header field `{name}`, which the handshake sets.",
                hint="Write `Upgrade(protocol=…)`."
                if name == "sec-websocket-protocol"
                else "Leave the field out.",
            )


def check_result(result: Any) -> None:
    """Refuse what an upgrade hook must not return: nothing says whether it means yes or no.

    Raises:
        NitroError: It is neither a response nor an `Upgrade` nor `None`.
    """
    if not (result is None or isinstance(result, Upgrade | Response | HTTPError) or is_asgi_answer(result)):
        kind = type(result).__name__
        raise NitroError(
            f"`upgrade` returned a value of type `{kind}`: expected a response, `Upgrade` or `None`.",
            hint="Return a response or raise `HTTPError` to refuse, and `Upgrade(context=…)` to hand on data.",
        )


async def pass_middleware(
    event: Event, middleware: tuple[Middleware, ...], hook: Callable[[], Awaitable[Any]]
) -> Upgrade | Refusal:
    """Run a handshake through the middleware and the hook behind it; any answer but an `Upgrade` refuses it."""

    async def run_hook() -> Any:
        result = await hook()
        return Upgrade() if result is None else result

    try:
        answer = await run_middleware(middleware, event, run_hook)
    except BaseException as error:
        failure = contain(error)
        if (expected := find_http_error(failure)) is not None:
            return Refusal(expected)
        log_failure(logger, failure, "The upgrade to %s failed.", event.path)
        return Refusal(failure)
    return answer if isinstance(answer, Upgrade) else Refusal(answer)
