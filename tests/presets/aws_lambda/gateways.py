"""Running the strict gateway beside tests, which have loops of their own."""

# Each wait has its own limit, and its own message when that is reached.
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection

from nitro_presets.aws_lambda.gateway.fault_injection import Faults
from nitro_presets.aws_lambda.gateway.gateway import Gateway
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_py.build.config.load import load_config
from nitro_py.build.pipeline import choose_preset, plan_build, write_plan
from nitro_py.encoding import Frame
from nitro_py.testing.conformance import APP, ServerTarget
from nitro_py.testing.conformance.server import ServerSocket

# How long the gateway may take to start or to stop, in seconds.
PATIENCE = 60.0
# A busy machine may start a process late.
PATIENT_QUOTAS = Quotas(init=PATIENCE)


def build_suite(folder: Path, **settings: object) -> Path:
    """Build the suite's app for AWS in a new folder, with `aws.*` settings, and return the output folder."""
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    overrides: dict[str, object] = {f"aws.{name}": value for name, value in settings.items()}
    # Streams of topics and sockets of mounted applications are refused for this target, as other tests show.
    overrides |= {"preset": "aws-lambda", "ignore": ("ignored/**", "mounted_sockets.py", "topics_sse/**")}
    loaded = load_config(folder, mode="production", overrides=overrides, environ={})
    plan = plan_build(loaded, choose_preset(loaded, {}))
    write_plan(plan)
    return plan.output


class EnvelopeSocket(ServerSocket):
    """A client that knows the envelope in which binary messages travel."""

    async def send(self, data: object) -> None:
        """Send bytes in an envelope, the rest as it is."""
        if isinstance(data, bytes):
            data = {"base64": base64.b64encode(data).decode()}
        await super().send(data)

    async def receive(self, timeout: float | None = None) -> Frame:
        """Return the next message, without its envelope."""
        text = await super().receive(timeout)
        assert isinstance(text, str)
        if text.startswith('{"base64":'):
            return base64.b64decode(json.loads(text)["base64"])
        return text


class EnvelopeTarget(ServerTarget):
    """Drives a bundle on AWS with clients that know the envelope."""

    def make_socket(self, connection: ClientConnection) -> ServerSocket:
        """Make what a test gets for an open connection."""
        return EnvelopeSocket(connection)


@contextmanager
def run_gateway(
    output: Path,
    *,
    environment: Mapping[str, str],
    concurrency: int = 4,
    faults: Faults | None = None,
    limits: Quotas = PATIENT_QUOTAS,
    listener: socket.socket | None = None,
) -> Iterator[str]:
    """Run a bundle behind the gateway, in a thread with a loop of its own, and return its URL."""
    ready = threading.Event()
    url: list[str] = []
    problems: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        gateway = Gateway(
            output,
            listener=listener,
            concurrency=concurrency,
            faults=faults,
            limits=limits,
            environment=environment,
        )
        async with gateway:
            url.append(gateway.url)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            problems.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    if not ready.wait(PATIENCE) or problems:
        raise AssertionError(f"The gateway did not start: {problems}")
    try:
        yield url[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
    assert not problems, problems
