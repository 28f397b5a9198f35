"""Who is refused a handshake, and by which status: the gateway opens a socket for whatever is below 300."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse, RedirectResponse

from nitro_presets.aws_lambda.store.rows import write_connection
from nitro_presets.aws_lambda.websocket.connect import refusal_status
from nitro_py.errors import HTTPError
from nitro_py.response import Response
from tests.presets.aws_lambda.websocket.events import ID, connecting, saying
from tests.presets.aws_lambda.websocket.log import Log
from tests.presets.aws_lambda.websocket.stage import Cloud


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


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["chat", "", "chat/", "%252Fchat", "/%ff", "%2F%25ff", "/chat%2"])
async def test_path_that_is_none_is_refused_before_any_hook(path: str) -> None:
    log = Log()
    cloud = Cloud(log.hooks("open", "message"))
    assert await cloud.run(connecting(ID, path)) == {"statusCode": 400}
    assert (log.entries, log.peers, cloud.calls) == ([], [], {})


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/chat", "/chat/", "/%63hat", "%2Fchat", "%2F%2563hat"])
async def test_every_spelling_of_a_path_is_one_namespace(path: str) -> None:
    log = Log()
    cloud = Cloud(log.hooks("message"))
    assert await cloud.run(connecting(ID, path)) == {"statusCode": 200}
    await cloud.run(saying(ID, "x"))
    (peer,) = log.peers
    assert (peer.namespace, peer.request.path) == ("/chat", "/chat")


@pytest.mark.anyio
async def test_only_the_edge_comes_through_and_its_secret_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITRO_ORIGIN_SECRET", "open sesame")
    log = Log()
    cloud = Cloud(log.hooks("message"))
    for wrong in ({}, {"X-Nitro-Origin-Secret": "open"}, {"X-Nitro-Host": "www.test"}):
        assert await cloud.run(connecting(ID, **wrong)) == {"statusCode": 403}
    assert (cloud.calls, cloud.sent) == ({}, [])
    management = {"X-Nitro-Origin-Secret": "open sesame", "X-Nitro-Host": "www.test"}
    assert await cloud.run(connecting(ID, **management)) == {"statusCode": 200}
    await cloud.run(saying(ID, "x"))
    (peer,) = log.peers
    assert peer.request.url.startswith("wss://www.test/chat")
    assert "sesame" not in repr(peer.request.headers.pairs())


# What Chrome sends, as it comes through CloudFront and API Gateway.
BROWSER = {
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "Cache-Control": "no-cache",
    "Origin": "https://api.test",
    "Pragma": "no-cache",
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "chat, bearer.eyJhbGciOiJIUzI1NiJ9",
    "Sec-WebSocket-Version": "13",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Safari/537.36",
    "Via": "1.1 0123456789abcdef0123456789abcdef.cloudfront.net (CloudFront)",
    "X-Amz-Cf-Id": "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrSt==",
    "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    "X-Forwarded-For": "192.0.2.7, 198.51.100.1",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
}
# DynamoDB bills each KiB that is written.
UNIT = 1024


@pytest.mark.anyio
async def test_row_of_a_browser_is_one_unit_and_keeps_what_hooks_may_want() -> None:
    log = Log()
    cloud = Cloud(log.hooks("message"))
    await cloud.run(connecting(ID, **BROWSER))
    row = await cloud.store.get_connection(ID)
    assert row is not None
    item = write_connection(row, row.expires_at)
    assert sum(len(name) + len(str(value).encode()) for name, value in item.items()) < UNIT
    kept = {"accept-language", "host", "origin", "user-agent", "x-forwarded-for", "x-forwarded-proto"}
    assert {name for name, _ in row.headers} == kept
