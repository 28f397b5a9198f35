"""Whole answers, through Mangum, as under awslambdaric."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nitro_presets.aws_lambda.entry import make_http_function
from nitro_presets.aws_lambda.http.function import HttpFunction
from nitro_presets.aws_lambda.lambda_runtime.context import InvocationContext
from nitro_presets.aws_lambda.lambda_runtime.runner import run
from tests.presets.aws_lambda.http.project import SHAPES, Invoked, Shape, make_event, write_project


@pytest.fixture
def function(tmp_path: Path) -> Iterator[HttpFunction]:
    """Make the app's HTTP function, with streams of at most 1 s."""
    function: HttpFunction = make_http_function(
        write_project(tmp_path, streaming="function-url", stream_seconds=1)
    )
    yield function
    run(function.stop())


def get(function: HttpFunction, path: str, shape: Shape = "httpapi", **request: Any) -> dict[str, Any]:
    """Answer one request, as awslambdaric would have it answered."""
    answer: dict[str, Any] = function(make_event(shape, path, **request), Invoked())
    return answer


def fields_of(answer: dict[str, Any], name: str) -> list[str]:
    """Return a header field's values, wherever the gateway wants them."""
    if name == "set-cookie" and "cookies" in answer:
        cookies: list[str] = answer["cookies"]
        return cookies
    many = [
        value for key, values in answer.get("multiValueHeaders", {}).items() if key == name for value in values
    ]
    return many + [value for key, value in answer.get("headers", {}).items() if key.lower() == name]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_gateway_is_answered(function: HttpFunction, shape: Shape) -> None:
    request: dict[str, Any] = {
        "method": "POST",
        "body": b"\x00\xff",
        "cookies": ("c=1", "d=2"),
        "query": "q=x&q=y",
    }
    answer = get(function, "/api/show/a%2Fb%20c", shape, **request)
    assert answer["statusCode"] == 200
    assert answer["isBase64Encoded"] is False
    assert fields_of(answer, "content-type") == ["application/json"]
    assert fields_of(answer, "set-cookie") == ["a=1", "b=2"]
    assert fields_of(answer, "x-name") == ["grüß"]
    # Without multi-value headers a load balancer passes the last of a name's values only.
    query = ["y"] if shape == "alb" else ["x", "y"]
    assert json.loads(answer["body"]) == {
        "method": "POST",
        "name": "a/b c",
        "query": query,
        "cookies": {"c": "1", "d": "2"},
        "body": "\x00ÿ",
        "address": "1.2.3.4",
        "url": "https://app.test/api/show/a%2Fb%20c?" + "&".join(f"q={value}" for value in query),
        "hidden": [],
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_are_answered_as_base64(function: HttpFunction, shape: Shape) -> None:
    answer = get(function, "/api/bytes", shape)
    assert answer["isBase64Encoded"] is True
    assert base64.b64decode(answer["body"]) == bytes(range(256))


@pytest.mark.parametrize("shape", SHAPES)
def test_unknown_path_and_method_are_answered(function: HttpFunction, shape: Shape) -> None:
    assert get(function, "/api/nothing", shape)["statusCode"] == 404
    refused = get(function, "/api/bytes", shape, method="POST")
    assert refused["statusCode"] == 405
    assert fields_of(refused, "allow") == ["GET, HEAD"]


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "StopIteration"])
@pytest.mark.parametrize("shape", ["httpapi", "rest"])
def test_exception_for_the_process_is_500(function: HttpFunction, shape: Shape, error: str) -> None:
    assert get(function, f"/api/exits/{error}", shape)["statusCode"] == 500
    assert get(function, f"/api/plain/{error}", shape)["statusCode"] == 500
    for where in ("task", "later"):
        answer = get(function, f"/api/exits/{error}", shape, query=f"where={where}")
        assert (answer["statusCode"], answer["body"]) == (200, "went on")


def test_plugins_start_once_for_many_invocations_and_stop_at_the_end(
    function: HttpFunction, tmp_path: Path
) -> None:
    assert not (tmp_path / "plugin.log").exists()
    for shape in SHAPES:
        assert get(function, "/api/bytes", shape)["statusCode"] == 200
    assert (tmp_path / "plugin.log").read_text() == "start "
    run(function.stop())
    assert (tmp_path / "plugin.log").read_text() == "start stop "


def test_work_after_the_answer_is_done_before_the_invocation_ends(function: HttpFunction, tmp_path: Path) -> None:
    assert get(function, "/api/later")["body"] == "soon"
    assert (tmp_path / "later").exists()
    assert (tmp_path / "last").exists()


def test_our_runtime_client_does_that_work_once_the_answer_is_out(function: HttpFunction, tmp_path: Path) -> None:
    context = InvocationContext("1", int(time.time() * 1000) + 30_000, "arn")
    answer = function(make_event("rest", "/api/later"), context)
    assert answer["body"] == "soon"
    assert not (tmp_path / "later").exists()
    [work] = context.deferred

    async def finish() -> None:
        await work()

    run(finish())
    assert (tmp_path / "last").exists()


def test_work_that_outlasts_the_invocation_is_cancelled(
    function: HttpFunction, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    function(make_event("httpapi", "/api/later"), Invoked(seconds=0.55))
    assert not (tmp_path / "later").exists()
    assert "Cancelled 1 background tasks" in caplog.text


def test_socket_routes_are_not_loaded(function: HttpFunction) -> None:
    answer = get(function, "/api/chat")
    assert (answer["statusCode"], answer["headers"]["upgrade"]) == (426, "websocket")
    assert function.app.kinds == ("http", "sse")


def test_plain_request_to_a_socket_route_gets_its_page(function: HttpFunction) -> None:
    assert get(function, "/api/room")["body"] == "the page"


def test_undeclared_stream_is_an_error(function: HttpFunction, caplog: pytest.LogCaptureFixture) -> None:
    assert get(function, "/api/unsaid")["statusCode"] == 500
    assert "this target would buffer its stream" in caplog.text


@pytest.mark.parametrize("shape", ["httpapi", "rest"])
def test_undeclared_stream_of_a_response_object_is_an_error(
    function: HttpFunction, caplog: pytest.LogCaptureFixture, shape: Shape
) -> None:
    assert get(function, "/api/pieces", shape)["statusCode"] == 500
    assert "this target would buffer its stream" in caplog.text
    assert "StreamingResponse" in get(function, "/api/pieces", shape, query="file=1")["body"]


def test_declared_stream_ends_after_its_time_and_is_cleaned_up(function: HttpFunction, tmp_path: Path) -> None:
    answer = get(function, "/api/ticks")
    assert answer["statusCode"] == 200
    assert answer["body"].startswith("data: 0\n\ndata: 1\n\n")
    assert (tmp_path / "cleaned").exists()


def test_stream_ends_before_the_invocation_does(tmp_path: Path) -> None:
    function = make_http_function(write_project(tmp_path))
    # Less than the time that a stream has.
    invoked = Invoked(seconds=4.8)
    answer = function(make_event("httpapi", "/api/ticks"), invoked)
    assert answer["statusCode"] == 200
    assert invoked.get_remaining_time_in_millis() > 0
    run(function.stop())


def test_application_that_ignores_the_end_is_cancelled(
    function: HttpFunction, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nitro_presets.aws_lambda.http.stream.CLEANUP", 0.1)
    answer = get(function, "/api/stubborn")
    # What was cut must not look whole.
    assert answer["statusCode"] == 500
    assert "GET /api/stubborn did not end" in caplog.text
    assert "The answer to GET /api/stubborn was cut" in caplog.text


@pytest.mark.parametrize("shape", SHAPES)
def test_only_the_edge_comes_through_and_names_the_host(
    function: HttpFunction, monkeypatch: pytest.MonkeyPatch, shape: Shape
) -> None:
    monkeypatch.setenv("NITRO_ORIGIN_SECRET", "open sesame")
    edge = {"x-nitro-host": "www.test", "x-nitro-origin-secret": "open sesame"}
    seen = json.loads(get(function, "/api/show/x", shape, headers=edge)["body"])
    assert (seen["url"], seen["hidden"]) == ("https://www.test/api/show/x", [])
    for wrong in ({}, edge | {"x-nitro-origin-secret": "open"}, edge | {"x-nitro-origin-secret": "ö"}):
        refused = get(function, "/api/show/x", shape, headers=wrong)
        assert refused["statusCode"] == 403
        assert json.loads(refused["body"])["status"] == 403


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("path", ["/api/show/a", "/api/nothing", "/api/stubborn"])
def test_hosts_that_are_not_allowed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Shape, path: str
) -> None:
    monkeypatch.setenv("NITRO_SERVER__ALLOWED_HOSTS", "www.test")
    monkeypatch.setenv("NITRO_ORIGIN_SECRET", "open sesame")
    function = make_http_function(write_project(tmp_path, stream_seconds=0.3))
    for viewed, status in (("www.test", {200, 404, 500}), ("evil.test", {403})):
        edge = {"host": "www.test", "x-nitro-host": viewed, "x-nitro-origin-secret": "open sesame"}
        answer = get(function, path, shape, headers=edge)
        assert answer["statusCode"] in status
        if viewed == "evil.test":
            assert (
                json.loads(answer["body"])["message"] == "The host `evil.test` is not in `server.allowed_hosts`."
            )
        assert get(function, "/_nitro/health", shape, headers=edge)["statusCode"] == 200
    run(function.stop())


def test_without_a_secret_nobody_names_the_host(function: HttpFunction) -> None:
    forged = {"x-nitro-host": "evil.test", "x-nitro-origin-secret": "x"}
    seen = json.loads(get(function, "/api/show/x", headers=forged)["body"])
    assert (seen["url"], seen["hidden"]) == ("https://app.test/api/show/x", [])


def test_event_that_is_no_valid_request_is_refused(function: HttpFunction) -> None:
    assert get(function, "/api/bytes", "alb", headers={"host": "a:b:c"})["statusCode"] == 400
    broken = make_event("httpapi", "/api/show/x", method="POST") | {"body": "abc", "isBase64Encoded": True}
    assert function(broken, Invoked())["statusCode"] == 400


def test_event_that_was_written_by_hand_may_lack_what_no_handler_needs(function: HttpFunction) -> None:
    event = make_event("httpapi", "/api/show/x") | {"headers": None}
    del event["requestContext"]["http"]["sourceIp"]
    answer = function(event, Invoked())
    assert (answer["statusCode"], json.loads(answer["body"])["address"]) == (200, None)


def test_path_that_the_source_has_decoded_is_repaired(function: HttpFunction) -> None:
    assert json.loads(get(function, "/api/show/100%", "httpapi")["body"])["name"] == "100%"


@pytest.mark.parametrize("path", ["/api/show/100%", "/api/show/%zz", "/api/show/%ff", "/api/stubborn%2", "/%"])
def test_malformed_path_of_a_function_url_is_400(function: HttpFunction, path: str) -> None:
    answer = get(function, path, "function-url")
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (400, 400)


def test_body_with_a_status_is_500(function: HttpFunction, caplog: pytest.LogCaptureFixture) -> None:
    answer = get(function, "/api/pair")
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (500, 500)
    assert "event.response.status = 201" in caplog.text


PATHS = [
    ("GET", "/api/bytes"),
    ("HEAD", "/api/bytes"),
    ("GET", "/api/nothing"),
    ("POST", "/api/bytes"),
    ("GET", "/api/chat"),
    ("GET", "/api/room"),
    ("PUT", "/api/show/a%2Fb%20c%25"),
    ("GET", "/api/show/100%"),
    ("GET", "/api/ticks"),
    ("GET", "/api/unsaid"),
    ("GET", "/api/starlette"),
    ("GET", "/api/lines"),
    ("GET", "/_nitro/health"),
    ("GET", "/_nitro/nothing"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_handlers_are_answered_as_mangum_answers_applications(
    function: HttpFunction, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    # Behind its gate, a stream has one event in both answers; how many it has otherwise is the machine's affair.
    event = make_event("httpapi", path, method=method, query="q=x&gate=1", cookies=("c=1",), body=b"some")
    directly = function(event, Invoked())
    monkeypatch.setattr(function, "_find", lambda event, context: None)
    by_mangum = function(event, Invoked())
    if not by_mangum["body"]:
        # Mangum says that nothing at all is JSON.
        by_mangum["headers"].pop("content-type", None)
        directly["headers"].pop("content-type", None)
    assert directly == by_mangum


def test_mangum_is_loaded_for_mounted_applications_and_other_gateways_only(tmp_path: Path) -> None:
    code = f"""
import sys
from tests.presets.aws_lambda.http.project import Invoked, make_event
from nitro_presets.aws_lambda.entry import make_http_function
from pathlib import Path
function = make_http_function(Path({str(write_project(tmp_path))!r}))
for shape, path in (("httpapi", "/api/bytes"), ("httpapi", "/api/stubborn"), ("rest", "/api/bytes")):
    print(function(make_event(shape, path), Invoked(seconds=5))["statusCode"], "mangum" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["200 False", "500 True", "200 True"]
