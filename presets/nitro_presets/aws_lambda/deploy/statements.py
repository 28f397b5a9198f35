"""The setting `aws.statements`: what the roles of both functions allow beside what the stack needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from nitro_presets.aws_lambda.deploy.function_environment import ComputedText
from nitro_presets.aws_lambda.deploy.intrinsics import read_nested, write_value
from nitro_py.preset import SettingsTable

_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*?]+|\*")
_EVERYTHING = frozenset({"*", "*:*"})
_NEEDED = ("Action", "Effect", "Resource")


# What a validator raises is the phrase that follows "expected" in the error.
def _check_keys(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError("a table with `Action`, `Effect` and `Resource`")
    missing = [f"`{name}`" for name in _NEEDED if name not in value]
    # A key of another name is told first, for it may be a misspelt one.
    if missing and set(value) <= set(StatementTable.model_fields):
        raise ValueError(f"a statement that has {' and '.join(missing)}, too")
    return value


def _make_list(value: object) -> object:
    if isinstance(value, str | Mapping):
        return [value]
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("a text, or a list with at least one")
    return value


def _check_action(action: str) -> str:
    if _ACTION.fullmatch(action) is None:
        raise ValueError("an action such as `s3:GetObject`, with or without wildcards")
    return action


def _check_resource(resource: str | dict[str, JsonValue]) -> str | dict[str, JsonValue]:
    if isinstance(resource, str) and resource != "*" and not resource.startswith("arn:"):
        raise ValueError('an ARN, what CloudFormation computes one from (`!GetAtt Table.Arn`), or `"*"`')
    return resource


def _check_reach(statement: StatementTable) -> StatementTable:
    if statement.Effect == "Allow" and _EVERYTHING & set(statement.Action):
        raise ValueError("the actions by name, such as `s3:GetObject`, as `*` allows all that the account has")
    return statement


ActionName = Annotated[str, AfterValidator(_check_action)]
ResourceName = Annotated[ComputedText, AfterValidator(_check_resource)]


class StatementTable(SettingsTable):
    """A statement of IAM, as its policies have it."""

    Sid: Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")] | None = Field(default=None, description="Its name.")
    Effect: Literal["Allow", "Deny"] = Field(default="Allow", description="Whether it allows or denies.")
    Action: Annotated[tuple[ActionName, ...], BeforeValidator(_make_list), Field(strict=False)] = Field(
        default=(), description="What it is about, such as `s3:GetObject`.", examples=["s3:GetObject"]
    )
    Resource: Annotated[tuple[ResourceName, ...], BeforeValidator(_make_list), Field(strict=False)] = Field(
        default=(), description="The ARNs that it is about.", examples=["!GetAtt Table.Arn"]
    )
    Condition: Annotated[dict[str, dict[str, JsonValue]], BeforeValidator(read_nested)] = Field(
        default={}, description="When it counts."
    )


Statements = Annotated[
    tuple[Annotated[StatementTable, BeforeValidator(_check_keys), AfterValidator(_check_reach)], ...],
    Field(strict=False),
]


def to_policy(statement: StatementTable) -> dict[str, Any]:
    """Return a statement as IAM has it."""
    return statement.model_dump(exclude_defaults=True) | {"Effect": statement.Effect}


def write_policy(name: str, statements: Iterable[Mapping[str, Any]]) -> str:
    """Write a policy within a role of the template; nothing for no statements."""
    lines = [f"      - {write_value(statement)}\n" for statement in statements]
    if not lines:
        return ""
    head = f'- PolicyName: {name}\n  PolicyDocument:\n    Version: "2012-10-17"\n    Statement:\n'
    return head + "".join(lines)


def describe_reach(statements: Iterable[StatementTable]) -> Iterator[str]:
    """Describe the statements that allow something on every resource."""
    for number, statement in enumerate(statements):
        if statement.Effect == "Allow" and "*" in statement.Resource:
            actions = ", ".join(f"`{action}`" for action in statement.Action)
            yield f"`aws.statements[{number}]` allows {actions} on every resource of the account"
