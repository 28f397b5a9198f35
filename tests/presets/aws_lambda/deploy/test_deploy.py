"""Deployments to moto's server, which skips the resources that it doesn't know."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.client  # type: ignore[import-untyped]
import pytest

from nitro_presets.aws_lambda.deploy.deploy import KEPT_PACKAGES, DeployResult, check_shards, deploy
from nitro_presets.aws_lambda.deploy.packages import name_package
from nitro_presets.aws_lambda.deploy.stack import Change, Stack, find_stack
from nitro_presets.aws_lambda.deploy.template import render_template
from nitro_py.errors import NitroError, UsageError
from tests.capabilities import require_program
from tests.checkout import ROOT
from tests.docs.pages import find_table
from tests.presets.aws_lambda.deploy.stacks import OPTIONS, add_public, read_template, render_stack

pytestmark = pytest.mark.usefixtures("account")

REGION = "eu-central-1"
ACCOUNT = "123456789012"
# Not ordered: moto gives FIFO queues no name.
STACK = OPTIONS["websocket+function-url+streaming+cloudfront"]
KEPT = f"nitro-{ACCOUNT}-{REGION}"
# Where the permission is not named as the call is.
PERMISSIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:DeleteObjects": "s3:DeleteObject",
    "apigateway:GetAccount": "apigateway:GET",
}
# CloudFormation reads the package with the caller's permissions.
IMPLIED = {"s3:GetObject"}
# Called only once there are older packages.
LATER = {"s3:DeleteObject"}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Write a bundle."""
    with zipfile.ZipFile(tmp_path / "function.zip", "w") as package:
        package.writestr("nitro_http.py", "def handler(event, context): ...")
    (tmp_path / "template.yaml").write_text(render_template(STACK), encoding="utf-8")
    return tmp_path


def write_public(output: Path, *names: str) -> None:
    """Give a bundle a bucket of public files."""
    options = add_public(STACK)
    assert options.public is not None
    bucket = replace(options.public, objects={name: options.public.objects[name] for name in names})
    for name in names:
        (output / "public" / name).parent.mkdir(parents=True, exist_ok=True)
        (output / "public" / name).touch()
    (output / "nitro.json").write_text(json.dumps({"public": bucket.to_json()}), encoding="utf-8")
    (output / "template.yaml").write_text(render_template(options), encoding="utf-8")


def connect(service: str) -> Any:
    """Make boto3's client of a service."""
    return boto3.client(service, region_name=REGION)


def list_buckets() -> list[str]:
    """List the buckets of the account."""
    return [bucket["Name"] for bucket in connect("s3").list_buckets()["Buckets"]]


def list_stacks() -> list[str]:
    """List the stacks that are not deleted."""
    return [stack["StackName"] for stack in connect("cloudformation").describe_stacks()["Stacks"]]


class Console:
    """Remembers what was shown, and answers the question."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.questions: list[str] = []
        self.lines: list[str] = []
        self.changes: list[Change] = []

    def confirm(self, question: str) -> bool:
        """Answers."""
        assert self.changes or "failed" in question, "nothing was shown before the question"
        self.questions.append(question)
        return self.answer

    def show(self, changes: Sequence[Change]) -> None:
        """Take what would change."""
        self.changes += changes

    def deploy(self, output: Path, name: str, **options: Any) -> DeployResult:
        """Deploys."""
        options.setdefault("region", REGION)
        return deploy(
            output, stack_name=name, confirm=self.confirm, report=self.lines.append, show=self.show, **options
        )


def test_dry_run_shows_the_changes_and_leaves_nothing_behind(output: Path) -> None:
    console = Console()
    result = console.deploy(output, "dry", dry_run=True)
    assert not result.applied
    assert result.changes == tuple(console.changes)
    assert Change("Add", "WebSocketFunction", "AWS::Lambda::Function") in result.changes
    assert Change("Add", "Table", "AWS::DynamoDB::Table") in result.changes
    assert console.questions == []
    assert "dry" not in list_stacks()
    assert KEPT not in list_buckets()


def test_refusal_leaves_nothing_behind(output: Path) -> None:
    console = Console(answer=False)
    assert not console.deploy(output, "refused").applied
    assert console.questions == ["Apply these changes?"]
    assert "refused" not in list_stacks()
    assert KEPT not in list_buckets()


def test_stack_is_made_and_changed(output: Path) -> None:
    bucket = "own-bucket"
    connect("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    console = Console()
    result = console.deploy(output, "made", bucket=bucket)
    assert result.applied
    # Moto gives stacks of change sets no outputs.
    assert any(name.startswith("made-") for name in connect("dynamodb").list_tables()["TableNames"])
    assert console.lines[:3] == [
        "Working out the changes",
        f"Uploading the package to `{bucket}`",
        "Applying the changes",
    ]
    assert any(line.startswith("CREATE_COMPLETE") for line in console.lines[3:])
    keys = [row["Key"] for row in connect("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    assert [key.partition("/")[0] for key in keys] == ["made"]
    functions = connect("lambda").list_functions()["Functions"]
    assert {function["Handler"] for function in functions} >= {"nitro_http.handler", "nitro_websocket.handler"}

    with zipfile.ZipFile(output / "function.zip", "a") as package:
        package.writestr("more.py", "")
    again = Console()
    changed = again.deploy(output, "made", bucket=bucket)
    assert changed.applied
    assert {(change.action, change.name) for change in changed.changes} == {
        ("Modify", "HttpFunction"),
        ("Modify", "WebSocketFunction"),
    }
    assert len(connect("s3").list_objects_v2(Bucket=bucket)["Contents"]) == 2


def test_old_packages_leave_the_bucket(output: Path) -> None:
    s3 = connect("s3")
    s3.create_bucket(Bucket="kept-packages", CreateBucketConfiguration={"LocationConstraint": REGION})
    old = [f"pruned/{number:064x}.zip" for number in range(7)]
    others = [f"else/{0:064x}.zip", "pruned/notes.txt"]
    for key in (*old, *others):
        s3.put_object(Bucket="kept-packages", Key=key, Body=b"")
    console = Console()
    (output / "template.yaml").write_text(render_template(OPTIONS["http-api"]), encoding="utf-8")
    assert console.deploy(output, "pruned", bucket="kept-packages").applied
    kept = {row["Key"] for row in s3.list_objects_v2(Bucket="kept-packages")["Contents"]}
    assert kept >= set(others)
    assert len(kept - set(others)) == KEPT_PACKAGES
    assert name_package("pruned", (output / "function.zip").read_bytes()) in kept
    assert any("the last 5 stay" in line for line in console.lines)


@pytest.mark.parametrize("answer", [False, True])
def test_failed_stack_is_deleted_after_asking(output: Path, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    name = f"failed-{answer}"
    (output / "template.yaml").write_text(render_template(OPTIONS["http-api"]), encoding="utf-8")
    assert Console().deploy(output, name).applied
    formation = connect("cloudformation")
    before = find_stack(formation, name)

    def find(client: Any, wanted: str) -> Stack:
        # Moto rolls no stack back.
        found = find_stack(client, wanted)
        return replace(found, status="ROLLBACK_COMPLETE") if found.id == before.id else found

    monkeypatch.setattr("nitro_presets.aws_lambda.deploy.deploy.find_stack", find)
    with pytest.raises(NitroError, match="ROLLBACK_COMPLETE"):
        Console().deploy(output, name, dry_run=True)
    console = Console(answer=answer)
    assert console.deploy(output, name).applied == answer
    asked = f"The stack `{name}` failed when it was made. Delete what is left of it?"
    assert console.questions == ([asked, "Apply these changes?"] if answer else [asked])
    assert (find_stack(formation, name).id == before.id) != answer


def test_bucket_is_made_once_for_the_account_and_region(output: Path) -> None:
    (output / "template.yaml").write_text(render_template(OPTIONS["http-api"]), encoding="utf-8")
    for name in ("first", "second"):
        assert Console().deploy(output, name).applied
    keys = [row["Key"] for row in connect("s3").list_objects_v2(Bucket=KEPT)["Contents"]]
    # Other tests deploy, too.
    assert {key.partition("/")[0] for key in keys} >= {"first", "second"}


def test_role_for_logs_is_left_alone_where_the_region_has_one(output: Path) -> None:
    gateway = connect("apigateway")
    role = "arn:aws:iam::123456789012:role/logs"
    gateway.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}])
    console = Console()
    assert console.deploy(output, "logging").applied
    parameters = connect("cloudformation").describe_stacks(StackName="logging")["Stacks"][0]["Parameters"]
    assert {row["ParameterKey"]: row["ParameterValue"] for row in parameters}["ApiGatewayLogging"] == "false"


def test_shards_of_a_stack_are_not_lowered() -> None:
    def render(shards: int) -> str:
        return render_template(replace(OPTIONS["websocket+http-api"], shards=shards))

    outputs = read_template(render(4))["Outputs"]
    # moto keeps no outputs of a stack that a change set made.
    stack = Stack("UPDATE_COMPLETE", outputs=(("TopicShards", outputs["TopicShards"]["Value"]),))
    with pytest.raises(UsageError, match=r"`aws\.shards` is 2, and the stack has 4"):
        check_shards(stack, render(2))
    for shards in (4, 8):
        check_shards(stack, render(shards))
    check_shards(Stack(None), render(1))
    check_shards(stack, render_template(OPTIONS["http-api"]))


def test_bucket_that_is_not_there_is_an_error(output: Path) -> None:
    with pytest.raises(UsageError, match="There is no bucket `nowhere`"):
        Console().deploy(output, "nowhere", bucket="nowhere")
    assert "nowhere" not in list_stacks()


def test_folder_without_a_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no bundle for AWS: `function.zip` is missing"):
        Console().deploy(tmp_path / "other", "none")


def test_broken_bundle_is_an_error(output: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(output, broken)
    (broken / "template.yaml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"cannot be read: 'utf-8' codec"):
        Console().deploy(broken, "none")


def test_value_that_aws_cannot_take_is_an_error(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"AWS cannot be asked: Provided region_name 'x y'"):
        Console().deploy(output, "none", region="x y")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match=r"AWS cannot be asked: The config profile \(nobody\) could not be found"):
        Console().deploy(output, "none")


def test_missing_credentials_are_an_error(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UsageError, match="There are no AWS credentials") as raised:
        Console().deploy(output, "none")
    assert "AWS_ACCESS_KEY_ID" in str(raised.value.hint)


def test_missing_region_is_an_error(output: Path) -> None:
    with pytest.raises(UsageError, match="There is no AWS region") as raised:
        Console().deploy(output, "none", region=None)
    assert "--region" in str(raised.value.hint)


def test_cloud_that_does_not_answer_is_an_error(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(NitroError, match="AWS cannot be reached"):
        Console().deploy(output, "none")


def test_sam_packages_the_same_output(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("SAM_CLI_TELEMETRY", "0")
    connect("s3").create_bucket(Bucket="sam", CreateBucketConfiguration={"LocationConstraint": REGION})
    command = [str(require_program("sam")), "package", "--s3-bucket", "sam", "--output-template-file", "sam.yaml"]
    packaged = subprocess.run(command, cwd=output, capture_output=True, text=True, check=False)
    assert packaged.returncode == 0, packaged.stderr
    template = read_template((output / "sam.yaml").read_text(encoding="utf-8"))
    expected = render_stack(STACK)
    for name in ("HttpFunction", "WebSocketFunction"):
        code = template["Resources"][name]["Properties"]["Code"]
        stored = connect("s3").get_object(Bucket=code["S3Bucket"], Key=code["S3Key"])["Body"].read()
        assert stored == (output / "function.zip").read_bytes()
        expected["Resources"][name]["Properties"]["Code"] = code
    # It adds metadata of its own.
    properties = {name: body["Properties"] for name, body in template["Resources"].items()}
    assert properties == {name: body["Properties"] for name, body in expected["Resources"].items()}


def test_refusal_of_aws_is_an_error_that_quotes_it(output: Path) -> None:
    # Of a queue without a name, which CloudFormation itself gives one.
    template = render_template(OPTIONS["websocket+http-api+ordered"])
    (output / "template.yaml").write_text(template, encoding="utf-8")
    with pytest.raises(NitroError, match=r"AWS refuses `ExecuteChangeSet`: InvalidParameterValue: Queue name"):
        Console().deploy(output, "refused-queue")


def test_calls_of_a_deployment_are_named(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = set()
    really = botocore.client.BaseClient._make_api_call

    def call(client: Any, operation: str, parameters: Any) -> Any:
        name = f"{client.meta.service_model.service_name}:{operation}"
        called.add(PERMISSIONS.get(name, name))
        return really(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)
    for dry_run in (True, False):
        # In a region where no bucket is kept yet.
        Console().deploy(output, "permitted", region="eu-west-1", dry_run=dry_run)
    # A bucket of public files that comes, loses a file and goes.
    write_public(output, "index.html", "assets/a.html")
    Console().deploy(output, "permitted", region="eu-west-1")
    write_public(output, "index.html")
    Console().deploy(output, "permitted", region="eu-west-1")
    (output / "nitro.json").unlink()
    (output / "template.yaml").write_text(render_template(STACK), encoding="utf-8")
    Console().deploy(output, "permitted", region="eu-west-1")
    named = set(
        re.findall(r"`(\w+:\w+)`", " ".join(row[0] for row in find_table("permission", "docs/deployment.md")))
    )
    assert named == called | IMPLIED | LATER


def test_services_of_the_stack_are_named() -> None:
    used: dict[bool, set[str]] = {False: set(), True: set()}
    for path in (ROOT / "infra/aws").glob("*.yaml"):
        found = re.findall(r"Type: AWS::(\w+)::", path.read_text(encoding="utf-8"))
        used[path.name.startswith("domain")] |= {service.lower().removesuffix("v2") for service in found}
    (row,) = [row[0] for row in find_table("permission", "docs/deployment.md") if row[0].startswith("create")]
    assert set(re.findall(r"`(\w+)`", row)) == used[False]
    # IAM calls Certificate Manager by its short name.
    names = sorted({"certificatemanager": "acm"}.get(name, name) for name in used[True] - used[False])
    text = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    assert f"`aws.domain` also needs {' and '.join(f'`{name}`' for name in names)}" in text


def test_stack_gets_the_tags(output: Path) -> None:
    place = {"LocationConstraint": REGION}
    connect("s3").create_bucket(Bucket="tagged-packages", CreateBucketConfiguration=place)
    Console().deploy(output, "tagged", bucket="tagged-packages", tags={"team": "chat"})
    (stack,) = connect("cloudformation").describe_stacks(StackName="tagged")["Stacks"]
    assert stack["Tags"] == [{"Key": "team", "Value": "chat"}]
