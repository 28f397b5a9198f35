"""The live-reload socket: which pages may open it, and what they get."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nitro_py.event import Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.runtime.hooks.origin import LOOPBACK_HOSTS
from nitro_py.runtime.hosts import HostCheck, is_local

logger = logging.getLogger("nitro_py.dev")

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
    """

    def __init__(self, guard: ReloadGuard) -> None:
        self.guard = guard
        self._pages: set[Send] = set()
        self._problem: dict[str, str] | None = None

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
        if self._problem is not None:
            await _send_message(send, self._problem)
        self._pages.add(send)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._pages.discard(send)

    async def announce(self, message: dict[str, str]) -> None:
        """Send a message to every page.

        Args:
            message: `{"type": "reload"}`, or `{"type": "error", "message": …}`, which later pages get too.
        """
        self._problem = message if message["type"] == "error" else None
        for send in list(self._pages):
            await _send_message(send, message)


async def _send_message(send: Send, message: dict[str, str]) -> None:
    try:
        await send({"type": "websocket.send", "text": json.dumps(message)})
    except Exception as error:
        # Each server has its own error for a page that is gone; the page will connect again.
        logger.debug("Could not reach a page: %r", error)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def make_script(guard: ReloadGuard, port: int) -> bytes:
    """Return the script that is added to pages.

    Args:
        guard: The check that the script's handshake must pass.
        port: The port of the socket.
    """
    return (
        _SCRIPT.replace("__PORT__", str(port))
        .replace("__PATH__", _quote(f"{guard.path}?token={guard.token}"))
        .encode()
    )


def _quote(text: Any) -> str:
    # `</script>` in a string would end the script.
    return json.dumps(text).replace("<", "\\u003c")


_SCRIPT = """<script>
(() => {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.hostname}:__PORT__` + __PATH__);
  let opened = false;
  const again = () =>
    fetch(location.href, { method: "HEAD", cache: "no-store" })
      .then(() => location.reload(), () => setTimeout(again, 1000));
  const show = (message) => {
    console.error("[nitropy] " + message);
    let box = document.getElementById("nitropy-error");
    if (!box) {
      box = document.createElement("pre");
      box.id = "nitropy-error";
      box.style.cssText = "position:fixed;z-index:2147483647;left:1rem;right:1rem;bottom:1rem;max-height:50vh;" +
        "overflow:auto;margin:0;padding:1rem;border-radius:.5rem;background:#7f1d1d;color:#fff;" +
        "font:13px/1.5 monospace;white-space:pre-wrap";
      document.documentElement.append(box);
    }
    box.textContent = message;
  };
  socket.onopen = () => { opened = true; };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "reload") location.reload();
    if (message.type === "error") show(message.message);
  };
  socket.onclose = () => { if (opened) setTimeout(again, 300); };
})();
</script>
"""
