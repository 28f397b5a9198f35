"""Functions that cannot be called as they will be are refused by the build."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.inspect.load import load_routes
from nitro_py.build.scan import scan_handlers
from nitro_py.errors import BuildError
from tests.bundles import write_files

IMPORTS = "from nitro_py import *\nfrom typing import *\n"


def load(root: Path, text: str, file: str = "handlers/a.py") -> int:
    """Write a file and load the project's routes; return how many there are."""
    write_files(root, {file: IMPORTS + text})
    return len(load_routes(root, scan_handlers(root, "handlers", (), "production")))


def fail(root: Path, text: str, file: str = "handlers/a.py") -> str:
    """Load a file that cannot be, and return the error as it is shown."""
    with pytest.raises(BuildError) as caught:
        load(root, text, file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("hook", "parameters", "called"),
    [
        ("upgrade", "request, peer", "upgrade(request)"),
        ("open", "", "open(peer)"),
        ("message", "message", "message(peer, message)"),
        ("message", "peer, message, more", "message(peer, message)"),
        ("close", "peer, code, reason", "close(peer, details)"),
        ("error", "exc", "error(peer, exc)"),
        ("http", "", "http(event)"),
    ],
)
def test_hook_that_cannot_be_called(tmp_path: Path, hook: str, parameters: str, called: str) -> None:
    text = f"async def hook({parameters}): ...\nhandler = define_websocket_handler({hook}=hook)"
    assert fail(tmp_path, text) == (
        f"`{hook}` of `handlers/a.py` is called as `{called}`, and takes `({parameters})`.\n"
        "  at handlers/a.py:3\n"
        f"  hint: Write `async def {called}`."
    )


@pytest.mark.parametrize(
    "text",
    [
        "async def close(peer): ...\nhandler = define_websocket_handler(close=close)",
        "async def close(peer, details): ...\nhandler = define_websocket_handler(close=close)",
        "handler = define_websocket_handler(message=lambda *all, **more: None)",
        "handler = define_websocket_handler(message=lambda peer, message, more=1: None, open=print)",
        "handler = define_websocket_handler(http=define_handler(lambda event: 1))",
        "class Hooks:\n    def open(self, peer): ...\nhandler = define_websocket_handler(open=Hooks().open)",
        "handler = define_websocket_handler(message_model=dict[str, int] | list[int])",
        "handler = define_handler(dict)",
    ],
)
def test_hook_that_can_be_called(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == 1


@pytest.mark.parametrize("parameters", ["", "id, event", "event, *, id"])
def test_handler_that_cannot_be_called(tmp_path: Path, parameters: str) -> None:
    assert fail(tmp_path, f"@define_handler\nasync def show({parameters}): ...") == (
        f"`handler` of `handlers/a.py` is called as `handler(event)`, and takes `({parameters})`.\n"
        "  at handlers/a.py:3\n"
        "  hint: Take `event` alone: it has `event.params`, `event.query` and `event.request`."
    )


def test_function_of_another_file_is_named_where_it_stands(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/_hooks.py": "x = 1\n\nasync def open(): ..."})
    shown = fail(tmp_path, "from ._hooks import open\nhandler = define_websocket_handler(open=open)")
    assert "\n  at handlers/_hooks.py:3\n" in shown


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "async def a(event): ...",
            "is called as `middleware(event, next)`, and takes `(event)`",
            "async def midd",
        ),
        ("def a(event, next): ...", "The middleware of `handlers/middleware/a.py` is not async.", "`async def`"),
    ],
)
def test_middleware_that_cannot_be_called(tmp_path: Path, text: str, message: str, hint: str) -> None:
    shown = fail(tmp_path, f"@define_middleware\n{text}", "handlers/middleware/a.py")
    assert message in shown
    assert hint in shown
    assert "\n  at handlers/middleware/a.py:3\n" in shown


def test_plugin_that_cannot_be_called(tmp_path: Path) -> None:
    shown = fail(tmp_path, "@define_plugin\nasync def a(app):\n    yield", "handlers/plugins/a.py")
    assert "is called as `plugin()`, and takes `(app)`." in shown


@pytest.mark.parametrize("model", ["5", "'Foo'", "list['Foo']"])
def test_model_that_validates_nothing(tmp_path: Path, model: str) -> None:
    shown = fail(tmp_path, f"handler = define_websocket_handler(message_model={model})")
    assert shown.startswith("`message_model` of `handlers/a.py` is nothing that pydantic can validate: ")
    assert "\n  at handlers/a.py\n" in shown


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("handler = define_websocket_handler(on_message=print)", "it takes `upgrade`, `open`, `message`, `close`"),
        (
            "@define_websocket_handler\ndef handler(peer): ...",
            "Write `handler = define_websocket_handler(",
        ),
        ("@define_handler(stream=True)\ndef handler(event): ...", "it takes `streams`, `topics`."),
        ("handler = define_handler(1)", "Decorate a function: `@define_handler`"),
    ],
)
def test_wrong_call_tells_what_is_taken(tmp_path: Path, text: str, hint: str) -> None:
    shown = fail(tmp_path, text)
    assert hint in shown
    assert "\n  at handlers/a.py:3\n" in shown


def test_application_that_is_not_mounted(tmp_path: Path) -> None:
    assert fail(tmp_path, "from starlette.applications import Starlette\n\nshop = Starlette()\n") == (
        "`handlers/a.py` has no handler: expected exactly one, got the ASGI application `shop`.\n"
        "  at handlers/a.py:5\n"
        "  hint: Mount it: `handler = mount_asgi(shop)`. Its paths go on from the path of this file."
    )


@pytest.mark.parametrize("hook", ["open", "message", "close", "error", "upgrade"])
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_hook_with_a_yield(tmp_path: Path, hook: str, kind: str) -> None:
    text = f"{kind} run(*args):\n    yield 1\nhandler = define_websocket_handler({hook}=run)"
    assert f"`{hook}` of `handlers/a.py` has a `yield`" in fail(tmp_path, text)
    assert "at handlers/a.py:3" in fail(tmp_path, text)


def test_hook_with_a_yield_inside_others(tmp_path: Path) -> None:
    text = (
        "import functools\nclass Hook:\n    async def __call__(self, n, peer, message):\n        yield n\n"
        "handler = define_websocket_handler(message=functools.partial(Hook(), 1))"
    )
    assert "at handlers/a.py:5" in fail(tmp_path, text)


def test_middleware_with_a_yield(tmp_path: Path) -> None:
    text = "@define_middleware\nasync def count(event, next):\n    yield await next()"
    assert "`middleware` of `handlers/middleware/a.py` has a `yield`" in fail(
        tmp_path, text, "handlers/middleware/a.py"
    )


@pytest.mark.parametrize("kind", ["bool", "dict[str, str]", "str | None", "ValueError", "Awaitable[bool]"])
def test_upgrade_that_promises_no_answer(tmp_path: Path, kind: str) -> None:
    text = f"def upgrade(request) -> {kind}: ...\nhandler = define_websocket_handler(upgrade=upgrade)"
    assert "expected a response, `Upgrade` or `None`" in fail(tmp_path, text)


@pytest.mark.parametrize(
    "kind",
    [
        "None",
        "Upgrade",
        "Upgrade | Response | None",
        "HTTPError",
        "'Any'",
        "object",
        "starlette.responses.Response",
    ],
)
def test_upgrade_that_promises_an_answer(tmp_path: Path, kind: str) -> None:
    text = (
        f"import starlette.responses\nasync def upgrade(request) -> {kind}: ...\n"
        "handler = define_websocket_handler(upgrade=upgrade)"
    )
    assert load(tmp_path, text) == 1


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ("'Later'", "name 'Later' is not defined"),
        ("Seen", "name 'Seen' is not defined"),
        ("list['Later']", "name 'Later' is not defined"),
    ],
)
def test_model_that_cannot_be_resolved(tmp_path: Path, annotation: str, reason: str) -> None:
    text = (
        "if TYPE_CHECKING:\n    from somewhere import Seen\nasync def message(\n    peer,\n"
        f"    message: {annotation},\n): ...\nhandler = define_websocket_handler(message=message)"
    )
    write_files(tmp_path, {"handlers/a.py": f"from __future__ import annotations\n{IMPORTS}{text}"})
    with pytest.raises(BuildError) as caught:
        load_routes(tmp_path, scan_handlers(tmp_path, "handlers", (), "production"))
    error = str(caught.value)
    assert reason in error
    assert "`message_model=`" in error


def test_the_line_of_a_model_that_cannot_be_resolved(tmp_path: Path) -> None:
    text = (
        "def log(f): return f\n@log\nasync def message(\n    peer,\n    message: 'Later',\n): ...\n"
        "handler = define_websocket_handler(message=message)"
    )
    assert "at handlers/a.py:7" in fail(tmp_path, text)


def test_annotation_that_pydantic_cannot_validate(tmp_path: Path) -> None:
    text = "async def message(peer, message: Peer): ...\nhandler = define_websocket_handler(message=message)"
    assert "The annotation of the second parameter of `message` of `handlers/a.py` is nothing" in fail(
        tmp_path, text
    )
    assert "at handlers/a.py:3" in fail(tmp_path, text)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (
            "opened=print, on_open=print",
            "Did you mean `open`? Write `handler = define_websocket_handler(open=open)`",
        ),
        ("on_open=print", "Did you mean `open`?"),
        ("on_connect=print", "Did you mean `open`?"),
        ("onmessage=print", "Did you mean `message`?"),
        ("closed=print", "Did you mean `close`?"),
        ("on_disconnect=print", "Did you mean `close`?"),
        ("chat", "Write `handler = define_websocket_handler(message=chat)`"),
        ("on_open", "Write `handler = define_websocket_handler(open=on_open)`"),
    ],
)
def test_wrong_hook_gets_the_right_name(tmp_path: Path, call: str, hint: str) -> None:
    shown = fail(
        tmp_path, f"async def chat(*given): ...\non_open = chat\nhandler = define_websocket_handler({call})"
    )
    assert f"\n  at handlers/a.py:5\n  hint: {hint}" in shown


@pytest.mark.parametrize("name", ["call_next", "next"])
def test_middleware_that_gives_next_an_argument(tmp_path: Path, name: str) -> None:
    text = f"@define_middleware\nasync def a(request, {name}):\n    return await {name}(request)"
    assert fail(tmp_path, text, "handlers/middleware/a.py") == (
        f"The middleware of `handlers/middleware/a.py` calls `{name}(request)`, and `{name}` takes no arguments.\n"
        "  at handlers/middleware/a.py:5\n"
        f"  hint: Write `await {name}()`: the event is passed on by itself."
    )


def test_middleware_that_gives_another_function_an_argument(tmp_path: Path) -> None:
    text = "@define_middleware\nasync def a(event, next):\n    print(event)\n    return await next()"
    write_files(tmp_path, {"handlers/index.get.py": f"{IMPORTS}@define_handler\nasync def show(event): ..."})
    assert load(tmp_path, text, "handlers/middleware/a.py") == 1
