"""The examples in the docstrings of `nitro_py.testing` run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path
from textwrap import dedent, indent
from types import ModuleType
from typing import Any

import pytest

from nitro_py.testing import client
from tests.bundles import write_files

MODULES = [
    importlib.import_module(f"nitro_py.testing.{name}")
    for name in ("answers", "client", "cookies", "sockets", "streams")
]
EXAMPLE = re.compile(r"^Example:\n(.*)\Z", re.MULTILINE | re.DOTALL)

PROJECT = {
    "nitro.toml": "experimental.websocket = true\n",
    "handlers/api/hello.get.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> dict[str, str]:
            return {"message": "hello"}
        """,
    "handlers/api/orders.post.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> object:
            event.response.status = 201 if await event.request.json() == {"item": "tea"} else 400
            return None
        """,
    "handlers/avatar.post.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            async with event.request.form() as form:
                return form["picture"].content_type
        """,
    "handlers/login.post.py": """
        from nitro_py import Event, Response, define_handler

        @define_handler
        async def handler(event: Event) -> Response:
            return Response(None, headers={"set-cookie": f"name={(await event.body()).decode()}"})
        """,
    "handlers/account.get.py": """
        from nitro_py import Event, HTTPError, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            if "name" not in event.cookies:
                raise HTTPError(401)
            return event.cookies["name"]
        """,
    "handlers/clock.py": """
        from nitro_py import Event, EventStream, create_event_stream, define_handler

        async def tick():
            yield "12:00"

        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, tick())
        """,
    "handlers/chat.py": """
        from nitro_py import Upgrade, define_websocket_handler

        async def upgrade(request):
            return Upgrade(protocol="v2" if "sec-websocket-protocol" in request.headers else None)

        async def message(peer, message):
            await peer.send(message.json())

        handler = define_websocket_handler(upgrade=upgrade, message=message)
        """,
}


def list_examples() -> list[tuple[str, str]]:
    """List the examples that need a running app: the name of what they belong to, and the code."""
    found = []
    for module in MODULES:
        owned = [
            owner for _, owner in inspect.getmembers(module) if getattr(owner, "__module__", "") == module.__name__
        ]
        members = [member for owner in owned if inspect.isclass(owner) for _, member in inspect.getmembers(owner)]
        for owner in [*owned, *filter(inspect.isfunction, members)]:
            match = EXAMPLE.search(inspect.cleandoc(owner.__doc__ or ""))
            if match is not None and ">>>" not in match[1]:
                found.append((owner.__qualname__, dedent(match[1])))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_lines_of_the_interpreter_print_what_they_say(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.anyio
async def test_examples_run_in_an_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_files(tmp_path, PROJECT))
    examples = dict(list_examples())
    assert set(examples) == {
        "Client",
        "Client.connect",
        "Client.new_client",
        "Client.request",
        "Client.stream",
        "TestSocket",
        "TestStream",
        "client",
    }
    for name, code in examples.items():
        made = "" if "client() as app" in code else "async with client() as app:\n"
        body = made + (indent(code, "    ") if made else code)
        scope: dict[str, Any] = {"client": client}
        exec(compile(f"async def example():\n{indent(body, '    ')}", name, "exec"), scope)
        await scope["example"]()
