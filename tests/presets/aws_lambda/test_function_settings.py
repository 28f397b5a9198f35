"""The settings of the functions themselves: memory, time-out, logs and the network."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from nitro_py.build.config.load import load_config
from nitro_py.errors import BuildError, ConfigError
from tests.bundles import build_project, plan_project, write_files
from tests.presets.aws_lambda.deploy.stacks import read_template
from tests.presets.aws_lambda.http.project import make_event
from tests.presets.aws_lambda.lambda_runtime.api import run_function, serve_api

pytestmark = pytest.mark.timeout(300)

APP = {
    "handlers/read.get.py": """
        import logging

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            logger = logging.getLogger("shop")
            logger.debug("compared")
            logger.info("counted")
            logger.error("lost")
            return "done"
        """,
    "handlers/echo.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            await peer.send(message.text())

        handler = define_websocket_handler(message=message)
        """,
}
HEAD = 'preset = "aws-lambda"\nexperimental.websocket = true\n'
VPC = """
aws.log_level = "error"
[[aws.statements]]
Effect = "Allow"
Action = "s3:GetObject"
Resource = "arn:aws:s3:::bucket/*"
[aws.environment]
SUBNET = "!Ref Private"
[aws.vpc]
subnets = ["subnet-0a1b2c3d", "!Ref Private"]
security_groups = ["sg-0a1b2c3d"]
[aws.secrets]
KEY = "ssm:/key"
"""
INFRA = """
    Parameters:
      Private:
        Type: AWS::EC2::Subnet::Id
        Default: subnet-0a1b2c3e
    """


def plan(folder: Path, settings: str, files: dict[str, str] | None = None) -> Any:
    """Plan the build of the app and return its bundle."""
    return plan_project(write_files(folder, {**APP, **(files or {}), "nitro.toml": HEAD + settings})).bundle


def read_resources(bundle: Any) -> dict[str, Any]:
    """Return the resources of a bundle's template."""
    resources: dict[str, Any] = read_template(bundle.files["template.yaml"].decode())["Resources"]
    return resources


def test_each_function_has_its_own_memory_and_time(tmp_path: Path) -> None:
    settings = "aws.memory = 256\naws.functions.http = { memory = 1024, timeout = 20 }\n"
    settings += "aws.functions.websocket.timeout = 90\n"
    bundle = plan(tmp_path, settings)
    resources = read_resources(bundle)
    found = {
        name: (resources[name]["Properties"]["MemorySize"], resources[name]["Properties"]["Timeout"])
        for name in ("HttpFunction", "WebSocketFunction")
    }
    assert found == {"HttpFunction": (1024, 20), "WebSocketFunction": (256, 90)}
    functions = bundle.extra["functions"]
    assert (functions["http"]["memory"], functions["http"]["timeout"]) == (1024, 20)
    assert (functions["websocket"]["memory"], functions["websocket"]["timeout"]) == (256, 90)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("aws.functions.http.timeout = 31", "`aws.functions.http.timeout`: expected at most 30"),
        (
            'aws.functions.http.timeout = 60\naws.streaming = "function-url"',
            "`aws.functions.http.timeout`: expected at least 70",
        ),
        (
            "aws.functions.websocket.timeout = 31\naws.ordered = true",
            "`aws.functions.websocket.timeout`: expected at most 30 with `aws.ordered`",
        ),
        ('aws.vpc.subnets = ["subnet-1"]', "`aws.vpc.subnets`: expected `aws.vpc.security_groups`, too"),
        ('aws.vpc.security_groups = ["sg-1"]', "`aws.vpc.security_groups`: expected `aws.vpc.subnets`, too"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, settings: str, expected: str) -> None:
    with pytest.raises(BuildError) as caught:
        plan(tmp_path, settings)
    assert caught.value.message.startswith(expected)
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 3)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("aws.functions.http.timeout = 901", "an integer from 3 to 900"),
        ("aws.functions.http.memory = 64", "an integer from 128 to 10240"),
        ('aws.log_level = "trace"', "one of"),
        ('aws.vpc.subnets = ["sg-1"]', "an id that starts with `subnet-`"),
        ('aws.vpc.security_groups = ["subnet-1"]', "an id that starts with `sg-`"),
    ],
)
def test_what_lambda_does_not_take_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    write_files(tmp_path, {"nitro.toml": f"{HEAD}{line}\n"})
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, mode="production", overrides={}, environ={})
    assert expected in caught.value.message
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 3)


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ("", None),
        ('aws.log_level = "warning"', "WARN"),
        ('log.format = "json"', "INFO"),
        ('log.format = "json"\nlog.level = "error"', "ERROR"),
        ('log.format = "json"\n[log.levels]\n"shop.prices" = "debug"', "DEBUG"),
    ],
)
def test_format_and_level_of_the_logs(tmp_path: Path, settings: str, level: str | None) -> None:
    resources = read_resources(plan(tmp_path, settings))
    for name in ("HttpFunction", "WebSocketFunction"):
        logging = resources[name]["Properties"]["LoggingConfig"]
        expected = {} if level is None else {"LogFormat": "JSON", "ApplicationLogLevel": level}
        assert {key: value for key, value in logging.items() if key != "LogGroup"} == expected


@pytest.mark.anyio
async def test_records_in_json_tell_lambda_their_level(tmp_path: Path) -> None:
    package = build_project(write_files(tmp_path, {**APP, "nitro.toml": HEAD})) / "server"
    file = tmp_path / "frames"
    with file.open("wb") as frames:
        environ = {
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
            "_LAMBDA_TELEMETRY_LOG_FD": str(frames.fileno()),
        }
        descriptors = (frames.fileno(),)
        async with (
            serve_api() as api,
            run_function(package, "nitro_http.handler", api, environ, descriptors=descriptors),
        ):
            await api.whole(make_event("httpapi", "/read"))
    written, found = file.read_bytes(), []
    while written:
        frame, length = struct.unpack(">II", written[:8])
        record = json.loads(written[16 : 16 + length])
        found.append((hex(frame), record["level"], record["message"]))
        written = written[16 + length :]
    assert [one for one in found if one[2] in ("compared", "counted", "lost")] == [
        ("0xa55a000e", "INFO", "counted"),
        ("0xa55a0016", "ERROR", "lost"),
    ]


def test_functions_in_a_vpc(tmp_path: Path) -> None:
    bundle = plan(tmp_path, VPC, {"infra/aws.yaml": INFRA})
    # With a file of the project, cfn-lint checks the stack at build.
    assert [note for note in bundle.notes if "cfn-lint" in note] == []
    resources = read_resources(bundle)
    for name, role in (("HttpFunction", "HttpRole"), ("WebSocketFunction", "WebSocketRole")):
        assert resources[name]["Properties"]["VpcConfig"] == {
            "SubnetIds": ["subnet-0a1b2c3d", {"Ref": "Private"}],
            "SecurityGroupIds": ["sg-0a1b2c3d"],
        }
        policies = resources[role]["Properties"]["Policies"]
        (network,) = [one["PolicyDocument"]["Statement"] for one in policies if one["PolicyName"] == "network"]
        assert [statement["Effect"] for statement in network] == ["Allow", "Deny"]
        assert network[0]["Action"] == network[1]["Action"]
        assert "ec2:CreateNetworkInterface" in network[0]["Action"]
        # The code of the functions itself makes none.
        assert "lambda:SourceFunctionArn" in network[1]["Condition"]["ArnLike"]
    (note,) = [note for note in bundle.notes if "VPC" in note]
    assert "VPC endpoints for `dynamodb` (a gateway), `lambda`, `ssm`. Posts to sockets always need" in note


def test_functions_elsewhere_have_no_network(tmp_path: Path) -> None:
    bundle = plan(tmp_path, "")
    resources = read_resources(bundle)
    assert "VpcConfig" not in resources["HttpFunction"]["Properties"]
    assert "ec2:" not in bundle.files["template.yaml"].decode()
    assert [note for note in bundle.notes if "VPC" in note] == []
