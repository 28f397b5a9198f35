"""Rows about cold Lambda functions: a new process imports one, calls it once, and ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from nitro_presets.aws_lambda.aws_client.attributes import marshal_item
from nitro_presets.aws_lambda.store.contract import ConnectionRow
from nitro_presets.aws_lambda.store.rows import write_connection
from tests.benchmarks.functions import (
    build_function,
    build_routes,
    call_once,
    make_command,
    make_http_event,
    make_rest_event,
)
from tests.benchmarks.programs import open_load
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target
from tests.benchmarks.servers import PEERS

STARLETTE = "Starlette + Mangum"
BOTO3 = "boto3, two clients"
CONNECTION = "BFHPhfCWIAMCKlQ="
ECHO = """
    from nitro_py import Message, Peer, define_websocket_handler


    async def message(peer: Peer, message: Message) -> None:
        await peer.send(message.text())


    handler = define_websocket_handler(message=message)
"""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret" * 6,
    "AWS_SESSION_TOKEN": "token" * 150,
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


def make_message() -> dict[str, Any]:
    """Make the event of a message."""
    return {
        "requestContext": {
            "routeKey": "$default",
            "messageId": "BFHPhdsjIAMCKlQ=",
            "eventType": "MESSAGE",
            "messageDirection": "IN",
            "stage": "prod",
            "connectedAt": 1773119783220,
            "requestTimeEpoch": 1773119784220,
            "identity": {"sourceIp": "205.255.255.176"},
            "requestId": "BFHPhGQ9oAMFiTw=",
            "domainName": "abc123.execute-api.eu-central-1.amazonaws.com",
            "connectionId": CONNECTION,
            "apiId": "abc123",
        },
        "body": "hello",
        "isBase64Encoded": False,
    }


def write_row() -> str:
    """Write what DynamoDB answers when it is asked for the connection."""
    url, namespace = "wss://abc123.execute-api.eu-central-1.amazonaws.com/echo", "/echo"
    row = ConnectionRow(
        CONNECTION, "/echo", url, namespace, connected_at=1_773_119_783.2, expires_at=4_000_000_000
    )
    return json.dumps({"Item": marshal_item(write_connection(row, 4_000_000_000))})


def find_peer(bench: Bench) -> Path:
    """Return the folder of the peers' functions."""
    return PEERS


def build_echo(bench: Bench) -> Path:
    """Return the package of our echo."""
    toml = "[tool.nitropy]\nexperimental.websocket = true\n"
    return build_function(bench, "functions-echo", {"pyproject.toml": toml, "handlers/echo.py": ECHO})


def open_http(
    module: str,
    find: Callable[[Bench], Path] = find_peer,
    make_event: Callable[[str], dict[str, Any]] = make_http_event,
) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender that answers an HTTP event."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        yield measure_calls(bench, find(bench), module, make_event("/route0"), {"ROUTES": "1"})

    return open_contender


def open_socket(
    module: str, find: Callable[[Bench], Path] = find_peer, *, first: bool = False
) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender that answers a message, with AWS's services on this machine.

    Args:
        module: The function's module, which has a `handler`.
        find: Gives the folder of the module.
        first: Whether only the event is measured, after the init phase, with the services behind TLS.
    """

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with open_load(bench, "aws") as services:
            told = services.ask({"item": write_row(), "tls": first})
            url = f"{'https' if first else 'http'}://127.0.0.1:{told['port']}"
            environ = CREDENTIALS | {
                "AWS_CA_BUNDLE": told["authorities"] if first else "",
                "AWS_ENDPOINT_URL_DYNAMODB": url,
                "AWS_LAMBDA_FUNCTION_NAME": "echo",
                "NITRO_CALLBACK_URL": f"{url}/prod",
                "NITRO_TABLE": "connections",
            }
            mode = ["first"] if first else []
            yield measure_calls(bench, find(bench), module, make_message(), environ, *mode)

    return open_contender


def measure_calls(
    bench: Bench, folder: Path, module: str, event: Mapping[str, Any], environ: Mapping[str, str], *mode: str
) -> Measure:
    """Return what measures calls of a function, each in a process of its own."""
    command = make_command(bench, folder, module, event, *mode)
    # Compiles what an installation leaves to the first import.
    call_once(bench, command, environ)
    count = bench.scale(5, 3)
    return lambda: Sample(sum(call_once(bench, command, environ) for _ in range(count)) / count)


ROWS = (
    Row(
        name="lambda-cold-http",
        title="cold Lambda HTTP function, import and 1 event",
        unit="ms of CPU",
        contenders=(
            Contender(OURS, open_http("nitro_http", lambda bench: build_routes(bench, 1))),
            Contender(STARLETTE, open_http("lambda_starlette")),
            Contender("FastAPI + Mangum", open_http("lambda_fastapi")),
            Contender("Powertools", open_http("lambda_powertools")),
            Contender("Chalice", open_http("lambda_chalice", make_event=make_rest_event)),
            Contender("bare function", open_http("lambda_bare")),
        ),
        target=Target(STARLETTE, 0.5),
    ),
    Row(
        name="lambda-cold-websocket",
        title="cold Lambda WebSocket function, import and 1 answer",
        unit="ms of CPU",
        contenders=(
            Contender(OURS, open_socket("nitro_websocket", build_echo)),
            Contender(BOTO3, open_socket("lambda_boto3_socket")),
        ),
        target=Target(BOTO3, 0.35),
    ),
    Row(
        name="lambda-first-tls",
        title="first message after INIT, over TLS",
        unit="ms of CPU",
        contenders=(
            Contender(OURS, open_socket("nitro_websocket", build_echo, first=True)),
            Contender(BOTO3, open_socket("lambda_boto3_socket", first=True)),
        ),
        target=Target(BOTO3, 0.2),
    ),
)
