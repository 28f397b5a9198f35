"""The application around the app in development, which adds the live-reload script to pages."""

from __future__ import annotations

from typing import Any

from nitro_py.dev.live_reload import LiveReload
from nitro_py.event import Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.mount import ASGIApplication

_BODY_END = b"</body>"
# A page that the browser already has would keep the token of an earlier run.
_VALIDATORS = frozenset({b"if-none-match", b"if-modified-since"})
_REPLACED = frozenset({b"cache-control", b"content-length", b"etag", b"last-modified"})


class ScriptInjector:
    """An ASGI application around another that adds a script to its pages.

    Args:
        app: The app.
        script: The script.
        live_reload: The live-reload socket, if it shares the app's port.
    """

    def __init__(self, app: ASGIApplication, script: bytes, live_reload: LiveReload | None) -> None:
        self._app = app
        self._script = script
        self._live_reload = live_reload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        live_reload = self._live_reload
        if live_reload is not None and scope["type"] == "websocket" and scope["path"] == live_reload.guard.path:
            await live_reload(scope, receive, send)
        elif scope["type"] == "http" and wants_page(scope):
            headers = [field for field in scope["headers"] if field[0] not in _VALIDATORS]
            await self._app({**scope, "headers": headers}, receive, PageSend(send, self._script))
        else:
            await self._app(scope, receive, send)


def wants_page(scope: Scope) -> bool:
    """Return whether a request may be for a page, and not for a part of one that a script asks for."""
    return scope["method"] == "GET" and is_for_page(Headers.from_raw(scope["headers"]))


def is_for_page(headers: Headers) -> bool:
    """Return whether a browser shows the answer as a page; some do not say what it is for."""
    return headers.get("sec-fetch-dest", "document") in ("document", "iframe", "frame")


class PageSend:
    """An ASGI send callable that adds a script to an answer, if that is a page.

    Args:
        send: The server's own.
        script: The script.
    """

    def __init__(self, send: Send, script: bytes) -> None:
        self._send = send
        self._script = script
        self._start: Any = None
        self._is_page = False

    async def __call__(self, message: Any) -> None:
        """Take one ASGI message."""
        if message["type"] == "http.response.start" and is_page(message):
            # Kept until the first part of the body shows whether it is the whole, whose length is known.
            self._start = message
            self._is_page = True
        elif message["type"] == "http.response.body" and self._is_page:
            await self._add(message)
        else:
            await self._send(message)

    async def _add(self, message: Any) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        start, self._start = self._start, None
        if not more:
            body = insert_script(body, self._script)
        if start is not None:
            headers = [field for field in start["headers"] if field[0].lower() not in _REPLACED]
            headers.append((b"cache-control", b"no-store"))
            if not more:
                headers.append((b"content-length", str(len(body)).encode()))
            await self._send({**start, "headers": headers})
        await self._send({**message, "body": body})


def is_page(start: Any) -> bool:
    """Return whether an answer is a whole page that is not compressed."""
    headers = Headers.from_raw(start.get("headers", ()))
    return (
        start["status"] not in (204, 206, 304)
        and headers.get("content-type", "").lower().startswith("text/html")
        and "content-encoding" not in headers
    )


def insert_script(body: bytes, script: bytes) -> bytes:
    """Insert a script before the end of a page's body; without one, at the end of the page.

    Example:
        >>> insert_script(b"<body>a</BODY></html>", b"!")
        b'<body>a!</BODY></html>'
    """
    place = body.lower().rfind(_BODY_END)
    return body + script if place < 0 else body[:place] + script + body[place:]
