"""What cfn-lint says of a template that the project extends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

_UNKNOWN_PROPERTY = "E3002"
# Where resources are looked up: of all regions this one has the most.
_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that cfn-lint has found.

    Args:
        rule: The rule, such as `E3002`.
        level: How bad it is.
        message: The problem.
        path: The keys to it.
        line: The line in the template.
    """

    rule: str
    level: Literal["error", "warning"]
    message: str
    path: tuple[str | int, ...]
    line: int


def can_lint() -> bool:
    """Return whether cfn-lint is installed."""
    return find_spec("cfnlint") is not None


def lint(template: str) -> list[Finding]:
    """Check a template against what CloudFormation knows; errors come first."""
    from cfnlint.api import ManualArgs  # type: ignore[import-untyped]
    from cfnlint.api import lint as check
    from cfnlint.decode.decode import decode_str  # type: ignore[import-untyped]

    # Decoded once more for the types of the resources, which a finding does not name.
    resources = (decode_str(template)[0] or {}).get("Resources", {})
    findings = [_read_match(match, resources) for match in check(template, config=ManualArgs(regions=[_REGION]))]
    return sorted(findings, key=lambda finding: (finding.level, finding.line))


def _read_match(match: Any, resources: Mapping[str, Any]) -> Finding:
    path = tuple(match.path or ())
    message = str(match.message)
    if match.rule.id == _UNKNOWN_PROPERTY and path[2:3] == ("Properties",):
        choices = _list_properties(str(resources[path[1]]["Type"]), path[3:-1])
        if choices and path[-1] not in choices:
            listed = ", ".join(f"`{name}`" for name in choices)
            message = f"`{path[-1]}` is no property here: expected one of {listed}."
    level: Literal["error", "warning"] = "error" if match.rule.severity == "error" else "warning"
    return Finding(match.rule.id, level, message, path, match.linenumber)


def _list_properties(kind: str, path: tuple[str | int, ...]) -> list[str]:
    """List what can stand at a place in a resource's properties, where its schema says so."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

    root = PROVIDER_SCHEMA_MANAGER.get_resource_schema(_REGION, kind).schema
    schema = root
    for part in path:
        below = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
        reference = str(below.get("$ref", ""))
        schema = root["definitions"].get(reference.rpartition("/")[2], {}) if reference else below
    read_only = {name.rpartition("/")[2] for name in root.get("readOnlyProperties", ())} if not path else set()
    return sorted(set(schema.get("properties", {})) - read_only)
