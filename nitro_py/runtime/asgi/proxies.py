"""What a proxy in front of the server says of the client, at no cost where there is none."""

from __future__ import annotations

from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

# The fields that uvicorn's middleware looks for, in every request and at the client's address first.
PROXY_FIELDS = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})


def unwrap(app: Any) -> tuple[Any, Any]:
    """Gives the application for requests without and with a proxy's fields.

    Args:
        app: The application as uvicorn has it, which wraps it unless it was told not to.
    """
    return (app.app if type(app) is ProxyHeadersMiddleware else app), app
