"""The project's own part of the stack: the file of `aws.extend`, and what it adds to the template."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from nitro_presets.aws_lambda.deploy.template import TEMPLATE
from nitro_presets.aws_lambda.deploy.template_nodes import (
    NameKind,
    Reference,
    find_line,
    get_items,
    list_attribute_references,
    list_references,
    read_nodes,
    write_nodes,
)
from nitro_py.errors import BuildError
from nitro_py.preset import Place, join_parts

SECTIONS = ("Conditions", "Mappings", "Outputs", "Parameters", "Resources")
# What else a template may have at its top: nitropy-kit writes it, or a macro would have to run first.
_NOT_OURS = {
    "AWSTemplateFormatVersion": "Leave it out: the generated template has it.",
    "Description": "Leave it out: the generated template has it.",
    "Transform": "Write resources of plain CloudFormation: `nitropy deploy` runs no macros, nor does the preview.",
}
_LOGICAL_ID = re.compile(r"[A-Za-z0-9]{1,255}")
# Sections whose names may not meet each other.
_SHARED = ("Parameters", "Resources")
_PSEUDO_PARAMETERS = (
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
)
# What of these goes with its resource, unless the template says otherwise.
DATA_TYPES = frozenset(
    {
        "AWS::Cognito::UserPool",
        "AWS::DocDB::DBCluster",
        "AWS::DynamoDB::GlobalTable",
        "AWS::DynamoDB::Table",
        "AWS::EFS::FileSystem",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::KMS::Key",
        "AWS::Kinesis::Stream",
        "AWS::Neptune::DBCluster",
        "AWS::OpenSearchService::Domain",
        "AWS::RDS::DBCluster",
        "AWS::RDS::DBInstance",
        "AWS::S3::Bucket",
        "AWS::SQS::Queue",
        "AWS::SecretsManager::Secret",
    }
)
_KEPT = ("DeletionPolicy", "UpdateReplacePolicy")
_WHAT: dict[NameKind, tuple[tuple[str, ...], str]] = {
    "condition": (("Conditions",), "condition"),
    "mapping": (("Mappings",), "mapping"),
    "resource": (("Resources",), "resource"),
    "value": (_SHARED, "resource or parameter"),
}


@dataclass(frozen=True, slots=True)
class Extension:
    """The file that extends the stack.

    Args:
        file: Its path in the project.
        root: Its nodes; `None` for an empty file.
    """

    file: str
    root: Any

    def find(self, path: Sequence[str | int]) -> Place | None:
        """Find a part of the template in this file; `None` if the part is not in it."""
        node, line = self.root, None
        for depth, part in enumerate(path):
            key, node = get_items(node).get(str(part), (None, None))
            if key is None:
                if depth < 2:
                    return None
                break
            line = find_line(key)
        return Place(self.file, line)

    def list_references(self) -> Iterator[tuple[Reference, Place]]:
        """List the names that it refers to, and where."""
        for section in SECTIONS:
            for _, body in _get_section(self.root, section).values():
                attributes = list_attribute_references(body) if section in ("Outputs", "Resources") else ()
                for reference in (*list_references(body), *attributes):
                    yield reference, Place(self.file, reference.line)

    def describe_open_parameters(self) -> Iterator[str]:
        """Tell which parameters have no value unless the one who deploys gives it."""
        for name, (key, parameter) in _get_section(self.root, "Parameters").items():
            if "Default" not in get_items(parameter):
                yield (
                    f"`{name}` ({self.file}:{find_line(key)}) has no `Default`, and `nitropy deploy` gives a "
                    "parameter no value"
                )

    def describe_unprotected_data(self) -> Iterator[str]:
        """Tell which resources lose their data with the stack."""
        for name, (key, resource) in _get_section(self.root, "Resources").items():
            items = get_items(resource)
            missing = [attribute for attribute in _KEPT if attribute not in items]
            kind = items["Type"][1].value if "Type" in items else None
            if missing and kind in DATA_TYPES:
                listed = " and ".join(f"`{attribute}`" for attribute in missing)
                yield (
                    f"`{name}` ({self.file}:{find_line(key)}) has no {listed}: its data goes with it. "
                    "`Retain` keeps it, `Delete` says that this is meant"
                )


def read_extension(file: str, data: bytes) -> Extension:
    """Read the file that extends the stack.

    Raises:
        BuildError: It is no YAML, or not a part of a template.
    """
    try:
        root = read_nodes(data.decode(), file)
    except UnicodeDecodeError as error:
        raise BuildError(f"`{file}` is not UTF-8: {error.reason}.", file=file) from error
    if root is not None and not _is_mapping(root):
        raise BuildError(
            "This is no part of a template: expected sections such as `Resources:`.", file=file, line=1
        )
    for section, (key, value) in get_items(root).items():
        _check_section(file, section, key, value)
    return Extension(file, root)


def merge_extension(template: str, extension: Extension) -> str:
    """Add an extension to a template.

    Raises:
        BuildError: Both define the same name.
    """
    _check_clashes(extension, read_nodes(template, TEMPLATE))
    parts = [template]
    for section in SECTIONS:
        entries = _get_section(extension.root, section)
        if entries:
            written = [write_nodes([(key, value)], 2) for key, value in entries.values()]
            parts.append("\n".join([f"{section}:\n  # From {extension.file}.\n{written[0]}", *written[1:]]))
    return join_parts(parts)


def explain_undefined(reference: Reference, root: Any) -> tuple[str, str | None] | None:
    """Return why a reference names nothing in a template, with a hint; `None` if it names something.

    Args:
        reference: The reference.
        root: The template with all that the project adds.
    """
    sections, what = _WHAT[reference.kind]
    known = {name for section in sections for name in _get_section(root, section)}
    if reference.kind == "value":
        known.update(_PSEUDO_PARAMETERS)
    if reference.name in known:
        return None
    close = get_close_matches(reference.name, sorted(known), n=1)
    listed = ", ".join(f"`{name}`" for name in sorted(known))
    message = f"`{reference.function}` names `{reference.name}`, which is no {what} of the stack"
    return f"{message}: expected one of {listed}.", f"Did you mean `{close[0]}`?" if close else None


def _check_section(file: str, section: str, key: Any, value: Any) -> None:
    line = find_line(key)
    if section not in SECTIONS:
        listed = ", ".join(f"`{name}`" for name in SECTIONS)
        raise BuildError(
            f"Unknown section `{section}`: expected one of {listed}.",
            file=file,
            line=line,
            hint=_NOT_OURS.get(section) or _suggest_section(section),
        )
    if value.tag == "tag:yaml.org,2002:null":
        return
    if not _is_mapping(value):
        raise BuildError(f"`{section}` has no names: expected `NAME:` with lines below it.", file=file, line=line)
    for name, (name_key, body) in get_items(value).items():
        if _LOGICAL_ID.fullmatch(name) is None:
            message = f"`{name}` cannot be a name in `{section}`: expected letters and digits only."
            raise BuildError(message, file=file, line=find_line(name_key))
        if section != "Conditions" and not _is_mapping(body):
            message = f"`{section}.{name}` is no table: expected lines such as `Type: …` below it."
            raise BuildError(message, file=file, line=find_line(name_key))
        if section in _SHARED and "Type" not in get_items(body):
            message = f"`{section}.{name}` has no `Type`."
            raise BuildError(message, file=file, line=find_line(name_key))


def _suggest_section(section: str) -> str | None:
    close = get_close_matches(section, SECTIONS, n=1)
    return f"Did you mean `{close[0]}`?" if close else None


def _check_clashes(extension: Extension, root: Any) -> None:
    for section in SECTIONS:
        others = _SHARED if section in _SHARED else (section,)
        for name, (key, _) in _get_section(extension.root, section).items():
            own = {other: _get_section(extension.root, other).get(name) for other in others if other != section}
            for other, found in own.items():
                if found is not None:
                    _raise_clash(extension, name, key, other, f"{extension.file}:{find_line(found[0])}")
            for other in others:
                if (ours := _get_section(root, other).get(name)) is not None:
                    _raise_clash(extension, name, key, other, f"{TEMPLATE}:{find_line(ours[0])}")


def _raise_clash(extension: Extension, name: str, key: Any, section: str, place: str) -> None:
    raise BuildError(
        f"`{name}` is taken: it stands in `{section}` already, at {place}.",
        file=extension.file,
        line=find_line(key),
        hint="Choose another name. To change a resource of the generated template use `aws.overrides`."
        if place.startswith(TEMPLATE)
        else "Choose another name.",
    )


def _get_section(root: Any, section: str) -> dict[str, tuple[Any, Any]]:
    _, value = get_items(root).get(section, (None, None))
    return get_items(value)


def _is_mapping(node: Any) -> bool:
    return bool(node.id == "mapping")
