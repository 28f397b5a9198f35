"""Importing route files in a child process."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from nitro_py.build.inspect.load import load_routes
from nitro_py.build.interrupt import BuildInterruptedError, Interrupt
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
        "`handlers/bad.py` has no handler: expected exactly one, got the function `handler(event)`.\n"
        "  at handlers/bad.py:1\n"
        "  hint: Write `@define_handler` above `handler`; a helper's file name starts with `_`."
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
        "  hint: Install the package that provides `no_such`, which may have another name, or correct the import."
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
    ("statement", "hint"),
    [
        ("from ._stroe import x", "Did you mean `._store`?"),
        ("from ..handlers._stroe import x", "Correct the import."),
        ("from . import _stroe", "Did you mean `from . import _store`?"),
        ("from ._data.thing import x", "Did you mean `._date.thing`?"),
        ("from ._nothing import x", "Correct the import."),
    ],
)
def test_misspelt_file_beside_it(tmp_path: Path, statement: str, hint: str) -> None:
    write_files(tmp_path, {"handlers/_store.py": "x = 1\n", "handlers/_date/thing.py": "x = 1\n"})
    lines = fail(tmp_path, f"\n{statement}\n").splitlines()
    assert lines[1:] == ["  at handlers/bad.py:1", f"  hint: {hint}"]


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


HANGING = "import time\n\n\ndef wait():\n    time.sleep(60)\n\n\nwait()\n"


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"handlers/bad.py": HANGING}, "handlers/bad.py:5"),
        ({"handlers/bad.py": "import slow\n", "slow.py": HANGING}, "slow.py:5"),
        (
            {"handlers/bad.py": "from ._sl\u00f6w import x\n", "handlers/_sl\u00f6w.py": HANGING},
            "handlers/_sl\u00f6w.py:5",
        ),
        (
            {
                "handlers/bad.py": "import threading, time\n"
                "threading.Thread(target=time.sleep, args=(60,)).start()\nwhile True:\n    pass\n"
            },
            "handlers/bad.py:3",
        ),
    ],
)
def test_import_that_hangs_names_the_line(tmp_path: Path, files: dict[str, str], place: str) -> None:
    write_files(tmp_path, {**files, "handlers/a.py": HELLO})
    with pytest.raises(BuildError) as caught:
        load_routes(tmp_path, scan_handlers(tmp_path, "handlers", (), "production"), import_timeout=2.0)
    lines = str(caught.value).splitlines()
    assert lines[0] == "Importing `handlers/bad.py` took longer than 2 s."
    assert lines[1] in (f"  at {place}", f"  at {place.replace(':3', ':4')}")
    assert "`build.import_timeout`" in lines[2]


def test_what_is_started_at_import_keeps_nobody_waiting(tmp_path: Path) -> None:
    # Neither a thread nor a process that holds the outputs open.
    text = (
        "import subprocess, sys, threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    )
    began = time.monotonic()
    assert set(read(tmp_path, {"handlers/a.py": text + HELLO})) == {"/a"}
    assert time.monotonic() - began < 40


def test_import_that_is_interrupted(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/bad.py": HANGING})
    interrupt = Interrupt()
    timer = threading.Timer(1.0, interrupt.raise_now)
    timer.start()
    began = time.monotonic()
    with pytest.raises(BuildInterruptedError):
        load_routes(
            tmp_path, scan_handlers(tmp_path, "handlers", (), "production"), interrupt=interrupt, import_timeout=0
        )
    assert time.monotonic() - began < 40


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


SOCKET = "from nitro_py import define_websocket_handler\nhandler = define_websocket_handler()\n"
MOUNTED = """
from nitro_py import mount_asgi
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
handler = mount_asgi(Starlette(routes=[WebSocketRoute("/", print)]))
"""


@pytest.mark.parametrize("text", [SOCKET, MOUNTED])
@pytest.mark.parametrize("method", ["post", "head"])
def test_socket_that_no_handshake_reaches(tmp_path: Path, text: str, method: str) -> None:
    error = fail(tmp_path, text, file=f"handlers/chat.{method}.prod.py")
    assert f"serves {method.upper()} alone, and so no WebSocket can reach it" in error
    assert "Rename it to `chat.prod.py`" in error


def test_socket_that_only_handshakes_reach(tmp_path: Path) -> None:
    assert read(tmp_path, {"handlers/chat.get.py": SOCKET})["/chat"].methods == ("GET",)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "from nitro_py import define_handler\ndef auth(f):\n    import functools\n    @functools.wraps(f)\n"
            "    async def inner(event): ...\n    return inner\n@auth\n@define_handler\ndef handler(event): ...\n",
            "`handler` wraps one in another decorator",
            "Put `@define_handler` above the other decorators.",
        ),
        (
            "from nitro_py import define_plugin\n@define_plugin\nasync def start():\n    yield\n",
            "has no handler, but a plugin",
            "Move it into the folder `plugins/` of the handlers.",
        ),
        ("import _helpers\n", "cannot be imported", "write `from ._helpers import …`"),
        ("import deep._helpers\n", "cannot be imported", "write `from .deep import …`"),
        ("import jwt\n", "cannot be imported", "Install `PyJWT`, which provides `jwt`, or"),
        ("import google.cloud.pubsub_v1\n", "cannot be imported", "Install `google-cloud-pubsub-v1`"),
        ("import shoplift\n", "cannot be imported", "which may have another name"),
    ],
)
def test_hint(tmp_path: Path, text: str, message: str, hint: str) -> None:
    write_files(tmp_path, {"handlers/_helpers.py": "", "handlers/deep/_helpers.py": ""})
    error = fail(tmp_path, text)
    assert message in error
    assert hint in error
