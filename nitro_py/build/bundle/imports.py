"""Reading which modules a Python file imports, without running it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from nitro_py.errors import BuildError

_TRIED = frozenset({"BaseException", "Exception", "ImportError", "ModuleNotFoundError"})
# What an `if` asks of the interpreter that builds, which imports other modules than the next one.
_PLATFORM = ("os.name", "platform.system", "sys.implementation", "sys.platform", "sys.version_info")


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's module.

    Args:
        module: The module's dotted name; empty for `from . import name`.
        names: What is imported from it, which may be modules too.
        level: The number of leading dots.
        line: Where the statement stands, counted from 1.
        optional: Whether the file does without the module.
    """

    module: str
    names: tuple[str, ...]
    level: int
    line: int
    optional: bool


def find_imports(source: bytes, file: str) -> tuple[Import, ...]:
    """Find every import of a file, inside functions too, but for those that only type checkers see.

    An import is optional inside `try` with `except ImportError`, inside `suppress(ImportError)`, and inside an
    `if` on the interpreter's version or platform.

    Args:
        source: The file's bytes.
        file: The file's name for messages.

    Returns:
        The imports in the order in which they stand.

    Raises:
        BuildError: The file is not valid Python.

    Example:
        >>> find_imports(b"from .db import connect", "shop.py")
        (Import(module='db', names=('connect',), level=1, line=1, optional=False),)
    """
    try:
        with warnings.catch_warnings():
            # Python reports them when the file is run.
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError as error:
        message = f"`{file}` is not valid Python: {error.msg}."
        raise BuildError(message, file=file, line=error.lineno) from error
    except ValueError as error:
        raise BuildError(f"`{file}` is not valid Python: {error}.", file=file) from error
    return tuple(_walk(tree))


def _walk(tree: ast.Module) -> Iterator[Import]:
    # A stack, because a long chain of `elif` is as deep as it is long.
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, optional = stack.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, (), 0, node.lineno, optional)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(node.module or "", names, node.level, node.lineno, optional)
        else:
            stack += reversed(list(_children(node, optional)))


def _children(node: ast.AST, optional: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Return the statements inside another, each with whether its imports are optional."""
    skipped: list[ast.stmt] = []
    strict: list[ast.stmt] = []
    match node:
        case ast.If():
            skipped = node.body if _is_type_checking(node.test) else []
            test = ast.unparse(node.test)
            optional = optional or any(name in test for name in _PLATFORM)
        case ast.Try() | ast.TryStar() if not optional and any(_catches(each.type) for each in node.handlers):
            # The other branches hold what stands in for the module.
            optional, strict = True, node.finalbody
        case ast.With():
            optional = optional or any(_suppresses(item.context_expr) for item in node.items)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case) and child not in skipped:
            yield child, optional and child not in strict


def _is_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"


def _catches(error: ast.expr | None) -> bool:
    if isinstance(error, ast.Tuple):
        return any(_catches(item) for item in error.elts)
    return error is None or ast.unparse(error).removeprefix("builtins.") in _TRIED


def _suppresses(context: ast.expr) -> bool:
    if not isinstance(context, ast.Call) or ast.unparse(context.func) not in ("suppress", "contextlib.suppress"):
        return False
    return any(_catches(error) for error in context.args)
