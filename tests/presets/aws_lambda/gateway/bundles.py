"""Bundles of the throw-away function, and what the gateway around them is asked."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from websockets.asyncio.client import ClientConnection, connect

from nitro_presets.aws_lambda.deploy.template import TEMPLATE, TemplateOptions, render_template
from nitro_presets.aws_lambda.gateway.gateway import Gateway
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_py.runtime.manifest import MANIFEST_NAME, Manifest

FUNCTION = Path(__file__).with_name("function.py")
PATIENCE = 60.0
# A busy machine may start a process late.
PATIENT_QUOTAS = Quotas(init=PATIENCE)


class Site:
    """A running gateway with all that its functions noted.

    Args:
        gateway: The gateway.
        log: The file that the functions write to.
    """

    def __init__(self, gateway: Gateway, log: Path) -> None:
        self.gateway = gateway
        self._log = log

    def notes(self, kind: str = "start") -> list[dict[str, Any]]:
        """Return what was noted, of one kind."""
        # A function may be in the middle of the last line.
        whole, _, _ = (self._log.read_bytes() if self._log.exists() else b"").rpartition(b"\n")
        lines = whole.decode().split("\n") if whole else []
        return [note for note in map(json.loads, lines) if note["kind"] == kind]

    def events(self, kind: str | None = None, noted: str = "start") -> list[dict[str, Any]]:
        """Return the events that came, those of one `eventType` if it is named."""
        events: list[dict[str, Any]] = [note["event"] for note in self.notes(noted)]
        return [event for event in events if kind in (None, event.get("requestContext", {}).get("eventType"))]

    async def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait until something is there, and return it."""
        until = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < until, "it never came"
            await asyncio.sleep(0.02)
        return found

    async def wait_for_event(self, kind: str) -> dict[str, Any]:
        """Wait for the first event of a kind."""
        found: dict[str, Any] = (await self.wait_for(lambda: self.events(kind)))[0]
        return found

    async def id(self) -> str:
        """Wait for the id of the first connection."""
        found: str = (await self.wait_for_event("CONNECT"))["requestContext"]["connectionId"]
        return found

    def connect(self, path: str = "/chat", **options: Any) -> connect:
        """Connect a client; an option `order` is what `$connect` is asked to do."""
        order = options.pop("order", None)
        if order is not None:
            path += f"{'&' if '?' in path else '?'}order={quote(json.dumps(order))}"
        return connect(self.gateway.url.replace("http", "ws") + path, compression=None, **options)

    def client(self, service: str, **options: Any) -> Any:
        """Make a boto3 client of one of the gateway's services, that tries nothing twice."""
        endpoint = {
            "apigatewaymanagementapi": self.gateway.callback_url,
            "lambda": f"{self.gateway.url}/_aws",
            "sqs": f"{self.gateway.url}/_aws/sqs",
        }[service]
        credentials = self.gateway.credentials
        arguments = {
            "endpoint_url": endpoint,
            "region_name": self.gateway.region,
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
            "aws_session_token": credentials.token,
            "config": Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE),
        }
        return boto3.client(service, **(arguments | options))


async def order(socket: ClientConnection, **values: Any) -> None:
    """Send a message that says what to do with it."""
    await socket.send(json.dumps(values))


def write_bundle(output: Path, settings: dict[str, Any] | None = None, **functions: dict[str, Any]) -> None:
    """Write a bundle whose functions are all the throw-away one."""
    described = {name: {"handler": f"nitro_{name}.handler", **values} for name, values in functions.items()}
    (output / "server").mkdir(parents=True)
    (output / "nitro.json").write_text(json.dumps({"preset": "aws-lambda", "functions": described}))
    options = TemplateOptions(
        name="site",
        python_version="3.13",
        websocket="websocket" in functions,
        http=functions["http"].get("event", "http-api") if "http" in functions else "none",
        streaming="http" in functions and functions["http"].get("streaming", False),
        ordered="websocket" in functions and functions["websocket"].get("ordered", False),
    )
    (output / TEMPLATE).write_text(render_template(options))
    (output / "server" / MANIFEST_NAME).write_text(Manifest("production", (), settings=settings or {}).to_json())
    shutil.copy(FUNCTION, output / "server" / "nitro_bootstrap.py")


@asynccontextmanager
async def open_site(
    folder: Path, database: str, functions: dict[str, dict[str, Any]], **options: Any
) -> AsyncIterator[Site]:
    """Run a gateway around a new bundle."""
    write_bundle(folder / "output", options.pop("settings", None), **functions)
    template = folder / "output" / TEMPLATE
    template.write_text(options.pop("edit_template", str)(template.read_text()))
    options.setdefault("limits", PATIENT_QUOTAS)
    log = folder / "log"
    environment = {"LOG": str(log), **options.pop("environment", {})}
    async with Gateway(folder / "output", database=database, environment=environment, **options) as gateway:
        yield Site(gateway, log)


OpenSite = Callable[..., AbstractAsyncContextManager[Site]]
