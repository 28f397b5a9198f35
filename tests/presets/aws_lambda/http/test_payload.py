"""How answers are written for gateways, which take text or base64, and their fields in one place each."""

from __future__ import annotations

import base64
import gzip

import pytest

from nitro_presets.aws_lambda.http.payload import write_answer, write_body
from nitro_presets.aws_lambda.http.stream import make_prelude
from nitro_py.runtime.http.responses import CompleteResponse


@pytest.mark.parametrize(
    ("body", "kind", "written"),
    [
        ("ö\n".encode(), "text/plain; charset=utf-8", "ö\n"),
        (b"{}", "application/problem+json", "{}"),
        (b"", "image/png", ""),
    ],
)
def test_text_travels_as_it_is(body: bytes, kind: str, written: str) -> None:
    assert write_body(body, kind) == (written, False)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"text", "application/octet-stream"),
        (b"text", ""),
        # Text by its type, and none that JSON could carry.
        ("ö".encode("latin-1"), "text/plain; charset=latin-1"),
        (gzip.compress(b"{}", mtime=0), "application/json"),
    ],
)
def test_what_is_no_text_is_encoded(body: bytes, kind: str) -> None:
    written, encoded = write_body(body, kind)
    assert encoded
    assert base64.b64decode(written) == body


def test_fields_that_come_twice_are_joined_and_cookies_are_not() -> None:
    fields = [(b"Vary", b"a"), (b"vary", b"b"), (b"Set-Cookie", b"c=1, d"), (b"set-cookie", b"e=2")]
    answer = write_answer(CompleteResponse(200, fields, b""))
    assert answer["headers"] == {"vary": "a, b"}
    assert answer["cookies"] == ["c=1, d", "e=2"]


def test_fields_of_the_connection_are_not_the_streams() -> None:
    own = [(b"Connection", b"close"), (b"Keep-Alive", b"timeout=5"), (b"Transfer-Encoding", b"chunked")]
    prelude = make_prelude(200, [*own, (b"Vary", b"a"), (b"vary", b"b"), (b"Set-Cookie", b"c=1, d")])
    assert prelude.headers == {"vary": "a, b"}
    assert prelude.cookies == ("c=1, d",)
