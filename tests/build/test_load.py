"""Importing route files in a child process."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.inspect import load
from nitro_py.build.inspect.load import load_routes
from nitro_py.build.scan import scan_handlers
from nitro_py.errors import BuildError
from nitro_py.runtime.manifest import Route
from tests.bundles import write_files

HELLO = """
from nitro_py import define_handler

@define_handler
def handler(event):
    return "hello"
"""


def read(root: Path, files: dict[str, str]) -> dict[str, Route]:
    """Write files and load their routes, by path."""
    write_files(root, files)
    routes = load_routes(root, scan_handlers(root, "handlers", (), "production"))
    return {route.path: route for route in routes}


def fail(root: Path, text: str, *, file: str = "handlers/bad.py") -> str:
    """Write a file that cannot be loaded, and return the error as it is shown."""
    with pytest.raises(BuildError) as caught:
        read(root, {file: text})
    return str(caught.value)


def test_file_without_handler(tmp_path: Path) -> None:
    assert fail(tmp_path, "def handler(event): ...\n") == (
        "`handlers/bad.py` has no handler: expected exactly one.\n"
        "  at handlers/bad.py:1\n"
        "  hint: Decorate a function with `@define_handler`, or assign `handler = define_websocket_handler(…)`; "
        "a helper's file name starts with `_`."
    )


@pytest.mark.parametrize(
    ("second", "line"),
    [
        ("@define_handler\ndef other(event): ...", 8),
        ("other = define_websocket_handler()", 7),
        ("first, other = 1, define_websocket_handler()", 7),
        ("from ._other import other", 7),
        ("if True:\n    other = define_handler(print)", 7),
    ],
)
def test_file_with_two_handlers_names_the_line_of_the_second(tmp_path: Path, second: str, line: int) -> None:
    write_files(tmp_path, {"handlers/_other.py": HELLO.replace("def handler", "def other")})
    imports = "from nitro_py import define_handler, define_websocket_handler\n\n"
    first = imports + "@define_handler\ndef handler(event):\n    return 1\n\n"
    assert fail(tmp_path, first + second) == (
        "`handlers/bad.py` has 2 handlers: expected exactly one, got `handler`, `other`.\n"
        f"  at handlers/bad.py:{line}\n"
        "  hint: Move each handler into a file of its own."
    )


def test_handler_with_two_names_is_one(tmp_path: Path) -> None:
    assert set(read(tmp_path, {"handlers/a.py": HELLO + "alias = handler"})) == {"/a"}


def test_syntax_error(tmp_path: Path) -> None:
    assert fail(tmp_path, "import os\n\ndef handler(:\n    pass\n") == (
        "`handlers/bad.py` is not valid Python: invalid syntax.\n"
        "  at handlers/bad.py:3\n"
        "  hint: Look at: def handler(:"
    )


def test_encoding_that_is_unknown(tmp_path: Path) -> None:
    assert fail(tmp_path, "# coding: nope\n") == (
        "`handlers/bad.py` is not valid Python: unknown encoding: nope.\n  at handlers/bad.py"
    )


def test_syntax_error_in_a_helper_names_the_helper(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/_helper.py": "x = 1\nx ="})
    shown = fail(tmp_path, "from ._helper import x" + HELLO)
    assert shown.startswith(
        "`handlers/_helper.py` is not valid Python: invalid syntax.\n  at handlers/_helper.py:2\n"
    )


def test_import_error(tmp_path: Path) -> None:
    assert fail(tmp_path, "import os\nimport no_such.package\n") == (
        "`handlers/bad.py` cannot be imported: No module named 'no_such'.\n"
        "  at handlers/bad.py:2\n"
        "  hint: Install `no_such`, or correct the import."
    )


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("from shop.stock import no_such", "cannot import name 'no_such' from 'shop.stock'"),
        ("import shop.no_such", "No module named 'shop.no_such'"),
        ("from .no_such import x", "No module named 'shop.no_such'"),
    ],
)
def test_import_error_in_a_package_of_the_project(tmp_path: Path, statement: str, reason: str) -> None:
    write_files(
        tmp_path, {"shop/__init__.py": "", "shop/stock.py": "", "shop/prices.py": f"\nx = 1\n{statement}\n"}
    )
    lines = fail(tmp_path, "import shop.prices\n").splitlines()
    assert lines[0].startswith(f"`handlers/bad.py` cannot be imported: {reason}")
    assert lines[1:] == ["  at shop/prices.py:2", "  hint: Correct the import."]


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt('no')", "KeyboardInterrupt: no"),
    ],
)
def test_exception_at_import(tmp_path: Path, statement: str, shown: str) -> None:
    assert fail(tmp_path, f"\n\nx = 1\n{statement}\n", file="handlers/(bad)/[id].get.py") == (
        f"`handlers/(bad)/[id].get.py` failed while it was imported: {shown}\n"
        "  at handlers/(bad)/[id].get.py:2\n"
        "  hint: Route files must import without side effects that can fail."
    )


def test_process_that_ends_at_import(tmp_path: Path) -> None:
    text = "import os, sys\nprint('going', file=sys.stderr, flush=True)\nos._exit(7)\n"
    write_files(tmp_path, {"handlers/a.py": HELLO, "handlers/z.py": HELLO})
    assert fail(tmp_path, text) == (
        "Importing the handlers ended with status 7.\n  at handlers/bad.py\n  hint: going"
    )
    assert fail(tmp_path, "import os\nos._exit(0)\n") == (
        "Importing the handlers ended with status 0.\n"
        "  at handlers/bad.py\n"
        "  hint: Route files must import without side effects, such as the end of the process."
    )


@pytest.mark.slow
def test_import_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Time enough to reach the file on a machine that is busy.
    monkeypatch.setattr(load, "LOAD_TIMEOUT", 5)
    assert fail(tmp_path, "import time\ntime.sleep(600)\n") == (
        "Importing the handlers took longer than 5 s.\n"
        "  at handlers/bad.py\n"
        "  hint: Move work from the top level of a route file into a plugin."
    )


def test_several_problems_are_told_at_once(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/a.py": "1 / 0\n", "handlers/fine.py": HELLO, "handlers/middleware/x.py": ""})
    shown = fail(tmp_path, "import no_such\n").splitlines()
    assert shown[0] == "3 problems were found."
    assert [line for line in shown if line.startswith("`")] == [
        "`handlers/middleware/x.py` has no middleware: expected exactly one.",
        "`handlers/a.py` failed while it was imported: ZeroDivisionError: division by zero",
        "`handlers/bad.py` cannot be imported: No module named 'no_such'.",
    ]


def test_what_a_file_prints_and_reads_does_not_matter(tmp_path: Path) -> None:
    noise = "import sys\nprint('{}' * 100_000)\nprint('x', file=sys.stderr)\nassert sys.stdin.read() == ''\n"
    assert set(read(tmp_path, {"handlers/noise.py": noise + HELLO})) == {"/noise"}


def test_neighbour_is_one_module_however_it_is_imported(tmp_path: Path) -> None:
    shared = "calls = []\ncalls.append(1)\nassert calls == [1]\n"
    check = """
        from handlers.api import _shared as absolute
        from . import _shared as relative
        from ._shared import calls

        assert absolute is relative
        assert absolute.calls is calls
        """
    files = {"handlers/api/_shared.py": shared, "handlers/api/_hello.py": HELLO, "handlers/api/_check.py": check}
    route = "from . import _check\nfrom ._hello import handler\n"
    assert set(read(tmp_path, files | {"handlers/api/[id].get.py": route})) == {"/api/[id]"}


def test_names_that_python_cannot_import(tmp_path: Path) -> None:
    files = {
        "handlers/_text.py": "TEXT = 'hello'\n",
        "handlers/(site)/users/[id].get.py": "from ..._text import TEXT\n" + HELLO,
        "handlers/v1.0/[...rest].py": HELLO,
        "handlers/class.post.py": HELLO,
    }
    routes = read(tmp_path, files)
    assert {path: (route.kind, route.methods, route.file) for path, route in routes.items()} == {
        "/class": ("http", ("POST",), "handlers/class.post.py"),
        "/users/[id]": ("http", ("GET",), "handlers/(site)/users/[id].get.py"),
        "/v1.0/[...rest]": ("http", (), "handlers/v1.0/[...rest].py"),
    }


MOUNTABLE = """
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute

SOCKET = WebSocketRoute("/socket", print)
FASTAPI = FastAPI()
FASTAPI.websocket("/socket")(print)
NESTED = Mount("/nested", app=FASTAPI)
"""


@pytest.mark.parametrize(
    ("definition", "kind", "requires", "hooks"),
    [
        ("@define_handler\ndef h(event) -> EventStream: ...", "sse", ("http", "streaming"), ()),
        ("@define_handler\ndef h(event) -> 'AsyncIterator[str]': ...", "sse", ("http", "streaming"), ()),
        ("@define_handler\nasync def h(event):\n    yield ''", "sse", ("http", "streaming"), ()),
        ("@define_handler(streams=True)\ndef h(event): ...", "sse", ("http", "streaming"), ()),
        ("@define_handler(topics=True)\ndef h(event): ...", "sse", ("http", "streaming", "topics.sse"), ()),
        ("@define_handler\ndef h(event) -> dict[str, str]: ...", "http", ("http",), ()),
        ("h = mount_asgi(print)", "http", ("http",), ()),
        ("h = mount_asgi(Starlette(routes=[]))", "http", ("http",), ()),
        ("h = mount_asgi(Starlette(routes=[SOCKET]))", "http", ("http", "websocket.mounted"), ()),
        ("h = mount_asgi(Starlette(routes=[NESTED]))", "http", ("http", "websocket.mounted"), ()),
        ("h = define_websocket_handler(close=print, open=print)", "websocket", ("websocket",), ("open", "close")),
    ],
)
def test_kind_and_needs(
    tmp_path: Path, definition: str, kind: str, requires: tuple[str, ...], hooks: tuple[str, ...]
) -> None:
    text = "from nitro_py import EventStream, define_handler, define_websocket_handler, mount_asgi\n"
    text += (MOUNTABLE if "Starlette" in definition else "") + definition
    route = read(tmp_path, {"handlers/a.py": text})["/a"]
    assert (route.kind, route.requires, route.hooks) == (kind, requires, hooks)
    assert route.mounted is ("mount" in definition)


def test_second_build_sees_what_changed(tmp_path: Path) -> None:
    first = read(tmp_path, {"handlers/a.py": HELLO})["/a"]
    second = read(tmp_path, {"handlers/a.py": HELLO.replace("(event)", "(event) -> 'Iterator[str]'")})["/a"]
    assert (first.kind, second.kind) == ("http", "sse")
    assert first.hash != second.hash
