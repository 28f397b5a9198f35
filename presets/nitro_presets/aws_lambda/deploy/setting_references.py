"""What settings refer to in the template, such as `!Ref Table` in `aws.environment`."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from nitro_presets.aws_lambda.deploy.intrinsics import write_value
from nitro_presets.aws_lambda.deploy.secret_references import find_resource
from nitro_presets.aws_lambda.deploy.statements import to_policy
from nitro_presets.aws_lambda.deploy.template_nodes import (
    Reference,
    get_items,
    list_attribute_references,
    list_references,
    read_nodes,
)
from nitro_presets.aws_lambda.settings import AwsSettings
from nitro_py.preset import BuildInput, Place


def list_setting_references(build: BuildInput) -> Iterator[tuple[Reference, Place]]:
    """List the names in settings that the template must define, and where they stand."""
    for key, value in list_computed(build.config.table(AwsSettings)):
        for reference in list_references(read_nodes(write_value(value), key)):
            yield reference, build.place(key)


def list_computed(settings: AwsSettings) -> Iterator[tuple[str, object]]:
    """List the values of settings that CloudFormation computes, with their keys."""
    for name, value in settings.environment.items():
        if not isinstance(value, str):
            yield f"aws.environment.{name}", value
    for name, reference in settings.secrets.items():
        resource = find_resource(reference)
        if resource is not None:
            yield f"aws.secrets.{name}", {"Ref": resource}
    for name in ("subnets", "security_groups"):
        for number, value in enumerate(getattr(settings.vpc, name)):
            if not isinstance(value, str):
                yield f"aws.vpc.{name}.{number}", value
    for number, statement in enumerate(settings.statements):
        yield f"aws.statements.{number}", to_policy(statement)


def find_circle(root: Any) -> list[str] | None:
    """Return resources of a template that need each other, from one back to itself; `None` if there are none."""
    resources = get_items(get_items(root)["Resources"][1])
    needs = {
        name: {
            reference.name
            for reference in (*list_references(body), *list_attribute_references(body))
            if reference.name in resources
        }
        for name, (_, body) in resources.items()
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        # Each is needed by the next.
        circle: list[str] = error.args[1][::-1]
        return circle
    return None
