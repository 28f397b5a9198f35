"""A peer's context while a hook runs: stored before another invocation can learn of its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nitro_presets.aws_lambda.store.contract import ConnectionStore
from nitro_presets.aws_lambda.store.rows import write_json
from nitro_py.peer import Peer


class StoredContext:
    """A peer's context, with the values that are stored already.

    Args:
        store: The store.
        peer: The peer, whose context is as it was read.
    """

    def __init__(self, store: ConnectionStore, peer: Peer) -> None:
        self._store = store
        self._peer = peer
        self._stored = write_context(peer)
        self._writing = asyncio.Lock()

    async def save(self, *, open_token: str = "") -> None:
        """Store the keys that have changed since the last call; call nothing if none has.

        Args:
            open_token: The token of the claim under which the open hook is now done.

        Raises:
            TypeError: A value is not JSON-able.
        """
        # A task that sends waits for another task's write that is on its way.
        async with self._writing:
            values = write_context(self._peer)
            changed = {key: self._peer.context[key] for key in values if values[key] != self._stored.get(key)}
            removed = self._stored.keys() - values.keys()
            if changed or removed or open_token:
                await self._store.save(self._peer.id, changed, removed, open_token=open_token)
                self._stored = values


_current: ContextVar[StoredContext | None] = ContextVar("stored_context", default=None)


@contextmanager
def use_context(context: StoredContext) -> Iterator[None]:
    """Make a context the one that `save_context` stores, while its hook runs."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


async def save_context() -> None:
    """Store what the running hook has changed so far, if a hook runs.

    A client may answer a hook's message at once, and the invocation for that answer must see the changes.
    """
    context = _current.get()
    if context is not None:
        await context.save()


def write_context(peer: Peer) -> dict[str, str]:
    """Write a context's values as JSON, so that a change inside of one is found."""
    return {key: write_json(value) for key, value in peer.context.items()}
