"""A peer of an ordered route whose invocation dies."""

from __future__ import annotations

from pathlib import Path

import pytest
from websockets.sync.client import connect

from nitro_presets.aws_lambda.deploy.template import TEMPLATE
from nitro_presets.aws_lambda.gateway.fifo_queue import read_queue
from nitro_presets.aws_lambda.gateway.quotas import AWS_QUOTAS, Quotas
from tests.bundles import build_project, write_files
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(300)

FILES = {
    "nitro.toml": 'experimental.websocket = true\npreset = "aws-lambda"\naws.ordered = true\n',
    "handlers/talk.py": """
        import os

        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            with open(os.environ["JOURNAL"], "a") as journal:
                journal.write(message.text() + " ")
            if message.text() == "die":
                os._exit(1)
            await peer.send(message.text())

        handler = define_websocket_handler(message=message)
        """,
}


def test_message_whose_invocation_died_runs_once_and_the_next_one_comes(tmp_path: Path) -> None:
    output = build_project(write_files(tmp_path / "app", FILES))
    journal = tmp_path / "journal"
    limits = Quotas(visibility=1.0)
    with (
        run_gateway(output, environment={"JOURNAL": str(journal)}, limits=limits) as url,
        connect(f"{url.replace('http', 'ws', 1)}/talk") as socket,
    ):
        for text in ("before", "die", "after"):
            socket.send(text)
        assert [socket.recv(60), socket.recv(60)] == ["before", "after"]
    assert journal.read_text() == "before die after "
    # What a peer waits for on AWS.
    assert read_queue(output / TEMPLATE, AWS_QUOTAS).visibility <= 35
