"""Counts and versioned writes of eight processes are linearisable, with killed processes and lost answers."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from nitro_presets.aws_lambda.gateway.environment import REGION
from nitro_presets.aws_lambda.gateway.gateway import FixedCredentials
from nitro_presets.aws_lambda.gateway.local_dynamodb import make_table
from nitro_presets.aws_lambda.stack_variables import TABLE
from tests.brokers.postgres import run_postgres
from tests.brokers.processes import run_broker
from tests.bundles import clean_environment
from tests.checkout import ROOT
from tests.presets.aws_lambda.store.database import run_database

PROCESSES, KILLED, CALLS = 8, 3, 60
PATIENCE = 200.0


class Count(NamedTuple):
    """A call of `increment`; `sum` is `None` where it is not known whether it was applied."""

    start: float
    end: float
    sum: int | None


class Write(NamedTuple):
    """A write on the condition that `before` is the version; `version` is `None` where it is not known."""

    start: float
    end: float
    before: str | None
    version: str | None


def check_counts(counts: list[Count]) -> None:
    """Check that there is an order of all counts that explains their sums, and keeps the order of time."""
    known = sorted((count for count in counts if count.sum is not None), key=lambda count: count.sum or 0)
    sums = [count.sum or 0 for count in known]
    assert len(set(sums)) == len(sums), "A sum was returned twice."
    # What is missing in between was counted by those of which nothing is known.
    missing = max(sums, default=0) - len(sums)
    assert missing <= len(counts) - len(known), f"{missing} counts too many."
    latest = 0.0
    for count in known:
        assert count.end > latest, "A count began after another had ended, and got a lower sum."
        latest = max(latest, count.start)


def check_writes(writes: list[Write]) -> None:
    """Check that no version was replaced twice, and that the chain of versions keeps the order of time."""
    done = {write.before: write for write in writes if write.version is not None}
    assert len(done) == sum(write.version is not None for write in writes), "A version was replaced twice."
    made = {write.version for write in done.values()}
    unknown = sum(write.version is None for write in writes)
    # Versions that a write of which nothing is known has made.
    strange = {before for before in done if before is not None} - made
    assert len(strange) <= unknown, f"{len(strange)} versions come from nowhere."
    for write in done.values():
        following = done.get(write.version)
        assert following is None or following.end > write.start, "A version was replaced before it was written."


def test_checker_finds_what_no_order_explains() -> None:
    check_counts([Count(0, 9, 2), Count(1, 2, 1), Count(3, 4, None), Count(5, 6, 4), Count(7, 8, 5)])
    for wrong in (
        [Count(0, 1, 1), Count(2, 3, 1)],
        [Count(0, 1, 1), Count(2, 3, 3)],
        [Count(0, 1, 2), Count(2, 3, 1)],
    ):
        with pytest.raises(AssertionError):
            check_counts(wrong)
    check_writes([Write(0, 1, None, "a"), Write(2, 3, "a", None), Write(4, 5, "b", "c")])
    for lost in (
        [Write(0, 1, None, "a"), Write(2, 3, "a", "b"), Write(2, 3, "a", "c")],
        [Write(0, 1, None, "a"), Write(2, 3, "b", "c")],
        [Write(4, 5, None, "a"), Write(2, 3, "a", "b")],
    ):
        with pytest.raises(AssertionError):
            check_writes(lost)


@contextmanager
def lose_answers(url: str, losses: list[float], *, first: int = 12) -> Iterator[str]:
    """Run a proxy that ends one connection in some answers, after the server has done its work.

    Args:
        url: The URL of the server.
        losses: Gets the time of each loss.
        first: The answers of a connection that are never lost, such as those while it connects.
    """
    parts = urlsplit(url)
    chance = random.Random(1)
    loop = asyncio.new_event_loop()
    serving: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, loses: bool) -> None:
        answers = 0
        with suppress(OSError):
            while data := await reader.read(65536):
                answers += 1
                if loses and answers > first and chance.random() < 0.1:
                    losses.append(time.monotonic())
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The loop itself would let a task that waits be collected.
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        task.add_done_callback(serving.discard)
        to_reader, to_writer = await asyncio.open_connection(parts.hostname, parts.port)
        asking = asyncio.ensure_future(pump(reader, to_writer, loses=False))
        try:
            await pump(to_reader, writer, loses=True)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            for one in (writer, to_writer):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = server.sockets[0].getsockname()[1]
    try:
        yield url.replace(f":{parts.port}", f":{port}")
    finally:

        async def stop() -> None:
            server.close()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read what a process has noted; the last line of one that was killed may be half."""
    return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def read_history(lines: list[dict[str, Any]]) -> tuple[list[Count], list[Write]]:
    """Return the calls of a process; those without an answer never end."""
    counts, writes = [], []
    for index, line in enumerate(lines):
        if "kind" not in line:
            continue
        answer = lines[index + 1] if index + 1 < len(lines) else {}
        end = answer.get("at", float("inf"))
        if line["kind"] == "count":
            counts.append(Count(line["start"], end, answer.get("sum")))
        elif "version" not in answer or answer["version"] is not None:
            # One whose condition was not met has changed nothing.
            writes.append(Write(line["start"], end, line["before"], answer.get("version")))
    return counts, writes


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("driver", ["sqlite", "redis", "postgres", "dynamodb"])
def test_history_of_eight_processes_is_linearisable(driver: str, tmp_path: Path) -> None:
    losses: list[float] = []
    environ = clean_environment()
    with ExitStack() as stack:
        if driver == "sqlite":
            url = f"sqlite://{tmp_path}/storage.sqlite3"
        elif driver == "dynamodb":
            database = stack.enter_context(run_database())
            asyncio.run(make_table(database, "test", REGION, FixedCredentials()))
            url = ""
            environ |= {
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_ENDPOINT_URL_DYNAMODB": stack.enter_context(lose_answers(database, losses, first=0)),
                "AWS_REGION": REGION,
                "AWS_SECRET_ACCESS_KEY": "secret",
                TABLE: "test",
            }
        else:
            store: Any = stack.enter_context(run_broker("redis") if driver == "redis" else run_postgres())
            url = stack.enter_context(lose_answers(store.url, losses))
        files = [tmp_path / f"{number}.log" for number in range(PROCESSES)]
        processes = []
        for file in files:
            command = [sys.executable, "-m", "tests.stores.writer", driver, url, str(CALLS)]
            with file.open("wb") as log:
                process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        deadline = time.monotonic() + PATIENCE
        for file, process in list(zip(files, processes, strict=True))[:KILLED]:
            while len(read_lines(file)) < 20:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.kill()
        for process in processes[KILLED:]:
            assert process.wait(PATIENCE) == 0
    assert driver == "sqlite" or len(losses) > PROCESSES
    histories = [read_history(read_lines(file)) for file in files]
    counts = [count for found, _ in histories for count in found]
    writes = [write for _, found in histories for write in found]
    assert len(counts) >= (PROCESSES - KILLED) * CALLS
    assert sum(write.version is not None for write in writes) > PROCESSES
    check_counts(counts)
    check_writes(writes)
