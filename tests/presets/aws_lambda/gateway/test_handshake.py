from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from websockets.exceptions import InvalidStatus

from nitro_presets.aws_lambda.gateway.cloudfront import EDGE
from tests.presets.aws_lambda.gateway.bundles import OpenSite

pytestmark = pytest.mark.anyio

ALWAYS = {
    "routeKey",
    "eventType",
    "messageDirection",
    "stage",
    "connectedAt",
    "requestTime",
    "requestTimeEpoch",
    "identity",
    "requestId",
    "extendedRequestId",
    "domainName",
    "connectionId",
    "apiId",
}
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}


def returning(**value: Any) -> dict[str, Any]:
    """Ask the function to return something."""
    return {"do": "return", "value": value}


async def test_connect_event_has_the_shape_of_aws(open_gateway: OpenSite) -> None:
    headers = [("X-Two", "1"), ("X-Two", "2"), ("Origin", "http://a.test")]
    async with open_gateway() as site, site.connect("/rooms/a%2Fb?x=1&x=2&y=%20", additional_headers=headers):
        event = await site.wait_for_event("CONNECT")
        assert set(event) == {
            "headers",
            "isBase64Encoded",
            "multiValueHeaders",
            "multiValueQueryStringParameters",
            "queryStringParameters",
            "requestContext",
        }
        assert event["isBase64Encoded"] is False
        context = event["requestContext"]
        assert set(context) == ALWAYS
        assert (context["routeKey"], context["eventType"]) == ("$connect", "CONNECT")
        assert context["connectionId"].endswith("=")
        assert context["identity"] == {"sourceIp": EDGE}
        assert event["headers"]["X-Two"] == "2"
        assert event["multiValueHeaders"]["X-Two"] == ["1", "2"]
        assert event["multiValueQueryStringParameters"] == {
            "x": ["1", "2"],
            "y": [" "],
            "nitro_path": ["/rooms/a%2Fb"],
        }
        assert event["queryStringParameters"] == {"x": "2", "y": " ", "nitro_path": "/rooms/a%2Fb"}


async def test_host_is_that_of_the_api_and_the_viewers_comes_with_the_edges_secret(open_gateway: OpenSite) -> None:
    forged = [("x-nitro-host", "evil.test"), ("x-nitro-origin-secret", "guess")]
    async with open_gateway() as site, site.connect(additional_headers=forged):
        event = await site.wait_for_event("CONNECT")
        headers = {name.lower(): values for name, values in event["multiValueHeaders"].items()}
        assert headers["host"] == [event["requestContext"]["domainName"]]
        assert headers["x-nitro-host"] == [site.gateway.url.removeprefix("http://")]
        assert len(headers["x-nitro-origin-secret"]) == 1
        assert headers["x-nitro-origin-secret"] != ["guess"]


async def test_client_cannot_name_the_path_itself(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect("/public?nitro%5Fpath=%2Fadmin&nitro_path=%2Fadmin"):
        event = await site.wait_for_event("CONNECT")
        assert event["multiValueQueryStringParameters"] == {"nitro_path": ["/public"]}


async def test_raw_url_hands_the_query_on_and_nothing_of_the_edge(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect("/_aws/prod?nitro_path=%2Fchat"):
        event = await site.wait_for_event("CONNECT")
        assert event["queryStringParameters"] == {"nitro_path": "/chat"}
        assert not [name for name in event["headers"] if name.lower().startswith("x-nitro")]


async def test_query_is_left_out_where_there_is_none(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect("/_aws/prod"):
        event = await site.wait_for_event("CONNECT")
        assert set(event) == {"headers", "isBase64Encoded", "multiValueHeaders", "requestContext"}


@pytest.mark.parametrize(
    ("order", "status"),
    [
        (returning(statusCode=401, body="secret reason", headers={"x-reason": "no"}), 401),
        (returning(statusCode=302, headers={"location": "/"}), 302),
        (returning(statusCode=101), 502),
        ({"do": "error"}, 502),
        ({"do": "return", "value": None}, 502),
        (returning(status=200), 502),
        ({"do": "exit"}, 502),
    ],
)
async def test_handshake_is_refused_by_status_alone(
    open_gateway: OpenSite, order: dict[str, Any], status: int
) -> None:
    async with open_gateway() as site:
        with pytest.raises(InvalidStatus) as refused:
            await site.connect(order=order).__aenter__()
        response = refused.value.response
        assert response.status_code == status
        assert response.body == b""
        assert {name.lower() for name in response.headers} <= {"content-length", "connection"}
        await site.gateway.idle()
        assert site.events("DISCONNECT") == []


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ({"statusCode": 200, "headers": {"sec-websocket-PROTOCOL": "b"}}, "b"),
        ({"statusCode": 201, "headers": {"Sec-WebSocket-Protocol": "b"}}, None),
        ({"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "c"}}, None),
        ({"statusCode": 200}, None),
    ],
)
async def test_subprotocol_is_accepted_by_header_only(
    open_gateway: OpenSite, value: dict[str, Any], accepted: str | None
) -> None:
    order = {"do": "return", "value": value}
    async with open_gateway() as site, site.connect(order=order, subprotocols=["a", "b"]) as socket:
        assert socket.subprotocol == accepted


async def test_no_other_header_reaches_the_client(open_gateway: OpenSite) -> None:
    order = returning(statusCode=200, headers={"Set-Cookie": "a=1", "x-other": "1"}, body="hello")
    async with open_gateway() as site, site.connect(order=order) as socket:
        assert socket.response is not None
        assert {name.lower() for name in socket.response.headers} == {
            "upgrade",
            "connection",
            "sec-websocket-accept",
        }


async def test_connection_is_gone_until_connect_has_returned(open_gateway: OpenSite, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with open_gateway() as site:
        client = site.client("apigatewaymanagementapi")
        connecting = asyncio.ensure_future(site.connect(order={"until": str(gate)}).__aenter__())
        id = await site.id()
        for call in (client.get_connection, client.delete_connection):
            with pytest.raises(ClientError) as gone:
                await asyncio.to_thread(call, ConnectionId=id)
            assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410
        with pytest.raises(client.exceptions.GoneException):
            await asyncio.to_thread(client.post_to_connection, ConnectionId=id, Data=b"too early")
        gate.touch()
        socket = await connecting
        await asyncio.to_thread(client.post_to_connection, ConnectionId=id, Data=b"now")
        assert await socket.recv() == "now"
        await socket.close()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"upgrade": "h2c"}, 426),
        ({"sec-websocket-version": "8"}, 426),
        ({"connection": "keep-alive"}, 426),
    ],
)
async def test_flawed_handshake_never_reaches_the_function(
    open_gateway: OpenSite, changes: dict[str, str], status: int
) -> None:
    async with open_gateway() as site, httpx.AsyncClient() as client:
        response = await client.get(f"{site.gateway.url}/chat", headers=HANDSHAKE | changes)
        assert response.status_code == status
        assert site.events() == []


async def test_url_may_have_4096_characters(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, httpx.AsyncClient() as client:
        response = await client.get(f"{site.gateway.url}/chat?{'a' * 4096}", headers=HANDSHAKE)
        assert response.status_code == 414


async def test_plain_requests_are_not_found_without_an_http_function(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, httpx.AsyncClient() as client:
        assert (await client.get(f"{site.gateway.url}/chat")).status_code == 404
