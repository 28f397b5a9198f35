"""Processes of one app, as far as topics need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from nitro_py.backplane import Backplane
from nitro_py.runtime.counters import BackplaneState, Counters
from nitro_py.runtime.topics.backplane_hub import BackplaneHub
from nitro_py.runtime.topics.local_hub import LocalHub
from nitro_py.testing.backplanes import MemoryBroker, until
from tests.runtime.peers import RecordingChannel, make_peer


class Process:
    """One process of an app: a hub and its peers."""

    def __init__(self, backplane: Backplane) -> None:
        self.state = BackplaneState("test")
        self.local = LocalHub(Counters())
        self.hub = BackplaneHub(self.local, backplane, self.state)

    async def join(self, id: str, *topics: str, namespace: str = "/chat") -> RecordingChannel:
        """Add a peer that subscribes to topics."""
        peer, channel = make_peer(id, self.hub, namespace=namespace)
        self.local.add_peer(peer)
        for topic in topics:
            await peer.subscribe(topic)
        return channel

    async def until_connected(self, connected: bool = True) -> None:
        """Wait until the backplane is there, or lost."""
        await until(lambda: self.state.connected is connected, f"connected={connected}", lambda: self.state)


@asynccontextmanager
async def processes(broker: MemoryBroker, count: int) -> AsyncIterator[list[Process]]:
    """Run some processes of an app."""
    async with AsyncExitStack() as stack:
        started = [Process(broker.make_backplane()) for _ in range(count)]
        for process in started:
            await stack.enter_async_context(process.hub.running())
        yield started


async def hears(channel: RecordingChannel, *frames: str | bytes) -> None:
    """Wait for frames, and for others that should not come."""
    await until(lambda: len(channel.frames) >= len(frames), f"{frames}", lambda: channel.frames)
    await asyncio.sleep(0.01)
    assert channel.frames == list(frames)
