"""The protocols that a target of the suite implements."""

# Each wait has its own limit, and its own message when that is reached.
# ruff: noqa: ASYNC109

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Concatenate, ParamSpec, Protocol, cast

import pytest

from nitro_py.capabilities import Capability
from nitro_py.encoding import Frame
from nitro_py.headers import Headers
from nitro_py.testing.answers import Closed, TestResponse
from nitro_py.testing.events import ServerEvent


class Stream(Protocol):
    """An answer whose content comes piece by piece, as `TestStream` is."""

    status: int
    headers: Headers

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body's pieces; MUST raise if the connection breaks before the end."""

    def events(self) -> AsyncIterator[ServerEvent]:
        """Return the server-sent events in the body."""


class Socket(Protocol):
    """An open socket, as `TestSocket` is. One that is not received from MUST stop to read in the end."""

    subprotocol: str | None
    headers: Headers

    async def send(self, data: object) -> None:
        """Send text or bytes as they are, the rest as JSON; MUST wait while the server does not read."""

    async def receive(self, timeout: float | None = None) -> Frame:
        """Return the next message; MUST raise `TimeoutError`, or `SocketClosed` at the end."""

    async def receive_text(self, timeout: float | None = None) -> str:
        """Return the next message, which must be text."""

    async def receive_json(self, timeout: float | None = None) -> Any:
        """Read the next message as JSON."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket with a handshake."""

    async def drop(self) -> None:
        """End the connection without a handshake."""

    async def wait_closed(self, timeout: float | None = None) -> Closed:
        """Wait until the server closes the socket, passing over messages."""


class Target(Protocol):
    """A running build of the suite's app.

    `capabilities` lists what the target can do; tests of other capabilities are skipped, after `check_denied`.
    """

    capabilities: frozenset[Capability]

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """Send a request and return the whole answer; the path goes out as it is written."""

    def stream(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Stream]:
        """Send a request and read its answer piece by piece; the client leaves at the end of the block."""

    def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        origin: str | None = None,
    ) -> AbstractAsyncContextManager[Socket]:
        """Open a socket, closed at the end of the block; MUST raise `UpgradeRefused` where the server does."""

    async def check_denied(self, capability: Capability) -> None:
        """Assert what the contract's table says of a target without a capability; MAY check nothing."""


S = ParamSpec("S")
TargetTest = Callable[Concatenate[Any, Target, S], Coroutine[Any, Any, None]]


def requires(*capabilities: Capability) -> Callable[[TargetTest[S]], TargetTest[S]]:
    """Skip a test on a target that does not declare the capabilities, once the denial is checked.

    Args:
        capabilities: What the test needs.

    Example:
        @requires("websocket.binary")
        async def test_bytes_come_back(self, target: Target) -> None: ...
    """

    def decorate(test: TargetTest[S]) -> TargetTest[S]:
        @functools.wraps(test)
        async def run(self: Any, target: Target, *args: S.args, **kwargs: S.kwargs) -> None:
            lacking = [name for name in capabilities if name not in target.capabilities]
            for name in lacking:
                await target.check_denied(name)
            if lacking:
                pytest.skip(f"the target does not declare {', '.join(lacking)}")
            await test(self, target, *args, **kwargs)

        return cast(TargetTest[S], run)

    return decorate
