from __future__ import annotations

import asyncio
import socket as sockets
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from websockets.exceptions import ConnectionClosed

from nitro_presets.aws_lambda.aws_client.management import ManagementClient
from nitro_presets.aws_lambda.gateway.cloudfront import EDGE
from nitro_presets.aws_lambda.gateway.gateway import FixedCredentials
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_py.errors import PeerClosedError
from tests.presets.aws_lambda.gateway.bundles import PATIENCE, OpenSite, Site
from tests.presets.aws_lambda.gateway.test_messages import HANDSHAKE_LINES

pytestmark = pytest.mark.anyio

API = "apigatewaymanagementapi"
LARGEST = 131_072


async def post(client: Any, id: str, data: bytes) -> None:
    """Post with boto3."""
    await asyncio.to_thread(client.post_to_connection, ConnectionId=id, Data=data)


async def fail(client: Any, id: str, data: bytes = b"x") -> tuple[int, str]:
    """Post in vain, and return the status and the code."""
    with pytest.raises(ClientError) as refused:
        await post(client, id, data)
    response = refused.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


async def test_post_arrives_as_text(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        client = site.client(API)
        await post(client, await site.id(), "héllo".encode())
        assert await socket.recv() == "héllo"
        await post(client, await site.id(), b"a" * LARGEST)
        assert len(await socket.recv()) == LARGEST


async def test_post_has_a_size(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        client = site.client(API)
        assert await fail(client, await site.id(), b"a" * (LARGEST + 1)) == (413, "PayloadTooLargeException")
        await post(client, await site.id(), b"next")
        assert await socket.recv() == "next"


async def test_get_tells_about_the_connection(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect(user_agent_header="me"):
        found = await asyncio.to_thread(site.client(API).get_connection, ConnectionId=await site.id())
        assert found["Identity"] == {"SourceIp": EDGE, "UserAgent": "me"}
        assert abs((datetime.now(UTC) - found["ConnectedAt"]).total_seconds()) < 20
        assert found["LastActiveAt"] >= found["ConnectedAt"]


async def test_delete_closes_and_then_the_connection_is_gone(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        client, id = site.client(API), await site.id()
        answer = await asyncio.to_thread(client.delete_connection, ConnectionId=id)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert await fail(client, id) == (410, "GoneException")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "")
        context = (await site.wait_for_event("DISCONNECT"))["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (
            1000,
            "Connection Closed Normally",
        )


async def test_connection_is_gone_once_the_client_has_left(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        async with site.connect():
            id = await site.id()
        assert await fail(site.client(API), id) == (410, "GoneException")


@pytest.mark.parametrize("id", ["short=", "BFHPhfCWIAMCKlQ", "BFHPhfCWIAMCKl!="])
async def test_badly_formed_id_is_no_connection(open_gateway: OpenSite, id: str) -> None:
    async with open_gateway() as site:
        assert await fail(site.client(API), id) == (400, "BadRequestException")


async def test_unknown_id_is_gone(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        assert await fail(site.client(API), "BFHPhfCWIAMCKlQ=") == (410, "GoneException")


async def test_id_must_be_percent_encoded(open_gateway: OpenSite) -> None:
    class Careless(ManagementClient):
        async def post_raw(self, id: str) -> None:
            await self._service.request("POST", f"/@connections/{id}", {}, b"x")

    async with open_gateway() as site, site.connect():
        client = Careless(site.gateway.callback_url, region=site.gateway.region, credentials=FixedCredentials())
        with pytest.raises(Exception, match="400 `BadRequestException`"):
            await client.post_raw(await site.id())
        await client.close()


async def test_own_client_is_understood(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        client = ManagementClient(
            site.gateway.callback_url, region=site.gateway.region, credentials=FixedCredentials()
        )
        id = await site.id()
        await client.post(id, "hello")
        assert await socket.recv() == "hello"
        assert (await client.get(id) or {})["identity"]["sourceIp"] == EDGE
        await client.delete(id)
        with pytest.raises(PeerClosedError):
            await client.post(id, "too late")
        await client.close()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"aws_secret_access_key": "guess"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAOTHER"}, "UnrecognizedClientException"),
        ({"aws_session_token": None}, "UnrecognizedClientException"),
        ({"region_name": "us-east-1"}, "InvalidSignatureException"),
    ],
)
async def test_badly_signed_call_is_forbidden(open_gateway: OpenSite, options: dict[str, Any], code: str) -> None:
    async with open_gateway() as site, site.connect() as socket:
        assert await fail(site.client(API, **options), await site.id()) == (403, code)
        await post(site.client(API), await site.id(), b"good")
        assert await socket.recv() == "good"


async def test_unsigned_call_is_forbidden(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect(), httpx.AsyncClient() as client:
        id = (await site.id()).replace("=", "%3D")
        response = await client.post(f"{site.gateway.callback_url}/@connections/{id}", content=b"x")
        assert response.status_code == 403
        assert response.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


async def try_post(client: Any, id: str) -> int:
    """Post as much as one can, and return the status."""
    try:
        await post(client, id, b"a" * LARGEST)
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return 200


async def connect_deaf_client(site: Site) -> sockets.socket:
    """Connect a client that never reads what it is sent."""
    client = sockets.create_connection(("127.0.0.1", int(site.gateway.url.rpartition(":")[2])))
    client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    client.sendall("".join(f"{line}\r\n" for line in HANDSHAKE_LINES).encode())
    await asyncio.to_thread(client.recv, 200)
    return client


async def test_posts_to_a_client_that_does_not_read_are_too_many(open_gateway: OpenSite) -> None:
    async with open_gateway(limits=Quotas(buffer=100_000)) as site:
        deaf = await connect_deaf_client(site)
        client, id = site.client(API), await site.id()
        until = asyncio.get_running_loop().time() + PATIENCE
        status = 200
        while status == 200:
            assert asyncio.get_running_loop().time() < until
            status = await try_post(client, id)
        assert status == 429
        deaf.close()
