"""Changes of generated resources: the setting `aws.overrides`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import JsonValue

from nitro_presets.aws_lambda.deploy.template import TEMPLATE
from nitro_presets.aws_lambda.deploy.template_nodes import (
    Reference,
    get_items,
    is_function,
    list_attribute_references,
    list_references,
    make_node,
    read_nodes,
    write_nodes,
)
from nitro_py.errors import BuildError
from nitro_py.preset import Place

SETTING = "aws.overrides"
ATTRIBUTES = (
    "Condition",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "UpdatePolicy",
    "UpdateReplacePolicy",
)
# What follows from the package, and how it is changed instead.
_OF_THE_PACKAGE = {
    "Architectures": "Set `aws.architecture`: the packages in the function are built for it.",
    "Code": "The build writes the package, and `nitropy deploy` says where it is.",
    "Handler": "The build writes the handler.",
    "Runtime": "Set `aws.python`: the packages in the function are built for it.",
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """Changes of generated resources.

    Args:
        resources: The changes, by logical id and attribute.
        find_place: Finds where a setting stands.
    """

    resources: Mapping[str, Mapping[str, JsonValue]]
    find_place: Callable[[str], Place]

    def apply(self, template: str) -> str:
        """Return a template with the changes.

        Raises:
            BuildError: It has no such resource, or what is changed is not the project's to change.
        """
        for id, changes in self.resources.items():
            ours = get_items(get_items(read_nodes(template, TEMPLATE))["Resources"][1])
            if id not in ours:
                raise self._explain(id, "resource of the generated template", sorted(ours), (id,))
            key, body = ours[id]
            for attribute, change in changes.items():
                self._check(id, body, attribute, change)
                _merge_key(body, attribute, change)
            template = _replace_block(template, key.start_mark.line, write_nodes([(key, body)], 2))
        return template

    def find(self, path: Sequence[str | int]) -> Place | None:
        """Find the setting that a part of the template comes from, or else the one that changes its resource."""
        if len(path) < 2 or path[0] != "Resources" or path[1] not in self.resources:
            return None
        return self._find_place(path[1:])

    def list_references(self) -> Iterator[tuple[Reference, Place]]:
        """List the names that the changes refer to, and where."""
        for id, changes in self.resources.items():
            for attribute, change in changes.items():
                node = make_node({attribute: change})
                place = self._find_place((id, attribute))
                for reference in (*list_references(node), *list_attribute_references(node)):
                    yield reference, place

    def _find_place(self, path: Sequence[str | int]) -> Place:
        """Find where a part of the setting stands: the key that is nearest, or the first one in its table."""
        keys = [SETTING]
        value: object = self.resources
        for part in path:
            if not isinstance(value, Mapping) or part not in value:
                break
            keys.append(str(part))
            value = value[part]
        while isinstance(value, Mapping) and value:
            key = next(iter(value))
            keys.append(key)
            value = value[key]
        return self.find_place(".".join(keys))

    def _check(self, id: str, body: Any, attribute: str, change: JsonValue) -> None:
        if attribute not in ATTRIBUTES:
            hint = f"Properties stand in `[{SETTING}.{id}.Properties]`."
            raise self._explain(attribute, "attribute of a resource", ATTRIBUTES, (id, attribute), hint)
        kind = get_items(body)["Type"][1].value
        if attribute != "Properties" or kind != "AWS::Lambda::Function" or not isinstance(change, Mapping):
            return
        for name in sorted(_OF_THE_PACKAGE.keys() & change.keys()):
            place = self._find_place((id, attribute, name))
            raise BuildError(
                f"`{name}` of `{id}` cannot be changed.",
                file=place.file,
                line=place.line,
                hint=_OF_THE_PACKAGE[name],
            )

    def _explain(
        self, name: str, what: str, choices: Sequence[str], path: tuple[str, ...], hint: str | None = None
    ) -> BuildError:
        close = get_close_matches(name, choices, n=1)
        place = self._find_place(path)
        return BuildError(
            f"`{SETTING}.{'.'.join(path)}`: `{name}` is no {what}: expected one of "
            f"{', '.join(f'`{choice}`' for choice in choices)}.",
            file=place.file,
            line=place.line,
            hint=f"Did you mean `{close[0]}`?" if close else hint,
        )


def _merge_key(node: Any, name: str, change: JsonValue) -> None:
    """Lay a value over what a key of a mapping has: tables key by key, anything else in its place."""
    key, below = get_items(node).get(name, (None, None))
    if key is None:
        node.value += make_node({name: change}).value
    elif (
        isinstance(change, Mapping)
        and get_items(below)
        and not is_function(below)
        and not is_function(make_node(change))
    ):
        for inner, value in change.items():
            _merge_key(below, inner, value)
    else:
        node.value = [(other, make_node(change) if other is key else value) for other, value in node.value]


def _replace_block(text: str, start: int, written: str) -> str:
    """Replace the lines of a resource, which ends where a line has its indentation again."""
    lines = text.splitlines(keepends=True)
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    return "".join([*lines[:start], written, *lines[end:]])
