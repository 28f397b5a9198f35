"""What `server.allowed_hosts` keeps away, on the bundle's own server and on others."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nitro_py.testing.conformance import JOURNAL, ServerTarget
from nitro_py.testing.conformance.suite.steps import make_key, read_journal
from nitro_py.testing.conformance.suite.upgrades import refuse
from tests.bundles import Server, run_bundle, run_server
from tests.conformance.test_other_servers import HOST, SERVERS, wait_for_health
from tests.ports import find_port

pytestmark = pytest.mark.anyio

ALLOWED = {"NITRO_SERVER__ALLOWED_HOSTS": f"app.example,*.app.example,{HOST}", "NITRO_METRICS": "true"}
REFUSED = {
    "status": 403,
    "message": "The host `evil.example` is not in `server.allowed_hosts`.",
    "data": None,
}
# An own file, a route, one without a file, a stream, an application, and what is not a probe.
PATHS = ("/hello.txt", "/plugins", "/nothing", "/streaming/push", "/topics_sse/a", "/mounted", "/_nitro/metrics")


@pytest.fixture(scope="module", params=["own", *(server.name for server in SERVERS)])
def server(
    request: pytest.FixtureRequest, suite_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Run the suite's bundle with allowed hosts, on each server."""
    folder = tmp_path_factory.mktemp(request.param)
    environ = {JOURNAL: str(folder), **ALLOWED}
    if request.param == "own":
        with run_bundle(suite_bundle, environ=environ) as running:
            yield running
        return
    other = next(server for server in SERVERS if server.name == request.param)
    port = find_port()
    command = [
        *(sys.executable, "-m", other.name),
        *(part.format(port=port) for part in other.arguments),
        "nitro_server:app",
    ]
    with run_server(
        command,
        log=folder / "log",
        environ=environ,
        cwd=suite_bundle / "server",
        announcement=other.announcement,
    ) as running:
        # A probe, which names the address.
        wait_for_health(f"http://{HOST}:{port}")
        yield Server(f"http://{HOST}:{port}", running.process, running.log)


@pytest.fixture(scope="module")
def own(suite_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the suite's bundle with allowed hosts, on its own server."""
    with run_bundle(suite_bundle, environ={JOURNAL: str(tmp_path_factory.mktemp("own")), **ALLOWED}) as running:
        yield running


@pytest.fixture
def target(server: Server) -> ServerTarget:
    """Return the server as a target."""
    return ServerTarget(server.url)


async def send_raw(url: str, text: str) -> bytes:
    """Send bytes to a server, and return all that it answers."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(text.encode())
    try:
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()


@pytest.mark.parametrize("path", PATHS)
async def test_request_to_another_host_is_403(target: ServerTarget, path: str) -> None:
    """Check H16 of the contract."""
    answer = await target.request("GET", path, headers={"host": "evil.example", "x-forwarded-host": "app.example"})
    assert (answer.status, answer.json()) == (403, REFUSED)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("host", ["app.example", "App.Example.:8080", "a.b.app.example", HOST])
async def test_request_to_an_allowed_host_is_answered(target: ServerTarget, host: str) -> None:
    """Check H16 of the contract."""
    for path, status in (("/hello.txt", 200), ("/plugins", 200), ("/nothing", 404), ("/mounted/", 200)):
        assert (await target.request("GET", path, headers={"host": host})).status == status
    async with target.connect("/ws/echo", headers={"host": host}) as socket:
        await socket.send("hello")
        assert await socket.receive_text() == "hello"


@pytest.mark.parametrize("path", ["/ws/upgrade/plain", "/mounted_sockets/echo", "/nothing", "/_nitro/live"])
async def test_handshake_to_another_host_is_refused_before_any_hook(target: ServerTarget, path: str) -> None:
    """Check H16 of the contract."""
    key = make_key()
    refused = await refuse(
        target, f"{path}?key={key}", origin="http://evil.example", headers={"host": "evil.example"}
    )
    assert (refused.status, json.loads(refused.body)) == (403, REFUSED)
    assert await read_journal(target, key) == []


@pytest.mark.parametrize("path", ["/_nitro/live", "/_nitro/ready", "/_nitro/health"])
async def test_probes_answer_to_every_host(server: Server, target: ServerTarget, path: str) -> None:
    """Check H16 of the contract."""
    assert (await target.request("GET", path, headers={"host": "10.0.0.9:8080"})).status == 200
    answer = await send_raw(server.url, f"GET {path} HTTP/1.0\r\n\r\n")
    assert answer.split(b" ", 2)[1] == b"200"


@pytest.mark.parametrize("path", ["/_nitro/live/", "/_nitro/%6cive", "/_nitro/live/x", "//_nitro/live"])
async def test_path_like_that_of_a_probe_is_none(target: ServerTarget, path: str) -> None:
    """Check H16 of the contract."""
    assert (await target.request("GET", path, headers={"host": "evil.example"})).status == 403


async def test_request_without_a_host_is_403(server: Server) -> None:
    """Check H16 of the contract."""
    answer = await send_raw(server.url, "GET /plugins HTTP/1.0\r\n\r\n")
    assert answer.split(b" ", 2)[1] == b"403"
    assert b"`server.allowed_hosts`" in answer


async def test_target_that_is_a_whole_url_names_the_host(own: Server) -> None:
    """Check H16 of the contract."""
    for named, field, status in (
        ("evil.example", "app.example", b"403"),
        ("app.example", "evil.example", b"200"),
    ):
        request = f"GET http://{named}/plugins HTTP/1.1\r\nHost: {field}\r\nConnection: close\r\n\r\n"
        assert (await send_raw(own.url, request)).split(b" ", 2)[1] == status


async def test_refused_hosts_are_logged_once(server: Server, target: ServerTarget) -> None:
    """Check H16 of the contract."""
    for _ in range(3):
        await target.request("GET", "/plugins", headers={"host": "logged.example"})
    assert server.read_log().count("Refused a request to the host logged.example") == 1
