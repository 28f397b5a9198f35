"""What the project adds to the generated template: a file of its own, and changes of our resources."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from nitro_presets.aws_lambda.deploy.template import TEMPLATE
from nitro_presets.aws_lambda.settings import AwsSettings
from nitro_py.errors import BuildError, suggest_extra
from nitro_py.preset import BuildInput

if TYPE_CHECKING:
    from nitro_presets.aws_lambda.deploy.extension import Extension


class ExtendedTemplate(NamedTuple):
    """A template, and what the user should know of it.

    Args:
        text: YAML.
        notes: The notes, a line each.
    """

    text: str
    notes: tuple[str, ...] = ()


def extend_template(build: BuildInput, template: str) -> ExtendedTemplate:
    """Add what the project has of its own to a template.

    Raises:
        BuildError: It does not fit, or CloudFormation would not take it.
    """
    settings = build.config.table(AwsSettings)
    data = build.files.get(settings.extend)
    if data is None:
        _check_missing(build, settings.extend)
        return ExtendedTemplate(template)
    if find_spec("yaml") is None:
        raise BuildError(
            f"`{settings.extend}` needs `yaml`, which is not installed.",
            file=settings.extend,
            hint=f"Install the extra `aws`: {suggest_extra('aws')}.",
        )
    # What is not used needs no extra.
    from nitro_presets.aws_lambda.deploy.extension import check_references, merge_extension, read_extension

    extension = read_extension(settings.extend, data)
    text = merge_extension(template, extension)
    check_references(text, extension)
    return ExtendedTemplate(text, (*extension.describe_unprotected_data(), *_lint(text, extension)))


def _check_missing(build: BuildInput, file: str) -> None:
    place = build.place("aws.extend")
    # The default need not be there.
    if place.source is not None:
        raise BuildError(f"`aws.extend` names `{file}`, which is not there.", file=place.file, line=place.line)


def _lint(template: str, extension: Extension) -> Iterator[str]:
    from nitro_presets.aws_lambda.deploy.lint import can_lint, lint

    if not can_lint():
        yield f"`{extension.file}` was not checked by cfn-lint, which is not installed: {suggest_extra('aws')}"
        return
    for finding in lint(template):
        line = extension.find_line(finding.path)
        place = (TEMPLATE, finding.line) if line is None else (extension.file, line)
        if finding.level == "error":
            raise BuildError(
                f"`{'.'.join(map(str, finding.path))}`: {finding.message} (cfn-lint {finding.rule})",
                file=place[0],
                line=place[1],
            )
        yield f"{place[0]}:{place[1]}: {finding.message} (cfn-lint {finding.rule})"
