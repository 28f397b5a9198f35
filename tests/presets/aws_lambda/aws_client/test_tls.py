from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nitro_presets.aws_lambda.aws_client.errors import TransportError
from nitro_presets.aws_lambda.aws_client.http import ConnectionPool
from tests.certificates import make_certificate
from tests.presets.aws_lambda.aws_client.service_double import Answer, Peer, answer

pytestmark = pytest.mark.anyio

PIECES = Answer((b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b"hel", b"lo"), pause=0.01)


async def test_requests_go_over_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    context, authority = make_certificate(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    big = b"x" * 300_000
    async with Peer(PIECES, answer(200, big), context=context) as peer:
        transport = ConnectionPool(peer.url)
        bodies = [(await transport.request("POST", "/", {}, big)).body for _ in range(2)]
        peer.hang_up()
        # Until the end has come.
        await asyncio.sleep(0.5)
        third = await transport.request("POST", "/", {}, b"")
        together = await asyncio.gather(*(transport.request("POST", "/", {}, big) for _ in range(10)))
        await transport.close()
        await asyncio.sleep(0.05)
    assert bodies == [b"hello", big]
    assert third.status == 200
    assert [response.status for response in together] == [200] * 10
    assert [request.connection for request in peer.requests[:3]] == [1, 1, 2]
    assert all(request.body == big for request in peer.requests[3:])


async def test_certificate_of_nobody_known_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    context, _ = make_certificate(tmp_path)
    async with Peer(context=context) as peer:
        transport = ConnectionPool(peer.url)
        with pytest.raises(TransportError, match="certificate") as caught:
            await transport.request("GET", "/", {}, b"")
        await transport.close()
    assert not caught.value.sent
    assert peer.requests == []
