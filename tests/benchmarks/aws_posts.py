"""The rows about posts to connections: what a publication on AWS costs for each subscriber.

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


def open_client(kind: str, posts: int, *, tls: bool = False) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender.

    Args:
        kind: The client, as `posts` knows it.
        posts: The number of posts in a full run.
        tls: Whether they go over TLS, by a new client in each run, as in a function that has just started.
    """

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with open_load(bench, "aws") as sink:
            told = sink.ask({"item": "", "tls": tls})
            url = f"{'https' if tls else 'http'}://127.0.0.1:{told['port']}/prod"
            command = [sys.executable, "-m", "tests.benchmarks.posts", kind, url]
            environ = {"AWS_CA_BUNDLE": told["authorities"]} if tls else {}
            with open_program(command, core=bench.server_core, environ=environ, cwd=ROOT) as client:

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
    Row(
        name="aws-fan-out-tls",
        title="fan-out of 500 posts over new TLS connections, a post",
        unit="µs of CPU",
        contenders=(
            Contender(OURS, open_client("ours", 500, tls=True)),
            Contender(BOTO3, open_client("boto3", 500, tls=True)),
        ),
        target=Target(BOTO3, 1 / 4),
    ),
)
