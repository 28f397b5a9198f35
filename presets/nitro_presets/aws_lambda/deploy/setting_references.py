"""What settings refer to in the template, such as `!Ref Table` in `aws.environment`."""

from __future__ import annotations

from collections.abc import Iterator

from nitro_presets.aws_lambda.deploy.intrinsics import write_value
from nitro_presets.aws_lambda.deploy.template_nodes import Reference, list_references, read_nodes
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
