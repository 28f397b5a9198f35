"""What a broker's URL may say."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from urllib.parse import parse_qsl, urlsplit

from nitro_py.errors import BackplaneError, UsageError, suggest_extra


def check_url(url: str, *schemes: str) -> None:
    """Refuse a URL that leads to no such broker.

    Args:
        url: The URL; the error does not show it, since it may hold a password.
        schemes: What it may start with, the usual one first.

    Raises:
        UsageError: It starts with something else, or names no host.
    """
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).netloc or urlsplit(url).path
    except ValueError:
        scheme, host = "", ""
    if scheme not in schemes or not host.strip("/"):
        expected = ", ".join(f"`{name}://…`" for name in sorted(schemes))
        got = f"`{scheme}://…`" if scheme else "no URL"
        raise UsageError(
            f"`backplane_url` leads to no such broker: expected {expected}, got {got}.",
            hint=f"Set `NITRO_BACKPLANE_URL={schemes[0]}://HOST`.",
        )


def require_module(module: str, package: str | None = None) -> None:
    """Refuse to start without a client's package.

    Args:
        module: What is imported.
        package: What is installed, if that is called otherwise.

    Raises:
        UsageError: It is not installed.
    """
    if find_spec(module) is None:
        raise UsageError(
            f"The backplane `{module}` needs the package `{package or module}`, which is not installed.",
            hint=f'Run {suggest_extra(module)}, and build with `backplane = "{module}"`, '
            "which adds it to the requirements.",
        )


def holds_secret(url: str) -> bool:
    """Return whether a URL names a user, a password or a token.

    Example:
        >>> holds_secret("redis://:pw@host"), holds_secret("redis://host/0?password=pw"), holds_secret("nats://host")
        (True, True, False)
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return "@" in parts.netloc or any(
        "pass" in name.lower() or "token" in name.lower() for name, _ in parse_qsl(parts.query)
    )


class ConnectionLoss:
    """Is whether a connection is lost, and why.

    Example:
        loss = ConnectionLoss()
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
        """Note that the connection is lost; the first reason counts."""
        if not self._future.done():
            self._future.set_exception(BackplaneError(f"The connection is gone: {reason}"))
            # Nobody need wait for it.
            self._future.exception()

    def check(self) -> None:
        """Do nothing as long as the connection is there.

        Raises:
            BackplaneError: It is lost.
        """
        if self._future.done():
            self._future.result()

    async def wait(self) -> None:
        """Wait until the connection is lost.

        Raises:
            BackplaneError: It is.
        """
        await asyncio.shield(self._future)
