"""Stages: stacks of their own from one bundle, built and deployed by the command."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from nitro_presets.aws_lambda.deploy.template import STAGE_PARAMETERS, render_template
from tests.cli.commands import FLAG, fail, make_project, run_nitropy, succeed
from tests.presets.aws_lambda.deploy.stacks import FULL, OPTIONS, read_template, render_stack

pytestmark = pytest.mark.timeout(600)

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
REGION = "eu-central-1"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"
SETTINGS = f"""{FLAG}
[aws]
name = "shop"
memory = 512
alarms = "{TOPIC}"

[aws.environment]
API_URL = "https://api.example.com"
GREETING = "hello"

[aws.stages.staging.environment]
API_URL = "https://staging.example.com/?a='1'"

[aws.stages.staging]
memory = 256
log_days = 3
throttle_rate = 20

[aws.stages.prod]
memory = 1024
alarms = "{TOPIC}-prod"
"""
ALL = frozenset(setting for _, setting in STAGE_PARAMETERS.values())


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """Name the region, too."""
    return environ | {"AWS_DEFAULT_REGION": REGION}


def connect(cloud: str, service: str) -> Any:
    """Make boto3's client of a service."""
    return boto3.client(
        service, endpoint_url=cloud, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret"
    )


def test_stages_are_stacks_of_one_bundle(tmp_path: Path, cloud: str, environ: dict[str, str]) -> None:
    root = make_project(tmp_path / "project", {"nitro.toml": SETTINGS})
    succeed(root, "build", "--preset", "aws-lambda")
    formation = connect(cloud, "cloudformation")

    def read_parameters(stack: str) -> dict[str, str]:
        rows = formation.describe_stacks(StackName=stack)["Stacks"][0]["Parameters"]
        return {row["ParameterKey"]: row["ParameterValue"] for row in rows}

    def read_functions(stack: str) -> dict[str, tuple[int, str]]:
        rows = formation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
        names = {
            row["PhysicalResourceId"]: row["LogicalResourceId"]
            for row in rows
            if row["ResourceType"] == "AWS::Lambda::Function"
        }
        found = connect(cloud, "lambda").list_functions()["Functions"]
        return {
            names[row["FunctionName"]]: (row["MemorySize"], row["CodeSha256"])
            for row in found
            if row["FunctionName"] in names
        }

    for stage in ("staging", "prod"):
        succeed(root, "deploy", "--stage", stage, "--yes", environ=environ)
    succeed(root, "deploy", "--yes", environ=environ)
    functions = {stack: read_functions(stack) for stack in ("shop", "shop-prod", "shop-staging")}
    memory = {stack: {size for size, _ in found.values()} for stack, found in functions.items()}
    assert memory == {"shop": {512}, "shop-prod": {1024}, "shop-staging": {256}}
    assert len({sha for found in functions.values() for _, sha in found.values()}) == 1
    assert read_parameters("shop-staging")["LogDays"] == "3"
    for stack, url in (
        ("shop", "https://api.example.com"),
        ("shop-staging", "https://staging.example.com/?a='1'"),
    ):
        assert read_parameters(stack)["StageVariableAPIURL"] == url
        names = [row["FunctionName"] for row in connect(cloud, "lambda").list_functions()["Functions"]]
        (name,) = [one for one in names if one.startswith(f"{stack}-HttpFunction")]
        found = connect(cloud, "lambda").get_function_configuration(FunctionName=name)
        assert found["Environment"]["Variables"].items() >= {"API_URL": url, "GREETING": "hello"}.items()
    assert read_parameters("shop-prod")["AlarmTopic"] == f"{TOPIC}-prod"
    assert read_parameters("shop")["AlarmTopic"] == TOPIC

    succeed(root, "destroy", "--stage", "staging", "--yes", environ=environ)
    left = {stack["StackName"] for stack in formation.describe_stacks()["Stacks"]}
    assert left >= {"shop", "shop-prod"}
    assert "shop-staging" not in left


def test_stage_that_cannot_be_is_an_error(tmp_path: Path, environ: dict[str, str]) -> None:
    root = make_project(tmp_path / "project", {"nitro.toml": SETTINGS})
    preset = ("--preset", "aws-lambda")
    for command in (("deploy", "--outputs"), ("logs",), ("destroy",), ("publish", "chat", "x")):
        error = fail(root, *command, "--stage", "test", *preset, environ=environ)
        assert "There is no stage `test`" in error
        assert "Expected one of `prod`, `staging`" in error
    assert "both name the stack" in fail(root, "logs", "--stage", "prod", "--stack", "x", *preset)
    (root / "nitro.toml").write_text(SETTINGS.replace("log_days = 3", "streaming = 'none'"))
    error = fail(root, "build", *preset)
    assert "aws.stages.staging.streaming" in error
    choices = [f"`{name}`" for name in sorted(ALL | {"alarms", "environment"})]
    positions = [error.index(choice) for choice in choices]
    assert positions == sorted(positions)
    (root / "nitro.toml").write_text(SETTINGS.replace("log_days = 3", "log_days = 4"))
    assert "one of 1, 3, 5" in fail(root, "build", *preset)


@pytest.mark.parametrize(
    ("variables", "line", "message"),
    [
        ('NEW = "1"', 10, "`NEW`: expected a text of that name in `aws.environment`"),
        ('TABLE = "1"', 10, "`TABLE`: expected a text of that name in `aws.environment`"),
        ('A_B = "1"\nAB = "2"', 11, "`A_B` and `AB`, which differ by `_` only"),
        (f'AB = "{"x" * 4000}"', 10, "take 4,011 bytes: expected at most 3,072"),
        ("AB = 1", 10, "expected a string"),
        ('AWS_REGION = "x"', 10, "Lambda reserves this one"),
    ],
)
def test_variable_that_a_stage_cannot_have_is_an_error(
    tmp_path: Path, variables: str, line: int, message: str
) -> None:
    settings = f"""{FLAG}
[aws.environment]
AB = "1"
A_B = "2"
TABLE = "!Ref Table"


[aws.stages.test.environment]
{variables}
"""
    root = make_project(tmp_path / "project", {"nitro.toml": settings})
    error = fail(root, "build", "--preset", "aws-lambda")
    assert message in error
    assert f"nitro.toml:{line}" in error


def test_stage_that_the_bundle_does_not_know_is_an_error(tmp_path: Path, environ: dict[str, str]) -> None:
    root = make_project(tmp_path / "project", {"nitro.toml": SETTINGS.replace("throttle_rate = 20\n", "")})
    succeed(root, "build", "--preset", "aws-lambda")
    (root / "nitro.toml").write_text(SETTINGS)
    done = run_nitropy(root, "deploy", "--stage", "staging", "--yes", environ=environ)
    assert done.returncode == 2
    assert "The stage sets `throttle_rate`, for which the bundle's template has no parameter" in done.stderr


def test_template_without_stages_has_no_further_parameter() -> None:
    added = {name for name, _ in STAGE_PARAMETERS.values()}
    for options in OPTIONS.values():
        assert not added & render_stack(options)["Parameters"].keys()


def test_templates_with_stages_are_valid(tmp_path: Path) -> None:
    paths = []
    for number, options in enumerate((FULL, OPTIONS["http-api"], OPTIONS["function-url"])):
        path = tmp_path / f"{number}.yaml"
        path.write_text(render_template(replace(options, stage_settings=ALL, alarm_topic=TOPIC)), encoding="utf-8")
        paths.append(str(path))
        template = read_template(path.read_text(encoding="utf-8"))
        assert template["Parameters"]["HttpMemory"]["Default"] == 512
    (tmp_path / "function.zip").write_bytes(b"")
    done = subprocess.run([str(CFN_LINT), *paths], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
