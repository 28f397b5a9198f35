"""The live-reload socket: who may open it, and what it says."""

from __future__ import annotations

import hmac
import json
import logging
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nitro_py.event import Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.runtime.hooks.origin import LOOPBACK_HOSTS

logger = logging.getLogger("nitro_py.dev")

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class ReloadGuard:
    """Says which handshakes of the live-reload socket pass.

    A socket that is open to every page tells other sites what is being worked on; Vite's CVE-2025-24010 was one.

    Args:
        host: The address that the dev server listens on.
        port: Its port, which is the port of its pages.
        path: The socket's path.
        token: What its pages know and no others.

    Example:
        >>> door = ReloadGuard("127.0.0.1", 3000, "/", "secret")
        >>> door.admits_origin("http://localhost:3000"), door.admits_origin("http://evil.test:3000")
        (True, False)
    """

    host: str
    port: int
    path: str
    token: str

    def admits(self, scope: Scope) -> bool:
        """Return whether a handshake passes: path, token and origin must all be right."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        knows = hmac.compare_digest(given.encode(), self.token.encode())
        origin = Headers.from_raw(scope["headers"]).get("origin", "")
        admitted = bool(scope["path"] == self.path and knows and self.admits_origin(origin))
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
        if name in LOOPBACK_HOSTS or name == self.host.lower():
            return True
        # Behind every address stands this machine, but a name may be made to point here by anybody.
        return self.host in _EVERY_ADDRESS and _is_address(name)


class LiveReload:
    """The live-reload socket as an ASGI application; anything but an admitted handshake is refused.

    Args:
        door: Which handshakes pass.
    """

    def __init__(self, door: ReloadGuard) -> None:
        self.door = door
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
        if not self.door.admits(scope):
            # Before the handshake is accepted, this is an answer with status 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        if self._problem is not None:
            await _say(send, self._problem)
        self._pages.add(send)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._pages.discard(send)

    async def announce(self, message: dict[str, str]) -> None:
        """Tell every page that the app was reloaded, or what is wrong with it.

        Args:
            message: `{"type": "reload"}`, or `{"type": "error", "message": …}`, which later pages hear too.
        """
        self._problem = message if message["type"] == "error" else None
        for send in list(self._pages):
            await _say(send, message)


async def _say(send: Send, message: dict[str, str]) -> None:
    try:
        await send({"type": "websocket.send", "text": json.dumps(message)})
    except Exception as error:
        # Servers say in ways of their own that a page is gone; it will connect again.
        logger.debug("Could not reach a page: %r", error)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def make_script(door: ReloadGuard, port: int) -> bytes:
    """Write the script that pages get.

    Args:
        door: What the script must bring to the handshake.
        port: The port of the socket.
    """
    return (
        _SCRIPT.replace("__PORT__", str(port))
        .replace("__PATH__", _quote(f"{door.path}?token={door.token}"))
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
