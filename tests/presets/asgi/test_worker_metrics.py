"""The figures of several processes: whichever of them answers a scrape, it answers for all."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files
from tests.process_states import read_state

WORKERS = 3
PROJECT = {
    "nitro.toml": "metrics = true",
    "handlers/pid.get.py": """
        import os

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> int:
            return os.getpid()
        """,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an app that is measured."""
    return build_project(write_files(tmp_path_factory.mktemp("worker_metrics"), PROJECT))


@pytest.fixture
def server(bundle: Path) -> Iterator[Server]:
    """Run the bundle in several processes."""
    with run_bundle(bundle, "--port", "0", "--workers", str(WORKERS)) as server:
        yield server


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Return a client that opens a connection for each request, so that any process may answer it."""
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(limits=limits, timeout=PATIENCE, verify=False, trust_env=False) as client:
        yield client


def count_by_worker(client: httpx.Client, server: Server) -> dict[str, float]:
    """Return how many requests to the one route each process has answered."""
    text = client.get(f"{server.url}/_nitro/metrics").raise_for_status().text
    return {
        sample.labels["worker"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "nitro_http_request_duration_seconds_count"
    }


def until(good: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask_all(client: httpx.Client, server: Server) -> dict[int, int]:
    """Ask until every process has answered, and return how often each has."""
    answers: dict[int, int] = {}
    deadline = time.monotonic() + PATIENCE
    while len(answers) < WORKERS:
        assert time.monotonic() < deadline, answers
        pid = client.get(f"{server.url}/pid").json()
        answers[pid] = answers.get(pid, 0) + 1
    return answers


def test_every_scrape_answers_for_all(server: Server, client: httpx.Client) -> None:
    answers = ask_all(client, server)
    seen: list[dict[str, float]] = []

    def agree() -> bool:
        seen.append(count_by_worker(client, server))
        return sorted(seen[-1].values()) == sorted(answers.values())

    # Whichever process answers.
    until(lambda: all(agree() for _ in range(20)))
    assert set(seen[-1]) == {str(place) for place in range(WORKERS)}
    # A total that fell in between would be taken for a process that began anew.
    for before, after in pairwise(seen):
        assert all(after[place] >= number for place, number in before.items())


def test_worker_that_hangs_or_dies_takes_nothing_along(server: Server, client: httpx.Client) -> None:
    answers = ask_all(client, server)
    total = sum(answers.values())
    until(lambda: all(sum(count_by_worker(client, server).values()) == total for _ in range(20)))
    victim = next(iter(answers))
    os.kill(victim, signal.SIGSTOP)
    try:
        until(lambda: read_state(victim) == "T")
        # Its figures stay, and no worker waits for it. A connection that only it could take would be one too many.
        counts = []
        for _ in range(10):
            with suppress(httpx.TimeoutException):
                counts.append(count_by_worker(client, server))
        assert counts
        assert {sum(count.values()) for count in counts} == {total}
    finally:
        os.kill(victim, signal.SIGKILL)
    # Its successor counts from nothing, under the same name, and the others go on.
    until(lambda: sum(count_by_worker(client, server).values()) == total - answers[victim])
    assert victim not in ask_all(client, server)
