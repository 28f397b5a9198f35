"""Which hosts an app answers to."""

from __future__ import annotations

import logging

import pytest

from nitro_py.errors import ConfigError
from nitro_py.runtime.hosts import MAX_LOGGED, HostCheck, make_host_check, parse_allowed_host, parse_host
from nitro_py.runtime.settings import read_server


@pytest.mark.parametrize(
    ("field", "host"),
    [
        ("a.test", "a.test"),
        ("A.Test:8080", "a.test"),
        ("a.test.", "a.test"),
        ("a.test.:80", "a.test"),
        ("a.test:", "a.test"),
        ("xn--bcher-kva.test", "xn--bcher-kva.test"),
        ("a_b.test", "a_b.test"),
        ("127.0.0.1:3000", "127.0.0.1"),
        ("[::1]:3000", "[::1]"),
        ("[0:0::0001]", "[::1]"),
        ("[2001:DB8::A]", "[2001:db8::a]"),
        ("a.test..", None),
        (".a.test", None),
        ("a..test", None),
        ("a.test:x", None),
        ("a.test:80:80", None),
        ("u@localhost", None),
        ("localhost/a.test", None),
        ("a.test,localhost", None),
        ("localhost ", None),
        ("localhost\n", None),
        ("bücher.test", None),
        ("\u212a.test", None),
        ("%6cocalhost", None),
        ("::1", None),
        ("[::1", None),
        ("[1.2.3.4]", None),
        ("[::1].evil.test", None),
        ("*", None),
        ("*.a.test", None),
        ("", None),
        ("a" * 300, None),
    ],
)
def test_host_of_a_field(field: str, host: str | None) -> None:
    assert parse_host(field) == host


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ("A.Test", "a.test"),
        ("a.test.", "a.test"),
        ("*.A.test", "*.a.test"),
        ("[0::1]", "[::1]"),
        ("10.0.0.1", "10.0.0.1"),
        ("*", "*"),
    ],
)
def test_entry_is_kept_in_one_form(entry: str, kept: str) -> None:
    assert parse_allowed_host(entry) == kept


@pytest.mark.parametrize(
    "entry",
    [
        "",
        ".a.test",
        "*.",
        "*a.test",
        "a.*",
        "**",
        "*.*.test",
        "http://a.test",
        "a.test:80",
        "[::1]:80",
        "a.test/x",
        "::1",
        "*.10.0.0.1",
        "*.[::1]",
        " a.test",
        "u@a.test",
        "a.test\n",
        "bücher.test",
    ],
)
def test_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="a host such as"):
        parse_allowed_host(entry)


@pytest.mark.parametrize(
    ("allowed", "local", "admitted", "refused"),
    [
        (["a.test"], None, ["a.test", "A.TEST.:1"], ["b.a.test", "xa.test", "localhost", "127.0.0.1", "", "*"]),
        (["*.a.test"], None, ["b.a.test", "c.b.a.test:80"], ["a.test", "xa.test", "a.test.evil.test"]),
        (["a.test", "*.a.test"], None, ["a.test", "b.a.test"], ["b.test"]),
        (["[::1]", "10.0.0.1"], None, ["[0::1]:80", "10.0.0.1"], ["10.0.0.2", "localhost", "[::2]"]),
        (
            [],
            "127.0.0.1",
            ["localhost:3000", "a.b.localhost", "LOCALHOST.", "127.0.0.1", "10.1.2.3:80", "[fe80::1]"],
            [
                "a.test",
                "localhost.evil.test",
                "xlocalhost",
                "127.0.0.1.evil.test",
                "0x7f.1",
                "2130706433",
                "127.1",
            ],
        ),
        ([], "mine.test", ["mine.test:3000", "localhost"], ["a.mine.test", "evil.test"]),
        (["a.test"], "0.0.0.0", ["a.test", "localhost", "192.168.0.7"], ["b.test"]),
    ],
)
def test_hosts_that_pass(allowed: list[str], local: str | None, admitted: list[str], refused: list[str]) -> None:
    check = HostCheck(allowed, local=local)
    assert [host for host in admitted if not check.admits(host)] == []
    assert [host for host in refused if check.admits(host)] == []


def test_nothing_is_checked_where_every_host_is_allowed() -> None:
    assert make_host_check((), None) is None
    assert make_host_check(("a.test", "*"), None) is None
    assert make_host_check(("*",), "127.0.0.1") is None


def test_one_host_is_named_and_each_refused_one_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    check = HostCheck(["a.test"])
    host = (b"host", b"a.test")
    assert check.check([(b"x-forwarded-host", b"evil.test"), host]) is None
    for headers in (
        [],
        [host, host],
        [(b"host", b"evil.test")],
        [(b"host", b"evil.test:1")],
        [(b"host", b"\xff")],
    ):
        refusal = check.check([*headers, (b"x-forwarded-host", b"a.test")])
        assert refusal is not None
        assert refusal.status == 403
        assert "`server.allowed_hosts`" in refusal.message
    assert [record.getMessage() for record in caplog.records] == [
        "Refused a request without a valid host: `server.allowed_hosts` does not name it.",
        "Refused a request to the host evil.test: `server.allowed_hosts` does not name it.",
    ]


def test_log_of_hosts_that_a_client_makes_up_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    check = HostCheck(["a.test"])
    for number in range(2 * MAX_LOGGED):
        assert check.check([(b"host", b"h%d.test" % number)]) is not None
    assert len(caplog.records) == MAX_LOGGED
    assert check.check([(b"host", b"x" * 100_000)]) is not None


@pytest.mark.parametrize("text", ["a.test, *.B.test", '["a.test", "*.b.test"]'])
def test_variable_of_a_running_bundle_replaces_the_setting(text: str) -> None:
    server = read_server({"allowed_hosts": ["c.test"]}, {"NITRO_SERVER__ALLOWED_HOSTS": text})
    assert server.allowed_hosts == ("a.test", "*.b.test")


@pytest.mark.parametrize("text", ["http://a.test", "a.test:80", "[1]", '["a.test"', "a b"])
def test_wrong_variable_of_a_running_bundle_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_server({}, {"NITRO_SERVER__ALLOWED_HOSTS": text})
    assert "`NITRO_SERVER__ALLOWED_HOSTS`" in caught.value.message
    assert f"got `{text}`" in caught.value.message
