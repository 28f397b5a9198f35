"""What the project adds to the generated template: a file of its own, and changes of our resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from nitro_presets.aws_lambda.deploy.template import TEMPLATE
from nitro_presets.aws_lambda.settings import AwsSettings
from nitro_py.errors import BuildError, suggest_extra
from nitro_py.preset import BuildInput, Place

if TYPE_CHECKING:
    from nitro_presets.aws_lambda.deploy.template_nodes import Reference

# Finds where a part of the template comes from.
Finder = Callable[[Sequence[str | int]], Place | None]


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
        if not settings.overrides:
            _check_settings(build, template)
            return ExtendedTemplate(template)
    what = "aws.overrides" if data is None else settings.extend
    if find_spec("yaml") is None:
        raise BuildError(
            f"`{what}` needs `yaml`, which is not installed.",
            file=None if data is None else what,
            hint=f"Install the extra `aws`: {suggest_extra('aws')}.",
        )
    # What is not used needs no extra.
    from nitro_presets.aws_lambda.deploy.extension import merge_extension, read_extension
    from nitro_presets.aws_lambda.deploy.overrides import Overrides
    from nitro_presets.aws_lambda.deploy.setting_references import list_setting_references

    extension = read_extension(settings.extend, data or b"")
    overrides = Overrides(settings.overrides, build.place)
    text = merge_extension(overrides.apply(template), extension)
    references = (*list_setting_references(build), *overrides.list_references(), *extension.list_references())
    _check_references(text, references)
    _check_circle(text, references)
    notes = (
        *extension.describe_open_parameters(),
        *extension.describe_unprotected_data(),
        *_lint(text, [extension.find, overrides.find], what),
    )
    return ExtendedTemplate(text, notes)


def _check_missing(build: BuildInput, file: str) -> None:
    place = build.place("aws.extend")
    # The default need not be there.
    if place.source is not None:
        raise BuildError(f"`aws.extend` names `{file}`, which is not there.", file=place.file, line=place.line)


def _check_settings(build: BuildInput, template: str) -> None:
    # CloudFormation finds it too, but later.
    if find_spec("yaml") is None:
        return
    from nitro_presets.aws_lambda.deploy.setting_references import list_setting_references

    references = list(list_setting_references(build))
    if references:
        _check_references(template, references)
        _check_circle(template, references)


def _check_references(template: str, references: Iterable[tuple[Reference, Place]]) -> None:
    from nitro_presets.aws_lambda.deploy.extension import explain_undefined
    from nitro_presets.aws_lambda.deploy.template_nodes import read_nodes

    root = read_nodes(template, TEMPLATE)
    for reference, place in references:
        explained = explain_undefined(reference, root)
        if explained is not None:
            raise BuildError(explained[0], file=place.file, line=place.line, hint=explained[1])


def _check_circle(template: str, references: Iterable[tuple[Reference, Place]]) -> None:
    from nitro_presets.aws_lambda.deploy.setting_references import find_circle
    from nitro_presets.aws_lambda.deploy.template_nodes import read_nodes

    circle = find_circle(read_nodes(template, TEMPLATE))
    if circle is None:
        return
    place = next((place for reference, place in references if reference.name in circle), Place(TEMPLATE))
    way = ", which needs ".join(f"`{name}`" for name in circle)
    raise BuildError(
        f"CloudFormation can make none of these resources first: {way}.",
        file=place.file,
        line=place.line,
        hint="Name the resource by other means, such as its ARN with `*` for what CloudFormation adds.",
    )


def _lint(template: str, finders: Sequence[Finder], what: str) -> Iterator[str]:
    from nitro_presets.aws_lambda.deploy.lint import can_lint, lint

    if not can_lint():
        yield f"`{what}` was not checked by cfn-lint, which is not installed: {suggest_extra('aws')}"
        return
    for finding in lint(template):
        found = (find(finding.path) for find in finders)
        place = next((place for place in found if place is not None), Place(TEMPLATE, finding.line))
        if finding.level == "error":
            message = f"`{'.'.join(map(str, finding.path))}`: {finding.message} (cfn-lint {finding.rule})"
            raise BuildError(message, file=place.file, line=place.line)
        yield f"{place.file}:{place.line}: {finding.message} (cfn-lint {finding.rule})"
