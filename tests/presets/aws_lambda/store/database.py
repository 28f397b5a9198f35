"""DynamoDB for the tests: the server of the local gateway, without the gateway."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.checkout import ROOT


@contextmanager
def run_database() -> Iterator[str]:
    """Run the server and return its URL."""
    # It ends with its standard input.
    with subprocess.Popen(
        [sys.executable, "-m", "nitro_presets.aws_lambda.gateway.local_dynamodb"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            assert url.startswith("http://"), "moto's server does not start"
            yield url
        finally:
            server.kill()
