"""A peer's context while a hook runs: stored before anybody can hear of its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nitro_presets.aws_lambda.store.contract import ConnectionStore
from nitro_presets.aws_lambda.store.rows import write_json
from nitro_py.peer import Peer


class StoredContext:
    """Knows how much of a peer's context is stored, and stores the rest.

    Args:
        store: Where.
        peer: Whose context it is, just as it was read.
    """

    def __init__(self, store: ConnectionStore, peer: Peer) -> None:
        self._store = store
        self._peer = peer
        self._stored = write_context(peer)
        self._writing = asyncio.Lock()

    async def save(self, *, open_token: str = "") -> None:
        """Write the keys that have changed since the last time, and nothing where none has.

        Args:
            open_token: Of the claim under which the open hook is now done.

        Raises:
            TypeError: JSON cannot hold a value.
        """
        # Whoever sends while another's write is on its way waits for it.
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
    """Has `save_context` store a context, for as long as its hook runs."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


async def save_context() -> None:
    """Store what the running hook has changed so far, if a hook runs.

    Whoever hears from a hook may answer at once, and another invocation must then see what the hook had changed.
    """
    context = _current.get()
    if context is not None:
        await context.save()


def write_context(peer: Peer) -> dict[str, str]:
    """Write a context's values as JSON, so that a change deep inside of one can be seen."""
    return {key: write_json(value) for key, value in peer.context.items()}
