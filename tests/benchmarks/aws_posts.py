"""The row about posts to connections: what a publication on AWS costs for each subscriber.

Both clients post the same frame to the same connections at one sink, a process of its own, with retries and error
handling in place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.benchmarks.programs import open_load, open_program
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target
from tests.checkout import ROOT

BOTO3 = "boto3, 10 threads"


def open_client(kind: str, posts: int) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender that makes so many posts in a full run."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with open_load(bench, "aws") as sink:
            port = sink.ask({"item": ""})["port"]
            command = [sys.executable, "-m", "tests.benchmarks.posts", kind, f"http://127.0.0.1:{port}/prod"]
            with open_program(command, core=bench.server_core, cwd=ROOT) as client:

                def measure(count: int) -> Sample:
                    return Sample(client.ask({"count": count})["cpu"] / count * 1e6)

                measure(posts // 10)
                yield lambda: measure(bench.scale(posts, posts // 2))

    return open_contender


ROWS = (
    Row(
        name="aws-posts",
        title="@connections post, a call",
        unit="µs of CPU",
        contenders=(Contender(OURS, open_client("ours", 10_000)), Contender(BOTO3, open_client("boto3", 1_000))),
        target=Target(BOTO3, 1 / 12),
    ),
)
