"""A bundle whose broker is not there when it starts."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from nitro_py.runtime.asgi.internal import PUBLISH_TOKEN
from tests.brokers import RealBroker, run_broker
from tests.bundles import PATIENCE, run_bundle


def test_bundle_starts_degraded_and_finds_its_broker(demo_bundle: Path) -> None:
    with run_broker("redis") as running:
        broker = RealBroker("redis", running.port)
    environ = {"NITRO_BACKPLANE": "redis", "NITRO_BACKPLANE_URL": broker.url, PUBLISH_TOKEN: "token"}
    with run_bundle(demo_bundle, environ={**environ, "NITRO_METRICS": "true"}) as server:
        health = httpx.get(f"{server.url}/_nitro/health")
        backplane = {"name": "redis", "connected": False}
        assert (health.status_code, health.json()) == (200, {"status": "degraded", "backplane": backplane})
        # The other processes will hardly have their broker, and this one serves.
        ready = httpx.get(f"{server.url}/_nitro/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "backplane": backplane})
        published = publish(server.url)
        assert published.status_code == 503
        assert published.json()["message"].endswith("the others are not reached. The broker is lost.")
        assert read_figures(server.url) == {"connected": 0, "failures_total": 1, "reconnects_total": 0}
        try:
            broker.start()
            deadline = time.monotonic() + PATIENCE
            while httpx.get(f"{server.url}/_nitro/health").json()["status"] != "ok":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert publish(server.url).status_code == 202
            assert read_figures(server.url) == {"connected": 1, "failures_total": 1, "reconnects_total": 1}
        finally:
            broker.stop()
        server.stop()
        log = server.read_log()
        assert log.count("The backplane `redis` is lost: Redis: ") == 1
        assert log.count("The backplane `redis` is back after ") == 1
        assert "; 1 messages stayed in this process." in log
        assert "Traceback" not in log


def publish(url: str) -> httpx.Response:
    """Publishes to a topic as `nitropy publish` does."""
    message = {"topic": "nobody's", "data": "x"}
    return httpx.post(f"{url}/_nitro/publish", json=message, headers={"authorization": "Bearer token"})


def read_figures(url: str) -> dict[str, float]:
    """Reads what Prometheus is told of the backplane."""
    text = httpx.get(f"{url}/_nitro/metrics").raise_for_status().text
    found = {
        sample.name.removeprefix("nitro_backplane_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return {name: found[name] for name in ("connected", "failures_total", "reconnects_total")}
