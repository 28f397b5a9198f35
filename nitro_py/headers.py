"""Header fields and query parameters: mappings in which a name can have several values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Final, TypeVar, overload
from urllib.parse import parse_qsl

from nitro_py.errors import HTTPError

# A field's name, and what its value cannot hold (RFC 9110, sections 5.1 and 5.5). A line break would begin another
# field, and characters beyond Latin-1 cannot be sent. The server compiles the same for bytes.
FIELD_NAME: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
NOT_IN_FIELD_VALUE: Final = r"[^\t\x20-\x7e\x80-\xff]"

_NAME = re.compile(FIELD_NAME)
_NOT_IN_VALUE = re.compile(NOT_IN_FIELD_VALUE)


Default = TypeVar("Default")


class Headers(MutableMapping[str, str]):
    """Header fields: names in any case, with one or more values each.

    Reading a name returns its first value, assigning replaces all of them. Follows RFC 9110, section 5.

    Args:
        items: Pairs of name and value, or a mapping.

    Raises:
        ValueError: A name or a value cannot be sent. Methods that set a field raise it, too.

    Example:
        >>> headers = Headers({"Content-Type": "text/plain"})
        >>> headers.append("set-cookie", "a=1")
        >>> headers["content-type"], headers.getlist("Set-Cookie")
        ('text/plain', ['a=1'])
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, str]] | Mapping[str, str] = ()) -> None:
        pairs = items.items() if isinstance(items, Mapping) else items
        self._items = [_check_field(name.lower(), value) for name, value in pairs]

    @classmethod
    def from_raw(cls, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Make header fields from the header list of an ASGI scope."""
        headers = cls.__new__(cls)
        headers._items = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
        return headers

    def to_raw(self) -> list[tuple[bytes, bytes]]:
        """Return the fields as the header list of an ASGI message."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._items]

    def append(self, name: str, value: str) -> None:
        """Add a value to those that the name already has."""
        self._items.append(_check_field(name.lower(), value))

    def getlist(self, name: str) -> list[str]:
        """Return every value of a name, in order."""
        name = name.lower()
        return [value for key, value in self._items if key == name]

    def pairs(self) -> list[tuple[str, str]]:
        """Return every field as a pair, in order."""
        return list(self._items)

    def copy(self) -> Headers:
        """Return a copy."""
        headers = Headers.__new__(Headers)
        headers._items = self._items.copy()
        return headers

    def __contains__(self, name: object) -> bool:
        # The mapping's own way raises and catches a `KeyError` for each name that is not there.
        wanted = name.lower() if isinstance(name, str) else name
        return any(key == wanted for key, _ in self._items) if self._items else False

    def __getitem__(self, name: str) -> str:
        wanted = name.lower()
        for key, value in self._items:
            if key == wanted:
                return value
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        field = _check_field(name.lower(), value)
        self._items = [item for item in self._items if item[0] != field[0]]
        self._items.append(field)

    def __delitem__(self, name: str) -> None:
        name = name.lower()
        kept = [item for item in self._items if item[0] != name]
        if len(kept) == len(self._items):
            raise KeyError(name)
        self._items = kept

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key for key, _ in self._items))

    def __len__(self) -> int:
        return len({key for key, _ in self._items})

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"


def _check_field(name: str, value: str) -> tuple[str, str]:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a valid name of a header field.")
    if (found := _NOT_IN_VALUE.search(value)) is not None:
        raise ValueError(f"The value of the header field `{name}` cannot contain {found[0]!r}.")
    return name, value


class MissingKeyError(HTTPError, KeyError):
    """A client's request without a parameter that the handler asked for: a `KeyError`, and the answer 400.

    Args:
        kind: What the parameter belongs to.
        name: Its name.
    """

    def __init__(self, kind: str, name: object) -> None:
        HTTPError.__init__(self, 400, f"The {kind} has no parameter `{name}`.")


class Params(dict[str, str]):
    """The parameters of a route's path.

    Raises:
        MissingKeyError: The path has no parameter of that name; a `KeyError`, and the answer 400.
    """

    __slots__ = ()

    def __missing__(self, name: object) -> str:
        raise MissingKeyError("path", name)


def parse_query(text: str | bytes) -> list[tuple[str, str]]:
    """Read a query string, or a form, as pairs of name and value; bytes may hold UTF-8 as it is.

    Example:
        >>> parse_query(b"a=1&b=%C3%A9"), parse_query("a=é".encode())
        ([('a', '1'), ('b', 'é')], [('a', 'é')])
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return parse_qsl(text, keep_blank_values=True)


class Query(Mapping[str, str]):
    """The parameters of a query string; reading a name returns its last value.

    Follows the `application/x-www-form-urlencoded` format of the WHATWG URL standard.

    A name that is missing raises a `KeyError` that is the answer 400, too.

    Args:
        text: The query string, without its question mark.

    Example:
        >>> query = Query("a=1&b=2&b=3")
        >>> query["b"], query.getlist("b")
        ('3', ['2', '3'])
    """

    __slots__ = ("_items", "_last")

    def __init__(self, text: str | bytes) -> None:
        self._items = parse_query(text)
        self._last = dict(self._items)

    def getlist(self, name: str) -> list[str]:
        """Return every value of a name, in order."""
        return [value for key, value in self._items if key == name]

    def __getitem__(self, name: str) -> str:
        try:
            return self._last[name]
        except KeyError:
            raise MissingKeyError("query", name) from None

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...

    @overload
    def get(self, name: str, default: Default) -> str | Default: ...

    def get(self, name: str, default: Default | None = None) -> str | Default | None:
        """Return a name's last value, or the default."""
        return self._last.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._last

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def __repr__(self) -> str:
        return f"Query({self._items!r})"
