"""`nitropy deploy --outputs`, `logs` and `destroy` as processes, against moto's server."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from nitro_presets.aws_lambda.deploy.destroy import EPHEMERAL
from nitro_presets.aws_lambda.deploy.extension import DATA_TYPES
from nitro_presets.aws_lambda.deploy.logs import LOG_GROUPS
from tests.bundles import clean_environment
from tests.cli.commands import NITROPY, fail, make_project, run_nitropy, succeed
from tests.presets.aws_lambda.deploy.stacks import OPTIONS, render_stack

pytestmark = pytest.mark.timeout(600)

REGION = "eu-central-1"
ACCOUNT = "123456789012"
BUCKET = f"nitro-{ACCOUNT}-{REGION}"
PATIENCE = 100.0
FLAGS = ("--preset", "aws-lambda", "--region", REGION)
# Moto keeps outputs of stacks that no change set has made.
STACK = """
Resources:
  HttpLogGroup:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: http-@}
  WebSocketLogGroup:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: websocket-@}
  Table:
    Type: AWS::DynamoDB::Table
    Properties: {TableName: table-@, KEYS}
  MORE
Outputs:
  Url: {Value: "https://@.example"}
  HttpLogGroupName: {Value: !Ref HttpLogGroup}
  WebSocketLogGroupName: {Value: !Ref WebSocketLogGroup}
"""
KEYS = (
    "BillingMode: PAY_PER_REQUEST, AttributeDefinitions: [{AttributeName: pk, AttributeType: S}], "
    "KeySchema: [{AttributeName: pk, KeyType: HASH}]"
)
ORDERS = "Orders: {Type: AWS::DynamoDB::Table, POLICY Properties: {TableName: orders-@, KEYS}}"
UPLOADS = "Uploads: {Type: AWS::S3::Bucket, Properties: {BucketName: uploads-@}}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a project that nothing has built."""
    return make_project(tmp_path_factory.mktemp("operations") / "project")


@pytest.fixture
def connect(cloud: str) -> Any:
    """Make boto3's client of a service."""

    def make(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=cloud,
            region_name=REGION,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )

    return make


def make_stack(connect: Any, name: str, more: str = "") -> None:
    """Make a stack as far as moto knows such."""
    text = STACK.replace("MORE", more).replace("KEYS", KEYS).replace("@", name)
    connect("cloudformation").create_stack(StackName=name, TemplateBody=text)


def write_lines(connect: Any, group: str, *lines: tuple[float, str]) -> None:
    """Write lines of some ages, in seconds, to a log group."""
    logs = connect("logs")
    stream = f"stream-{time.monotonic_ns()}"
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": int((time.time() - age) * 1000), "message": text} for age, text in lines]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def list_stacks(connect: Any) -> list[str]:
    """List the stacks that are not deleted."""
    return [stack["StackName"] for stack in connect("cloudformation").describe_stacks()["Stacks"]]


def test_outputs_are_shown_without_a_bundle(project: Path, environ: dict[str, str], connect: Any) -> None:
    make_stack(connect, "shown")
    shown = succeed(project, "deploy", "--outputs", "--stack", "shown", *FLAGS, environ=environ)
    assert "https://shown.example" in shown
    text = succeed(project, "deploy", "--outputs", "--json", "--stack", "shown", *FLAGS, environ=environ)
    assert json.loads(text) == {
        "HttpLogGroupName": "http-shown",
        "Url": "https://shown.example",
        "WebSocketLogGroupName": "websocket-shown",
    }


def test_flags_that_mean_nothing_are_errors(project: Path, environ: dict[str, str]) -> None:
    assert "`--json` means nothing without `--outputs`" in fail(project, "deploy", "--json")
    for flag in ("--dry-run", "--yes"):
        assert f"`{flag}` means nothing with `--outputs`" in fail(project, "deploy", "--outputs", flag)
    for command in (("deploy", "--outputs"), ("logs",), ("destroy",)):
        assert "`asgi` deploys nothing" in fail(project, *command)
        assert "There is no stack `nitro-app`" in fail(project, *command, *FLAGS, environ=environ)
    assert "neither an age nor a time" in fail(project, "logs", "--since", "yesterday", *FLAGS)
    assert "Expected one of `http`, `websocket`" in fail(project, "logs", "--function", "web", *FLAGS)


def test_logs_of_both_functions_are_in_order(project: Path, environ: dict[str, str], connect: Any) -> None:
    make_stack(connect, "logged")
    write_lines(connect, "http-logged", (9000, "old"), (300, "first"), (100, "third\n"))
    write_lines(connect, "websocket-logged", (200, "second\x1b[2J"))

    def read(*arguments: str) -> list[list[str]]:
        text = succeed(project, "logs", "--stack", "logged", *arguments, *FLAGS, environ=environ)
        return [line.split(" ", 2)[2].split(" ", 1) for line in text.splitlines()]

    second = ["websocket", "second\N{REPLACEMENT CHARACTER}[2J"]
    assert read("--since", "1h") == [["http", "first"], second, ["http", "third"]]
    assert read("--since", "1d", "--function", "http") == [["http", "old"], ["http", "first"], ["http", "third"]]
    assert read("--since", "1h", "--function", "websocket") == [second]


def test_logs_are_followed(project: Path, environ: dict[str, str], connect: Any) -> None:
    make_stack(connect, "followed")
    write_lines(connect, "http-followed", (20, "before"))
    command = [str(NITROPY), "logs", "--stack", "followed", "--follow", "--since", "1h", *FLAGS]
    lines: queue.Queue[str] = queue.Queue()
    with subprocess.Popen(
        command,
        cwd=project,
        env=clean_environment() | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        stdout = following.stdout

        def read() -> None:
            for line in stdout:
                lines.put(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            assert lines.get(timeout=PATIENCE).endswith("http before\n")
            # Lines come late, and older than what was shown already.
            write_lines(connect, "websocket-followed", (25, "late"))
            assert lines.get(timeout=PATIENCE).endswith("websocket late\n")
            write_lines(connect, "http-followed", (0, "after"))
            assert lines.get(timeout=PATIENCE).endswith("http after\n")
            following.send_signal(signal.SIGINT)
            assert following.wait(PATIENCE) == 0
            assert following.stderr.read() == ""
        finally:
            following.kill()
    reader.join(PATIENCE)
    assert lines.empty(), "a line was shown twice"


def test_stack_is_destroyed_with_its_packages(project: Path, environ: dict[str, str], connect: Any) -> None:
    make_stack(connect, "gone")
    s3 = connect("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    others = ["gone/notes.txt", f"goner/{'0' * 64}.zip"]
    for key in (f"gone/{'1' * 64}.zip", f"gone/{'2' * 64}.zip", *others):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    refused = run_nitropy(project, "destroy", "--stack", "gone", *FLAGS, environ=environ)
    assert refused.returncode != 0, "nothing was answered"
    assert "Delete the stack `gone` and its packages?" in refused.stdout + refused.stderr
    assert "gone" in list_stacks(connect)

    told = succeed(project, "destroy", "--stack", "gone", "--yes", *FLAGS, environ=environ)
    assert "AWS::DynamoDB::Table" in told
    assert f"The bucket `{BUCKET}` stays" in told
    assert "gone" not in list_stacks(connect)
    assert "table-gone" not in connect("dynamodb").list_tables()["TableNames"]
    assert [row["Key"] for row in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == sorted(others)


def test_data_is_destroyed_only_if_that_is_said(project: Path, environ: dict[str, str], connect: Any) -> None:
    make_stack(connect, "full", f"{ORDERS.replace('POLICY', '')}\n  {UPLOADS}")
    s3 = connect("s3")
    s3.put_bucket_versioning(Bucket="uploads-full", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket="uploads-full", Key="file", Body=body)
    command = ("destroy", "--stack", "full", "--yes", *FLAGS)
    refused = run_nitropy(project, *command, environ=environ)
    assert refused.returncode == 2
    assert "Data would be lost with `Orders` (AWS::DynamoDB::Table), `Uploads` (AWS::S3::Bucket)" in refused.stderr
    assert "--data" in refused.stderr
    assert "full" in list_stacks(connect)

    succeed(project, *command, "--data", environ=environ)
    assert "full" not in list_stacks(connect)
    assert "orders-full" not in connect("dynamodb").list_tables()["TableNames"]
    assert "uploads-full" not in [row["Name"] for row in s3.list_buckets()["Buckets"]]


def test_what_is_retained_is_no_loss(project: Path, environ: dict[str, str], connect: Any) -> None:
    make_stack(connect, "kept", ORDERS.replace("POLICY", "DeletionPolicy: Retain,"))
    told = succeed(project, "destroy", "--stack", "kept", "--yes", *FLAGS, environ=environ)
    # Moto deletes it all the same.
    assert "`Orders` (AWS::DynamoDB::Table) stays: `orders-kept`." in told


def test_stale_bundle_is_noticed(tmp_path: Path, environ: dict[str, str]) -> None:
    root = make_project(tmp_path / "stale")
    succeed(root, "build", "--preset", "aws-lambda")

    def deploy(**more: str) -> str:
        command = ("deploy", "--dry-run", "--region", REGION, "--stack", "stale")
        return run_nitropy(root, *command, environ=environ | more).stderr

    assert "warning" not in deploy()
    # Its length and its time stay.
    handler = root / "handlers/api/hello.get.py"
    times = handler.stat()
    handler.write_text(handler.read_text().replace("hello", "hullo"))
    os.utime(handler, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "The bundle is stale: a build would change `server/handlers/api/hello.get.py`" in deploy()
    assert "`template.yaml`" in deploy(NITRO_AWS__MEMORY="1024")
    handler.write_text("import nothing_like_this\n")
    assert "Nothing tells whether the bundle is stale" in deploy()


def test_generated_template_holds_no_data_but_what_is_listed() -> None:
    found = set()
    for options in OPTIONS.values():
        stack = render_stack(options)
        resources = stack["Resources"]
        found |= {name for name, resource in resources.items() if resource["Type"] in DATA_TYPES}
        assert (LOG_GROUPS["http"] in stack["Outputs"]) == (options.http != "none")
        assert (LOG_GROUPS["websocket"] in stack["Outputs"]) == options.websocket
    assert found == EPHEMERAL
