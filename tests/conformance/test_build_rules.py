"""What the contract says of the build: kinds, duplicates, exactly one handler, capabilities, streams unsaid."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from nitro_presets.asgi.preset import AsgiPreset
from nitro_py import define_event_handler, define_handler
from nitro_py.build.config.load import load_config
from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.pipeline import make_manifest
from nitro_py.build.validate import validate
from nitro_py.capabilities import CAPABILITIES, Capability
from nitro_py.errors import BuildError
from nitro_py.event import Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.runtime.app import App
from nitro_py.runtime.http.dispatch import serve_http
from nitro_py.runtime.manifest import Manifest
from nitro_py.testing.asgi_conversation import AsgiConversation, make_scope
from nitro_py.testing.conformance import APP
from nitro_py.testing.failures import AppFailures
from nitro_py.testing.streams import read_whole
from tests.bundles import write_files


@dataclass(frozen=True, slots=True)
class PoorPreset(AsgiPreset):
    """Can do everything but one thing."""

    lacking: str = ""

    def capabilities(self, config: NitroConfig) -> frozenset[Capability]:
        """Leave one capability out."""
        return frozenset(CAPABILITIES) - {self.lacking}


HANDLER = """
    from nitro_py import Event, define_handler

    @define_handler
    async def handler(event: Event) -> str:
        return "hello"
    """


def read_project(root: Path) -> Manifest:
    """Scan and load a project."""
    return make_manifest(load_config(root, mode="production", overrides={}, environ={}))


def fail(tmp_path: Path, files: dict[str, str]) -> BuildError:
    """Build a project that cannot be built, and return the error."""
    with pytest.raises(BuildError) as caught:
        read_project(write_files(tmp_path, files))
    return caught.value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.get.py", "(group)/a.get.py"),
        ("a/index.py", "a.py"),
        ("[id].py", "[name].py"),
        ("[...].py", "[...rest].py"),
        ("a.get.dev.py", "(b)/a.get.dev.py"),
    ],
)
def test_two_files_of_one_route_method_and_mode_are_named(tmp_path: Path, one: str, other: str) -> None:
    """Check R5 of the contract."""
    error = fail(tmp_path, {f"handlers/{one}": HANDLER, f"handlers/{other}": HANDLER})
    assert f"`handlers/{one}`" in str(error)
    assert f"`handlers/{other}`" in str(error)


def test_same_route_with_other_method_or_mode_is_none_of_them(tmp_path: Path) -> None:
    """Check R5 of the contract."""
    names = ["a.get.py", "a.post.py", "a.py", "a.get.dev.py", "a.get.prod.py"]
    manifest = read_project(write_files(tmp_path, {f"handlers/{name}": HANDLER for name in names}))
    served = ["handlers/a.get.prod.py", "handlers/a.post.py", "handlers/a.py"]
    assert sorted(route.file for route in manifest.routes) == served


def test_file_without_handler_is_named(tmp_path: Path) -> None:
    """Check R5 of the contract."""
    error = fail(tmp_path, {"handlers/empty.py": "VALUE = 1\n"})
    assert (error.file, error.line) == ("handlers/empty.py", 1)
    assert "no handler" in error.message


def test_file_with_two_handlers_is_named_with_the_line(tmp_path: Path) -> None:
    """Check R5 of the contract."""
    second = "\n    other = define_handler(lambda event: None)\n    "
    error = fail(tmp_path, {"handlers/two.py": HANDLER + second})
    assert (error.file, error.line) == ("handlers/two.py", 7)
    assert "`handler`, `other`" in error.message


def test_handler_is_found_by_its_type_whatever_its_name(tmp_path: Path) -> None:
    """Check R5 of the contract."""
    code = HANDLER.replace("def handler", "def anything")
    assert read_project(write_files(tmp_path, {"handlers/a.py": code})).routes[0].kind == "http"


def test_define_event_handler_is_the_same_function() -> None:
    """Check H1 of the contract."""
    assert define_event_handler is define_handler


def test_kind_stands_in_the_manifest(suite_bundle: Path) -> None:
    """Check R6 of the contract."""
    routes = json.loads((suite_bundle / "server/manifest.json").read_text())["routes"]
    kinds = {route["path"]: (route["kind"], route["requires"]) for route in routes}
    assert kinds["/rules"] == ("http", ["http"])
    assert kinds["/ws/echo"] == ("websocket", ["websocket"])
    # By `EventStream`, by `AsyncIterator`, by `Iterator`, by `streams=True`, by `topics=True`.
    for path in ("push", "chunks/[key]", "lines", "control/[key]"):
        assert kinds[f"/streaming/{path}"] == ("sse", ["http", "streaming"])
    assert kinds["/topics_sse/[topic]"] == ("sse", ["http", "streaming", "topics.sse"])


@pytest.mark.parametrize(
    ("lacking", "path"),
    [
        ("websocket", "/ws/echo"),
        ("websocket.mounted", "/mounted_sockets"),
        ("streaming", "/streaming/push"),
        ("topics.sse", "/topics_sse/[topic]"),
    ],
)
def test_build_refuses_what_the_target_cannot_do_and_names_the_route(lacking: str, path: str) -> None:
    """Check C1 of the contract."""
    loaded = load_config(APP, mode="production", overrides={}, environ={})
    preset = PoorPreset(name="poor", lacking=lacking)
    with pytest.raises(BuildError) as caught:
        validate(make_manifest(loaded), loaded, preset)
    assert f"The route `{path}` needs `{lacking}`, which the preset `poor` cannot do." in str(caught.value)
    assert "`/rules`" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "status"), [("", 500), ("(streams=True)", 200)])
async def test_stream_unsaid_is_an_error_where_the_target_holds_it_back(
    tmp_path: Path, said: str, status: int
) -> None:
    """Check R6 of the contract."""
    code = f"""
        from nitro_py import Event, define_handler

        @define_handler{said}
        async def handler(event: Event) -> object:
            return iter(["a", "b"])
        """
    app = App(tmp_path, read_project(write_files(tmp_path, {"handlers/stream.get.py": code})))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_http(app, "/stream", scope, receive, send, buffered=True)

    scope = make_scope("http", "http://localhost/stream", Headers())
    exchange = AsgiConversation(answer, {**scope, "method": "GET"}, timeout=60, failures=AppFailures(raised=False))
    exchange.put({"type": "http.request", "body": b"", "more_body": False})
    assert (await read_whole(exchange)).status == status
    await exchange.drop()
