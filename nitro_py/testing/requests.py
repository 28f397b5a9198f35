"""Requests of a test: their options, their bodies, and where they are redirected to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypedDict
from urllib.parse import urlencode, urljoin, urlsplit

from urllib3 import encode_multipart_formdata

from nitro_py.encoding import to_json
from nitro_py.headers import Headers
from nitro_py.testing.answers import RedirectError, TestResponse

FileContent = str | bytes | IO[bytes] | IO[str]
# A file's content; with its name; with its name and its media type.
FileValue = FileContent | tuple[str, FileContent] | tuple[str, FileContent, str]
Files = Mapping[str, FileValue] | Sequence[tuple[str, FileValue]]

# As many as browsers follow.
MAX_REDIRECTS = 20
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# The name of a file that has none.
UNNAMED = "upload"


class RequestOptions(TypedDict, total=False):
    """The options of a request, all of them optional.

    Args:
        json: A value that is sent as JSON.
        data: Fields that are sent as a form; beside `files` as parts of it.
        files: Files that are sent as `multipart/form-data`, by the names of their fields: each a content, or a
            tuple of file name, content and media type. A list of pairs has several files in one field.
        content: Text or bytes that are sent as they are.
        headers: Header fields.
        cookies: Cookies of this request only, beside those that the client keeps.
        params: Query parameters.
        follow_redirects: Whether the answer of a redirect's target is returned; by default as the client does.
    """

    json: object
    data: Mapping[str, Any] | None
    files: Files | None
    content: str | bytes | None
    headers: Mapping[str, str] | None
    cookies: Mapping[str, str] | None
    params: Mapping[str, Any] | None
    follow_redirects: bool | None


@dataclass(frozen=True, slots=True)
class TestRequest:
    """A request that a test sends.

    Args:
        method: The method.
        path: The path, percent-encoded, with its query.
        headers: The header fields, without those of the cookies that the client keeps.
        cookies: Cookies of this request only.
        body: The content.
    """

    method: str
    path: str
    headers: Headers
    cookies: Mapping[str, str]
    body: bytes

    def follow(self, answer: TestResponse, url: str) -> TestRequest | None:
        """Return the request that a redirect asks for, or `None` if the answer is none.

        Follows RFC 9110, section 15.4: after 303, and after 301 or 302 of a `POST`, the next request is a `GET`.

        Args:
            answer: The answer.
            url: The URL of this request.

        Raises:
            RedirectError: The target is another host.
        """
        location = answer.headers.get("location")
        if answer.status not in REDIRECTS or location is None:
            return None
        target = urlsplit(urljoin(url, location))
        here = urlsplit(url)
        if (target.scheme, target.netloc) != (here.scheme, here.netloc):
            raise RedirectError(
                f"{self.method} {self.path} redirects to `{location}`, which is not this app.",
                answer,
                hint="Send the request with `follow_redirects=False`, and look at its `location`.",
            )
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        becomes_get = self.method == "POST" if answer.status in (301, 302) else answer.status == 303
        if not becomes_get or self.method == "HEAD":
            return replace(self, path=path)
        kept = [(name, value) for name, value in self.headers.pairs() if not name.startswith("content-")]
        return replace(self, method="GET", path=path, headers=Headers(kept), body=b"")


def make_request(method: str, path: str, options: RequestOptions) -> TestRequest:
    """Make a request from its options.

    Raises:
        TypeError: There is no such option.
        ValueError: More than one body is given.
    """
    known = RequestOptions.__annotations__
    for name in options:
        if name not in known:
            choices = ", ".join(f"`{choice}`" for choice in sorted(known))
            raise TypeError(f"`{name}` is no option of a request: expected one of {choices}.")
    body, kind = encode_body(
        options.get("json"), options.get("data"), options.get("files"), options.get("content")
    )
    headers = Headers(options.get("headers") or {})
    if kind is not None:
        headers.setdefault("content-type", kind)
    method = method.upper()
    if body or method in ("POST", "PUT", "PATCH"):
        headers.setdefault("content-length", str(len(body)))
    return TestRequest(method, add_query(path, options.get("params")), headers, options.get("cookies") or {}, body)


def add_query(path: str, params: Mapping[str, Any] | None) -> str:
    """Return a path with more query parameters."""
    query = urlencode(params or {}, doseq=True)
    return path if not query else f"{path}{'&' if '?' in path else '?'}{query}"


def encode_body(
    json: object, data: Mapping[str, Any] | None, files: Files | None, content: str | bytes | None
) -> tuple[bytes, str | None]:
    """Return a request's body and its content type.

    Raises:
        ValueError: More than one body is given.
    """
    form = None if data is None and files is None else (data, files)
    if sum(part is not None for part in (json, form, content)) > 1:
        raise ValueError(
            "A request has one body: expected one of `content`, `data` with or without `files`, `json`, got more."
        )
    if content is not None:
        return (content.encode(), "text/plain; charset=utf-8") if isinstance(content, str) else (content, None)
    if files is not None:
        return encode_multipart_formdata([*_list_fields(data or {}), *_list_files(files)])
    if data is not None:
        return urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded"
    if json is not None:
        return to_json(json).encode(), "application/json"
    return b"", None


def _list_fields(data: Mapping[str, Any]) -> Iterable[tuple[str, str | bytes]]:
    for name, value in data.items():
        for item in value if isinstance(value, list | tuple) else (value,):
            yield name, item if isinstance(item, bytes) else str(item)


def _list_files(files: Files) -> Iterable[tuple[str, tuple[str, str | bytes] | tuple[str, str | bytes, str]]]:
    for field, value in files.items() if isinstance(files, Mapping) else files:
        if not isinstance(value, tuple):
            yield field, (_name_of(value), _read(value))
        elif len(value) == 2:
            yield field, (value[0], _read(value[1]))
        else:
            yield field, (value[0], _read(value[1]), value[2])


def _name_of(content: FileContent) -> str:
    name = getattr(content, "name", None)
    return Path(name).name if isinstance(name, str) else UNNAMED


def _read(content: FileContent) -> str | bytes:
    return content if isinstance(content, str | bytes) else content.read()
