"""Checks which status refuses a handshake: the gateway opens a socket for whatever is below 300."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse, RedirectResponse

from nitro_presets.aws_lambda.socket.connect import refusal_status
from nitro_py.errors import HTTPError
from nitro_py.response import Response


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (HTTPError(401), 401),
        (ValueError("broken"), 500),
        (Response("go away", status=429), 429),
        (RedirectResponse("/elsewhere"), 307),
        # No status of their own, or one that would open the socket.
        (Response("no"), 403),
        (Response(None, status=204), 403),
        (PlainTextResponse("no"), 403),
        ("no", 403),
        ({"error": "no"}, 403),
        (None, 403),
    ],
)
def test_refusal_never_opens_a_socket(answer: object, status: int) -> None:
    assert refusal_status(answer) == status
