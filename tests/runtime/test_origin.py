"""Which pages may open a socket."""

from __future__ import annotations

import logging

import pytest

from nitro_py.headers import Headers
from nitro_py.runtime.hooks.origin import check_origin


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "passes"),
    [
        ("https://a.test", "a.test", (), True),
        ("http://a.test:8000", "a.test:8000", (), True),
        ("http://a.test", "a.test:80", (), True),
        ("https://a.test", "a.test:443", (), True),
        ("http://[::1]:3000", "[::1]:3000", (), True),
        ("http://A.test", "a.TEST", (), True),
        ("http://a.test:8000", "a.test:8001", (), False),
        ("http://a.test", "a.test:8000", (), False),
        ("http://evil.test", "a.test", (), False),
        ("http://a.test.evil.test", "a.test", (), False),
        ("http://evil.test/a.test", "a.test", (), False),
        ("http://a.test@evil.test", "a.test", (), False),
        ("null", "a.test", (), False),
        ("", "a.test", (), False),
        ("http://a.test:port", "a.test", (), False),
        ("http://a.test", "", (), False),
        ("http://localhost:3000", "a.test", (), False),
        ("https://b.test", "a.test", ("https://b.test",), True),
        ("https://b.test:443", "a.test", ("https://b.test",), True),
        ("http://b.test", "a.test", ("https://b.test",), False),
        ("https://b.test:8443", "a.test", ("https://b.test",), False),
        ("https://x.b.test", "a.test", ("https://b.test",), False),
        ("https://x.b.test", "a.test", ("*.b.test",), True),
        ("https://x.y.b.test:99", "a.test", ("*.b.test",), True),
        ("http://x.y.b.test", "a.test", ("*.b.test",), False),
        ("http://x.y.b.test", "a.test", ("http://*.b.test",), True),
        ("http://x.y.b.test:99", "a.test", ("http://*.b.test",), False),
        ("http://x.b.test:99", "a.test", ("http://*.b.test:99",), True),
        ("https://x.b.test", "a.test", ("http://*.b.test",), False),
        ("http://b.test", "a.test", ("http://*.b.test",), False),
        ("capacitor://localhost", "a.test", ("capacitor://localhost",), True),
        ("capacitor://a.test", "a.test", (), False),
        ("ftp://a.test", "a.test", (), False),
        ("javascript://a.test", "a.test", (), False),
        ("http://user@a.test", "a.test", (), False),
        ("http://a.test\\b", "a.test", (), False),
        ("http://a\t.test", "a.test", (), False),
        ("http://a.test/", "a.test", (), False),
        ("http://my_app.test:80", "my_app.test", (), True),
        ("https://b.test", "a.test", ("*.b.test",), False),
        ("https://evilb.test", "a.test", ("*.b.test",), False),
        ("https://a.test", "a.test", ("https://b.test",), True),
        ("https://c.test", "a.test", ("https://b.test", "https://c.test"), True),
        ("https://anything.test", "a.test", ("*",), True),
        ("null", "a.test", ("*",), True),
    ],
)
def test_origin(origin: str, host: str, allowed: tuple[str, ...], passes: bool) -> None:
    headers = Headers({"origin": origin, "host": host})
    assert check_origin(headers, allowed, development=False) is passes


def test_no_origin_no_check() -> None:
    assert check_origin(Headers({"host": "a.test"}), ("https://b.test",), development=False)


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://localhost:5173", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:80", True),
        ("http://app.localhost", True),
        ("http://localhost.evil.test", False),
        ("http://evil.test", False),
        ("null", False),
    ],
)
def test_loopback_passes_in_development(origin: str, passes: bool) -> None:
    headers = Headers({"origin": origin, "host": "192.168.0.7:3000"})
    assert check_origin(headers, (), development=True) is passes
    assert check_origin(headers, ("https://b.test",), development=True) is passes
    configured = Headers({"origin": "https://b.test", "host": "192.168.0.7:3000"})
    assert check_origin(configured, ("https://b.test",), development=True)


def test_refusal_is_logged_with_the_setting(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "nitro_py.websocket"):
        check_origin(Headers({"origin": "http://evil.test", "host": "a.test"}), (), development=False)
    assert caplog.messages == [
        "Refused a socket from origin http://evil.test to host a.test: "
        "add the origin to `websocket.allowed_origins` to allow it."
    ]


@pytest.mark.parametrize(
    "origins", [["https://a.test", "https://evil.test"], ["https://evil.test", "https://a.test"]]
)
def test_each_of_several_origins_must_pass(origins: list[str]) -> None:
    headers = Headers([("host", "a.test"), *(("origin", origin) for origin in origins)])
    assert not check_origin(headers, (), development=False)
