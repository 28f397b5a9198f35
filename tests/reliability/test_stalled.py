"""A subscriber that stops reading, among many that read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import Server, build_project, run_bundle, write_files
from tests.server.websocket.raw import HANDSHAKE, RawClient, write_head, write_masked

pytestmark = pytest.mark.anyio

SUBSCRIBERS = 200
# Together more than the limit and the kernel's buffers between server and stalled client, some 4 MB, can hold.
MESSAGES = 60
SIZE = 128 * 1024
BUFFER_LIMIT = 1024 * 1024
# What the server's memory may grow by: the limit, one message, and what Python keeps for itself.
GROWTH = 24 * 1024 * 1024

PROJECT = {
    "nitro.toml": f"""
        experimental.websocket = true
        [websocket]
        buffer_limit = {BUFFER_LIMIT}
        """,
    "handlers/chat.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def open(peer: Peer) -> None:
            await peer.subscribe("flood")

        async def message(peer: Peer, message: Message) -> None:
            number, size = map(int, message.text().split())
            await peer.publish("flood", f"{number} ".ljust(size, "x"))

        handler = define_websocket_handler(open=open, message=message)
        """,
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Run the bundle of an app that floods a topic when told to."""
    with run_bundle(build_project(write_files(tmp_path, PROJECT))) as server:
        yield server


async def open_subscriber(server: Server, *, buffer: int = 0) -> RawClient:
    """Open a socket, with a small receive buffer if that is said."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 18)
    client = RawClient(reader, writer)
    writer.write(write_head([HANDSHAKE[0].replace("/chat?a=1", "/chat"), *HANDSHAKE[1:]]))
    assert (await client.read_head()).startswith("HTTP/1.1 101 ")
    return client


def read_memory(server: Server) -> int:
    """Return the server's resident memory at its peak, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


async def test_stalled_subscriber_costs_bounded_memory_and_delays_nobody(server: Server) -> None:
    clients = [await open_subscriber(server) for _ in range(SUBSCRIBERS)]
    stalled = await open_subscriber(server, buffer=8192)
    stalled.writer.transport.pause_reading()  # type: ignore[attr-defined]
    publisher = await open_subscriber(server)

    async def read(client: RawClient) -> int:
        return int((await client.read_frame())[1][:10].split()[0])

    before = read_memory(server)
    for number in range(MESSAGES):
        publisher.writer.write(write_masked(0x81, f"{number} {SIZE}".encode()))
        # A peer that reads gets each message before the next one is sent.
        assert await asyncio.gather(*map(read, clients)) == [number] * SUBSCRIBERS
    assert read_memory(server) - before < GROWTH
    assert f"Closed a slow peer: more than {BUFFER_LIMIT} bytes waited for it." in server.read_log()
    # No other peer was.
    assert server.read_log().count("Closed a slow peer") == 1
    for client in (*clients, stalled, publisher):
        client.writer.transport.abort()
