"""What a running bundle tells Prometheus."""

from __future__ import annotations

import re
import socket
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from tests.bundles import PATIENCE, Server, build_project, run_bundle, run_refused, write_files
from tests.docs.pages import find_table

PROJECT = {
    "nitro.toml": """
        experimental.websocket = true
        metrics = true
        websocket.buffer_limit = 65536
        """,
    "public/page.html": "<p>A page",
    "handlers/items/[id].py": """
        from nitro_py import Event, HTTPError, Response, define_handler

        @define_handler
        async def handler(event: Event) -> object:
            if event.params["id"] == "broken":
                raise ValueError("no")
            return Response(status=int(event.query.get("status", "200")))
        """,
    "handlers/later.get.py": """
        import asyncio
        from collections.abc import AsyncIterator

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> AsyncIterator[str]:
            for part in ("a", "b", "c"):
                await asyncio.sleep(0.1)
                yield part
        """,
    "handlers/clock.get.py": """
        import asyncio
        from collections.abc import AsyncIterator

        from nitro_py import Event, EventStream, create_event_stream, define_handler

        async def tick() -> AsyncIterator[str]:
            while True:
                yield "tick"
                await asyncio.sleep(1)

        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, tick())
        """,
    "handlers/flood.post.py": """
        from nitro_py import Event, define_handler, publish

        @define_handler
        async def handler(event: Event) -> None:
            for _ in range(200):
                await publish("room", "x" * 50_000)
        """,
    "handlers/room.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def open(peer: Peer) -> None:
            await peer.subscribe("room")

        async def message(peer: Peer, message: Message) -> None:
            await peer.publish("room", message.text(), include_self=True)

        handler = define_websocket_handler(open=open, message=message)
        """,
}
HTTP = "nitro_http_request_duration_seconds"
Series = dict[tuple[tuple[str, str], ...], float]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an app that is measured."""
    return build_project(write_files(tmp_path_factory.mktemp("metrics"), PROJECT))


@pytest.fixture
def server(bundle: Path) -> Iterator[Server]:
    """Run the bundle."""
    with run_bundle(bundle) as server:
        yield server


def scrape(server: Server) -> dict[str, Series]:
    """Read the figures: metric → its labels but for the worker → value."""
    answer = httpx.get(f"{server.url}/_nitro/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples: dict[str, Series] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("worker") == "0"
            samples.setdefault(sample.name, {})[tuple(sorted(labels.items()))] = sample.value
    return samples


def count_requests(figures: dict[str, Series]) -> dict[tuple[str, ...], float]:
    """Return the number of requests by method, route and class of status."""
    return {tuple(value for _, value in labels): number for labels, number in figures[f"{HTTP}_count"].items()}


def value(figures: dict[str, Series], name: str) -> float:
    """Return the value of a metric that has no labels of its own."""
    return figures[name][()]


def wait_for(server: Server, check: Callable[[dict[str, Series]], bool]) -> dict[str, Series]:
    """Wait until the figures are as they should be, and return them."""
    deadline = time.monotonic() + PATIENCE
    while not check(figures := scrape(server)):
        assert time.monotonic() < deadline, figures
        time.sleep(0.02)
    return figures


def test_requests_are_counted_by_route_and_class_of_status(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        for id in ("1", "2", "3"):
            assert client.get(f"/items/{id}").status_code == 200
        assert client.post("/items/4?status=201").status_code == 201
        assert client.get("/items/5?status=404").status_code == 404
        assert client.get("/items/broken").status_code == 500
        assert client.get("/nothing").status_code == 404
        page = client.get("/page.html")
        assert page.status_code == 200
        assert client.get("/page.html", headers={"if-none-match": page.headers["etag"]}).text == ""
        assert client.get("/later").text == "abc"
        for number in range(20):
            assert client.request(f"BREW{number}", f"/made/up/{number}").status_code == 400
    expected = {
        ("GET", "/items/[id]", "2xx"): 3,
        ("POST", "/items/[id]", "2xx"): 1,
        ("GET", "/items/[id]", "4xx"): 1,
        ("GET", "/items/[id]", "5xx"): 1,
        ("GET", "(none)", "4xx"): 1,
        ("GET", "(public)", "2xx"): 1,
        ("GET", "(public)", "3xx"): 1,
        ("GET", "/later", "2xx"): 1,
    }
    # A client may have its answer before it is counted.
    wait_for(server, lambda figures: sum(count_requests(figures).values()) >= sum(expected.values()))
    assert count_requests(scrape(server)) == expected


def test_clients_cannot_make_up_series(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        for number in range(30):
            assert client.get(f"/made/up/{number}").status_code == 404
            # Methods that the parser knows, and the app does not.
            assert client.request(("PURGE", "REPORT", "LOCK")[number % 3], f"/{number}").status_code == 404
    wait_for(server, lambda figures: sum(count_requests(figures).values()) >= 60)
    assert count_requests(scrape(server)) == {("GET", "(none)", "4xx"): 30, ("OTHER", "(none)", "4xx"): 30}


def test_durations_fall_into_buckets(server: Server) -> None:
    assert httpx.get(f"{server.url}/later").text == "abc"
    figures = wait_for(server, lambda figures: f"{HTTP}_bucket" in figures)
    buckets = {
        float(dict(labels)["le"]): number
        for labels, number in figures[f"{HTTP}_bucket"].items()
        if dict(labels)["route"] == "/later"
    }
    # Three parts take 0.3 s; how much more, the machine decides.
    assert buckets[0.25] == 0
    assert buckets[float("inf")] == 1
    assert list(buckets.values()) == sorted(buckets.values())
    (total,) = figures[f"{HTTP}_sum"].values()
    assert 0.3 <= total < PATIENCE


def test_sockets_messages_and_publishes(server: Server) -> None:
    with connect(f"{server.socket_url}/room") as first, connect(f"{server.socket_url}/room") as second:
        wait_for(server, lambda figures: value(figures, "nitro_websocket_connections") == 2)
        for number in range(3):
            first.send(str(number))
            assert (first.recv(PATIENCE), second.recv(PATIENCE)) == (str(number), str(number))
        figures = wait_for(server, lambda figures: value(figures, "nitro_publish_duration_seconds_count") >= 3)
        assert value(figures, "nitro_websocket_messages_received_total") == 3
        assert value(figures, "nitro_websocket_messages_sent_total") == 6
        assert value(figures, "nitro_publish_duration_seconds_count") == 3
        assert value(figures, "nitro_publish_duration_seconds_sum") > 0
    figures = wait_for(server, lambda figures: value(figures, "nitro_websocket_connections") == 0)
    assert value(figures, "nitro_websocket_connections_opened_total") == 2
    assert value(figures, "nitro_websocket_connections_closed_total") == 2
    assert value(figures, "nitro_websocket_slow_peers_closed_total") == 0
    assert value(figures, "nitro_backplane_connected") == 1
    assert value(figures, "nitro_backplane_failures_total") == 0


def test_peer_that_is_too_slow(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    handshake = (
        f"GET /room HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as client:
        client.sendall(handshake.encode())
        wait_for(server, lambda figures: value(figures, "nitro_websocket_connections") == 1)
        assert httpx.post(f"{server.url}/flood", timeout=PATIENCE).status_code == 204
        assert value(scrape(server), "nitro_websocket_slow_peers_closed_total") == 1


def test_streams_are_counted_while_they_are_open(server: Server) -> None:
    with httpx.stream("GET", f"{server.url}/clock") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: tick"
        assert value(scrape(server), "nitro_event_streams") == 1
        # Each after a second.
        for _ in range(3):
            assert (next(lines), next(lines)) == ("", "data: tick")
    figures = wait_for(server, lambda figures: value(figures, "nitro_event_streams") == 0)
    figures = wait_for(server, lambda figures: ("GET", "/clock", "2xx") in count_requests(figures))
    # How long a client listened is no time to wait for an answer.
    (total,) = figures[f"{HTTP}_sum"].values()
    assert total < 3


def test_page_names_every_metric(server: Server) -> None:
    assert httpx.get(f"{server.url}/items/1").status_code == 200
    text = httpx.get(f"{server.url}/_nitro/metrics").text
    found = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
    }
    named = {
        name
        for row in find_table("metric", "docs/deployment.md")
        for name in re.findall("`(nitro_[a-z_]+)`", row[0])
    }
    assert named == found


def test_scraper_may_ask_for_openmetrics(server: Server) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = httpx.get(f"{server.url}/_nitro/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert httpx.head(f"{server.url}/_nitro/metrics").status_code == 200
    answer = httpx.post(f"{server.url}/_nitro/metrics")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_token_keeps_others_out(bundle: Path) -> None:
    with run_bundle(bundle, environ={"NITRO_METRICS_TOKEN": "s3cret"}) as server:
        url = f"{server.url}/_nitro/metrics"
        for given in ("", "Bearer s3cre", "Bearer é"):
            answer = httpx.get(url, headers={b"authorization": given.encode()})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert httpx.get(url, headers={"authorization": "Bearer s3cret"}).status_code == 200
        assert httpx.get(f"{server.url}/_nitro/ready").status_code == 200


def test_metrics_are_off_unless_configured(bundle: Path, tmp_path: Path) -> None:
    off = build_project(write_files(tmp_path, PROJECT | {"nitro.toml": "experimental.websocket = true"}))
    assert "prometheus" not in (off / "server" / "requirements.txt").read_text()
    assert "\nprometheus-client==" in (bundle / "server" / "requirements.txt").read_text()
    with run_bundle(off) as server:
        assert httpx.get(f"{server.url}/_nitro/metrics").status_code == 404
    with run_bundle(off, environ={"NITRO_METRICS": "true"}) as server:
        assert httpx.get(f"{server.url}/items/1").status_code == 200
        figures = wait_for(server, lambda figures: f"{HTTP}_count" in figures)
        assert count_requests(figures) == {("GET", "/items/[id]", "2xx"): 1}


def test_metrics_without_their_package(bundle: Path, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith("prometheus_client"):
            (packages / entry.name).symlink_to(entry)
    without = {"PYTHONPATH": str(packages)}
    assert run_refused(bundle, python=(sys.executable, "-S"), environ=without) == (
        "error: `metrics` is on, and the package `prometheus-client` is not installed.\n"
        '  hint: Run `pip install "nitropy-kit[metrics]"`, and build with `metrics = true`, which adds it to the '
        "requirements; or unset `NITRO_METRICS`.\n"
    )
