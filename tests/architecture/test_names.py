"""Names, imports and docstrings: what a stranger needs to find the way."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.checkout import ROOT, list_files

# First words of summaries that tell what a thing does in place of what it is, and pronouns without a person.
NO_NOUN = re.compile(r"(Answers|Builds|Can|Does|Gives|Has|Holds|Is|Keeps|Makes|Notes|Says|Sets|Takes|Tells)\b")
NO_PERSON = re.compile(r"\b(somebody|whoever|nobody shall)\b", re.IGNORECASE)


def list_sources() -> list[Path]:
    """List the source files of both packages, without the handlers of the conformance suite."""
    return [file for file in list_files("nitro_py/*.py", "presets/*.py") if "app" not in file.parts]


def name_module(file: Path) -> str:
    """Return the dotted name of the module in a file."""
    parts = [part for part in file.with_suffix("").parts if part not in ("presets", "__init__")]
    return ".".join(parts)


def list_imports(tree: ast.AST, modules: Mapping[str, ast.Module]) -> Iterator[str]:
    """List the modules of ours that a file imports: anywhere in it, and under `TYPE_CHECKING` too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in modules else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def find_circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of a circle of imports; none if there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def test_no_circle_of_imports() -> None:
    modules = {name_module(file): ast.parse((ROOT / file).read_bytes()) for file in list_sources()}
    imports = {
        name: {other for other in list_imports(tree, modules) if other in modules and other != name}
        for name, tree in modules.items()
    }
    assert sum(map(len, imports.values())) > len(modules)
    assert find_circle(imports) == []


def test_circle_is_found() -> None:
    assert set(find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}
    modules = {"m": ast.parse(""), "m.inner": ast.parse("")}
    tree = ast.parse("if TYPE_CHECKING:\n    from m import inner, name\ndef f():\n    import m.inner")
    assert set(list_imports(tree, modules)) == {"m", "m.inner"}


def test_class_name_has_one_owner() -> None:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for file in list_sources():
        for node in ast.walk(ast.parse((ROOT / file).read_bytes())):
            if isinstance(node, ast.ClassDef):
                owners[node.name].add(str(file))
    doubles = {name: sorted(files) for name, files in owners.items() if len(files) > 1}
    assert "Peer" in owners
    assert doubles == {}


@pytest.mark.parametrize("file", list_sources(), ids=str)
def test_docstrings_are_in_plain_words(file: Path) -> None:
    found = []
    for node in ast.walk(ast.parse((ROOT / file).read_bytes())):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node) or ""
        if NO_PERSON.search(text) or (not isinstance(node, ast.Module) and NO_NOUN.match(text)):
            found.append(f"{file}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}")
    assert found == []
