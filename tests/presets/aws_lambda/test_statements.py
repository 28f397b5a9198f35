"""The setting `aws.statements`: what it takes, what the roles say, and what the preview makes of it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from nitro_presets.aws_lambda.gateway.permissions import Need, read_roles
from nitro_py.build.config.load import load_config
from nitro_py.errors import BuildError, ConfigError
from tests.bundles import build_project, plan_project, write_files
from tests.presets.aws_lambda.deploy.stacks import read_template
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

APP = {
    "infra/aws.yaml": """
        Resources:
          Orders:
            Type: AWS::SQS::Queue
            DeletionPolicy: Delete
            UpdateReplacePolicy: Delete
        """,
    "handlers/peers.get.py": """
        from nitro_py import Event, define_handler, peers

        @define_handler
        async def handler(event: Event) -> list[str]:
            return [peer.id async for peer in peers("/echo")]
        """,
    "handlers/echo.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            await peer.send(message.text())

        handler = define_websocket_handler(message=message)
        """,
}
HEAD = 'preset = "aws-lambda"\nexperimental.websocket = true\n'
SEND = """
[[aws.statements]]
Effect = "Allow"
Action = "sqs:SendMessage"
Resource = "!GetAtt Orders.Arn"
"""
CONDITION = """
[[aws.statements]]
Sid = "Mail"
Effect = "Allow"
Action = ["ses:SendEmail", "ses:SendRaw*"]
Resource = "*"
Condition = { StringEquals = { "ses:FromAddress" = "!Sub me@${AWS::Region}.example.com" } }
"""
DENY = """
[[aws.statements]]
Effect = "Deny"
Action = "dynamodb:Query"
Resource = "!GetAtt Table.Arn"
[[aws.statements]]
Effect = "Deny"
Action = "dynamodb:*"
Resource = ["!Sub ${Table.Arn}/index/*"]
"""
ORDERS = "arn:aws:sqs:eu-central-1:000000000000:orders"


def test_both_roles_have_the_statements(tmp_path: Path) -> None:
    plan = plan_project(write_files(tmp_path, {**APP, "nitro.toml": f"{HEAD}{SEND}{CONDITION}"}))
    text = plan.bundle.files["template.yaml"]
    resources = read_template(text.decode())["Resources"]
    for role in ("HttpRole", "WebSocketRole"):
        (policy,) = [one for one in resources[role]["Properties"]["Policies"] if one["PolicyName"] == "app"]
        assert policy["PolicyDocument"]["Statement"] == [
            {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [{"Fn::GetAtt": ["Orders", "Arn"]}]},
            {
                "Sid": "Mail",
                "Effect": "Allow",
                "Action": ["ses:SendEmail", "ses:SendRaw*"],
                "Resource": ["*"],
                "Condition": {
                    "StringEquals": {"ses:FromAddress": {"Fn::Sub": "me@${AWS::Region}.example.com"}},
                },
            },
        ]
    told = [note for note in plan.bundle.notes if "every resource" in note]
    assert told == ["`aws.statements[1]` allows `ses:SendEmail`, `ses:SendRaw*` on every resource of the account"]
    file = tmp_path / "template.yaml"
    file.write_bytes(text)
    allowed = read_roles(file, {"Orders.Arn": ORDERS})["nitro_http.handler"]
    assert allowed.explain_denial([Need("sqs:SendMessage", ORDERS)]) is None
    assert allowed.explain_denial([Need("sqs:SendMessage", f"{ORDERS}-2")]) is not None
    # The preview cannot check a condition, and says so.
    assert "not resolved on this machine: `Condition`" in (
        allowed.explain_denial([Need("ses:SendEmail", "arn:aws:ses:eu-central-1:000000000000:identity/x")]) or ""
    )


def test_preview_evaluates_the_statements(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = build_project(write_files(tmp_path, {**APP, "nitro.toml": f"{HEAD}{DENY}"}))
    with run_gateway(output, environment={}) as url:
        assert httpx.get(f"{url}/peers", timeout=60).status_code == 500
    denials = [record.message for record in caplog.records if record.message.startswith("[iam] ")]
    assert "HttpRole is not authorized to perform: dynamodb:Query" in denials[0]
    assert denials[0].endswith("with an explicit deny in an identity-based policy")


@pytest.mark.parametrize(
    ("lines", "line", "expected"),
    [
        (('Effect = "Allow"', 'Action = "*"', 'Resource = "*"'), 3, "`*` allows all that the account has"),
        (('Effect = "Allow"', 'Action = ["s3:GetObject", "*:*"]', 'Resource = "*"'), 5, "expected an action"),
        (('Effect = "allow"', 'Action = "s3:GetObject"', 'Resource = "*"'), 4, '`"Allow"`, `"Deny"`'),
        (('Effect = "Allow"', 'Action = "GetObject"', 'Resource = "*"'), 5, "expected an action such as"),
        (('Effect = "Allow"', 'Action = "s3:GetObject"', 'Resource = "bucket"'), 6, "expected an ARN"),
        (('Effect = "Allow"', 'Action = "s3:GetObject"', "Resource = []"), 6, "a list with at least one"),
        (('Effect = "Allow"', 'Action = "s3:GetObject"'), 3, "a statement that has `Resource`, too"),
        (('Effect = "Allow"', 'Actions = "s3:GetObject"', 'Resource = "*"'), 5, "Unknown key"),
        (
            ('Effect = "Allow"', 'Action = "s3:GetObject"', 'Resource = "!Get Table"'),
            6,
            "one of `!GetAtt",
        ),
    ],
)
def test_what_is_no_statement_is_refused(tmp_path: Path, lines: tuple[str, ...], line: int, expected: str) -> None:
    text = "\n".join(("[[aws.statements]]", *lines))
    write_files(tmp_path, {"nitro.toml": f"{HEAD}{text}\n"})
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, mode="production", overrides={}, environ={})
    assert (caught.value.file, caught.value.line) == ("nitro.toml", line), str(caught.value)
    assert expected in caught.value.message


def test_resource_that_no_template_defines_is_refused(tmp_path: Path) -> None:
    settings = HEAD + SEND.replace("Orders", "Order")
    with pytest.raises(BuildError, match="`Order`") as caught:
        plan_project(write_files(tmp_path, {**APP, "nitro.toml": settings}))
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 4)


def test_function_in_its_own_role_is_a_circle(tmp_path: Path) -> None:
    settings = HEAD + SEND.replace("sqs:SendMessage", "lambda:InvokeFunction").replace("Orders", "HttpFunction")
    with pytest.raises(BuildError, match=r"can make none of these resources first: .*`HttpFunction`") as caught:
        plan_project(write_files(tmp_path, {**APP, "nitro.toml": settings}))
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 4)
