"""The deployment of a bundle with boto3: it shows the changes, uploads the package, and applies them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nitro_presets.aws_lambda.deploy.domain import check_region
from nitro_presets.aws_lambda.deploy.packages import PackageBucket, find_account, find_bucket, name_package
from nitro_presets.aws_lambda.deploy.stack import (
    Change,
    Stack,
    change_set,
    delete_stack,
    explain_errors,
    find_resource,
    find_stack,
)
from nitro_presets.aws_lambda.deploy.template import (
    ARCHIVE,
    PUBLIC_BUCKET,
    STAGE_PARAMETERS,
    STAGE_VARIABLE,
    TEMPLATE,
)
from nitro_presets.aws_lambda.deploy.upload import UploadPlan, delete_bucket, read_uploads
from nitro_py.errors import NitroError, UsageError

_CODE = re.compile(rf"^( +Code:) {re.escape(ARCHIVE)}$", re.MULTILINE)
_SHARDS = re.compile(r'^  TopicShards:\n    Description: .*\n    Value: "(\d+)"$', re.MULTILINE)
_LOGGING = "ApiGatewayLogging"
# The packages of a stack that stay in the bucket: the one in use, and some to go back to.
KEPT_PACKAGES = 5


@dataclass(frozen=True, slots=True)
class DeployResult:
    """The result of a deployment.

    Args:
        stack: The stack's name.
        applied: Whether the changes were applied.
        changes: The changes.
        outputs: The stack's outputs by name; empty if it is not deployed.
    """

    stack: str
    applied: bool
    changes: tuple[Change, ...]
    outputs: dict[str, str]


def deploy(
    output: Path,
    *,
    stack_name: str,
    region: str | None = None,
    bucket: str | None = None,
    tags: Mapping[str, str] = MappingProxyType({}),
    parameters: Mapping[str, str] = MappingProxyType({}),
    dry_run: bool = False,
    confirm: Callable[[str], bool],
    report: Callable[[str], None],
    show: Callable[[Sequence[Change]], None],
) -> DeployResult:
    """Deploy a bundle.

    Args:
        output: The folder that the build wrote.
        stack_name: The stack to create or to update.
        region: The region; by default boto3's own.
        bucket: A bucket for the package, in the same region; by default one for the account and region.
        tags: Tags of the stack.
        parameters: Values of the template's parameters: those that the stage sets.
        dry_run: Whether to stop once the changes are shown; nothing is uploaded, and the change set is deleted.
        confirm: Called with a question: after the changes were shown, and before a failed stack is deleted.
        report: Called with each step, and with each event of a resource.
        show: Shows the changes.

    Returns:
        The result.

    Raises:
        UsageError: There is no bundle, no credentials, no region or no such bucket.
        NitroError: AWS refuses a call, or the stack cannot be deployed.

    Example:
        deploy(Path(".output"), stack_name="chat", confirm=lambda question: True, report=print, show=print)
    """
    import boto3  # type: ignore[import-untyped]

    package, template = _read_bundle(output)
    with explain_errors():
        session = boto3.Session(region_name=region or None)
        formation = session.client("cloudformation")
        account = find_account(session)
        store = find_bucket(session, bucket, account)
        key = name_package(stack_name, package)
        place = json.dumps({"S3Bucket": store.bucket, "S3Key": key})
        # A function, because backslashes in a name would be escapes in a replacement.
        text = _CODE.sub(lambda found: f"{found[1]} {place}", template)
        before = find_stack(formation, stack_name)
        if before.status == "ROLLBACK_COMPLETE" and not dry_run:
            # Its first deployment has failed: there is nothing in it, and CloudFormation updates it no more.
            if not confirm(f"The stack `{stack_name}` failed when it was made. Delete what is left of it?"):
                return DeployResult(stack_name, False, (), {})
            delete_stack(formation, stack_name, before, report)
            before = Stack(None)
        _check_status(stack_name, before)
        check_region(template, str(formation.meta.region_name))
        check_shards(before, template)
        report("Working out the changes")
        chosen = _choose_parameters(session, formation, text, before, parameters)
        public = read_uploads(output, store.client, account)
        held = None if before.is_new else find_resource(formation, stack_name, PUBLIC_BUCKET)
        files = UploadPlan() if public is None else public.plan(held)
        uploaded = False

        def upload(name: str, identifier: str | None) -> None:
            nonlocal uploaded
            if public is None or name != PUBLIC_BUCKET or identifier is None or uploaded:
                return
            if files.uploads:
                report(f"Uploading {len(files.uploads)} public files to `{identifier}`")
            public.upload(identifier, files)
            uploaded = True

        with change_set(formation, stack_name, text, chosen, new=before.is_new, tags=tags) as changes:
            rows = (*changes.rows, *files.rows)
            show(rows)
            if dry_run or not rows or not confirm("Apply these changes?"):
                return DeployResult(stack_name, False, rows, dict(before.outputs))
            upload(PUBLIC_BUCKET, held)
            after = before
            if changes.rows:
                report(f"Uploading the package to `{store.bucket}`")
                store.upload(key, package, create=bucket is None)
                report("Applying the changes")
                # A new bucket gets its files as soon as it is there.
                after = changes.apply(report, upload)
            if public is not None and not uploaded:
                upload(PUBLIC_BUCKET, find_resource(formation, stack_name, PUBLIC_BUCKET))
            if held is not None and public is not None:
                public.tidy(held, files)
            elif held is not None:
                report(f"Deleting the bucket `{held}`")
                delete_bucket(store.client, held, account)
        if changes.rows:
            _prune(store, stack_name, key, report)
    return DeployResult(stack_name, True, rows, dict(after.outputs))


def _prune(store: PackageBucket, stack: str, current: str, report: Callable[[str], None]) -> None:
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]

    try:
        # Times of S3 are whole seconds, so the package in use is not always the first.
        others = [key for key in store.list_packages(stack) if key != current]
        old = others[KEPT_PACKAGES - 1 :]
        if old:
            report(f"Deleting old packages in `{store.bucket}`: {len(old)}; the last {KEPT_PACKAGES} stay")
            store.delete(old)
    except ClientError as error:
        # The deployment itself is done.
        report(f"Old packages in `{store.bucket}` stay: {error.response['Error']['Message']}")


def _read_bundle(output: Path) -> tuple[bytes, str]:
    try:
        package = (output / ARCHIVE).read_bytes()
        template = (output / TEMPLATE).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(
            f"`{output}` holds no bundle for AWS: `{Path(error.filename).name}` is missing.",
            hint="Run `nitropy build --preset aws-lambda` first.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        hint = "Run `nitropy build --preset aws-lambda` again."
        raise UsageError(f"The bundle in `{output}` cannot be read: {error}.", hint=hint) from error
    return package, template


def _check_status(name: str, stack: Stack) -> None:
    if stack.is_new:
        return
    status = str(stack.status)
    if status.endswith("_IN_PROGRESS"):
        raise NitroError(
            f"The stack `{name}` is being changed already: {status}.", hint="Wait until that is over."
        )
    if status in ("CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        hint = f"Delete it first: `nitropy destroy --stack {name}`."
        if status == "ROLLBACK_COMPLETE":
            hint = "Deploy without `--dry-run`, which offers to delete it first."
        raise NitroError(f"The stack `{name}` cannot be updated: {status}.", hint=hint)


def check_shards(stack: Stack, template: str) -> None:
    """Refuse to lower `aws.shards`: publications would not reach the subscribers in the parts left out."""
    found = _SHARDS.search(template)
    before = int(dict(stack.outputs).get("TopicShards", "1"))
    if found is None or int(found[1]) >= before:
        return
    raise UsageError(
        f"`aws.shards` is {found[1]}, and the stack has {before}: subscribers in the others would get nothing.",
        hint=f"Set it to {before} or more, or deploy to another stack.",
    )


def _choose_parameters(
    session: Any, formation: Any, template: str, stack: Stack, given: Mapping[str, str]
) -> list[dict[str, Any]]:
    declared = formation.get_template_summary(TemplateBody=template).get("Parameters", ())
    names = [str(row["ParameterKey"]) for row in declared]
    # An app without HTTP, for example, has no memory of an HTTP function.
    known = {setting for name, setting in STAGE_PARAMETERS.values() if name in names}
    for name, setting in STAGE_PARAMETERS.values():
        if name in given and setting not in known:
            raise UsageError(
                f"The stage sets `{setting}`, for which the bundle's template has no parameter.",
                hint="Build again, or leave it out if the app has nothing that it could be for.",
            )
    for name in given:
        if name.startswith(STAGE_VARIABLE) and name not in names:
            raise UsageError(
                f"The stage sets a variable for which the bundle's template has no parameter: `{name}`.",
                hint="Build again.",
            )
    # What the stage does not set any more has the template's default again, not its previous value.
    own = {name for name, _ in STAGE_PARAMETERS.values()}
    own |= {name for name in names if name.startswith(STAGE_VARIABLE)}
    defaults = {row["ParameterKey"]: row["DefaultValue"] for row in declared if row["ParameterKey"] in own}
    given = defaults | {name: value for name, value in given.items() if name in names}
    kept = [name for name in names if not stack.is_new and name in stack.parameters and name not in given]
    chosen: list[dict[str, Any]] = [{"ParameterKey": name, "UsePreviousValue": True} for name in kept]
    chosen += [{"ParameterKey": name, "ParameterValue": value} for name, value in sorted(given.items())]
    if _LOGGING in names and _LOGGING not in kept:
        # The region's setting is shared: one that is there already stays as it is.
        role = session.client("apigateway").get_account().get("cloudwatchRoleArn")
        chosen.append({"ParameterKey": _LOGGING, "ParameterValue": "false" if role else "true"})
    return chosen
