"""One kept-alive connection to a service, on which one request at a time waits for its response."""

from __future__ import annotations

import asyncio
import selectors
import time

from nitro_presets.aws_lambda.client.errors import TransportError
from nitro_presets.aws_lambda.client.wire import Response, ResponseReader

# A connection that rested longer is looked at before it is trusted again, in seconds.
TRUST = 1.0


class StaleError(TransportError):
    """Says that a kept-alive connection had ended before the request reached the service."""


class Connection(asyncio.BufferedProtocol):
    """Is one connection, made by `loop.create_connection`.

    Args:
        loop: The loop that it lives on.
        buffer: Where the loop puts what it receives. One buffer serves all connections of a loop: what
            came is taken out before the loop reads again.
    """

    __slots__ = ("_buffer", "_loop", "_reader", "_rested", "_socket", "_transport", "_used", "_waiter", "closed")

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        self._loop = loop
        self._buffer = buffer
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._socket = -1
        self._used = False
        self._rested = 0.0
        self.closed = False

    @property
    def reusable(self) -> bool:
        """Says whether another request may follow."""
        return not self.closed and self._reader.reusable

    def send(self, request: bytes) -> asyncio.Future[Response]:
        """Sends a request; the future holds the response, or raises `TransportError`."""
        waiter = self._loop.create_future()
        self._waiter = waiter
        if self._transport is None or self.closed:
            self.fail(StaleError("The connection has ended.", sent=False))
        else:
            self._transport.write(request)
        return waiter

    def rest(self) -> None:
        """Notes that the connection waits for the next request from now on."""
        self._used = True
        self._rested = time.monotonic()

    def is_alive(self) -> bool:
        """Looks whether the service ended the connection while it rested, or while the process was frozen."""
        if self.closed:
            return False
        if time.monotonic() - self._rested < TRUST:
            return True
        # The loop has not seen the end yet, when it stood still as long as the process.
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return not selector.select(0)

    def fail(self, error: TransportError) -> None:
        """Ends the connection, and the request on it."""
        self.abort()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def abort(self) -> None:
        """Ends the connection at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._socket = transport.get_extra_info("socket").fileno()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        waiter = self._waiter
        if waiter is None:
            self.abort()
            return
        try:
            response = self._reader.feed(bytes(self._buffer[:nbytes]))
        except TransportError as error:
            self.fail(error)
            return
        if response is not None:
            self._answer(waiter, response)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._transport = None
        waiter = self._waiter
        if waiter is None:
            return
        response = self._reader.close()
        if response is not None:
            self._answer(waiter, response)
        elif self._used and not self._reader.started:
            self.fail(StaleError("The service had ended the connection.", sent=True))
        else:
            self.fail(TransportError(f"The connection was lost: {exc or 'the service ended it'}.", sent=True))

    def _answer(self, waiter: asyncio.Future[Response], response: Response) -> None:
        self._waiter = None
        if not waiter.done():
            waiter.set_result(response)
