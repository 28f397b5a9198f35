"""Taking a stack down: what it would lose is shown first, and what stays is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nitro_presets.aws_lambda.deploy.extension import DATA_TYPES
from nitro_presets.aws_lambda.deploy.packages import find_account, find_bucket
from nitro_presets.aws_lambda.deploy.stack import delete_stack, explain_errors, require_stack
from nitro_presets.aws_lambda.deploy.template import PUBLIC_BUCKET, TEMPLATE
from nitro_presets.aws_lambda.deploy.template_nodes import get_items, read_nodes
from nitro_py.errors import NitroError, UsageError

# Resources of the generated template that could hold data. They hold connections, messages on their way and a
# secret that is made anew, and copies of public files: nothing that would be missed without the stack.
EPHEMERAL = frozenset(
    {"DeadLetterQueue", "MessageDeadLetterQueue", "MessageQueue", "OriginSecret", PUBLIC_BUCKET, "Table"}
)
# The most objects that S3 deletes in one call.
_BATCH = 1000
_RETAINED = frozenset({"Retain", "RetainExceptOnCreate"})


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a deployed stack.

    Args:
        name: The logical id in the template.
        kind: The resource type, such as `AWS::DynamoDB::Table`.
        physical_id: The name that the service knows it by.
        retained: Whether the template says that it stays.
    """

    name: str
    kind: str
    physical_id: str
    retained: bool

    @property
    def loses_data(self) -> bool:
        """Whether data of the app goes with it."""
        return self.kind in DATA_TYPES and self.name not in EPHEMERAL and not self.retained

    @property
    def fate(self) -> str:
        """What becomes of it, in words for a table."""
        return "stays" if self.retained else "deleted with its data" if self.loses_data else "deleted"


def destroy(
    stack_name: str,
    *,
    region: str | None = None,
    bucket: str | None = None,
    data: bool = False,
    confirm: Callable[[str], bool],
    report: Callable[[str], None],
    show: Callable[[Sequence[Resource]], None],
) -> tuple[str, ...] | None:
    """Delete a stack and its packages.

    Args:
        stack_name: The stack.
        region: The region; by default boto3's own.
        bucket: The bucket that its packages are in; by default that of the account and region.
        data: Whether resources with data are deleted, too.
        confirm: Called with a question after the resources were shown.
        report: Called with each step, and with each event of a resource.
        show: Shows the resources.

    Returns:
        What is left, a sentence each; `None` if the answer to the question was no.

    Raises:
        UsageError: There is no such stack, it has data, or there are no credentials or region.
        NitroError: AWS refuses a call, or a resource cannot be deleted.
    """
    import boto3  # type: ignore[import-untyped]

    with explain_errors():
        session = boto3.Session(region_name=region or None)
        formation = session.client("cloudformation")
        stack = require_stack(formation, stack_name)
        if str(stack.status).endswith("_IN_PROGRESS"):
            raise NitroError(
                f"The stack `{stack_name}` is being changed: {stack.status}.", hint="Wait until that is over."
            )
        resources = _list_resources(formation, stack_name)
        show(resources)
        losing = [resource for resource in resources if resource.loses_data]
        if losing and not data:
            raise _refuse(losing)
        if not confirm(f"Delete the stack `{stack_name}` and its packages?"):
            return None
        # CloudFormation deletes no bucket that has objects.
        for resource in resources:
            if resource.kind == "AWS::S3::Bucket" and not resource.retained:
                report(f"Emptying the bucket `{resource.physical_id}`")
                _empty(session.client("s3"), resource.physical_id)
        report(f"Deleting the stack `{stack_name}`")
        delete_stack(formation, stack_name, stack, report)
        kept = tuple(f"`{row.name}` ({row.kind}) stays: `{row.physical_id}`." for row in resources if row.retained)
        return (*kept, *_delete_packages(session, stack_name, bucket, report))


def _refuse(losing: Sequence[Resource]) -> UsageError:
    named = ", ".join(f"`{resource.name}` ({resource.kind})" for resource in losing)
    return UsageError(
        f"Data would be lost with {named}.",
        hint="Pass `--data` to delete it, or deploy with `DeletionPolicy: Retain` on what is to stay.",
    )


def _list_resources(formation: Any, stack: str) -> list[Resource]:
    body = formation.get_template(StackName=stack)["TemplateBody"]
    declared: dict[str, str] = {}
    # boto3 reads templates in JSON.
    if isinstance(body, str):
        section = get_items(read_nodes(body, TEMPLATE)).get("Resources", (None, None))[1]
        for name, (_, node) in get_items(section).items():
            policy = get_items(node).get("DeletionPolicy", (None, None))[1]
            declared[name] = "" if policy is None else policy.value
    else:
        declared = {name: row.get("DeletionPolicy", "") for name, row in body["Resources"].items()}
    pages = formation.get_paginator("list_stack_resources").paginate(StackName=stack)
    rows = (row for page in pages for row in page["StackResourceSummaries"])
    return sorted(
        (
            Resource(
                row["LogicalResourceId"],
                row["ResourceType"],
                row.get("PhysicalResourceId", ""),
                declared.get(row["LogicalResourceId"]) in _RETAINED,
            )
            for row in rows
            if row["ResourceStatus"] != "DELETE_COMPLETE"
        ),
        key=lambda resource: resource.name,
    )


def _empty(client: Any, bucket: str) -> None:
    pages = client.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": _BATCH}
    )
    for page in pages:
        objects = [
            {"Key": row["Key"], "VersionId": row["VersionId"]}
            for section in ("Versions", "DeleteMarkers")
            for row in page.get(section, ())
        ]
        if objects:
            done = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for fault in done.get("Errors", ()):
                raise NitroError(
                    f"`{fault['Key']}` in the bucket `{bucket}` cannot be deleted: {fault['Message']}"
                )


def _delete_packages(session: Any, stack: str, bucket: str | None, report: Callable[[str], None]) -> Iterator[str]:
    store = find_bucket(session, bucket, find_account(session))
    if not store.is_there():
        return
    packages = store.list_packages(stack)
    report(f"Deleting the packages in `{store.bucket}`: {len(packages)}")
    store.delete(packages)
    yield f"The bucket `{store.bucket}` stays: other stacks may have packages in it."
