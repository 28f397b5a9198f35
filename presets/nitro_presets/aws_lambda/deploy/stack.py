"""Changes of a CloudFormation stack: making a change set, applying it, and reporting its progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from nitro_py.errors import NitroError, UsageError

# Seconds between two calls that ask for the status.
POLL = 2.0
_SHOWN_FAILURES = 3
# In the status reason of resources that fail only because another one has failed.
_CONSEQUENCE = "cancelled"
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")
_NO_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_SIGN_IN = "Sign in, for example with `aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one resource.

    Args:
        action: `Add`, `Modify`, `Remove`, `Import` or `Dynamic`.
        name: The logical id in the template.
        kind: The resource type, such as `AWS::Lambda::Function`.
        replacement: `True`, `False` or `Conditional` for `Modify`, else empty.
    """

    action: str
    name: str
    kind: str
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack.

    Args:
        status: The stack status, or `None` if there is no stack.
        parameters: The names of its parameters.
        outputs: Its outputs: names and values.
        id: Its id, by which it is found after it was deleted.
    """

    status: str | None
    parameters: frozenset[str] = frozenset()
    outputs: tuple[tuple[str, str], ...] = ()
    id: str = ""

    @property
    def is_new(self) -> bool:
        """Whether nothing has been deployed under the name yet."""
        return self.status is None or self.status == "REVIEW_IN_PROGRESS"


@contextmanager
def explain_errors() -> Iterator[None]:
    """Raise errors of boto3 as errors with a hint."""
    from botocore import exceptions  # type: ignore[import-untyped]

    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise UsageError("There are no AWS credentials.", hint=_SIGN_IN) from error
    except exceptions.NoRegionError as error:
        raise UsageError("There is no AWS region.", hint="Pass `--region`, or set AWS_DEFAULT_REGION.") from error
    except (
        exceptions.InvalidRegionError,
        exceptions.ParamValidationError,
        exceptions.ProfileNotFound,
    ) as error:
        raise UsageError(
            f"AWS cannot be asked: {str(error).rstrip('.')}.",
            hint="Correct `--region`, `--stack`, `--bucket` or AWS_PROFILE.",
        ) from error
    except exceptions.ClientError as error:
        detail = error.response["Error"]
        hint = _SIGN_IN if detail["Code"] in _NO_CREDENTIALS else None
        raise NitroError(
            f"AWS refuses `{error.operation_name}`: {detail['Code']}: {detail['Message']}", hint=hint
        ) from error
    except exceptions.BotoCoreError as error:
        raise NitroError(f"AWS cannot be reached: {error}") from error


def find_stack(client: Any, name: str) -> Stack:
    """Return the stack with a name.

    Args:
        client: boto3's client of CloudFormation.
        name: The stack's name.

    Returns:
        The stack, without a status if there is none.
    """
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]

    try:
        found = client.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return Stack(None)
        raise
    parameters = frozenset(row["ParameterKey"] for row in found.get("Parameters", ()))
    outputs = tuple((row["OutputKey"], row["OutputValue"]) for row in found.get("Outputs", ()))
    return Stack(found["StackStatus"], parameters, tuple(sorted(outputs)), found["StackId"])


def require_stack(client: Any, name: str) -> Stack:
    """Return the stack with a name.

    Args:
        client: boto3's client of CloudFormation.
        name: The stack's name.

    Raises:
        UsageError: There is none.
    """
    found = find_stack(client, name)
    if found.is_new:
        raise UsageError(
            f"There is no stack `{name}` in `{client.meta.region_name}`.",
            hint="Deploy it first, or name another by `--stack` and `--region`.",
        )
    return found


def delete_stack(client: Any, name: str, stack: Stack, report: Callable[[str], None]) -> None:
    """Delete a stack and wait until CloudFormation has finished.

    Args:
        client: boto3's client of CloudFormation.
        name: The stack's name.
        stack: The stack.
        report: Called with each event of a resource.

    Raises:
        NitroError: A resource cannot be deleted.
    """
    seen = {event["EventId"] for event in _list_events(client, stack.id)}
    client.delete_stack(StackName=name)
    found, happened = _wait(client, stack.id, seen, report)
    if found.status not in (None, "DELETE_COMPLETE"):
        raise _explain_failure(f"The stack `{name}` could not be deleted", found, happened)


def find_resource(client: Any, stack: str, name: str) -> str | None:
    """Return the physical id of a stack's resource; `None` if the stack has none of this name."""
    for page in client.get_paginator("list_stack_resources").paginate(StackName=stack):
        for row in page["StackResourceSummaries"]:
            if row["LogicalResourceId"] == name:
                return row.get("PhysicalResourceId") or None
    return None


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A change set that is not applied.

    Args:
        client: boto3's client of CloudFormation.
        stack: The stack's name.
        name: The change set's name.
        rows: The changes; none if the stack is as in the template.
    """

    client: Any
    stack: str
    name: str
    rows: tuple[Change, ...]

    def apply(
        self, report: Callable[[str], None], made: Callable[[str, str], None] = lambda name, identifier: None
    ) -> Stack:
        """Apply the changes and wait until CloudFormation has finished.

        Args:
            report: Called with each event of a resource.
            made: Called with the logical and the physical id of each resource that was created, at once.

        Returns:
            The stack as it is now.

        Raises:
            NitroError: The stack failed; the message names the resources that failed first.
        """
        seen = {event["EventId"] for event in _list_events(self.client, self.stack)}
        self.client.execute_change_set(StackName=self.stack, ChangeSetName=self.name)
        found, happened = _wait(self.client, self.stack, seen, report, made)
        if found.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return found
        hint = None
        if found.status == "ROLLBACK_COMPLETE":
            hint = "The next `nitropy deploy` offers to delete what is left of it."
        raise _explain_failure(f"The stack `{self.stack}` could not be deployed", found, happened, hint)


@contextmanager
def change_set(
    client: Any,
    stack: str,
    template: str,
    parameters: Sequence[dict[str, Any]],
    *,
    new: bool,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[ChangeSet]:
    """Make a change set, which is deleted at the end of the block if it is not applied.

    Args:
        client: boto3's client of CloudFormation.
        stack: The stack's name.
        template: The template's text, at most 51,200 bytes.
        parameters: As `CreateChangeSet` takes them.
        new: Whether there is no stack yet; the empty stack of the change set is deleted too.
        tags: Tags of the stack, in place of those that it has; without any these stay.

    Raises:
        NitroError: CloudFormation refuses the template.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    name = f"nitro-{uuid4().hex}"
    try:
        client.create_change_set(
            StackName=stack,
            ChangeSetName=name,
            ChangeSetType="CREATE" if new else "UPDATE",
            TemplateBody=template,
            Parameters=list(parameters),
            # Roles of the project may have names.
            Capabilities=["CAPABILITY_NAMED_IAM"],
            **({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]} if tags else {}),
        )
    except ClientError as error:
        if not any(text in error.response["Error"]["Message"] for text in _UNCHANGED):
            raise
        yield ChangeSet(client, stack, name, ())
        return
    try:
        yield ChangeSet(client, stack, name, _read_changes(client, stack, name))
    finally:
        # An applied one is gone already. If it cannot be deleted, that must not hide another error.
        with suppress(BotoCoreError, ClientError):
            client.delete_change_set(StackName=stack, ChangeSetName=name)
            if new and find_stack(client, stack).status == "REVIEW_IN_PROGRESS":
                client.delete_stack(StackName=stack)


def _read_changes(client: Any, stack: str, name: str) -> tuple[Change, ...]:
    while (made := client.describe_change_set(StackName=stack, ChangeSetName=name))["Status"] != "CREATE_COMPLETE":
        if made["Status"] == "FAILED":
            reason = str(made.get("StatusReason", "no reason given"))
            if any(text in reason for text in _UNCHANGED):
                return ()
            raise NitroError(f"CloudFormation cannot work out the changes: {reason}")
        time.sleep(POLL)
    pages = client.get_paginator("describe_change_set").paginate(StackName=stack, ChangeSetName=name)
    return tuple(_read_change(row["ResourceChange"]) for page in pages for row in page["Changes"])


def _wait(
    client: Any,
    stack: str,
    seen: set[str],
    report: Callable[[str], None],
    made: Callable[[str, str], None] = lambda name, identifier: None,
) -> tuple[Stack, list[dict[str, Any]]]:
    """Wait until a stack does not change any more, and return it with its events that were not seen before."""
    happened: list[dict[str, Any]] = []
    while True:
        # Read before the events, so that the last events are included.
        found = find_stack(client, stack)
        for event in _list_events(client, stack):
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                happened.append(event)
                report(f"{event['ResourceStatus']} {event['LogicalResourceId']} ({event['ResourceType']})")
                if event["ResourceStatus"] == "CREATE_COMPLETE":
                    made(event["LogicalResourceId"], event.get("PhysicalResourceId", ""))
        if found.status is None or not found.status.endswith("_IN_PROGRESS"):
            return found, happened
        time.sleep(POLL)


def _list_events(client: Any, stack: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("describe_stack_events").paginate(StackName=stack)
    events = [event for page in pages for event in page["StackEvents"]]
    return sorted(events, key=_find_time)


def _find_time(event: dict[str, Any]) -> datetime:
    when: datetime = event["Timestamp"]
    return when


def _explain_failure(
    what: str, found: Stack, happened: Sequence[dict[str, Any]], hint: str | None = None
) -> NitroError:
    failures = [
        f"`{event['LogicalResourceId']}` ({event['ResourceType']}): {event['ResourceStatusReason']}"
        for event in happened
        if event["ResourceStatus"].endswith("_FAILED")
        and event.get("ResourceStatusReason")
        and _CONSEQUENCE not in event["ResourceStatusReason"]
    ]
    lines = [f"{what}; it is now {found.status}.", *failures[:_SHOWN_FAILURES]]
    return NitroError("\n  ".join(lines), hint=hint)


def _read_change(row: dict[str, Any]) -> Change:
    return Change(row["Action"], row["LogicalResourceId"], row["ResourceType"], row.get("Replacement", ""))
