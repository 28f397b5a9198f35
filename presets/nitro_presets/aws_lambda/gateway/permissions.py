"""What the roles of the stack's template allow, for every call that a function makes of AWS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from nitro_py.errors import NitroError, UsageError

# The functions of the generated template, by logical id.
FUNCTION_IDS = ("HttpFunction", "WebSocketFunction")
# Never matches a value of IAM.
_UNRESOLVED = "(not resolved)"
_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
_BUILD = "Build it: `nitropy build --preset aws-lambda`."


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a call needs.

    Args:
        action: The action, such as `dynamodb:Query`.
        resource: The ARN that the action is for.
    """

    action: str
    resource: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a role's policies, with its intrinsic functions resolved.

    Args:
        allows: Whether it allows; else it denies.
        actions: The actions, with wildcards.
        resources: The resources, with wildcards.
        unresolved: What the gateway cannot resolve, as the template has it.
    """

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    unresolved: tuple[str, ...] = ()

    def covers_action(self, action: str) -> bool:
        """Return whether the statement is about an action."""
        return any(_matches(pattern.lower(), action.lower()) for pattern in self.actions)

    def covers(self, need: Need) -> bool:
        """Return whether the statement is about a call."""
        return self.covers_action(need.action) and any(_matches(one, need.resource) for one in self.resources)


@dataclass(frozen=True, slots=True)
class Role:
    """The role of a function.

    Args:
        name: The role's logical id in the template.
        statements: The statements of its policies.
    """

    name: str
    statements: tuple[Statement, ...]

    def explain_denial(self, needs: Iterable[Need]) -> str | None:
        """Return why the role may not make a call, in IAM's words; `None` if it may."""
        for need in needs:
            about = [statement for statement in self.statements if statement.covers(need)]
            if any(not statement.allows for statement in about):
                reason = "with an explicit deny in an identity-based policy"
            elif not about:
                reason = f"because no identity-based policy allows the {need.action} action"
            else:
                continue
            text = f"{self.name} is not authorized to perform: {need.action} on resource: {need.resource} {reason}"
            unresolved = [
                f"`{name}`"
                for statement in self.statements
                if statement.allows and statement.covers_action(need.action)
                for name in statement.unresolved
            ]
            return f"{text}; not resolved on this machine: {', '.join(unresolved)}" if unresolved else text
        return None


def read_roles(template: Path, names: Mapping[str, str]) -> dict[str, Role]:
    """Read the roles of the functions from a template.

    Args:
        template: The template beside the bundle.
        names: The values of `!Ref NAME` and `!GetAtt NAME.ATTRIBUTE` on this machine.

    Returns:
        The roles, by the function's handler.

    Raises:
        UsageError: There is no template.
        NitroError: It is broken.
    """
    try:
        return dict(_list_roles(read_resources(template), names))
    except (LookupError, TypeError, AttributeError) as error:
        raise _broken(template, error) from None


def read_resources(template: Path) -> dict[str, Any]:
    """Read the resources of a template, with the short forms of intrinsic functions written out.

    Raises:
        UsageError: There is no template.
        NitroError: It is broken.
    """
    try:
        resources: dict[str, Any] = yaml.load(template.read_text(encoding="utf-8"), _Loader)["Resources"]
        return resources
    except FileNotFoundError:
        raise UsageError(
            f"There is no `{template.name}` beside the bundle.", file=str(template), hint=_BUILD
        ) from None
    except (yaml.YAMLError, LookupError, TypeError) as error:
        raise _broken(template, error) from None


def _broken(template: Path, error: Exception) -> NitroError:
    message = f"The template is broken: {type(error).__name__}: {error}"
    return NitroError(message, file=str(template), hint=_BUILD)


def _list_roles(resources: dict[str, Any], names: Mapping[str, str]) -> Iterator[tuple[str, Role]]:
    # A project's own functions do not run here.
    for properties in (resources[id]["Properties"] for id in FUNCTION_IDS if id in resources):
        written = properties["Role"]
        role = written["Fn::GetAtt"][0] if isinstance(written, dict) and "Fn::GetAtt" in written else None
        if role not in resources:
            # A role from elsewhere, of which nothing is known.
            yield properties["Handler"], Role(_describe(written), ())
            continue
        policies = [*resources[role]["Properties"].get("Policies", ())]
        policies += [
            other["Properties"]
            for other in resources.values()
            if other["Type"] == "AWS::IAM::Policy" and {"Ref": role} in other["Properties"].get("Roles", ())
        ]
        statements = tuple(
            _read_statement(statement, names)
            for policy in policies
            for statement in _as_list(policy["PolicyDocument"]["Statement"])
        )
        yield properties["Handler"], Role(role, statements)


def _read_statement(statement: dict[str, Any], names: Mapping[str, str]) -> Statement:
    allows = statement["Effect"] == "Allow"
    actions = tuple(str(action) for action in _as_list(statement.get("Action", ())))
    written = _as_list(statement.get("Resource", ()))
    resources = tuple(_resolve(resource, names) for resource in written)
    unresolved = tuple(
        _describe(resource) for resource, value in zip(written, resources, strict=True) if _UNRESOLVED in value
    )
    inexact = sorted({"Condition", "NotAction", "NotResource"} & statement.keys())
    if inexact:
        # What is not understood must not allow anything, and must deny all that it may be meant to deny.
        actions, resources = (actions or ("*",)), (() if allows else ("*",))
    return Statement(allows, actions, resources, (*unresolved, *inexact))


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def resolve_value(node: Any, names: Mapping[str, str]) -> str | None:
    """Return what a value of the template is on this machine; `None` if that is not known.

    Args:
        node: The value, with intrinsic functions in their long form.
        names: The values of `!Ref NAME` and `!GetAtt NAME.ATTRIBUTE` on this machine.
    """
    value = _resolve(node, names)
    return None if _UNRESOLVED in value else value


def _resolve(node: Any, names: Mapping[str, str]) -> str:
    if isinstance(node, str):
        return node
    ((function, value),) = node.items()
    if function == "Ref":
        return names.get(value, _UNRESOLVED)
    if function == "Fn::GetAtt":
        return names.get(".".join(value), _UNRESOLVED)
    if function == "Fn::Sub":
        text, own = value if isinstance(value, list) else (value, {})
        known = {**names, **{name: _resolve(one, names) for name, one in own.items()}}
        return _VARIABLE.sub(lambda found: known.get(found[1], _UNRESOLVED), text).replace("${!", "${")
    return _UNRESOLVED


def _describe(node: Any) -> str:
    if isinstance(node, str):
        return node
    ((function, value),) = node.items()
    return f"!{function.removeprefix('Fn::')} {'.'.join(value) if function == 'Fn::GetAtt' else value}"


def _matches(pattern: str, value: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """A loader that writes out CloudFormation's short forms, such as `!Ref`."""


def _write_out(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Condition", "Ref") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _write_out)
