"""What the backplanes of all brokers need: checks of URL and package, and the loss of a connection."""

from __future__ import annotations

import asyncio
import re
from importlib.util import find_spec
from urllib.parse import parse_qsl, urlsplit

from nitro_py.errors import BackplaneError, UsageError, suggest_extra

# A scheme that a message may show; anything else could be a part of a password.
_SCHEME = re.compile(r"[a-z][a-z+]{1,11}")

BACKPLANE_URL = "backplane_url"


def check_url(url: str, *schemes: str, setting: str = BACKPLANE_URL) -> None:
    """Check that a URL leads to a broker of some kind.

    Args:
        url: The URL; the error shows no part of it but its scheme, since it may hold a password.
        schemes: The schemes that it may have, the usual one first.
        setting: The setting that it is from.

    Raises:
        UsageError: It has another scheme, names no host, or is malformed.
    """
    scheme, found, rest = url.partition("://")
    if scheme.lower() not in schemes or not found or not rest.strip("/"):
        expected = ", ".join(f"`{name}://…`" for name in sorted(schemes))
        got = f"`{scheme}://…`" if found and _SCHEME.fullmatch(scheme) else "no URL"
        raise UsageError(
            f"`{setting}` leads to no such broker: expected {expected}, got {got}.",
            hint=f"Set `{name_variable(setting)}={schemes[0]}://HOST`.",
        )
    if scheme.lower() != "unix" and not _is_well_formed(url):
        raise malformed_url(schemes[0], setting)


def name_variable(setting: str) -> str:
    """Return the variable of the environment for a setting.

    Example:
        >>> name_variable("storage.carts.url")
        'NITRO_STORAGE__CARTS__URL'
    """
    return f"NITRO_{setting.upper().replace('.', '__')}"


def malformed_url(scheme: str, setting: str = BACKPLANE_URL) -> UsageError:
    """Return the error of a URL that the broker's client cannot read; it shows no part of it."""
    return UsageError(
        f"`{setting}` is malformed.",
        hint=f"Write `{scheme}://USER:PASSWORD@HOST:PORT`, and percent-encode what a user or password has of "
        "`:/?#[]@%`.",
    )


def _is_well_formed(url: str) -> bool:
    """Return whether a URL has a host and a port, and no `@` where an unencoded password would leave one."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError:
        return False
    stray = "@" in parts.path or "@" in parts.fragment or ("@" in parts.query and "=" not in parts.query)
    return bool(parts.hostname) and port_is_valid and not stray and parts.netloc.count("@") <= 1


def require_module(module: str, package: str | None = None) -> None:
    """Check that the package of a broker's client is installed.

    Args:
        module: The module that is imported.
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
    """The loss of a connection, which tasks can wait for.

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
        """Record the loss, and end every wait for it; the first reason counts."""
        if not self._future.done():
            self._future.set_exception(BackplaneError(f"The connection is gone: {reason}"))
            # Otherwise asyncio would warn if no task waits for it.
            self._future.exception()

    def check(self) -> None:
        """Check that the connection is there.

        Raises:
            BackplaneError: The connection is lost.
        """
        if self._future.done():
            self._future.result()

    async def wait(self) -> None:
        """Wait until the connection is lost.

        Raises:
            BackplaneError: The connection is lost.
        """
        await asyncio.shield(self._future)
