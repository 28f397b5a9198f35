"""The end of a connection to a broker, which several wait for and all must know."""

from __future__ import annotations

import asyncio

from nitro_py.errors import BackplaneError


class Loss:
    """Is whether a connection is lost, and why.

    Example:
        loss = Loss()
        loss.note("the server closed it")
        await loss.wait()  # raises BackplaneError
    """

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def happened(self) -> bool:
        """Whether the connection is lost."""
        return self._future.done()

    def note(self, reason: str) -> None:
        """Notes that the connection is lost; the first reason counts."""
        if not self._future.done():
            self._future.set_exception(BackplaneError(f"The connection is gone: {reason}"))
            # Nobody need wait for it.
            self._future.exception()

    def check(self) -> None:
        """Does nothing as long as the connection is there.

        Raises:
            BackplaneError: It is lost.
        """
        if self._future.done():
            self._future.result()

    async def wait(self) -> None:
        """Waits until the connection is lost.

        Raises:
            BackplaneError: It is.
        """
        await asyncio.shield(self._future)
