"""An app with a table, a secret, a domain, stages and public files of its own: built, previewed, deployed dry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx
import pytest
from websockets.sync.client import connect as connect_socket

from nitro_presets.aws_lambda.gateway.permissions import Need, read_roles
from tests.bundles import write_files
from tests.cli.commands import succeed
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

# Of its certificate, which CloudFront takes from nowhere else.
REGION = "us-east-1"
APP = {
    "nitro.toml": """
        preset = "aws-lambda"
        experimental.websocket = true

        [aws]
        name = "notes"
        public = "s3"

        [aws.domain]
        name = "notes.example.com"
        hosted_zone = "Z0123456789ABCDEFGHIJ"

        [aws.environment]
        NOTES = "!Ref Notes"

        [aws.secrets]
        API_KEY = "ssm:/notes/api-key"

        [[aws.statements]]
        Effect = "Allow"
        Action = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource = "!GetAtt Notes.Arn"

        [aws.stages.staging]
        memory = 256

        [aws.stages.prod]
        memory = 1024
        """,
    "infra/aws.yaml": """
        Resources:
          Notes:
            Type: AWS::DynamoDB::Table
            DeletionPolicy: Retain
            UpdateReplacePolicy: Retain
            Properties: {BillingMode: PAY_PER_REQUEST, KeySchema: [{AttributeName: id, KeyType: HASH}],
              AttributeDefinitions: [{AttributeName: id, AttributeType: S}]}
        """,
    "public/index.html": "<title>Notes</title>",
    "public/assets/app.3f9a0c1b.js": "console.log('notes')",
    "handlers/_notes.py": """
        import asyncio
        import os

        import boto3


        def table():
            return boto3.resource("dynamodb").Table(os.environ["NOTES"])


        async def keep(id: str, text: str) -> None:
            await asyncio.to_thread(lambda: table().put_item(Item={"id": id, "text": text}))


        async def read(id: str) -> str | None:
            found = await asyncio.to_thread(lambda: table().get_item(Key={"id": id}))
            return found.get("Item", {}).get("text")
        """,
    "handlers/api/notes/[id].get.py": """
        import os

        from nitro_py import Event, HTTPError, define_handler

        from ..._notes import read

        @define_handler
        async def handler(event: Event) -> dict[str, str]:
            if event.headers.get("x-key") != os.environ["API_KEY"]:
                raise HTTPError(401, "no key")
            text = await read(event.params["id"])
            if text is None:
                raise HTTPError(404, "no such note")
            return {"text": text}
        """,
    "handlers/api/edit.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        from .._notes import keep

        async def message(peer: Peer, message: Message) -> None:
            note = message.json()
            await keep(note["id"], note["text"])
            await peer.send("kept")

        handler = define_websocket_handler(message=message)
        """,
}


def make_client(service: str, url: str) -> Any:
    """Make boto3's client of a service of a server."""
    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret"
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the app by the command, and return its folder."""
    root = write_files(tmp_path_factory.mktemp("own") / "project", APP)
    succeed(root, "build")
    return root


def test_app_runs_in_the_preview(root: Path) -> None:
    # As `.env` would set it.
    own = {"API_KEY": "local-key"}
    known = {"x-key": "local-key"}
    with run_gateway(root / ".output", environment=own) as url, httpx.Client(base_url=url, timeout=60) as client:
        with connect_socket(f"{url.replace('http', 'ws', 1)}/api/edit", open_timeout=60) as socket:
            socket.send(json.dumps({"id": "1", "text": "milk"}))
            assert socket.recv(60) == "kept"
        assert client.get("/api/notes/1").status_code == 401
        assert client.get("/api/notes/1", headers=known).json() == {"text": "milk"}
        assert client.get("/api/notes/2", headers=known).status_code == 404
        page = client.get("/")
        assert (page.text, page.headers["cache-control"]) == ("<title>Notes</title>", "no-cache")
        assert "immutable" in client.get("/assets/app.3f9a0c1b.js").headers["cache-control"]


def test_roles_reach_its_table(root: Path) -> None:
    template = root / ".output/template.yaml"
    arn = f"arn:aws:dynamodb:{REGION}:000000000000:table/notes"
    roles = read_roles(template, {"Notes.Arn": arn})
    assert len(roles) == 2
    for role in roles.values():
        assert role.explain_denial([Need("dynamodb:PutItem", arn)]) is None
        assert role.explain_denial([Need("dynamodb:DeleteItem", arn)]) is not None
        assert role.explain_denial([Need("dynamodb:PutItem", f"{arn}-of-others")]) is not None


def test_each_stage_is_deployed_dry(root: Path, cloud: str, environ: dict[str, str]) -> None:
    for stage in ("staging", "prod"):
        told = succeed(
            root, "deploy", "--stage", stage, "--dry-run", environ=environ | {"AWS_DEFAULT_REGION": REGION}
        )
        for name in ("DomainCertificate", "HttpFunction", "Notes", "PublicBucket"):
            assert name in told
    # Nothing is left behind.
    assert make_client("cloudformation", cloud).describe_stacks()["Stacks"] == []
    assert make_client("s3", cloud).list_buckets()["Buckets"] == []
