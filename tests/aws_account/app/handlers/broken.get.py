"""A stream that fails after its first piece."""

from collections.abc import AsyncIterator

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> AsyncIterator[str]:
    yield "first\n"
    raise RuntimeError("broken on purpose")
