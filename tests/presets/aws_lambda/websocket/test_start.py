"""The start of the WebSocket function, in Lambda's init phase."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nitro_presets.aws_lambda.aws_client.http import _make_context
from nitro_presets.aws_lambda.entry import WebSocketEntry, make_services
from nitro_presets.aws_lambda.lambda_runtime.runner import run
from nitro_py.runtime.manifest import read_manifest
from tests.bundles import build_project, write_files
from tests.presets.aws_lambda.aws_client.service_double import Peer, answer

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "eu-central-1",
    "AWS_LAMBDA_FUNCTION_NAME": "sockets",
    "NITRO_TABLE": "table",
    "NITRO_CALLBACK_URL": "https://api.test/prod",
}
FILES = {
    "nitro.toml": 'experimental.websocket = true\npreset = "aws-lambda"\n',
    "handlers/talk.py": """
        from pathlib import Path

        from nitro_py import Message, Peer, define_websocket_handler

        (Path(__file__).parents[1] / "loaded").touch()

        async def message(peer: Peer, message: Message) -> None: ...

        handler = define_websocket_handler(message=message)
        """,
    "handlers/plugins/note.py": """
        from collections.abc import AsyncIterator
        from pathlib import Path

        from nitro_py import define_plugin

        LOG = Path(__file__).parents[2] / "log"

        @define_plugin
        async def note() -> AsyncIterator[None]:
            LOG.write_text("started")
            yield
            LOG.write_text("stopped")
        """,
}


def test_hooks_plugins_and_tls_are_ready_before_the_first_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    server = build_project(write_files(tmp_path, FILES)) / "server"
    (server / "loaded").unlink(missing_ok=True)
    _make_context.cache_clear()
    entry = WebSocketEntry(server)
    assert not (server / "log").exists()
    run(entry.start())
    assert (server / "loaded").exists()
    assert (server / "log").read_text() == "started"
    # One for all services: DynamoDB's client and that of the connections have it.
    assert (_make_context.cache_info().misses, _make_context.cache_info().hits) == (1, 1)
    run(entry.stop())
    assert (server / "log").read_text() == "stopped"


@pytest.mark.parametrize(("memory", "count"), [("128", 16), ("256", 32), ("1769", 100)])
def test_small_function_opens_few_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str, count: int
) -> None:
    for name, value in {**VARIABLES, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory}.items():
        monkeypatch.setenv(name, value)
    server = build_project(write_files(tmp_path, FILES)) / "server"

    async def post_to_many() -> int:
        async with Peer(*[answer(200, pause=0.05)] * 100) as peer:
            monkeypatch.setenv("NITRO_CALLBACK_URL", f"{peer.url}/prod")
            poster = make_services(read_manifest(server)).poster
            await asyncio.gather(*(poster.post("BFHP=", "hello") for _ in range(100)))
            await poster.close()
            return peer.connections

    assert asyncio.run(post_to_many()) == count
