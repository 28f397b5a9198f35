"""A bundle and its broker: what the build packs for it, and a broker that is not there when the bundle starts."""

from __future__ import annotations

import time
import venv
from pathlib import Path
from typing import Literal

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nitro_py.build.pipeline import write_plan
from nitro_py.runtime.asgi.internal_routes import PUBLISH_TOKEN
from tests.brokers.postgres import run_postgres
from tests.brokers.processes import BROKERS, BrokerName, RealBroker, run_broker
from tests.bundles import PATIENCE, copy_demo, plan_project, run_bundle


@pytest.mark.parametrize("name", [*BROKERS, "postgres"])
def test_vendored_bundle_brings_the_client(name: Literal[BrokerName, "postgres"], tmp_path: Path) -> None:
    with run_postgres() if name == "postgres" else run_broker(name) as broker:
        plan = plan_project(copy_demo(tmp_path), vendored=True, backplane=name)
        write_plan(plan)
        # An environment of its own, where nothing is installed.
        venv.create(tmp_path / "venv")
        python = tmp_path / "venv/bin/python"
        environ = {"NITRO_BACKPLANE_URL": broker.url}
        with run_bundle(plan.output, python=[python, "-I", "-S"], environ=environ) as server:
            backplane = {"name": name, "connected": True}
            assert httpx.get(f"{server.url}/_nitro/health").json() == {"status": "ok", "backplane": backplane}
            server.stop()


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
        assert published.json()["message"].endswith("other processes are not reached. The broker is lost.")
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
    """Publish to a topic as `nitropy publish` does."""
    message = {"topic": "nobody's", "data": "x"}
    return httpx.post(f"{url}/_nitro/publish", json=message, headers={"authorization": "Bearer token"})


def read_figures(url: str) -> dict[str, float]:
    """Read what Prometheus is told of the backplane."""
    text = httpx.get(f"{url}/_nitro/metrics").raise_for_status().text
    found = {
        sample.name.removeprefix("nitro_backplane_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return {name: found[name] for name in ("connected", "failures_total", "reconnects_total")}
