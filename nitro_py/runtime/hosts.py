"""The check of the host that a request names, which keeps away pages whose name was rebound to this machine."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from nitro_py.errors import HTTPError

logger = logging.getLogger("nitro_py.http")

# The longest name of a host, with a port (RFC 1035, section 2.3.4).
MAX_HOST: Final = 260
# How many answers are remembered, and how many refused hosts are logged: clients choose the names.
MAX_KNOWN: Final = 256
MAX_LOGGED: Final = 100
_HOST = re.compile(r"(?:(\[[0-9a-f:.]+\])|([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::[0-9]*)?")


def parse_host(text: str) -> str | None:
    """Return the name that a field `Host` gives, without its port; `None` if it gives none.

    Names that mean the same are returned alike: in lower case, without the dot of the root, addresses of version 6
    in their short form (RFC 3986, section 3.2.2; RFC 5952).

    Example:
        >>> parse_host("Example.COM.:8080"), parse_host("[0::1]"), parse_host("a@localhost")
        ('example.com', '[::1]', None)
    """
    # The lower case of some other letters is ASCII.
    found = _HOST.fullmatch(text.lower()) if len(text) <= MAX_HOST and text.isascii() else None
    if found is None:
        return None
    if found[1] is None:
        return found[2]
    try:
        return f"[{IPv6Address(found[1][1:-1])}]"
    except ValueError:
        return None


def parse_allowed_host(text: str) -> str:
    """Return an entry of `server.allowed_hosts` in the form that `parse_host` gives names.

    Raises:
        ValueError: It is no host; the message is what was expected.

    Example:
        >>> parse_allowed_host("*.Example.com"), parse_allowed_host("*")
        ('*.example.com', '*')
    """
    wildcard = "*." if text.startswith("*.") else ""
    name = text.removeprefix(wildcard)
    host = parse_host(name)
    if text == "*":
        return text
    if host is None or ":" in name.rpartition("]")[2] or (wildcard and is_address(host)):
        raise ValueError(
            "a host such as `example.com` or `[::1]` without scheme, port and path"
            + ("" if text.isascii() else ", in the ASCII form that browsers send (`xn--…`)")
            + ", `*.example.com` for its subdomains, or `*` for all"
        )
    return wildcard + host


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, which no name server can point elsewhere."""
    if host.startswith("["):
        return True
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Return whether a host is this machine by its name (RFC 6761, section 6.3)."""
    return host == "localhost" or host.endswith(".localhost")


class HostCheck:
    """The check of the host that each request names.

    Args:
        allowed: The setting `server.allowed_hosts`.
        local: The address that a server for this machine listens on, which answers to all names of the machine,
            too; `None` for a server that is for others.

    Raises:
        ValueError: An entry is no host.

    Example:
        >>> check = HostCheck(["*.example.com"], local="127.0.0.1")
        >>> [check.admits(host) for host in ("a.example.com", "example.com", "localhost:3000", "10.0.0.1")]
        [True, False, True, True]
    """

    def __init__(self, allowed: Iterable[str], *, local: str | None = None) -> None:
        entries = {parse_allowed_host(entry) for entry in allowed}
        self._all = "*" in entries
        self._suffixes = tuple(entry[1:] for entry in entries if entry.startswith("*."))
        self._names = entries.union([] if local is None else [parse_host(local) or ""])
        self._local = local is not None
        self._logged: set[str] = set()
        # Clients send the same few hosts again and again.
        self.admits = lru_cache(MAX_KNOWN)(self._admits)

    def _admits(self, host: str) -> bool:
        """Return whether requests to a host are answered."""
        name = parse_host(host)
        if name is None:
            return self._all
        return (
            self._all
            or name in self._names
            or name.endswith(self._suffixes)
            or (self._local and (is_local(name) or is_address(name)))
        )

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> HTTPError | None:
        """Return the refusal of a request that names no host that is allowed, or more than one host.

        Args:
            headers: The header fields of its ASGI scope.
        """
        # What is too long is not remembered whole.
        hosts = [value[: MAX_HOST + 1].decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) == 1 and self.admits(hosts[0]):
            return None
        name = parse_host(hosts[0]) if len(hosts) == 1 else None
        self._log(name)
        return HTTPError(403, self._explain(name))

    def _explain(self, name: str | None) -> str:
        if name is None:
            return "The request names no host of `server.allowed_hosts`."
        message = f"The host `{name}` is not in `server.allowed_hosts`."
        if not self._local:
            return message
        return (
            f"{message} If it is yours, write `allowed_hosts = ['{name}']` into `[server]` of `nitro.toml`, "
            "or into `[tool.nitropy.server]` of `pyproject.toml`."
        )

    def _log(self, name: str | None) -> None:
        request = "without a valid host" if name is None else f"to the host {name}"
        if request in self._logged or len(self._logged) >= MAX_LOGGED:
            return
        self._logged.add(request)
        logger.warning("Refused a request %s: `server.allowed_hosts` does not name it.", request)


def make_host_check(allowed: Collection[str], local: str | None) -> HostCheck | None:
    """Make the check of an app's requests; `None` if every host is allowed.

    Args:
        allowed: The setting `server.allowed_hosts`; a server that is for others checks only if there are some.
        local: The address that a server for this machine listens on.
    """
    if "*" in allowed or (not allowed and local is None):
        return None
    return HostCheck(allowed, local=local)
