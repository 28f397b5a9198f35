"""The start of the WebSocket function, in Lambda's init phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_presets.aws_lambda.aws_client.http import _make_context
from nitro_presets.aws_lambda.entry import WebSocketEntry
from nitro_presets.aws_lambda.lambda_runtime.runner import run
from tests.bundles import build_project, write_files

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
