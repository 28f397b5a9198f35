"""The access log of `nitropy preview`, in the lines of the bundle's own server."""

from __future__ import annotations

import logging
from http import HTTPStatus

from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, Handle, HttpConnection
from nitro_presets.aws_lambda.gateway.router import ROOT
from nitro_py.runtime.asgi.internal_routes import PROBES
from nitro_py.server.logging import escape_controls

logger = logging.getLogger("nitro_py.aws.gateway")

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class GatewayAccessLog:
    """What handles requests around what answers them, and logs each with its status, and the ends of sockets.

    Calls of AWS's services are not logged, and neither are probes that succeed.

    Args:
        handle: Answers a request.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def handle(self, http: HttpConnection, request: GatewayRequest) -> None:
        """Answer a request, or serve a WebSocket to its end."""
        if request.get("sec-websocket-key") is not None or not request.path.startswith(f"{ROOT}/"):
            http.observer = GatewayRequestLog(http.client, request)
        try:
            await self._handle(http, request)
        finally:
            http.observer = None


class GatewayRequestLog:
    """The lines about one request.

    Args:
        client: The client's address and port.
        request: The request.
    """

    def __init__(self, client: str, request: GatewayRequest) -> None:
        self._client = client
        self._request = request

    def on_status(self, status: int) -> None:
        """Log the status of the answer."""
        request = self._request
        if request.get("sec-websocket-key") is not None:
            self._write_socket("[accepted]" if status == 101 else str(status))
        elif status >= 400 or request.path not in PROBES:
            phrase = _PHRASES.get(status, "")
            self._write(f'"{request.method} {request.target} HTTP/1.1" {status} {phrase}'.rstrip())

    def on_disconnect(self, code: int, reason: str) -> None:
        """Log the end of a socket."""
        self._write_socket(f"[closed {code}{f' {reason}' if reason else ''}]")

    def _write_socket(self, outcome: str) -> None:
        self._write(f'"WebSocket {self._request.target}" {outcome}')

    def _write(self, text: str) -> None:
        logger.info("%s", escape_controls(f"INFO:     {self._client} - {text}"))
