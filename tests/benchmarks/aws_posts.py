"""Compares posts per CPU second: our management client against boto3's with a pool of 10 threads.

Run as `python -m tests.benchmarks.aws_posts`. Both post the same frame to the same ids at one sink, which is a
process of its own, in turns; what counts is the CPU time, user and system, of the process that posts.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import statistics
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.client.credentials import Credentials
from nitro_presets.aws_lambda.client.management import ManagementClient

TARGET = 12.0
ROUNDS = 7
THREADS = 10
BOTO_POSTS = 1_000
OUR_POSTS = 10_000
FRAME = '{"type":"message","user":"ada","text":"' + "hello " * 20 + '"}'
REGION = "eu-central-1"
CREDENTIALS = Credentials("AKIDEXAMPLE", "secret" * 6, "token" * 150)
# What API Gateway sends with a status and no body.
ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Mon, 24 Nov 2025 02:00:00 GMT\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: 0\r\n"
    b"Connection: keep-alive\r\n"
    b"x-amzn-RequestId: 4b3a2f10-5b5c-4c5e-9d57-0f1f5a6e7d11\r\n"
    b"x-amz-apigw-id: UdGkzGmWIAMEJqQ=\r\n\r\n"
)


class Sink(asyncio.Protocol):
    """Takes posts and answers 200."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if separator and len(body) >= length:
            self.received = body[length:]
            self.transport.write(ANSWER)


def run_sink(ready: Connection) -> None:
    """Serves until it is killed; tells its port first."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def name_connections(count: int) -> list[str]:
    """Names connections as API Gateway does."""
    return [f"BFHPhf{number:05d}AMCKlQ=" for number in range(count)]


def measure(post_all: Callable[[Iterable[str]], None], posts: int) -> float:
    """Gives the posts per CPU second of a client that posts once to each of so many connections."""
    ids = name_connections(posts)
    before = resource.getrusage(resource.RUSAGE_SELF)
    post_all(ids)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return posts / (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def post_with_boto3(endpoint: str) -> Callable[[Iterable[str]], None]:
    """Makes a function that posts to every connection by boto3, ten at a time."""
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


def post_with_ours(client: ManagementClient, runner: asyncio.Runner) -> Callable[[Iterable[str]], None]:
    """Makes a function that posts to every connection by our client, as many at a time as it has connections."""

    async def post_each(ids: Iterable[str]) -> None:
        for name in ids:
            await client.post(name, FRAME)

    async def fan_out(ids: Iterable[str]) -> None:
        waiting = iter(ids)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(64):
                tasks.create_task(post_each(waiting))

    return lambda ids: runner.run(fan_out(ids))


class Fixed:
    """Is a source of credentials that never change."""

    async def get(self) -> Credentials:
        return CREDENTIALS


def main() -> None:
    """Prints both medians and their ratio; fails below the target."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    sink = context.Process(target=run_sink, args=(theirs,), daemon=True)
    sink.start()
    endpoint = f"http://127.0.0.1:{ours.recv()}/prod"
    client = ManagementClient(endpoint, region=REGION, credentials=Fixed())
    with asyncio.Runner() as runner:
        post_boto3, post_ours = post_with_boto3(endpoint), post_with_ours(client, runner)
        measure(post_boto3, THREADS)
        measure(post_ours, 640)
        boto3_rates, our_rates = [], []
        for _ in range(ROUNDS):
            boto3_rates.append(measure(post_boto3, BOTO_POSTS))
            our_rates.append(measure(post_ours, OUR_POSTS))
        runner.run(client.close())
    sink.terminate()
    sink.join()
    boto3_rate, our_rate = statistics.median(boto3_rates), statistics.median(our_rates)
    for name, rate in (("boto3", boto3_rate), ("ours", our_rate)):
        print(f"{name:>6}: {rate:8,.0f} posts per CPU second ({1e6 / rate:.0f} µs a post)")
    ratio = our_rate / boto3_rate
    print(f" ratio: {ratio:.1f} (target: at least {TARGET:g})")
    if ratio < TARGET:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
