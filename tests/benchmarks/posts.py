"""Posts to connections as often as it is told: `python -m tests.benchmarks.posts ours|boto3 ENDPOINT`.

Each line on its standard input says how many; each answer is the CPU time, user and system, that they took. Over
TLS each has a new client.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.aws_client.management import ManagementClient

THREADS = 10
# As many posts as our client has connections for by default.
POSTS_AT_ONCE = 64
FRAME = '{"type":"message","user":"ada","text":"' + "hello " * 20 + '"}'
REGION = "eu-central-1"
CREDENTIALS = Credentials("AKIDEXAMPLE", "secret" * 6, "token" * 150)

Post = Callable[[Iterable[str]], None]


def name_connections(count: int) -> list[str]:
    """Name connections as API Gateway does."""
    return [f"BFHPhf{number:05d}AMCKlQ=" for number in range(count)]


def make_boto3(endpoint: str) -> Post:
    """Make a function that posts to every connection by boto3, ten at a time."""
    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
        aws_session_token=CREDENTIALS.token,
        config=Config(max_pool_connections=THREADS, retries={"mode": "standard"}),
    )
    pool = ThreadPoolExecutor(THREADS)
    data = FRAME.encode()

    def post_all(ids: Iterable[str]) -> None:
        for _ in pool.map(lambda name: client.post_to_connection(ConnectionId=name, Data=data), ids):
            pass

    return post_all


def make_ours(endpoint: str) -> Post:
    """Make a function that posts to every connection by our client."""
    client = ManagementClient(endpoint, region=REGION, credentials=Fixed())
    runner = asyncio.Runner()

    async def post_each(ids: Iterable[str]) -> None:
        for name in ids:
            await client.post(name, FRAME)

    async def post_all(ids: Iterable[str]) -> None:
        waiting = iter(ids)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(POSTS_AT_ONCE):
                tasks.create_task(post_each(waiting))

    return lambda ids: runner.run(post_all(ids))


class Fixed:
    """A source of credentials that never change."""

    async def get(self) -> Credentials:
        """Return them."""
        return CREDENTIALS


def main() -> None:
    """Answer until its standard input ends."""
    kind, endpoint = sys.argv[1:]
    make = make_ours if kind == "ours" else make_boto3
    post = make(endpoint)
    for line in sys.stdin:
        ids = name_connections(json.loads(line)["count"])
        if endpoint.startswith("https:"):
            post = make(endpoint)
        before = time.process_time()
        post(ids)
        print(json.dumps({"cpu": time.process_time() - before}), flush=True)


if __name__ == "__main__":
    main()
