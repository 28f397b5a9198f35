"""CloudFormation templates as YAML nodes, which know their lines and keep short forms such as `!Ref`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]

from nitro_py.errors import BuildError

# What stands for the same name in different places.
NameKind = Literal["condition", "mapping", "resource", "value"]

# The functions that have a short form.
FUNCTIONS = (
    "And",
    "Base64",
    "Cidr",
    "Condition",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Ref",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
)
_SHORT_FORM = re.compile(rf"!({'|'.join(FUNCTIONS)})\s")
_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
_STRING = "tag:yaml.org,2002:str"
_MAPPING = "tag:yaml.org,2002:map"
_SEQUENCE = "tag:yaml.org,2002:seq"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Reference:
    """A use of a name that a template defines elsewhere.

    Args:
        kind: What the name must be; a value is a resource, a parameter or a pseudo parameter.
        name: The name.
        function: The function or attribute that uses it, such as `!Ref`.
        line: The line, counted from 1.
    """

    kind: NameKind
    name: str
    function: str
    line: int


def read_nodes(text: str, file: str) -> Any:
    """Read YAML into nodes; `None` if there is nothing in it.

    Raises:
        BuildError: It is no YAML, or CloudFormation does not take it.
    """
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise BuildError(
                    f"`*{event.anchor}` is an alias, which CloudFormation does not know.",
                    file=file,
                    line=event.start_mark.line + 1,
                    hint="Write out what it stands for.",
                )
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise BuildError(f"This is no YAML: {error.problem or error.context}.", file=file, line=line) from error
    except yaml.YAMLError as error:
        raise BuildError(f"This is no YAML: {error}.", file=file) from error
    for node in _walk(root):
        _check_node(node, file)
    return root


def find_line(node: Any) -> int:
    """Return the line that a node begins on, counted from 1."""
    line: int = node.start_mark.line + 1
    return line


def get_items(node: Any) -> dict[str, tuple[Any, Any]]:
    """Return the nodes of a mapping's keys and values, by key; none for another node."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: (key, value) for key, value in node.value}


def list_references(node: Any) -> Iterator[Reference]:
    """List the names that a part of a template refers to."""
    function, value = _find_function(node)
    if function == "Ref":
        yield from _refer("value", value, "!Ref", value)
    elif function == "GetAtt":
        first = value.value[0] if isinstance(value, yaml.SequenceNode) and value.value else value
        if isinstance(first, yaml.ScalarNode):
            yield Reference("resource", first.value.partition(".")[0], "!GetAtt", find_line(first))
    elif function == "Sub":
        yield from _list_variables(value)
    elif function in ("Condition", "FindInMap", "If"):
        first = value.value[0] if isinstance(value, yaml.SequenceNode) and value.value else value
        yield from _refer("mapping" if function == "FindInMap" else "condition", first, f"!{function}", first)
    for below in _list_below(node):
        yield from list_references(below)


def list_attribute_references(resource: Any) -> Iterator[Reference]:
    """List the names that attributes of a resource or output, such as `DependsOn`, refer to."""
    items = get_items(resource)
    for attribute, kind in (("Condition", "condition"), ("DependsOn", "resource")):
        _, value = items.get(attribute, (None, None))
        for name in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            # The type checker takes the pairs' second parts for strings.
            yield from _refer("condition" if kind == "condition" else "resource", name, attribute, name)


def make_node(value: object) -> Any:
    """Make a node of a value; text such as `!Ref Table` becomes the function."""
    if isinstance(value, Mapping):
        pairs = [(yaml.ScalarNode(_STRING, key), make_node(below)) for key, below in value.items()]
        return yaml.MappingNode(_MAPPING, pairs, flow_style=False)
    if isinstance(value, list | tuple):
        return yaml.SequenceNode(_SEQUENCE, [make_node(item) for item in value], flow_style=False)
    if isinstance(value, str) and _SHORT_FORM.match(value):
        return yaml.compose(value, yaml.SafeLoader)
    return yaml.representer.SafeRepresenter().represent_data(value)


def is_function(node: Any) -> bool:
    """Return whether a node stands for a value that CloudFormation computes."""
    return _find_function(node)[0] is not None


def write_nodes(pairs: list[tuple[Any, Any]], indent: int) -> str:
    """Write keys and their values as YAML in block style, indented by some spaces."""
    node = yaml.MappingNode(_MAPPING, pairs, flow_style=False)
    text: str = yaml.serialize(node, Dumper=_Dumper, width=4096, allow_unicode=False)
    return "".join(f"{' ' * indent}{line}" if line.strip() else line for line in text.splitlines(keepends=True))


def _refer(kind: NameKind, node: Any, function: str, place: Any) -> Iterator[Reference]:
    if isinstance(node, yaml.ScalarNode):
        yield Reference(kind, node.value, function, find_line(place))


def _list_variables(value: Any) -> Iterator[Reference]:
    text, own = value, None
    if isinstance(value, yaml.SequenceNode) and value.value:
        text = value.value[0]
        own = value.value[1] if len(value.value) > 1 else None
    if not isinstance(text, yaml.ScalarNode):
        return
    known = get_items(own)
    for found in _VARIABLE.findall(text.value):
        name, _, attribute = found.strip().partition(".")
        if name not in known:
            yield Reference("resource" if attribute else "value", name, "!Sub", find_line(text))


def _find_function(node: Any) -> tuple[str | None, Any]:
    tag = str(getattr(node, "tag", ""))
    if tag.startswith("!"):
        return tag[1:], node
    if isinstance(node, yaml.MappingNode) and len(node.value) == 1:
        key, value = node.value[0]
        name = str(key.value).removeprefix("Fn::")
        if key.value in ("Ref", "Condition") or (name != key.value and name in FUNCTIONS):
            return name, value
    return None, node


def _list_below(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.MappingNode):
        yield from (value for _, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _walk(node: Any) -> Iterator[Any]:
    if node is not None:
        yield node
        for below in _list_below(node):
            yield from _walk(below)


def _check_node(node: Any, file: str) -> None:
    tag = str(node.tag)
    if tag.startswith("!") and tag[1:] not in FUNCTIONS:
        listed = ", ".join(f"`!{name}`" for name in FUNCTIONS)
        raise BuildError(
            f"`{tag}` is no function of CloudFormation: expected one of {listed}.", file=file, line=find_line(node)
        )
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = find_line(key)
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            raise BuildError("CloudFormation takes text as keys only.", file=file, line=line)
        if key.value in lines:
            raise BuildError(
                f"`{key.value}` stands here twice: at {file}:{lines[key.value]}, too.", file=file, line=line
            )
        lines[key.value] = line


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """A writer that quotes what follows a short form only where it must."""

    def choose_scalar_style(self) -> Any:
        event = self.event
        implicit = event.implicit
        if str(event.tag).startswith("!") and not event.style:
            event.implicit = (True, True)
        style = super().choose_scalar_style()
        event.implicit = implicit
        return style
