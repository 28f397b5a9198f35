"""The lines of an answer's head."""

from __future__ import annotations

import pytest

from nitro_py.server.http.head import KEPT_LINES, MAX_KEPT_LINES, MAX_KEPT_VALUE, check_lines, write_safe_line


def test_lines_that_are_kept_are_bounded() -> None:
    for number in range(2 * MAX_KEPT_LINES):
        line = write_safe_line((b"content-length", b"%d" % number))
        assert line == b"content-length: %d\r\n" % number
    assert len(KEPT_LINES) <= MAX_KEPT_LINES
    assert max(len(value) for _, value in KEPT_LINES) <= MAX_KEPT_VALUE
    KEPT_LINES.clear()


@pytest.mark.parametrize(
    "field",
    [
        (b"set-cookie", b"session=secret"),
        (b"content-length", b"1\r\nx: y"),
        (b"content-length", b"+1"),
        (b"content-type", b"text/plain\r\nx: y"),
        (b"content-type", b"text/plain\0"),
        (b"content-type", b"text/" + b"x" * MAX_KEPT_VALUE),
    ],
)
def test_other_and_unsafe_fields_are_not_kept(field: tuple[bytes, bytes]) -> None:
    for _ in range(2):
        assert write_safe_line(field) is None
    assert field not in KEPT_LINES


@pytest.mark.parametrize("line", [b"x: a\nb: c\r\n", b"x: a\rb\r\n", b"x: a\r\nb: c\r\n", b"x: a\0\r\n"])
def test_a_line_that_is_more_than_one_is_refused(line: bytes) -> None:
    default = b"date: today\r\nserver: x\r\n"
    check_lines([b"HTTP/1.1 200 OK\r\n", default, b"x: a\r\n"])
    with pytest.raises(ValueError, match="a line break or a NUL"):
        check_lines([b"HTTP/1.1 200 OK\r\n", default, line])
