"""What a bundle's functions may call, and whose address they see, behind a gateway that is as strict as AWS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.bundles import build_project, write_files
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

FILES = {
    "nitro.toml": 'experimental.websocket = true\npreset = "aws-lambda"\n',
    "handlers/talk.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            await peer.send(peer.remote_address)

        handler = define_websocket_handler(message=message)
        """,
    "handlers/seen.get.py": """
        from nitro_py import Event, define_handler, peers

        @define_handler
        async def handler(event: Event) -> dict[str, object]:
            return {"address": event.remote_address, "peers": len([peer async for peer in peers("/talk")])}
        """,
}
SEEN = {"address": "127.0.0.1", "peers": 1}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the app."""
    return build_project(write_files(tmp_path_factory.mktemp("roles"), FILES))


@pytest.fixture(scope="module")
def url(output: Path) -> Iterator[str]:
    """Run the app."""
    with run_gateway(output, environment={}) as address:
        yield address


def test_http_route_lists_peers_and_sees_the_address_of_its_client(url: str) -> None:
    with connect(f"{url.replace('http', 'ws', 1)}/talk") as socket:
        socket.send("who")
        assert socket.recv(60) == "127.0.0.1"
        answer = httpx.get(f"{url}/seen", headers={"x-nitro-address": "8.8.8.8"}, timeout=60)
        assert (answer.status_code, answer.json()) == (200, SEEN)


def test_gateway_denies_what_the_role_does_not_allow(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    template = output / "template.yaml"
    whole = template.read_text(encoding="utf-8")
    before, name, role = whole.partition("\n  HttpRole:")
    index = '                  - !Sub "${Table.Arn}/index/due"\n'
    assert role.count(index) == 1
    template.write_text(before + name + role.replace(index, ""), encoding="utf-8")
    try:
        with run_gateway(output, environment={}) as url:
            assert httpx.get(f"{url}/seen", timeout=60).status_code == 500
    finally:
        template.write_text(whole, encoding="utf-8")
    denials = [record.message for record in caplog.records if record.message.startswith("[iam] ")]
    assert denials[0].startswith("[iam] HttpRole is not authorized to perform: dynamodb:Query on resource: arn:")
    assert "/index/due because no identity-based policy allows" in denials[0]
