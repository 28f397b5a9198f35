"""`nitropy storage` on AWS: the table of a deployed stack, in moto, and that of a running preview."""

from __future__ import annotations

from pathlib import Path

import boto3  # type: ignore[import-untyped]
import httpx
import pytest

from nitro_presets.aws_lambda.deploy.storage import OUTPUT
from tests.cli.commands import fail, serve_project, succeed
from tests.presets.aws_lambda.deploy.stacks import OPTIONS, render_stack
from tests.stores.app import write_project

pytestmark = pytest.mark.timeout(600)

REGION = "eu-central-1"
FLAGS = ("--preset", "aws-lambda", "--region", REGION)
TABLE = """
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: table-of-shop
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
Outputs:
  TableName: {Value: !Ref Table}
"""
PLAIN = "Resources: {Queue: {Type: AWS::SQS::Queue}}\n"


def test_table_of_a_stack_is_reached(cloud: str, environ: dict[str, str], tmp_path: Path) -> None:
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    formation, dynamodb = (
        boto3.client(service, endpoint_url=cloud, region_name=REGION, **keys)
        for service in ("cloudformation", "dynamodb")
    )
    formation.create_stack(StackName="shop", TemplateBody=TABLE)
    formation.create_stack(StackName="plain", TemplateBody=PLAIN)
    root = write_project(tmp_path)

    def storage(command: str, *arguments: str) -> str:
        return succeed(root, "storage", command, *arguments, *FLAGS, "--stack", "shop", environ=environ)

    written = storage("set", "user:1", '{"a": 1}')
    assert written == "Set `user:1` in the storage `default` that `aws-lambda` has deployed (`dynamodb`).\n"
    assert [row["sk"] for row in dynamodb.scan(TableName="table-of-shop")["Items"]] == [{"S": "user:1"}]
    assert storage("get", "user:1") == '{"a":1}\n'
    assert storage("list", "user") == "user:1\n"
    assert storage("clear", "user", "--yes") == "Deleted 1 key.\n"
    assert storage("list") == ""
    for stack, message in (
        ("plain", "The stack `plain` has no table for storages.\n"),
        ("lost", f"There is no stack `lost` in `{REGION}`.\n"),
    ):
        error = fail(root, "storage", "get", "user:1", *FLAGS, "--stack", stack, environ=environ)
        assert error.startswith(message)


def test_template_names_the_table() -> None:
    for options in OPTIONS.values():
        assert (OUTPUT in render_stack(options)["Outputs"]) == (options.websocket or options.storage)


def test_table_of_a_preview_is_reached(tmp_path: Path) -> None:
    root = write_project(tmp_path / "app")
    succeed(root, "build", "--preset", "aws-lambda")
    with serve_project(root, "preview", "--port", "0") as server:
        assert httpx.get(f"{server.url}/count", timeout=60).json() == 1
        assert succeed(root, "storage", "get", "hits") == "1\n"
        written = succeed(root, "storage", "set", "hits", "9")
        assert written == "Set `hits` in the storage `default` of the preview (`dynamodb`).\n"
        assert httpx.get(f"{server.url}/count", timeout=60).json() == 10
        state = (root / ".nitro/run.json").read_text()
    # As a preview that was killed leaves it.
    (root / ".nitro/run.json").write_text(state)
    error = fail(root, "storage", "get", "hits")
    assert error.startswith(f"The preview at {server.url} has no table for storages that can be reached: ")
