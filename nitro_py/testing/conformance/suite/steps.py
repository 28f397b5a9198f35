"""Steps that several tests of the suite take."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from nitro_py.testing.conformance.target import Socket, Target

# How long something may take to show, in seconds.
PATIENCE = 30.0
# How long is waited to see that nothing comes, in seconds.
SILENCE = 0.1

# What the suite's app writes of its values that JSON cannot hold as they are.
_WRITTEN = (
    '"00000000-0000-0000-0000-000000000007"',
    '"2024-01-02"',
    '"2024-01-02T03:00:00+00:00"',
    '"04:05:00"',
    '"P1DT1M30S"',
    '"1.10"',
    '"/a/b"',
    '"red"',
    '"https://a.example/b"',
)
RICH = (
    f'{{"values":[{",".join(_WRITTEN)},"http://c.example/d"],'
    f'"keys":{{{",".join(f"{key}:1" for key in _WRITTEN)}}},"half":"\\ud83d"}}'
)


def make_key() -> str:
    """Return a name that no other test uses."""
    return uuid.uuid4().hex


async def read_journal(target: Target, key: str) -> list[str]:
    """Return the lines that the app's hooks have left under a key."""
    lines: list[str] = (await target.request("GET", f"/journal/{key}")).json()
    return lines


async def write_journal(target: Target, key: str, line: str) -> None:
    """Leave a line that the app's hooks may wait for."""
    assert (await target.request("POST", f"/journal/{key}", content=line)).status == 204


async def reach(target: Target, key: str, line: str, count: int = 1) -> list[str]:
    """Wait until a line stands in a journal so many times, and return the journal."""
    lines: list[str] = await poll(lambda: read_journal(target, key), lambda lines: lines.count(line) >= count)
    return lines


async def reach_close(target: Target, key: str, count: int = 1) -> list[str]:
    """Wait until the close hook has run so many times, with whatever code, and return the journal."""
    lines: list[str] = await poll(
        lambda: read_journal(target, key),
        lambda lines: sum(line.startswith("close") for line in lines) >= count,
    )
    return lines


async def poll(look: Callable[[], Awaitable[Any]], good: Callable[[Any], bool]) -> Any:
    """Call a function until its result is good, and return that.

    Args:
        look: The function.
        good: Whether a result is good.

    Raises:
        AssertionError: No result is good in time.
    """
    seen = None
    try:
        async with asyncio.timeout(PATIENCE):
            # Only looking again shows what happens in another process.
            while not good(seen := await look()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"Waited {PATIENCE:g} s in vain; last seen: {seen!r}") from None
    return seen


@asynccontextmanager
async def open_script(target: Target, key: str | None = None, query: str = "") -> AsyncIterator[Socket]:
    """Open a socket whose peer does what it is told."""
    async with target.connect(f"/ws/script/{key or make_key()}{query}") as socket:
        yield socket


async def do(socket: Socket, action: str, **arguments: object) -> None:
    """Tell a scripted peer what to do."""
    await socket.send({"do": action, **arguments})


async def ask(socket: Socket, action: str, **arguments: object) -> Any:
    """Tell a scripted peer what to do, and return its answer."""
    await do(socket, action, **arguments)
    return await socket.receive_json()


async def hears_nothing(*sockets: Socket) -> bool:
    """Return whether no socket receives anything for a while."""

    async def listen(socket: Socket) -> bool:
        try:
            await socket.receive(SILENCE)
        except TimeoutError:
            return True
        return False

    return all(await asyncio.gather(*(listen(socket) for socket in sockets)))
