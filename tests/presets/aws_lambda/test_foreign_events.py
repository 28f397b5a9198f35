"""Events that are for no function of an app: one line of the log, and no answer of the app."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nitro_presets.aws_lambda.entry import make_http_function
from nitro_presets.aws_lambda.foreign_event import describe_event
from nitro_presets.aws_lambda.gateway.connections import ClientSocket
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_presets.aws_lambda.http.function import HttpFunction
from nitro_presets.aws_lambda.lambda_runtime.runner import run
from tests.presets.aws_lambda.http.project import Invoked, make_event, write_project
from tests.presets.aws_lambda.websocket.events import ID, connecting
from tests.presets.aws_lambda.websocket.log import Log
from tests.presets.aws_lambda.websocket.stage import Cloud

FOREIGN: dict[str, Any] = {
    "EventBridge (Scheduled Event)": {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event"},
    "aws:sns": {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "{}"}}]},
    "aws:s3": {"Records": [{"eventSource": "aws:s3", "s3": {}}]},
    "VPC Lattice": {"version": "2.0", "path": "/", "method": "GET", "requestContext": {"serviceArn": "arn:a"}},
    "Lambda@Edge": {"Records": [{"cf": {"request": {"uri": "/", "method": "GET", "headers": {}}}}]},
    "`serverless-plugin-warmup`": {"source": "serverless-plugin-warmup"},
    "another kind (with the keys warmer)": {"warmer": True},
    "another kind (with the keys of an empty object)": {},
    "an HTTP source": {
        "version": "2.0",
        "requestContext": {"http": {}},
        "rawPath": None,
    },
    "another kind (a JSON list)": [],
    "another kind (a JSON str)": "warm",
    "another kind (a JSON NoneType)": None,
}


AUTHORIZERS: dict[str, Any] = {
    "http": {"type": "REQUEST", "routeArn": "arn:a", **make_event("httpapi", "/api/show/a")},
    "rest": {"type": "REQUEST", "methodArn": "arn:a", **make_event("rest", "/api/show/a")},
    "token": {"type": "TOKEN", "methodArn": "arn:a", "authorizationToken": "a"},
    "websocket": {"type": "REQUEST", "methodArn": "arn:a", **connecting(ID)},
}


@pytest.fixture
def function(tmp_path: Path) -> Iterator[HttpFunction]:
    """Make an app's HTTP function."""
    function: HttpFunction = make_http_function(write_project(tmp_path))
    yield function
    run(function.stop())


@pytest.mark.parametrize("name", FOREIGN)
def test_http_function_ignores_it(function: HttpFunction, caplog: pytest.LogCaptureFixture, name: str) -> None:
    assert function(FOREIGN[name], Invoked())["statusCode"] == 400
    expected = "a request of a Function URL, an API or a load balancer"
    assert caplog.messages == [f"Ignored an event of {name}: expected {expected}."]
    assert function(make_event("httpapi", "/api/show/a"), Invoked())["statusCode"] == 200


@pytest.mark.parametrize("name", AUTHORIZERS)
def test_http_function_is_no_authorizer(
    function: HttpFunction, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    assert function(AUTHORIZERS[name], Invoked())["statusCode"] == 400
    assert caplog.messages[0].startswith("Ignored an event of API Gateway for an authorizer")


@pytest.mark.anyio
@pytest.mark.parametrize("name", AUTHORIZERS)
async def test_websocket_function_is_no_authorizer(caplog: pytest.LogCaptureFixture, name: str) -> None:
    log = Log()
    cloud = Cloud(log.hooks("open"))
    assert (await cloud.run(AUTHORIZERS[name]))["statusCode"] == 400
    await cloud.settle()
    assert log.entries == []
    assert caplog.messages[0].startswith("Ignored an event of API Gateway for an authorizer")


@pytest.mark.anyio
@pytest.mark.parametrize("name", FOREIGN)
async def test_websocket_function_ignores_it(caplog: pytest.LogCaptureFixture, name: str) -> None:
    log = Log()
    cloud = Cloud(log.hooks("open"))
    assert (await cloud.run(FOREIGN[name]))["statusCode"] == 400
    assert caplog.messages == [
        f"Ignored an event of {name}: expected an event of a WebSocket API, or one of its own."
    ]
    await cloud.run(connecting(ID))
    await cloud.settle()
    assert log.entries == ["open"]


@pytest.mark.anyio
@pytest.mark.parametrize("body", ["no JSON", "[]", "{}", '{"requestContext": {}}'])
async def test_foreign_record_of_the_queue_is_ignored(caplog: pytest.LogCaptureFixture, body: str) -> None:
    cloud = Cloud(Log().hooks("open"))
    await cloud.run({"Records": [{"eventSource": "aws:sqs", "body": body}]})
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("Ignored an event of another kind")


def test_other_requests_are_named() -> None:
    assert describe_event({"requestContext": {"eventType": "CONNECT"}}) == "a WebSocket API (CONNECT)"
    assert describe_event(make_event("httpapi", "/")) == describe_event(make_event("alb", "/")) == "an HTTP source"


@pytest.mark.anyio
async def test_end_of_a_socket_in_the_preview_leaves_no_error_behind() -> None:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
    ended = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = ClientSocket(reader, writer, b"", Quotas())
        # As `DELETE @connections` does, while the socket waits for a message.
        asyncio.get_running_loop().call_later(0.05, socket.close, 1000)
        try:
            assert await socket.receive() is None
            await socket.finish()
        finally:
            ended.set()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        await asyncio.sleep(0.2)
        writer.close()
        async with asyncio.timeout(60):
            await ended.wait()
        await asyncio.sleep(0.05)
    assert problems == []


@pytest.mark.parametrize(
    "fields",
    [{"body": 5}, {"body": "?!", "isBase64Encoded": True}, {"body": "YWI", "isBase64Encoded": True}],
    ids=str,
)
def test_request_that_cannot_be_read_is_refused(
    function: HttpFunction, caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    assert function({**make_event("httpapi", "/api/show/a"), **fields}, Invoked())["statusCode"] == 400
    (line,) = caplog.messages
    assert line.startswith("Refused an event that is no valid request: ")
