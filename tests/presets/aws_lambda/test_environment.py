"""The setting `aws.environment`: what it takes, what the template says, and what a function sees."""

from __future__ import annotations

import json
import logging
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from nitro_presets.aws_lambda.deploy.function_environment import LIMIT, OWN_BYTES
from nitro_presets.aws_lambda.deploy.intrinsics import read_value, show_value, write_value
from nitro_presets.aws_lambda.gateway.bundle import read_bundle
from nitro_presets.aws_lambda.stack_variables import STACK_VARIABLES
from nitro_py.build.config.load import load_config
from nitro_py.errors import BuildError, ConfigError
from tests.bundles import build_project, plan_project, write_files
from tests.presets.aws_lambda.deploy.stacks import read_template
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

READ = """
    import os

    from nitro_py import Event, define_handler

    NAMES = ("GREETING", "NAME", "TABLE", "ORDERS", "QUEUE", "AREA")

    @define_handler
    async def handler(event: Event) -> dict[str, str | None]:
        return {name: os.environ.get(name) for name in NAMES}
    """
SOCKET = """
    from nitro_py import Message, Peer, define_websocket_handler

    async def message(peer: Peer, message: Message) -> None:
        await peer.send(message.text())

    handler = define_websocket_handler(message=message)
    """
SETTINGS = """
    preset = "aws-lambda"
    experimental.websocket = true

    [aws.environment]
    GREETING = "good day, ${NAME}"
    NAME = "naïve 👋"
    TABLE = "!Ref Table"
    ORDERS = "!GetAtt Orders.TopicArn"
    QUEUE = { Ref = "Queue" }
    AREA = "!Sub ${AWS::Region}/x"
    """


def read_problem(root: Path, line: str) -> ConfigError:
    """Return the error of a line in `aws.environment`, which is the third of the file."""
    write_files(root, {"nitro.toml": f'preset = "aws-lambda"\n[aws.environment]\n{line}\n'})
    with pytest.raises(ConfigError) as caught:
        load_config(root, mode="production", overrides={}, environ={})
    return caught.value


def list_reserved() -> list[str]:
    """List the names that cfn-lint knows to be reserved."""
    folder = files("cfnlint.data.schemas.extensions.aws_lambda_function")
    schema = json.loads((folder / "environment_variable_keys.json").read_text(encoding="utf-8"))
    names: list[str] = schema["propertyNames"]["not"]["enum"]
    return names


INFRA = """
    Resources:
      Orders:
        Type: AWS::SNS::Topic
        Properties:
          DisplayName: Orders
      Queue:
        Type: AWS::SQS::Queue
        DeletionPolicy: Delete
        UpdateReplacePolicy: Delete
    """


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an app whose functions get variables."""
    app = {
        "nitro.toml": SETTINGS,
        "infra/aws.yaml": INFRA,
        "handlers/read.get.py": READ,
        "handlers/echo.py": SOCKET,
    }
    return build_project(write_files(tmp_path_factory.mktemp("environment"), app))


def test_both_functions_get_the_variables(output: Path) -> None:
    resources = read_template((output / "template.yaml").read_text(encoding="utf-8"))["Resources"]
    expected = {
        "GREETING": "good day, ${NAME}",
        "NAME": "naïve 👋",
        "TABLE": {"Ref": "Table"},
        "ORDERS": {"Fn::GetAtt": ["Orders", "TopicArn"]},
        "QUEUE": {"Ref": "Queue"},
        "AREA": {"Fn::Sub": "${AWS::Region}/x"},
    }
    for function in ("HttpFunction", "WebSocketFunction"):
        variables = resources[function]["Properties"]["Environment"]["Variables"]
        assert {name: variables.get(name) for name in expected} == expected
    assert "environment" not in json.loads((output / "server/manifest.json").read_text())["settings"]["aws"]


def test_function_sees_what_this_machine_knows_and_what_it_is_given(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), run_gateway(output, environment={"ORDERS": "here", "NAME": "?"}) as url:
        seen = httpx.get(f"{url}/read", timeout=60).json()
    table = seen.pop("TABLE")
    assert table.startswith("nitro-")
    assert seen == {
        "GREETING": "good day, ${NAME}",
        # What the template says holds here, too.
        "NAME": "naïve 👋",
        "ORDERS": "here",
        "QUEUE": None,
        "AREA": "eu-central-1/x",
    }
    told = [record.message for record in caplog.records if record.message.startswith("[environment]")]
    assert told == [
        "[environment] `QUEUE` is `!Ref Queue`, which this machine does not know: set `QUEUE` in `.env`"
    ]


@pytest.mark.parametrize("name", sorted({*list_reserved(), "AWS_LAMBDA_EXEC_WRAPPER", *STACK_VARIABLES}))
def test_reserved_names_are_refused(tmp_path: Path, name: str) -> None:
    problem = read_problem(tmp_path, f'{name} = "1"')
    assert (problem.file, problem.line) == ("nitro.toml", 3)
    assert problem.message.startswith(f"`aws.environment.{name}`: expected ")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"a b" = "1"', "expected a name of two or more letters, digits and `_` that starts with a letter"),
        ('A = "1"', "expected a name of two or more letters"),
        ("COUNT = 3", "expected a text or a function of CloudFormation, such as `!GetAtt …`"),
        ('WHO = { ref = "Table" }', "expected a text, or a table with one of `Fn::Base64`"),
        ('WHO = "!Ref a b"', "expected `!Ref` with the name of a resource or parameter"),
        ('WHO = "!GetAtt Table"', "expected `!GetAtt` with a resource and an attribute"),
        ('WHO = "!Join x"', "expected one of `!GetAtt …`, `!ImportValue …`, `!Ref …`, `!Sub …`"),
    ],
)
def test_what_cannot_be_a_variable_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    problem = read_problem(tmp_path, line)
    assert (problem.file, problem.line) == ("nitro.toml", 3)
    assert expected in problem.message


@pytest.mark.parametrize("value", [r"a\u0000b", r"!Sub ${Table}\u0000"])
def test_value_with_the_character_nul_is_refused(tmp_path: Path, value: str) -> None:
    problem = read_problem(tmp_path, f'WHO = "{value}"')
    assert (problem.file, problem.line) == ("nitro.toml", 2)
    assert "expected values without the character NUL" in problem.message


def test_more_than_lambda_takes_is_refused_with_both_figures(tmp_path: Path) -> None:
    most = LIMIT - OWN_BYTES - len("LONG")
    problem = read_problem(tmp_path, f'LONG = "{"x" * (most + 1)}"')
    assert (problem.file, problem.line) == ("nitro.toml", 2)
    assert "expected at most 3,072 bytes of names and values" in problem.message
    assert "(these have 3,073)" in problem.message
    write_files(tmp_path, {"nitro.toml": f'preset = "aws-lambda"\n[aws.environment]\nLONG = "{"x" * most}"\n'})
    load_config(tmp_path, mode="production", overrides={}, environ={})


def test_variables_of_the_stack_fit_into_what_is_kept_for_them() -> None:
    longest = {
        "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/nitro_wrapper.sh",
        "NITRO_CALLBACK_URL": "https://0123456789.execute-api.ap-southeast-1.amazonaws.com.cn/prod",
        # A stack's name of the usual length, with what CloudFormation adds.
        "NITRO_ORIGIN_SECRET": "x" * 48,
        "NITRO_QUEUE_URL": f"https://sqs.ap-southeast-1.amazonaws.com.cn/000000000000/{'x' * 80}",
        "NITRO_SOCKET_URL": f"wss://{'x' * 128}",
        "NITRO_TABLE": "x" * 96,
        "NITRO_WEBSOCKET_FUNCTION": "x" * 64,
    }
    assert longest.keys() >= STACK_VARIABLES
    assert sum(len(name) + len(value) for name, value in longest.items()) <= OWN_BYTES


def test_name_that_no_template_defines_is_refused(tmp_path: Path) -> None:
    settings = """
        preset = "aws-lambda"
        [aws.environment]
        QUEUE = "!Ref Qeue"
        """
    write_files(tmp_path, {"nitro.toml": settings, "handlers/read.get.py": READ})
    with pytest.raises(BuildError, match="`Qeue`") as caught:
        plan_project(tmp_path)
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 3)
    plan_project(write_files(tmp_path, {"infra/aws.yaml": INFRA.replace("Queue:", "Qeue:")}))


def test_what_may_be_a_secret_is_told(tmp_path: Path) -> None:
    settings = """
        preset = "aws-lambda"
        [aws.environment]
        API_KEY = "1"
        DATABASE = "postgres://me:pass@host/db"
        TABLE_KEY = "!Ref AWS::Region"
        LEVEL = "high"
        """
    handler = {"handlers/read.get.py": READ}
    plan = plan_project(write_files(tmp_path, {"nitro.toml": settings, **handler}))
    told = [note for note in plan.bundle.notes if "may be a secret" in note]
    assert [note.split("`")[1] for note in told] == ["aws.environment.API_KEY", "aws.environment.DATABASE"]


@pytest.mark.parametrize(
    ("written", "value", "shown"),
    [
        ("plain", "plain", "plain"),
        ("!important", "!important", "!important"),
        ("!Ref Table", {"Ref": "Table"}, "!Ref Table"),
        ("!Ref AWS::Region", {"Ref": "AWS::Region"}, "!Ref AWS::Region"),
        ({"Fn::GetAtt": "Db.Endpoint.Port"}, {"Fn::GetAtt": ["Db", "Endpoint.Port"]}, "!GetAtt Db.Endpoint.Port"),
        (
            {"Fn::Join": ["-", [{"Ref": "A"}, "b\n"]]},
            {"Fn::Join": ["-", [{"Ref": "A"}, "b\n"]]},
            '{"Fn::Join": ["-", [{"Ref": "A"}, "b\\n"]]}',
        ),
    ],
)
def test_values_are_read_and_written(written: Any, value: object, shown: str) -> None:
    read = read_value(written)
    assert read == value
    assert show_value(read) == shown
    assert read_template(f"A: {write_value(read)}\n")["A"] == value


def test_values_of_files_go_to_computed_variables_of_the_preview(output: Path) -> None:
    assert sorted(read_bundle(output).computed) == ["AREA", "ORDERS", "QUEUE", "TABLE"]
