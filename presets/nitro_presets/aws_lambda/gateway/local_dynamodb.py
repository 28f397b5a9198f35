"""DynamoDB on this machine: moto's server in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from nitro_presets.aws_lambda.aws_client.credentials import CredentialSource
from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.store.table import TTL, table_definition
from nitro_py.errors import NitroError, UsageError, suggest_extra

logger = logging.getLogger("nitro_py.aws.gateway")

# How long the server may take to start, in seconds.
START_TIMEOUT = 60.0
# DynamoDB is moto's server, on flask; HTTP is parsed by h11, frames by wsproto, and the template by PyYAML.
_PACKAGES = ("flask", "h11", "moto", "wsproto", "yaml")


class LocalDynamoDb:
    """A context manager that runs the server.

    Raises:
        UsageError: A package of the extra `aws` is not installed.
        NitroError: The server does not start.
    """

    def __init__(self) -> None:
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        require_packages()
        # The server ends with its standard input, and so with this process, even if that is killed.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nitro_presets.aws_lambda.gateway.local_dynamodb"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START_TIMEOUT)
        except TimeoutError:
            line = b""
        if not line.startswith(b"http://"):
            await self._stop()
            raise NitroError("moto's server, which stands in for DynamoDB, does not start.")
        self.url = line.decode().strip()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        # This closes the pipes too.
        await self._process.communicate()


def require_packages() -> None:
    """Refuse to start without what the gateway is made of.

    Raises:
        UsageError: A package is not installed.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"The local gateway needs `{missing[0]}`, which is not installed.",
            hint=f"Install the extra `aws`: {suggest_extra('aws')}.",
        )


async def make_table(url: str, name: str, region: str, credentials: CredentialSource) -> None:
    """Create the table of the stack."""
    client = DynamoClient(name, region=region, endpoint=url, credentials=credentials)
    try:
        await client.call("CreateTable", table_definition())
        specification = {"AttributeName": TTL, "Enabled": True}
        await client.call("UpdateTimeToLive", {"TimeToLiveSpecification": specification})
    finally:
        await client.close()


def serve() -> None:
    """Serve until standard input ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def serialize(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        # moto checks a condition and writes in two steps; DynamoDB does both at once.
        with lock:
            answer: Iterable[bytes] = application(environ, start)
            return answer

    def end_with_input() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_input, daemon=True).start()
    server = make_server("127.0.0.1", 0, serialize, threaded=True, request_handler=MotoRequestHandler)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
