"""Header fields, query parameters and cookies."""

from __future__ import annotations

import pytest

from nitro_py.headers import Headers, Query
from nitro_py.request import Request, parse_cookies


def test_names_in_any_case() -> None:
    headers = Headers({"Content-Type": "text/plain"})
    assert headers["CONTENT-TYPE"] == "text/plain"
    assert "content-Type" in headers
    assert list(headers) == ["content-type"]
    with pytest.raises(KeyError):
        headers["accept"]


def test_name_that_stands_more_than_once() -> None:
    headers = Headers([("Set-Cookie", "a=1"), ("x", "y"), ("set-cookie", "b=2")])
    assert (len(headers), headers["set-cookie"]) == (2, "a=1")
    assert headers.getlist("SET-COOKIE") == ["a=1", "b=2"]
    assert headers.to_raw() == [(b"set-cookie", b"a=1"), (b"x", b"y"), (b"set-cookie", b"b=2")]
    headers["Set-Cookie"] = "c=3"
    assert headers.pairs() == [("x", "y"), ("set-cookie", "c=3")]
    del headers["SET-cookie"]
    assert headers.pairs() == [("x", "y")]
    with pytest.raises(KeyError):
        del headers["set-cookie"]


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b=1", "a\nb", "a\rb", "a\0b", "a\x7f", "\u2028", "€"])
def test_value_that_cannot_be_sent_is_refused(value: str) -> None:
    headers = Headers()
    with pytest.raises(ValueError, match="`x-name` cannot contain"):
        headers["X-Name"] = value
    with pytest.raises(ValueError, match="`x-name` cannot contain"):
        headers.append("X-Name", value)
    with pytest.raises(ValueError, match="`x-name` cannot contain"):
        Headers({"X-Name": value})
    assert headers.pairs() == []


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "é"])
def test_name_that_cannot_be_sent_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a valid name of a header field"):
        Headers()[name] = "value"


def test_copy_is_changed_without_the_original() -> None:
    headers = Headers({"a": "1"})
    copy = headers.copy()
    copy["a"] = "2"
    assert (headers["a"], copy["a"]) == ("1", "2")


def test_raw_fields_keep_their_bytes() -> None:
    raw = [(b"X-Name", b"caf\xe9 \xff")]
    assert Headers.from_raw(raw).to_raw() == [(b"x-name", b"caf\xe9 \xff")]


def test_query() -> None:
    query = Query("a=1&b=2&b=3&empty=&caf%C3%A9=x+y%20z")
    assert dict(query) == {"a": "1", "b": "3", "empty": "", "café": "x y z"}
    assert (query.getlist("b"), query.getlist("no")) == (["2", "3"], [])
    assert len(query) == 4
    assert "no" not in query
    assert dict(Query("")) == {}


@pytest.mark.parametrize(
    ("fields", "cookies"),
    [
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1; a=2"], {"a": "1"}),
        (['quoted="x y"'], {"quoted": "x y"}),
        (["a=1; b@d{}=2; c=3"], {"a": "1", "b@d{}": "2", "c": "3"}),
        (["token=a=b=="], {"token": "a=b=="}),
        (['session={"id": 5, "r": 1}'], {"session": '{"id": 5, "r": 1}'}),
        (["s=hello world ; version=2; path=/x"], {"s": "hello world", "version": "2", "path": "/x"}),
        (['q="a\\"b\\054c"; open="x'], {"q": 'a"b,c', "open": '"x'}),
        (["name=caf\xc3\xa9; old=caf\xe9"], {"name": "café", "old": "café"}),
        (["lone; =nameless; empty="], {"empty": ""}),
        ([""], {}),
        ([], {}),
    ],
)
def test_cookies(fields: list[str], cookies: dict[str, str]) -> None:
    assert parse_cookies(Headers([("cookie", field) for field in fields])) == cookies


def test_light_request() -> None:
    request = Request("ws://h.test:80/a%20b/c?x=1&x=2#f", headers=Headers({"cookie": "id=7"}), params={"p": "v"})
    assert (request.method, request.path, request.query.getlist("x")) == ("GET", "/a b/c", ["1", "2"])
    assert (request.cookies, request.params, request.context) == ({"id": "7"}, {"p": "v"}, {})
    assert Request("ws://h.test", headers=Headers()).path == "/"
