"""The live-reload socket: which pages may open it, and what they get."""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nitro_py.dev.error_view import read_style, read_template
from nitro_py.event import Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.runtime.hooks.origin import LOOPBACK_HOSTS
from nitro_py.runtime.hosts import HostCheck, is_local

logger = logging.getLogger("nitro_py.dev")

# How long a failure is kept for a page whose script has not connected yet, in seconds, and how many of them.
FAILURE_SECONDS = 3.0
MAX_FAILURES = 10

# Marks a failure from before a page's script connected: from before the page was asked for, it is not its failure.
LATE = {"late": "yes"}

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class ReloadGuard:
    """The check of handshakes for the live-reload socket.

    A socket that is open to every page tells other sites what the user works on, as Vite's CVE-2025-24010 did.

    Args:
        host: The address that the dev server listens on.
        port: Its port, which is the port of its pages.
        path: The socket's path.
        token: A secret that only its own pages know.
        allowed_hosts: The setting `server.allowed_hosts`: further names of its pages.

    Example:
        >>> guard = ReloadGuard("127.0.0.1", 3000, "/", "secret")
        >>> guard.admits_origin("http://localhost:3000"), guard.admits_origin("http://evil.test:3000")
        (True, False)
    """

    host: str
    port: int
    path: str
    token: str
    allowed_hosts: Sequence[str] = ()

    def admits(self, scope: Scope) -> bool:
        """Return whether a handshake passes: host, path, token and origin must all be right."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        knows = hmac.compare_digest(given.encode(), self.token.encode())
        origin = Headers.from_raw(scope["headers"]).get("origin", "")
        admitted = bool(scope["path"] == self.path and knows and self.admits_origin(origin))
        if HostCheck(self.allowed_hosts, local=self.host).check(scope["headers"]) is not None:
            # The check has logged it.
            return False
        if not admitted:
            logger.warning(
                "Refused a live-reload socket to a page from %s.", ascii(origin) if origin else "nowhere"
            )
        return admitted

    def admits_origin(self, origin: str) -> bool:
        """Return whether a page is one of the dev server's own."""
        try:
            parts = urlsplit(origin)
            name, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or port != self.port:
            return False
        if name in LOOPBACK_HOSTS or is_local(name) or name == self.host.lower():
            return True
        if HostCheck(self.allowed_hosts).admits(f"[{name}]" if ":" in name else name):
            return True
        # Each address belongs to this machine, but anyone can make a name point to it.
        return self.host in _EVERY_ADDRESS and _is_address(name)


class LiveReload:
    """The live-reload socket as an ASGI application; anything but an admitted handshake is refused.

    Args:
        guard: The check of its handshakes.
        number: The number of the app that serves: the next one has the next.
    """

    def __init__(self, guard: ReloadGuard, number: int = 0) -> None:
        self.guard = guard
        self.number = number
        # When each connected, in seconds since the epoch.
        self._pages: dict[Send, float] = {}
        self._problem: dict[str, str] | None = None
        # Failures of the app that pages which are only just open shall see, too, with the time of each.
        self._failures: deque[tuple[float, dict[str, str]]] = deque(maxlen=MAX_FAILURES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b"Live reload of `nitropy dev`.\n"})
            return
        await receive()
        if not self.guard.admits(scope):
            # Before the handshake is accepted, this is an answer with status 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        # At once, so that what is announced meanwhile comes, and comes once.
        self._pages[send] = time.time()
        problem, failures = self._problem, list(self._failures)
        if _read_number(scope) < self.number:
            # Another app has taken the place of the page's before its script connected.
            await _send_message(send, {"type": "reload"})
        if problem is not None:
            await _send_message(send, problem)
        for moment, failure in failures:
            if time.monotonic() - moment < FAILURE_SECONDS:
                await _send_message(send, {**failure, **LATE})
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            del self._pages[send]

    async def announce(self, message: dict[str, str]) -> None:
        """Send a message to every page.

        Args:
            message: `{"type": "reload"}`; `{"type": "error", "message": …, "html": …}`, which later pages get too;
                `{"type": "failure", …, "at": …}` for a failure of the running app and its time in milliseconds.
        """
        if message["type"] == "failure":
            self._failures.append((time.monotonic(), message))
        else:
            self._failures.clear()
            self._problem = message if message["type"] == "error" else None
        for send, connected in list(self._pages.items()):
            # A failure may be told of after a page that was asked for since has connected.
            late = float(message.get("at", "inf")) < connected * 1000
            await _send_message(send, {**message, **LATE} if late else message)


async def _send_message(send: Send, message: dict[str, str]) -> None:
    try:
        await send({"type": "websocket.send", "text": json.dumps(message)})
    except Exception as error:
        # Each server has its own error for a page that is gone; the page will connect again.
        logger.debug("Could not reach a page: %r", error)


def _read_number(scope: Scope) -> int:
    """Return the number of the app that a page came from."""
    return int(parse_qs(scope["query_string"].decode("latin-1"))["app"][0])


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def make_script(guard: ReloadGuard, port: int, number: int) -> bytes:
    """Return the script that is added to pages.

    Args:
        guard: The check that the script's handshake must pass.
        port: The port of the socket.
        number: The number of the app whose pages they are.
    """
    script = read_template("overlay.js")
    values = {
        "__ERROR_SCRIPT__": read_template("error.js"),
        "__PATH__": _quote(f"{guard.path}?token={guard.token}&app={number}"),
        "__PORT__": str(port),
        "__STYLE__": _quote(read_style()),
    }
    for name, value in values.items():
        script = script.replace(name, value)
    return f"<script>\n{script}</script>\n".encode()


def _quote(text: Any) -> str:
    # `</script>` in a string would end the script.
    return json.dumps(text).replace("<", "\\u003c")
