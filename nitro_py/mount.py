"""ASGI applications as routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]


class MountedApp(NamedTuple):
    """An ASGI application; made by `mount_asgi`."""

    app: ASGIApplication
    sockets: bool | None = None


def mount_asgi(app: ASGIApplication, *, sockets: bool | None = None) -> MountedApp:
    """Make an ASGI application the handler of a route and of every path below it.

    The route's path becomes the application's `root_path` (ASGI specification, "HTTP Connection Scope"); the
    application's lifespan runs with the server's.

    Args:
        app: A FastAPI, Starlette, Litestar or other ASGI 3 application.
        sockets: Whether it serves WebSockets. By default the build finds out, by the application's routes, or by
            its code where it lists none.

    Returns:
        The route's handler.

    Raises:
        TypeError: The application is not callable.

    Example:
        handler = mount_asgi(FastAPI())
    """
    if not callable(app):
        raise TypeError(f"`mount_asgi` takes an ASGI application, got {type(app).__name__}.")
    return MountedApp(app, sockets)
