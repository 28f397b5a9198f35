"""`aws.cloudfront = false`: the preview has two hosts, as AWS would, and the build says what that changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from nitro_presets.aws_lambda.gateway.environment import API
from tests.bundles import build_project, plan_project, write_files
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

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


def test_build_says_what_changes(project: Path) -> None:
    (note,) = [note for note in plan_project(project).bundle.notes if "CloudFront" in note]
    assert "`WebSocketUrl?nitro_path=PATH`" in note
    assert "`websocket.allowed_origins`" in note
    assert not [note for note in plan_project(project, **{"aws.cloudfront": True}).bundle.notes if "Cloud" in note]
