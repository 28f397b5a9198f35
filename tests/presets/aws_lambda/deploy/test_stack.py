"""What moto's CloudFormation never does, as botocore's stub: it checks each call's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.stub import ANY, Stubber  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.deploy import stack as module
from nitro_presets.aws_lambda.deploy.stack import ChangeSet, change_set, explain_errors, find_stack
from nitro_py.errors import NitroError, UsageError

START = datetime(2026, 1, 1, tzinfo=UTC)
CHANGED = {"StackName": "chat", "ChangeSetName": ANY}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(module, "POLL", 0.0)


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """Make a client that gives the answers it is told, in that order."""
    client = boto3.client(
        "cloudformation", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()
    client.close()


def describe(status: str, **more: Any) -> dict[str, Any]:
    """Write what `DescribeStacks` answers."""
    row = {"StackId": "id", "StackName": "chat", "CreationTime": START, "StackStatus": status}
    return {"Stacks": [row | more]}


def event(number: int, name: str, status: str, reason: str = "") -> dict[str, Any]:
    """Write an event of a stack."""
    return {
        "StackId": "id",
        "StackName": "chat",
        "EventId": str(number),
        "LogicalResourceId": name,
        "ResourceType": "AWS::Lambda::Function",
        "ResourceStatus": status,
        "Timestamp": START + timedelta(seconds=number),
        **({"ResourceStatusReason": reason} if reason else {}),
    }


def test_unchanged_stack_has_no_changes(stub: Stubber) -> None:
    reason = (
        "The submitted information didn't contain changes. Submit different information to create a change set."
    )
    stub.add_response("create_change_set", {})
    stub.add_response("describe_change_set", {"Status": "CREATE_IN_PROGRESS"}, CHANGED)
    stub.add_response("describe_change_set", {"Status": "FAILED", "StatusReason": reason}, CHANGED)
    stub.add_response("delete_change_set", {}, CHANGED)
    with change_set(stub.client, "chat", "{}", [], new=False) as changes:
        assert changes.rows == ()


def test_changes_that_cannot_be_worked_out_are_an_error(stub: Stubber) -> None:
    stub.add_response("create_change_set", {})
    stub.add_response("describe_change_set", {"Status": "FAILED", "StatusReason": "No such role"}, CHANGED)
    stub.add_response("delete_change_set", {}, CHANGED)
    stub.add_response("describe_stacks", describe("REVIEW_IN_PROGRESS"))
    stub.add_response("delete_stack", {}, {"StackName": "chat"})
    with (
        pytest.raises(NitroError, match="cannot work out the changes: No such role"),
        change_set(stub.client, "chat", "{}", [], new=True),
    ):
        pass


def test_resource_is_told_as_soon_as_it_is_there(stub: Stubber) -> None:
    made = [
        event(1, "PublicBucket", "CREATE_IN_PROGRESS"),
        event(2, "PublicBucket", "CREATE_COMPLETE") | {"PhysicalResourceId": "bucket-1"},
    ]
    stub.add_response("describe_stack_events", {"StackEvents": []})
    stub.add_response("execute_change_set", {})
    stub.add_response("describe_stacks", describe("CREATE_IN_PROGRESS"))
    stub.add_response("describe_stack_events", {"StackEvents": made})
    stub.add_response("describe_stacks", describe("CREATE_COMPLETE"))
    stub.add_response("describe_stack_events", {"StackEvents": [*made, event(3, "Table", "DELETE_COMPLETE")]})
    told: list[tuple[str, str]] = []
    changes = ChangeSet(stub.client, "chat", "name", ())
    changes.apply(lambda line: None, lambda name, identifier: told.append((name, identifier)))
    assert told == [("PublicBucket", "bucket-1")]


def test_failed_stack_names_what_failed_first(stub: Stubber) -> None:
    old = event(0, "chat", "UPDATE_COMPLETE")
    first = event(2, "HttpFunction", "CREATE_FAILED", "The runtime is unknown")
    rest = [
        event(1, "HttpFunction", "CREATE_IN_PROGRESS"),
        event(3, "Table", "CREATE_FAILED", "Resource creation cancelled"),
        event(4, "chat", "ROLLBACK_IN_PROGRESS", "[HttpFunction] failed"),
    ]
    stub.add_response("describe_stack_events", {"StackEvents": [old]})
    stub.add_response("execute_change_set", {}, CHANGED)
    stub.add_response("describe_stacks", describe("CREATE_IN_PROGRESS"))
    stub.add_response("describe_stack_events", {"StackEvents": [rest[0], old]})
    stub.add_response("describe_stacks", describe("ROLLBACK_COMPLETE"))
    # CloudFormation tells the latest first.
    stub.add_response("describe_stack_events", {"StackEvents": [rest[2], rest[1], first, rest[0], old]})
    said: list[str] = []
    with pytest.raises(NitroError) as raised:
        ChangeSet(stub.client, "chat", "name", ()).apply(said.append)
    assert raised.value.message == (
        "The stack `chat` could not be deployed; it is now ROLLBACK_COMPLETE.\n"
        "  `HttpFunction` (AWS::Lambda::Function): The runtime is unknown"
    )
    assert "offers to delete" in str(raised.value.hint)
    assert said == [
        "CREATE_IN_PROGRESS HttpFunction (AWS::Lambda::Function)",
        "CREATE_FAILED HttpFunction (AWS::Lambda::Function)",
        "CREATE_FAILED Table (AWS::Lambda::Function)",
        "ROLLBACK_IN_PROGRESS chat (AWS::Lambda::Function)",
    ]


def test_applied_changes_give_the_outputs(stub: Stubber) -> None:
    outputs = [{"OutputKey": "Url", "OutputValue": "https://d1"}, {"OutputKey": "Table", "OutputValue": "t"}]
    stub.add_response("describe_stack_events", {"StackEvents": []})
    stub.add_response("execute_change_set", {}, CHANGED)
    stub.add_response("describe_stacks", describe("UPDATE_COMPLETE", Outputs=outputs))
    stub.add_response("describe_stack_events", {"StackEvents": [event(1, "chat", "UPDATE_COMPLETE")]})
    after = ChangeSet(stub.client, "chat", "name", ()).apply(lambda line: None)
    assert after.outputs == (("Table", "t"), ("Url", "https://d1"))


def test_stack_that_is_not_there_has_no_status(stub: Stubber) -> None:
    stub.add_client_error("describe_stacks", "ValidationError", "Stack with id chat does not exist", 400)
    assert find_stack(stub.client, "chat").is_new


def test_expired_credentials_are_an_error(stub: Stubber) -> None:
    stub.add_client_error("describe_stacks", "ExpiredToken", "The security token is expired", 403)
    with (
        pytest.raises(NitroError, match="ExpiredToken: The security token is expired") as raised,
        explain_errors(),
    ):
        find_stack(stub.client, "chat")
    assert not isinstance(raised.value, UsageError)
    assert "Sign in" in str(raised.value.hint)
