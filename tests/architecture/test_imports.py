"""Cold start: what ships loads heavy packages only inside the functions that need them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import ROOT, list_files

HEAVY = frozenset({"anyio", "boto3", "botocore", "mangum", "pydantic", "starlette", "uvicorn"})

# All around it fits uvicorn to the app, and only a bundle that is a server itself loads that.
SERVER = Path("nitro_py/server/uvicorn_server.py")

# Built on Starlette's classes, and loaded with the first use of `event.request`, and the first public file.
STARLETTE = {Path("nitro_py/starlette_request.py"), Path("nitro_py/runtime/asgi/validated_files.py")}

SHIPPED = [
    file
    for file in list_files("nitro_py/*.py")
    if file.name not in ("__main__.py", "preset.py")
    and file not in STARLETTE
    and (len(file.parts) == 2 or file.parts[1] in ("brokers", "runtime", "stores"))
]

# Imports each module in turn and stops at the first that loads a heavy one.
PROBE = """
import importlib, sys
heavy = set(sys.argv[1].split(","))
for module in sys.argv[2:]:
    importlib.import_module(module)
    if loaded := sorted(heavy & sys.modules.keys()):
        sys.exit(f"`{module}` loads {', '.join(loaded)}")
"""


def name_module(file: Path) -> str:
    """Name the module that a file of the checkout holds."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_heavy_imports(nodes: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Find the line and package of each heavy import that runs when the module is loaded."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            names = [node.module]
        for name in names:
            package = name.partition(".")[0]
            if package in HEAVY:
                yield node.lineno, package
        yield from find_heavy_imports(list_children(node))


def list_children(node: ast.stmt) -> list[ast.stmt]:
    """List the statements inside another, in every branch that runs."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return node.orelse
    branches = [getattr(node, field, []) for field in ("body", "orelse", "finalbody")]
    branches += [handler.body for handler in getattr(node, "handlers", [])]
    branches += [case.body for case in getattr(node, "cases", [])]
    return [child for branch in branches for child in branch]


def test_importing_what_ships_loads_nothing_heavy() -> None:
    modules = sorted({name_module(file) for file in SHIPPED}, key=lambda name: (name != "nitro_py", name))
    command = [sys.executable, "-c", PROBE, ",".join(sorted(HEAVY)), *modules]
    probed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert probed.returncode == 0, probed.stderr


@pytest.mark.parametrize("file", SHIPPED, ids=str)
def test_no_heavy_import_at_module_level(file: Path) -> None:
    tree = ast.parse((ROOT / file).read_bytes())
    found = [f"{file}:{line}: {package}" for line, package in find_heavy_imports(tree.body)]
    assert found == []


def test_the_server_loads_uvicorn_and_nothing_for_handlers() -> None:
    heavy = ",".join(sorted(HEAVY - {"anyio", "uvicorn"}))
    command = [sys.executable, "-c", PROBE, heavy, name_module(SERVER)]
    probed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert probed.returncode == 0, probed.stderr


def test_the_child_that_inspects_handlers_loads_nothing_heavy() -> None:
    # A reload waits for it (row `reload`).
    command = [sys.executable, "-c", PROBE, ",".join(sorted(HEAVY)), "nitro_py.build.inspect.child"]
    probed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert probed.returncode == 0, probed.stderr


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import boto3", [(1, "boto3")]),
        ("from starlette.requests import Request", [(1, "starlette")]),
        (
            "try:\n    import pydantic.main\nexcept ImportError:\n    import mangum",
            [(2, "pydantic"), (4, "mangum")],
        ),
        ("class A:\n    import uvicorn", [(2, "uvicorn")]),
        ("if TYPE_CHECKING:\n    import boto3\nelse:\n    import anyio", [(4, "anyio")]),
        ("def load():\n    import boto3", []),
        ("from . import starlette\nimport pydantic_extras", []),
    ],
)
def test_finds_imports_that_run_on_load(source: str, found: list[tuple[int, str]]) -> None:
    assert list(find_heavy_imports(ast.parse(source).body)) == found
