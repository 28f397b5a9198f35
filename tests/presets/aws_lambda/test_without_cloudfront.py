"""`aws.cloudfront = false`: the preview has two hosts, as AWS would, and the build says what that changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from nitro_presets.aws_lambda.gateway.environment import API
from nitro_py.build.pipeline import write_plan
from nitro_py.cli.init import read_templates
from nitro_py.server.ports import bind_port, format_url
from tests.browser import open_browser
from tests.bundles import build_project, plan_project, write_files
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

# How long the page may take for a step, in milliseconds.
PATIENCE = 60_000
ORIGIN = "https://pages.test"
FILES = {
    "nitro.toml": f"""
        experimental.websocket = true
        preset = "aws-lambda"
        aws.cloudfront = false
        websocket.allowed_origins = ["{ORIGIN}"]
        """,
    "handlers/talk.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            await peer.send([peer.remote_address, peer.request.headers["host"]])

        handler = define_websocket_handler(message=message)
        """,
    "handlers/seen.get.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> list[str]:
            return [event.remote_address, event.headers["host"]]
        """,
    "handlers/where.get.py": """
        from nitro_py import Event, define_handler, websocket_url

        @define_handler
        async def handler(event: Event) -> str:
            return websocket_url("/talk?a=1")
        """,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the app."""
    return write_files(tmp_path_factory.mktemp("direct"), FILES)


@pytest.fixture(scope="module")
def url(project: Path) -> Iterator[str]:
    """Run the app."""
    with run_gateway(build_project(project), environment={}) as address:
        yield address


def test_page_and_socket_have_a_host_each(url: str) -> None:
    answer = httpx.get(f"{url}/seen", headers={"x-nitro-address": "8.8.8.8"}, timeout=60)
    assert answer.json() == ["127.0.0.1", "localhttp0.execute-api.eu-central-1.amazonaws.com"]
    address = f"{url.replace('http', 'ws', 1)}/_aws/{API.stage}?nitro_path=/talk"
    with connect(address, origin=Origin(ORIGIN)) as socket:
        socket.send("who")
        assert socket.recv(60) == f'["127.0.0.1","{API.domain}"]'
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin=Origin("https://other.test"))
    assert refused.value.response.status_code == 403


def test_socket_at_a_path_of_the_page_is_none(url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url.replace('http', 'ws', 1)}/talk")
    assert refused.value.response.status_code == 426


def test_handler_knows_the_url_of_a_socket(url: str) -> None:
    told = httpx.get(f"{url}/where", timeout=60).text
    assert told == f"{url.replace('http', 'ws', 1)}/_aws/{API.stage}?nitro_path=%2Ftalk&a=1"
    with connect(told, origin=Origin(ORIGIN)) as socket:
        socket.send("who")
        assert json.loads(socket.recv(60))[1] == API.domain


def test_chat_of_a_new_project_finds_its_socket(tmp_path: Path) -> None:
    for name, content in read_templates():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    listener = bind_port("127.0.0.1", 0)
    # The page has another origin than its sockets.
    settings: dict[str, Any] = {"aws.cloudfront": False, "websocket.allowed_origins": (format_url(listener),)}
    plan = plan_project(tmp_path, preset="aws-lambda", **settings)
    write_plan(plan)
    with run_gateway(plan.output, environment={}, listener=listener) as url, open_browser() as browser:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        expect(page.locator("#state")).to_have_text("Connected", timeout=PATIENCE)
        page.get_by_label("Message").fill("hello")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#log li.mine:not(.waiting) .text")).to_have_text("hello", timeout=PATIENCE)


def test_build_says_what_changes(project: Path) -> None:
    (note,) = [note for note in plan_project(project).bundle.notes if "CloudFront" in note]
    assert "`WebSocketUrl?nitro_path=PATH`" in note
    assert "`websocket.allowed_origins`" in note
    assert not [note for note in plan_project(project, **{"aws.cloudfront": True}).bundle.notes if "Cloud" in note]
