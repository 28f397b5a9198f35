"""`nitropy publish` and `nitropy preview` on AWS: to a running preview, and to a deployed stack by boto3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from websockets.sync.client import ClientConnection, connect

from nitro_presets.aws_lambda.deploy.publish import call_function, find_function
from nitro_presets.aws_lambda.gateway.environment import CREDENTIALS, REGION
from nitro_py.errors import NitroError, UsageError
from tests.bundles import Server
from tests.cli.commands import fail, make_project, run_nitropy, serve_project, succeed
from tests.presets.aws_lambda.deploy.stacks import OPTIONS, render_stack
from tests.presets.aws_lambda.store.database import run_database

pytestmark = pytest.mark.timeout(600)

PATIENCE = 30.0
# What the stack is made of, as far as moto knows it: a function of that name.
FUNCTION = "websocket"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a project with a chat."""
    root = make_project(tmp_path_factory.mktemp("publish") / "project")
    succeed(root, "build", "--preset", "aws-lambda")
    return root


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    """Run it as a user does, with options that only the gateway knows."""
    with serve_project(project, "preview", "--port", "0", "--concurrency", "2", "--fault=throttle=0") as server:
        yield server


@pytest.fixture
def peer(server: Server) -> Iterator[ClientConnection]:
    """Connect a peer that has subscribed to `chat`."""
    with connect(f"{server.socket_url}/api/chat") as socket:
        assert socket.recv(PATIENCE) == "welcome"
        yield socket


def call_gateway(server: Server, work: dict[str, Any]) -> None:
    """Call the function as it is called on AWS: by boto3, with a signature."""
    client = boto3.client(
        "lambda",
        endpoint_url=f"{server.url}/_aws",
        region_name=REGION,
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
        aws_session_token=CREDENTIALS.token,
    )
    call_function(client, FUNCTION, work)


@pytest.mark.slow
def test_command_reaches_the_peers_of_a_preview(project: Path, peer: ClientConnection) -> None:
    succeed(project, "publish", "chat", '{"a": [1, "ö"]}', "--namespace", "/api/chat")
    assert peer.recv(PATIENCE) == '{"a":[1,"ö"]}'
    succeed(project, "publish", "chat", "unheard", "--namespace", "/elsewhere")
    succeed(project, "publish", "chat", "heard")
    assert peer.recv(PATIENCE) == "heard"


def test_preview_asks_for_its_token(project: Path, server: Server) -> None:
    error = fail(project, "publish", "chat", "x", "--url", server.url, "--token", "wrong")
    assert "403" in error


def test_function_publishes_for_boto3(server: Server, peer: ClientConnection) -> None:
    call_gateway(server, {"kind": "publish", "topic": "chat", "data": [1], "namespace": None})
    assert peer.recv(PATIENCE) == "[1]"


def test_failure_of_the_function_is_told(server: Server) -> None:
    work = {"kind": "publish", "topic": "chat", "data": "x" * 200_000, "namespace": None}
    with pytest.raises(NitroError, match=r"The function `websocket` failed: .*bytes"):
        call_gateway(server, work)


def test_function_of_a_stack_is_found() -> None:
    with run_database() as url:
        formation = boto3.client(
            "cloudformation",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        with pytest.raises(UsageError, match=f"There is no stack `chat` in `{REGION}`"):
            find_function(formation, "chat")
        outputs = "Outputs: {WebSocketFunctionName: {Value: chat-function}}"
        queue = "Resources: {Queue: {Type: AWS::SQS::Queue}}"
        formation.create_stack(StackName="chat", TemplateBody=f"{queue}\n{outputs}\n")
        assert find_function(formation, "chat") == "chat-function"
        formation.create_stack(StackName="plain", TemplateBody=f"{queue}\n")
        with pytest.raises(UsageError, match="has no WebSocket routes"):
            find_function(formation, "plain")


def test_template_names_what_is_looked_for() -> None:
    for options in OPTIONS.values():
        outputs = render_stack(options)["Outputs"]
        assert ("WebSocketFunctionName" in outputs) == options.websocket


def test_bad_use_is_explained(project: Path) -> None:
    assert "deploys nothing" in fail(project, "publish", "chat", "x", "--preset", "asgi")
    environ = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "none",
        "AWS_SHARED_CREDENTIALS_FILE": "none",
    }
    error = fail(project, "publish", "chat", "x", "--preset", "aws-lambda", environ=environ)
    assert error.startswith(("There are no AWS credentials.", "There is no AWS region."))
    done = run_nitropy(project, "preview", "--port", "0", "--faults", "x")
    assert (done.returncode, "unrecognized arguments: --faults x" in done.stderr) == (2, True)
