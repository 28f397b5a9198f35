"""Whole responses in payload format 2.0."""

from __future__ import annotations

from typing import Any

from nitro_py.errors import HTTPError
from nitro_py.runtime.http.responses import CompleteResponse, describe_error, encode_body

# A body whose content type contains one of these is sent as text; any other is sent as base64.
TEXTUAL = ("text/", "json", "xml", "javascript", "urlencoded")


def write_refusal(error: HTTPError) -> CompleteResponse:
    """Make the response to an event that is refused before it is a request."""
    answer = describe_error(error, development=False)
    body, kind = encode_body(answer.body)
    headers = [(b"content-type", (kind or "").encode()), (b"content-length", str(len(body)).encode())]
    return CompleteResponse(answer.status, headers, body)


def write_answer(answer: CompleteResponse) -> dict[str, Any]:
    """Write a whole response in payload format 2.0.

    Example:
        >>> write_answer(CompleteResponse(200, [(b"content-type", b"text/plain")], b"hi"))["body"]
        'hi'
    """
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in answer.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        else:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body, encoded = write_body(answer.body, headers.get("content-type", ""))
    written: dict[str, Any] = {
        "statusCode": answer.status,
        "headers": headers,
        "body": body,
        "isBase64Encoded": encoded,
    }
    if cookies:
        written["cookies"] = cookies
    return written


def write_body(body: bytes, kind: str) -> tuple[str, bool]:
    """Write a body as text if its content type and its bytes allow it; return it with whether it is base64."""
    if not body:
        return "", False
    if any(part in kind for part in TEXTUAL):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            # Compressed, or in another encoding.
            pass
    import base64  # Benchmark row `lambda-cold-http`: few responses are not text.

    return base64.b64encode(body).decode(), True
