"""Mounting an existing ASGI application as a route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]


class MountedApp(NamedTuple):
    """An ASGI application; made by `mount_asgi`."""

    app: ASGIApplication


def mount_asgi(app: ASGIApplication) -> MountedApp:
    """Make an ASGI application the handler of a route and of every path below it.

    The application sees the path as `root_path` and the rest, as the ASGI specification says; its lifespan
    runs with the server's.

    Args:
        app: A FastAPI, Starlette, Litestar or other ASGI 3 application.

    Raises:
        TypeError: What is mounted is not callable.

    Example:
        handler = mount_asgi(FastAPI())
    """
    if not callable(app):
        raise TypeError(f"`mount_asgi` takes an ASGI application, got {type(app).__name__}.")
    return MountedApp(app)
