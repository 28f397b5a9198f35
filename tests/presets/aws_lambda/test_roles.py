"""What a bundle's functions may call, and whose address they see, behind a gateway that is as strict as AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

import nitro_presets.aws_lambda
from nitro_presets.aws_lambda.deploy.secret_references import list_statements
from nitro_presets.aws_lambda.preset import SECRETS_READER, SHIPPED
from tests.bundles import build_project, plan_project, write_files
from tests.presets.aws_lambda.deploy.stacks import FULL, render_stack
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

FILES = {
    "nitro.toml": 'experimental.websocket = true\npreset = "aws-lambda"\n',
    "handlers/talk.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            await peer.send(peer.remote_address)

        handler = define_websocket_handler(message=message)
        """,
    "handlers/seen.get.py": """
        from nitro_py import Event, define_handler, peers

        @define_handler
        async def handler(event: Event) -> dict[str, object]:
            return {"address": event.remote_address, "peers": len([peer async for peer in peers("/talk")])}
        """,
}
SEEN = {"address": "127.0.0.1", "peers": 1}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the app."""
    return build_project(write_files(tmp_path_factory.mktemp("roles"), FILES))


@pytest.fixture(scope="module")
def url(output: Path) -> Iterator[str]:
    """Run the app."""
    with run_gateway(output, environment={}) as address:
        yield address


def test_http_route_lists_peers_and_sees_the_address_of_its_client(url: str) -> None:
    with connect(f"{url.replace('http', 'ws', 1)}/talk") as socket:
        socket.send("who")
        assert socket.recv(60) == "127.0.0.1"
        answer = httpx.get(f"{url}/seen", headers={"x-nitro-address": "8.8.8.8"}, timeout=60)
        assert (answer.status_code, answer.json()) == (200, SEEN)


STORAGE = {
    "nitro.toml": 'preset = "aws-lambda"\n',
    "handlers/kept.get.py": """
        from nitro_py import Event, define_handler, storage

        @define_handler
        async def handler(event: Event) -> dict[str, object]:
            carts = storage("carts")
            await carts.set("user:1", {"items": 2}, ttl=60)
            await carts.delete("user:2")
            count = await storage().increment("hits")
            return {"count": count, "cart": await carts.get("user:1"), "keys": [key async for key in carts.keys()]}
        """,
}


def test_storage_of_an_app_without_sockets_needs_three_actions_on_the_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = build_project(write_files(tmp_path, STORAGE))
    assert (output / "server/nitro_presets/aws_lambda/store/storage.py").is_file()
    template = output / "template.yaml"
    whole = template.read_text(encoding="utf-8")
    # What it holds is of use without the stack.
    assert "    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n" in whole
    assert "  WebSocketFunction:" not in whole
    with run_gateway(output, environment={}) as url:
        for count in (1, 2):
            answer = httpx.get(f"{url}/kept", timeout=60)
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"count": count, "cart": {"items": 2}, "keys": ["user:1"]}
    for action in ("BatchGetItem", "Query", "UpdateItem"):
        line = f"                  - dynamodb:{action}\n"
        assert whole.count("- dynamodb:") == 3
        assert whole.count(line) == 1
        template.write_text(whole.replace(line, ""), encoding="utf-8")
        caplog.clear()
        with run_gateway(output, environment={}) as url:
            assert httpx.get(f"{url}/kept", timeout=60).status_code == 500
        denials = [record.message for record in caplog.records if record.message.startswith("[iam] ")]
        assert f"not authorized to perform: dynamodb:{action} on resource: arn:" in denials[0]


def test_storage_elsewhere_brings_its_driver(tmp_path: Path) -> None:
    config = 'preset = "aws-lambda"\n[storage.carts]\ndriver = "redis"\n'
    bundle = plan_project(write_files(tmp_path, {**STORAGE, "nitro.toml": config})).bundle
    assert {
        "server/nitro_py/brokers/redis.py",
        "server/nitro_py/runtime/responsive_timeout.py",
        "server/nitro_py/stores/redis.py",
    } <= bundle.files.keys()
    assert bundle.vendor is not None
    assert any(line.startswith("redis==") for line in bundle.vendor.requirements)


def test_app_without_storage_has_neither_driver_nor_statement(output: Path) -> None:
    assert not (output / "server/nitro_presets/aws_lambda/store/storage.py").exists()
    template = (output / "template.yaml").read_text(encoding="utf-8")
    assert "PolicyName: storage" not in template
    assert "    DeletionPolicy: Delete\n    UpdateReplacePolicy: Delete\n" in template


def test_gateway_denies_what_the_role_does_not_allow(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    template = output / "template.yaml"
    whole = template.read_text(encoding="utf-8")
    before, name, role = whole.partition("\n  HttpRole:")
    index = '                  - !Sub "${Table.Arn}/index/due"\n'
    assert role.count(index) == 1
    template.write_text(before + name + role.replace(index, ""), encoding="utf-8")
    try:
        with run_gateway(output, environment={}) as url:
            assert httpx.get(f"{url}/seen", timeout=60).status_code == 500
    finally:
        template.write_text(whole, encoding="utf-8")
    denials = [record.message for record in caplog.records if record.message.startswith("[iam] ")]
    assert denials[0].startswith("[iam] HttpRole is not authorized to perform: dynamodb:Query on resource: arn:")
    assert "/index/due because no identity-based policy allows" in denials[0]


# What the service itself does with a function's role, beside the calls of the function's code.
BY_LAMBDA = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
}
# How requests name an operation, or for services without one the path that they go to.
TARGETS = {"AmazonSQS": "sqs", "AmazonSSM": "ssm", "secretsmanager": "secretsmanager"}
PATHS = {"/invocations": "lambda:InvokeFunction", "/@connections/": "execute-api:ManageConnections"}


def read_shipped() -> str:
    """Return the source of the preset that ships."""
    package = Path(nitro_presets.aws_lambda.__path__[0])
    files = [file for part in (*SHIPPED, SECRETS_READER) for file in _list_files(package / part)]
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _list_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def list_called(code: str) -> set[str]:
    """List the actions that calls in the code need."""
    operations = re.findall(r'"((?:Batch)?(?:Get|Put|Update|Delete|Write)Item|Query)"', code)
    targets = re.findall(rf'"({"|".join(TARGETS)})\.(\w+)"', code)
    return {
        *(f"dynamodb:{operation}" for operation in operations),
        *(f"{TARGETS[name]}:{operation}" for name, operation in targets),
        *(action for path, action in PATHS.items() if path in code),
    }


def test_roles_allow_every_call_of_the_code_and_nothing_else() -> None:
    code = read_shipped()
    called = list_called(code)
    # No service is called that the patterns above do not know.
    services = set(re.findall(r'(?:make_service\(\s*|ServiceClient\([^"()]*)"([\w-]+)"', code))
    assert services == {action.partition(":")[0] for action in called}
    references = {"KEY": "ssm:/key", "PASSWORD": "secretsmanager:password"}
    options = replace(FULL, policies={"secrets": list(list_statements(references))})
    resources = render_stack(options)["Resources"]
    roles = [resources[name]["Properties"]["Policies"] for name in ("HttpRole", "WebSocketRole")]
    policies = [*roles[0], *roles[1], resources["WebSocketSelfInvocation"]["Properties"]]
    statements = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    actions = [statement["Action"] for statement in statements]
    allowed = {name for action in actions for name in ([action] if isinstance(action, str) else action)}
    assert allowed - BY_LAMBDA == called
    assert allowed >= BY_LAMBDA
