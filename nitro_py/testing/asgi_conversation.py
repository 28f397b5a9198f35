"""One ASGI connection to an app in this process, from the client's end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from nitro_py.event import ASGIMessage, Scope
from nitro_py.headers import Headers
from nitro_py.mount import ASGIApplication
from nitro_py.testing.failures import AppFailures

T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T], problem: str) -> T:
    """Wait for something for a limited time, and return its result.

    Args:
        seconds: The limit.
        work: The awaitable.
        problem: The beginning of the error's message.

    Raises:
        TimeoutError: It takes longer.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"{problem} within {seconds:g} s.") from None
        raise


class AsgiConversation:
    """An ASGI conversation with an app, which runs in a task of its own.

    Args:
        application: The app.
        scope: The ASGI scope of the connection.
        timeout: How long each wait may take, in seconds.
        failures: The failures of the app that the test has not seen yet.
        room: How many messages the app may send before the client takes them; 0 for any number.
    """

    def __init__(
        self, application: ASGIApplication, scope: Scope, *, timeout: float, failures: AppFailures, room: int = 0
    ) -> None:
        self.timeout = timeout
        self.name = f"{scope.get('method', 'The socket')} {scope['path']}"
        self._to_app: asyncio.Queue[ASGIMessage] = asyncio.Queue()
        self._from_app: asyncio.Queue[ASGIMessage] = asyncio.Queue(room)
        self._last: ASGIMessage | None = None
        self._failures = failures
        with failures.observed(self.name):
            self._task = asyncio.ensure_future(application(scope, self._receive, self._send))

    def put(self, message: ASGIMessage) -> None:
        """Queue a message for the app."""
        self._to_app.put_nowait(message)

    def leave(self, message: ASGIMessage) -> None:
        """Queue the app's last message: the client is gone, and what the app sends now is dropped."""
        if self._last is None:
            self._last = message
            self.put(message)

    async def take(self, what: str, seconds: float | None = None) -> ASGIMessage | None:
        """Return the app's next message, or `None` once the app is done.

        A failure of the app is raised once the data that came before it are taken.

        Args:
            what: The name of the message, for the error.
            seconds: How long to wait; by default the `timeout` of the conversation.

        Raises:
            TimeoutError: No message came.
            Exception: The app raised it.
        """
        limit = self.timeout if seconds is None else seconds
        return await within(limit, self._take(), f"{self.name} gave no {what}")

    async def finish(self) -> None:
        """Wait until the app has ended, after `leave`.

        Raises:
            TimeoutError: The app goes on.
            Exception: The app raised it.
        """
        await self.finish_quietly()
        self._raise_own()
        self._failures.raise_first()

    async def finish_quietly(self) -> None:
        """Wait until the app has ended, after `leave`; its failures are kept for later.

        Raises:
            TimeoutError: The app goes on.
        """
        while not self._from_app.empty():
            self._from_app.get_nowait()
        try:
            await within(self.timeout, asyncio.wait((self._task,)), f"The app did not end {self.name}")
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Cancel the app's work on this connection."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task

    async def _take(self) -> ASGIMessage | None:
        if self._from_app.empty():
            self._failures.raise_first()
        getting = asyncio.ensure_future(self._from_app.get())
        failing = asyncio.ensure_future(self._failures.wait())
        try:
            await asyncio.wait((getting, failing, self._task), return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                message = getting.result()
                if not _is_data(message):
                    self._failures.raise_first()
                return message
        finally:
            getting.cancel()
            failing.cancel()
        if self._task.done():
            self._raise_own()
        self._failures.raise_first()
        return None

    def _raise_own(self) -> None:
        """Raise what the app's call has raised, if failures are raised."""
        error = self._task.exception()
        if error is not None and self._failures.raised:
            self._failures.discard(error)
            raise error

    async def _receive(self) -> ASGIMessage:
        if self._last is not None and self._to_app.empty():
            return self._last
        return await self._to_app.get()

    async def _send(self, message: ASGIMessage) -> None:
        if self._last is None or message["type"] == "websocket.close":
            await self._from_app.put(dict(message))
            self.on_sent(message)

    def on_sent(self, message: ASGIMessage) -> None:
        """Do nothing; called with each message that the app sends."""


def _is_data(message: ASGIMessage) -> bool:
    """Return whether a message is one that the app may have sent before it failed."""
    match message["type"]:
        case "http.response.start":
            return bool(message["status"] < 500)
        case "http.response.body":
            return bool(message.get("more_body", False))
        case kind:
            return kind in ("websocket.accept", "websocket.send")


def make_scope(kind: str, url: str, headers: Headers) -> dict[str, Any]:
    """Return the ASGI scope of a connection from this machine.

    Args:
        kind: `http` or `websocket`.
        url: The URL, with a path that is percent-encoded.
        headers: Header fields; without a `host` among them it is that of the URL.
    """
    parts = urlsplit(url)
    secure = parts.scheme in ("https", "wss")
    fields = headers if "host" in headers else Headers([("host", parts.netloc), *headers.pairs()])
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": parts.scheme,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode("ascii"),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": fields.to_raw(),
        "client": ("127.0.0.1", 50000),
        "server": (parts.hostname, parts.port or (443 if secure else 80)),
        "extensions": {},
    }
