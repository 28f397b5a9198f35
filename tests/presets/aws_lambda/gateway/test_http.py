from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from nitro_presets.aws_lambda.gateway.cloudfront import EDGE
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from tests.presets.aws_lambda.gateway.bundles import OpenSite, Site

pytestmark = pytest.mark.anyio

URL = {"http": {"event": "function-url"}}
STREAMED = {"http": {"event": "function-url", "streaming": True}}
API = {"http": {"event": "http-api"}}


def ask(site: Site, path: str = "/", **order: Any) -> str:
    """Make a URL that says what to do with the request."""
    return f"{site.gateway.url}{path}?order={quote(json.dumps(order))}"


async def echo(site: Site, method: str = "GET", path: str = "/", **options: Any) -> dict[str, Any]:
    """Request something, and return the event that it became."""
    async with httpx.AsyncClient() as client:
        response = await client.request(method, ask(site, path, do="echo"), **options)
        assert response.status_code == 200
        event: dict[str, Any] = response.json()
        return event


async def test_event_has_the_shape_of_aws(open_gateway: OpenSite) -> None:
    async with open_gateway(URL) as site:
        headers = [("X-Two", "1"), ("X-Two", "2"), ("Cookie", "a=1; b=2"), ("User-Agent", "me")]
        event = await echo(site, path="/a%20b/c%2Fd", headers=headers)
        assert set(event) == {
            "cookies",
            "headers",
            "isBase64Encoded",
            "queryStringParameters",
            "rawPath",
            "rawQueryString",
            "requestContext",
            "routeKey",
            "version",
        }
        assert (event["version"], event["routeKey"], event["isBase64Encoded"]) == ("2.0", "$default", False)
        assert event["rawPath"] == "/a%20b/c%2Fd"
        assert event["rawQueryString"] == f"order={quote(json.dumps({'do': 'echo'}))}"
        assert event["cookies"] == ["a=1", "b=2"]
        assert event["headers"]["x-two"] == "1,2"
        assert event["headers"]["x-nitro-host"] == site.gateway.url.removeprefix("http://")
        context = event["requestContext"]
        assert event["headers"]["host"] == context["domainName"]
        assert context["http"] == {
            "method": "GET",
            "path": "/a%20b/c%2Fd",
            "protocol": "HTTP/1.1",
            "sourceIp": EDGE,
            "userAgent": "me",
        }


async def test_client_cannot_speak_for_the_platform(open_gateway: OpenSite) -> None:
    forged = {
        "X-Forwarded-Proto": "ftp",
        "X-Forwarded-For": "8.8.8.8",
        "X-Amzn-Trace-Id": "Root=mine",
        "Host": "a.b",
        "X-Nitro-Address": "8.8.8.8",
    }
    async with open_gateway(URL) as site:
        headers = (await echo(site, headers=forged))["headers"]
        assert headers["x-forwarded-for"] == f"8.8.8.8, 127.0.0.1, {EDGE}"
        assert headers["x-nitro-address"] == "127.0.0.1"
        assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("http", "80")
        assert headers["x-nitro-host"] == "a.b"
        assert headers["x-amzn-trace-id"].startswith("Root=1-")


async def test_http_api_decodes_the_path_and_loses_its_end(open_gateway: OpenSite) -> None:
    async with open_gateway(API) as site:
        assert (await echo(site, path="/a%20b/c%2Fd%3Fe"))["rawPath"] == "/a b/c/d"


@pytest.mark.parametrize(
    ("headers", "body", "whole"),
    [
        ({"content-type": "application/json; charset=utf-8"}, '{"a":"é"}'.encode(), True),
        ({"content-type": "text/csv"}, b"a,b", True),
        ({"content-type": "text/plain"}, b"\xff", False),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"{}", False),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=1", False),
        ({}, b"a", False),
    ],
)
async def test_body_travels_as_text_or_base64(
    open_gateway: OpenSite, headers: dict[str, str], body: bytes, whole: bool
) -> None:
    async with open_gateway(URL) as site:
        event = await echo(site, "POST", headers=headers, content=body)
        assert event["isBase64Encoded"] is not whole
        assert (event["body"].encode() if whole else base64.b64decode(event["body"])) == body


async def test_chunked_body_comes_whole(open_gateway: OpenSite) -> None:
    async def chunks() -> Any:
        yield b"a"
        yield b"b"

    async with open_gateway(URL) as site:
        event = await echo(site, "POST", content=chunks(), headers={"content-type": "text/plain"})
        assert event["body"] == "ab"
        assert "transfer-encoding" not in event["headers"]


async def test_answer_is_read(open_gateway: OpenSite) -> None:
    body = base64.b64encode(b"\xff\x00").decode()
    value = {
        "statusCode": 201,
        "headers": {"x-a": "1", "content-length": "77"},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": body,
        "isBase64Encoded": True,
    }
    async with open_gateway(URL) as site, httpx.AsyncClient() as client:
        response = await client.get(ask(site, do="return", value=value))
        assert (response.status_code, response.content, response.headers["x-a"]) == (201, b"\xff\x00", "1")
        assert response.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]
        head = await client.head(ask(site, do="return", value=value))
        assert (head.content, head.headers["content-length"]) == (b"", "77")
        response = await client.get(ask(site, do="return", value={"any": "thing"}))
        assert (response.status_code, response.json()) == (200, {"any": "thing"})


@pytest.mark.parametrize(("functions", "status"), [(URL, 502), (API, 500)], ids=["function-url", "http-api"])
@pytest.mark.parametrize(
    "order", [{"do": "error"}, {"do": "exit"}, {"do": "return", "value": {"statusCode": "x"}}], ids=str
)
async def test_function_that_fails_is_a_server_error(
    open_gateway: OpenSite, functions: dict[str, Any], status: int, order: dict[str, Any]
) -> None:
    async with open_gateway(functions) as site, httpx.AsyncClient() as client:
        response = await client.get(ask(site, **order))
        assert (response.status_code, "boom" in response.text) == (status, False)


async def test_http_api_does_not_wait_for_ever(open_gateway: OpenSite) -> None:
    async with open_gateway(API, limits=Quotas(http_integration=1.0)) as site, httpx.AsyncClient() as client:
        response = await client.get(ask(site, sleep=4))
        assert (response.status_code, response.json()) == (503, {"message": "Service Unavailable"})


@pytest.mark.parametrize("pauses", [{"sleep": 6}, {"pause": 0.03}], ids=["start", "end"])
async def test_late_answer_goes_nowhere_and_keeps_nobody(open_gateway: OpenSite, pauses: dict[str, Any]) -> None:
    async with open_gateway(API, limits=Quotas(http_integration=3.0)) as site, httpx.AsyncClient() as client:
        response = await client.get(ask(site, do="stream", chunks=["x"] * 200, **pauses))
        assert response.status_code == 503
        await site.gateway.idle()
        assert len(site.events(noted="end")) == 1
        assert (await client.get(ask(site))).status_code == 200
        assert len({note["pid"] for note in site.notes()}) == 1


async def test_request_has_a_size(open_gateway: OpenSite) -> None:
    async with open_gateway(URL, limits=Quotas(payload=20_000)) as site, httpx.AsyncClient() as client:
        assert (await client.post(site.gateway.url, content=b"a" * 10_000)).status_code == 200
        assert (await client.post(site.gateway.url, content=b"a" * 20_000)).status_code == 413


async def test_stream_is_handed_on_chunk_by_chunk(open_gateway: OpenSite, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    prelude = {"statusCode": 206, "headers": {"content-type": "text/x"}, "cookies": ["a=1"]}
    async with open_gateway(STREAMED) as site, httpx.AsyncClient() as client:
        url = ask(site, do="stream", chunks=["one", "two", "three"], gate=str(gate), prelude=prelude)
        async with client.stream("GET", url) as response:
            assert (response.status_code, response.headers["content-type"]) == (206, "text/x")
            assert response.headers.get_list("set-cookie") == ["a=1"]
            received = b""
            async for chunk in response.aiter_raw():
                received += chunk
                # The last is made only after the others have come.
                if received == b"onetwo":
                    gate.touch()
        assert received == b"onetwothree"


async def test_streamed_head_has_the_length_that_a_body_would_have(open_gateway: OpenSite) -> None:
    prelude = {"statusCode": 200, "headers": {"Content-Length": "77"}}
    async with open_gateway(STREAMED) as site, httpx.AsyncClient() as client:
        url = ask(site, do="stream", chunks=["one"], prelude=prelude)
        head = await client.head(url)
        assert (head.content, head.headers["content-length"]) == (b"", "77")
        assert "content-length" not in (await client.get(url)).headers


async def test_error_in_the_middle_of_a_stream_breaks_it_off(open_gateway: OpenSite) -> None:
    async with open_gateway(STREAMED) as site, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(ask(site, do="stream", chunks=["one"], fail=True))
        # A process that is killed in the middle breaks off too.
        site.gateway.faults.kill = 1.0
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(ask(site, do="stream", chunks=["one", "two"], pause=1))


async def test_function_is_not_told_that_the_client_left(open_gateway: OpenSite) -> None:
    chunks = ["x"] * 200
    async with open_gateway(STREAMED) as site, httpx.AsyncClient() as client:
        async with client.stream(
            "GET", ask(site, do="stream", chunks=chunks, pause=0.003, times=9_000)
        ) as response:
            async for _ in response.aiter_raw():
                break
        await site.wait_for(lambda: site.events(noted="end"))
        assert len(site.notes("chunk")) == len(chunks) + 1
        assert site.gateway.dead_letters == ()


async def test_without_streaming_the_answer_is_held_back(open_gateway: OpenSite) -> None:
    async with open_gateway(URL) as site, httpx.AsyncClient() as client:
        url = ask(site, do="stream", chunks=['{"statusCode": 202, ', '"body": "all"}'], pause=0.2, type="x/y")
        async with client.stream("GET", url) as response:
            began = time.time()
            assert (response.status_code, await response.aread()) == (202, b"all")
        assert site.notes("chunk")[-1]["at"] < began


async def test_where_answers_stream_a_whole_one_is_not_looked_into(open_gateway: OpenSite) -> None:
    async with open_gateway(STREAMED) as site, httpx.AsyncClient() as client:
        response = await client.get(ask(site, do="return", value={"statusCode": 404, "body": "x"}))
        assert (response.status_code, response.json()["statusCode"]) == (200, 404)
