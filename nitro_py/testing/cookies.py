"""The cookies of a client, kept as a browser keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from email.message import Message
from http.client import HTTPResponse
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import cast
from urllib.parse import urlsplit
from urllib.request import Request

# What a name or a value cannot hold (RFC 6265, section 4.1.1); browsers send spaces, commas and quotes.
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f;]")
# Browsers send secure cookies here without TLS, too.
_TRUSTED_HOST = "localhost"


class Cookies(MutableMapping[str, str]):
    """The cookies of a client, by name; what the app sets is kept with its path, expiry and `Secure`.

    A secure cookie is sent to `https` and to `localhost`, as browsers do. Setting a name makes a cookie for all
    paths of the app, deleting one removes it from every path. `jar` has all attributes.

    Args:
        url: The URL of the app.

    Example:
        >>> cookies = Cookies("http://localhost")
        >>> cookies["theme"] = "dark"
        >>> dict(cookies)
        {'theme': 'dark'}
    """

    def __init__(self, url: str) -> None:
        host = urlsplit(url).hostname or ""
        # The standard library's name for a host without a dot.
        self._domain = host if "." in host else f"{host}.local"
        schemes = ("https", "wss", *(("http", "ws") if host == _TRUSTED_HOST else ()))
        self.jar = CookieJar(DefaultCookiePolicy(secure_protocols=schemes))

    def __getitem__(self, name: str) -> str:
        for cookie in self._find(name):
            return cookie.value or ""
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        for text in (name, value):
            if _UNSENDABLE.search(text):
                raise ValueError(f"The cookie `{name}` cannot contain {text!r}.")
        self.jar.set_cookie(
            Cookie(
                version=0,
                name=name,
                value=value,
                port=None,
                port_specified=False,
                domain=self._domain,
                domain_specified=False,
                domain_initial_dot=False,
                path="/",
                path_specified=True,
                secure=False,
                expires=None,
                discard=True,
                comment=None,
                comment_url=None,
                rest={},
            )
        )

    def __delitem__(self, name: str) -> None:
        found = self._find(name)
        if not found:
            raise KeyError(name)
        for cookie in found:
            self.jar.clear(cookie.domain, cookie.path, cookie.name)

    def __iter__(self) -> Iterator[str]:
        self.jar.clear_expired_cookies()
        return iter(dict.fromkeys(cookie.name for cookie in self.jar))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Cookies({dict(self)!r})"

    def header_for(self, url: str, more: Mapping[str, str]) -> str | None:
        """Return the header field `cookie` of a request; `None` if it has no cookies.

        Args:
            url: The URL of the request.
            more: Cookies of this request only, which come before those that are kept by the same name.
        """
        request = Request(url)
        self.jar.add_cookie_header(request)
        kept = request.get_header("Cookie", "").split("; ")
        pairs = [f"{name}={value}" for name, value in more.items()]
        pairs += [pair for pair in kept if pair and pair.partition("=")[0] not in more]
        return "; ".join(pairs) or None

    def store(self, url: str, fields: Iterable[str]) -> None:
        """Keep or remove the cookies that an answer sets.

        Args:
            url: The URL of the request.
            fields: The values of its header fields `set-cookie`.
        """
        message = Message()
        for field in fields:
            message["Set-Cookie"] = field
        self.jar.extract_cookies(cast(HTTPResponse, _Answer(message)), Request(url))

    def _find(self, name: str) -> list[Cookie]:
        self.jar.clear_expired_cookies()
        found = [cookie for cookie in self.jar if cookie.name == name]
        # The first in a request is the one with the longest path.
        return sorted(found, key=lambda cookie: -len(cookie.path))


class _Answer:
    """The part of an answer that the standard library reads cookies from."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message
