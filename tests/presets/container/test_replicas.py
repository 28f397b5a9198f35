"""Two replicas behind nginx, joined by a broker, as `compose.yaml` runs them: with the same files and settings."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from nitro_py.testing.answers import UpgradeRefused
from nitro_py.testing.conformance import ServerTarget
from nitro_py.testing.conformance.suite.steps import poll
from nitro_py.testing.conformance.target import Socket
from tests.brokers.processes import run_broker
from tests.capabilities import require_program
from tests.ports import find_port
from tests.presets.container.chat import CHAT, check_chat, check_clock, join
from tests.presets.container.engine import PATIENCE, Container, Engine
from tests.presets.container.names import serve_names

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

HOSTS = ("127.0.0.2", "127.0.0.3")
# Neither nginx nor a replica has this address, so who says it has heard of the client.
CLIENT = "127.0.0.7"


@dataclass(frozen=True, slots=True)
class Replicas:
    """A service that runs.

    Args:
        url: Where nginx listens.
        containers: The replicas.
    """

    url: str
    containers: tuple[Container, ...]

    @property
    def targets(self) -> list[ServerTarget]:
        """The replicas as clients see them who pass nginx by."""
        return [ServerTarget(container.url) for container in self.containers]


@contextmanager
def run_nginx(configuration: str, folder: Path, *, app_port: int, names_port: int) -> Iterator[str]:
    """Run nginx as it is configured, but for where things are on this machine, and return its URL."""
    port = find_port("127.0.0.1")
    places = {
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "resolver 127.0.0.11 ": f"resolver 127.0.0.1:{names_port} ",
        "set $app app:8080;": f"set $app app:{app_port};",
    }
    for text, place in places.items():
        assert configuration.count(text) == 1
        configuration = configuration.replace(text, place)
    file = folder / "nginx.conf"
    file.write_text(configuration.replace("/tmp/", f"{folder}/"), encoding="utf-8")
    nginx = require_program("nginx")
    command: list[str | Path] = [nginx, "-p", folder, "-c", file, "-g", "daemon off;"]
    with (folder / "nginx.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/_nitro/live", folder / "nginx.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(url: str, log: Path) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nginx does not listen; it printed:\n{log.read_text()}")


@pytest.fixture(scope="module")
def replicas(
    engine: Engine, demo_image: str, demo_output: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Run the demo twice."""
    service = yaml.safe_load((demo_output / "compose.yaml").read_text())["services"]["app"]
    configuration = (demo_output / "nginx.conf").read_text()
    port = find_port(HOSTS[0])
    with ExitStack() as stack:
        broker = stack.enter_context(run_broker("redis"))
        environ = service["environment"] | {"NITRO_BACKPLANE_URL": broker.url}
        containers = [
            stack.enter_context(engine.start(demo_image, host=host, port=port, environ=environ)) for host in HOSTS
        ]
        names = stack.enter_context(serve_names("app", HOSTS))
        folder = tmp_path_factory.mktemp("nginx")
        url = stack.enter_context(run_nginx(configuration, folder, app_port=port, names_port=names))
        yield Replicas(url, tuple(containers))


async def test_chat_reaches_the_other_replica(replicas: Replicas) -> None:
    one, two = replicas.targets
    await check_chat(one, two)
    await check_chat(two, one)


async def test_chat_works_through_nginx(replicas: Replicas) -> None:
    target = ServerTarget(replicas.url)
    await check_chat(target, target)


async def test_everybody_hears_everybody_wherever_nginx_sent_them(replicas: Replicas) -> None:
    target = ServerTarget(replicas.url)
    before = [container.read_log().count(CHAT) for container in replicas.containers]

    def has_reached_all() -> bool:
        counts = [container.read_log().count(CHAT) for container in replicas.containers]
        return all(now > then for now, then in zip(counts, before, strict=True))

    async with AsyncExitStack() as stack:
        sockets: list[Socket] = []
        # Chance spreads them, but not all of these to one.
        for number in range(5):
            sockets += [await stack.enter_async_context(join(target, "Calm Otter")) for _ in range(12)]
            await sockets[0].send(f"to all {number}")
            for socket in sockets:
                while (await socket.receive_json())["message"] != f"to all {number}":
                    pass
            if has_reached_all():
                break
        # A container's log is written by another process.
        await poll(lambda: asyncio.to_thread(has_reached_all), bool)


async def test_events_come_one_by_one_through_nginx(replicas: Replicas) -> None:
    started = time.monotonic()
    await check_clock(ServerTarget(replicas.url))
    # A buffer of nginx would hold the first back until it is full, with more than a hundred.
    assert time.monotonic() - started < 60


async def test_origin_is_that_of_the_page(replicas: Replicas) -> None:
    target = ServerTarget(replicas.url)
    async with target.connect(CHAT, origin=replicas.url) as socket:
        assert (await socket.receive_json())["user"] == "server"
    with pytest.raises(UpgradeRefused, match="403"):
        async with target.connect(CHAT, origin="http://elsewhere.example"):
            pass


def test_client_is_known_by_its_own_address_and_not_by_what_it_says(replicas: Replicas) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(local_address=CLIENT)) as client:
        answer = client.get(f"{replicas.url}/api/users/known", headers={"X-Forwarded-For": "192.0.2.9"})
    assert answer.json() == {"id": "known"}
    deadline = time.monotonic() + PATIENCE
    known: list[str] = []
    while not known:
        assert time.monotonic() < deadline
        logs = "".join(container.read_log() for container in replicas.containers)
        known = re.findall(r'(\S+) - "GET /api/users/known', logs)
    assert known == [f"{CLIENT}:0"]


@pytest.mark.parametrize("path", ["/_nitro/live", "/_nitro/ready", "/_nitro/metrics", "/_nitro/publish"])
def test_strangers_reach_none_of_the_apps_own_paths(replicas: Replicas, path: str) -> None:
    assert httpx.get(replicas.url + path).status_code == 404


def test_probes_answer_where_they_are_asked(replicas: Replicas) -> None:
    for container in replicas.containers:
        for path in ("/_nitro/live", "/_nitro/ready"):
            assert httpx.get(container.url + path).status_code == 200


def test_one_replica_is_enough(replicas: Replicas) -> None:
    replicas.containers[0].stop()
    answers = [httpx.get(f"{replicas.url}/api/hello") for _ in range(20)]
    assert [answer.json() for answer in answers] == [{"message": "hello"}] * 20
