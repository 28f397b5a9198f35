from __future__ import annotations

from pathlib import Path

import pytest

from nitro_presets.aws_lambda.gateway.dynamodb_api import list_needs
from nitro_presets.aws_lambda.gateway.permissions import Need, Role, read_roles
from nitro_py.errors import NitroError, UsageError

PREFIX = "arn:aws:dynamodb:eu-central-1:0:table/"
NAMES = {"AWS::Region": "eu-central-1", "Table": "t", "Table.Arn": f"{PREFIX}t"}
TEMPLATE = """
Resources:
  HttpFunction:
    Type: AWS::Lambda::Function
    Properties:
      Handler: nitro_http.handler
      Role: !GetAtt HttpRole.Arn
  HttpRole:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyName: table
          PolicyDocument:
            Statement:
              - Effect: Allow
                Action: [dynamodb:Get*, "dynamodb:Query"]
                Resource:
                  - !GetAtt Table.Arn
                  - !Sub "${Table.Arn}/index/d?e"
              - Effect: Deny
                Action: dynamodb:GetRecords
                Resource: "*"
              - Effect: Allow
                Action: lambda:InvokeFunction
                Resource: !GetAtt Mystery.Arn
              - Effect: Allow
                Action: sqs:SendMessage
                Resource: "*"
                Condition: {Bool: {"aws:SecureTransport": true}}
  Other:
    Type: AWS::IAM::Policy
    Properties:
      Roles: [!Ref HttpRole]
      PolicyDocument:
        Statement:
          - Effect: Allow
            Action: s3:GetObject
            Resource: !Sub ["arn:${Kind}:${AWS::Region}", {Kind: !Ref Table}]
"""


@pytest.fixture
def role(tmp_path: Path) -> Role:
    """Read the role of the template."""
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE)
    return read_roles(file, NAMES)["nitro_http.handler"]


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:GetItem", f"{PREFIX}t"),
        ("DynamoDB:getitem", f"{PREFIX}t"),
        ("dynamodb:Query", f"{PREFIX}t/index/due"),
        ("s3:GetObject", "arn:t:eu-central-1"),
    ],
)
def test_what_a_policy_allows_may_be_called(role: Role, action: str, resource: str) -> None:
    assert role.explain_denial([Need(action, resource)]) is None


@pytest.mark.parametrize(
    ("action", "resource", "reason"),
    [
        ("dynamodb:PutItem", f"{PREFIX}t", "no identity-based policy allows the dynamodb:PutItem action"),
        (
            "dynamodb:GetItem",
            f"{PREFIX}other",
            "no identity-based policy allows the dynamodb:GetItem action",
        ),
        ("dynamodb:GetRecords", f"{PREFIX}t", "with an explicit deny in an identity-based policy"),
        ("lambda:InvokeFunction", "arn:m", "not resolved on this machine: `!GetAtt Mystery.Arn`"),
        ("sqs:SendMessage", "arn:q", "not resolved on this machine: `Condition`"),
    ],
)
def test_what_no_policy_allows_is_denied_with_a_reason(
    role: Role, action: str, resource: str, reason: str
) -> None:
    denial = role.explain_denial([Need("dynamodb:GetItem", f"{PREFIX}t"), Need(action, resource)])
    assert denial is not None
    assert denial.startswith(f"HttpRole is not authorized to perform: {action} on resource: {resource} ")
    assert denial.endswith(reason)


def test_call_of_dynamodb_needs_each_action_and_table() -> None:
    batch = b'{"RequestItems": {"a": {}, "b": {}}}'
    assert list_needs("BatchGetItem", batch, PREFIX) == [
        Need("dynamodb:BatchGetItem", f"{PREFIX}a"),
        Need("dynamodb:BatchGetItem", f"{PREFIX}b"),
    ]
    parts = b'{"TransactItems": [{"Put": {"TableName": "a"}}, {"ConditionCheck": {"TableName": "b"}}]}'
    assert list_needs("TransactWriteItems", parts, PREFIX) == [
        Need("dynamodb:PutItem", f"{PREFIX}a"),
        Need("dynamodb:ConditionCheck", f"{PREFIX}b"),
    ]


def test_bundle_needs_its_template(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no `template\.yaml` beside the bundle"):
        read_roles(tmp_path / "template.yaml", NAMES)
    (tmp_path / "template.yaml").write_text("Resources: [")
    with pytest.raises(NitroError, match="The template is broken"):
        read_roles(tmp_path / "template.yaml", NAMES)
