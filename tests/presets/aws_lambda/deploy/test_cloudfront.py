"""The CloudFront function, as it is deployed, under node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import require_program
from tests.presets.aws_lambda.deploy.stacks import OPTIONS, render_stack

# CloudFront's own module, as far as the function uses it.
CLOUDFRONT = """
export default {
  selectRequestOriginById(id) { globalThis.selected = id; },
};
"""
RUN = """
import { readFileSync } from 'node:fs';
import { handler } from './function.mjs';
const answer = handler(JSON.parse(readFileSync(0, 'utf8')));
console.log(JSON.stringify({ answer, origin: globalThis.selected ?? null }));
"""
VIEWER = "2001:db8::7"
# What CloudFront caches of its own accord, whatever the cache policy says.
CACHED_ERRORS = (404, 414, 500, 501, 502, 503, 504)
# CloudFront takes no larger function.
MAX_CODE = 10 * 1024


class CloudFrontFunction:
    """Runs the function of a stack.

    Args:
        folder: An empty folder.
        name: The stack.
    """

    def __init__(self, folder: Path, name: str) -> None:
        properties = render_stack(OPTIONS[name])["Resources"]["EdgeFunction"]["Properties"]
        assert properties["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"
        self.code = str(properties["FunctionCode"])
        self._folder = folder
        module = folder / "node_modules" / "cloudfront"
        module.mkdir(parents=True)
        (module / "package.json").write_text('{"name": "cloudfront", "type": "module", "exports": "./index.js"}')
        (module / "index.js").write_text(CLOUDFRONT)
        (folder / "function.mjs").write_text(f"{self.code}\nexport {{ handler }};\n")
        (folder / "run.mjs").write_text(RUN)

    def call(self, uri: str, query: dict[str, str], headers: dict[str, str]) -> tuple[Any, str | None]:
        """Call the function; return its answer and the origin that it picked."""
        request = {
            "method": "GET",
            "uri": uri,
            "querystring": {name: {"value": value} for name, value in query.items()},
            "headers": {name: {"value": value} for name, value in headers.items()},
            "cookies": {},
        }
        event = {
            "version": "1.0",
            "context": {"eventType": "viewer-request"},
            "viewer": {"ip": VIEWER},
            "request": request,
        }
        ran = subprocess.run(
            [require_program("node"), "run.mjs"],
            cwd=self._folder,
            input=json.dumps(event),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        said = json.loads(ran.stdout)
        return said["answer"], said["origin"]


@pytest.fixture
def function(tmp_path: Path) -> CloudFrontFunction:
    """Make the function in front of sockets and HTTP."""
    return CloudFrontFunction(tmp_path, "websocket+http-api+cloudfront")


HANDSHAKE = {"host": "d1.cloudfront.net", "sec-websocket-key": "x", "sec-websocket-version": "13"}


def test_handshake_goes_to_the_stage_with_its_path_in_the_query(function: CloudFrontFunction) -> None:
    request, origin = function.call("/api/ws/chat", {"x": "1"}, HANDSHAKE)
    assert origin == "websocket"
    assert request["uri"] == "/prod"
    assert request["querystring"] == {"x": {"value": "1"}, "nitro_path": {"value": "%2Fapi%2Fws%2Fchat"}}
    assert request["headers"]["x-nitro-host"] == {"value": "d1.cloudfront.net"}
    assert request["headers"]["x-nitro-address"] == {"value": VIEWER}
    assert request["headers"]["sec-websocket-key"] == {"value": "x"}


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/", "%2F"),
        ("/rooms/a%2Fb", "%2Frooms%2Fa%252Fb"),
        ("/na%C3%AFve", "%2Fna%25C3%25AFve"),
        ("/a&nitro_path=/b", "%2Fa%26nitro_path%3D%2Fb"),
    ],
)
def test_path_arrives_as_it_was_written(function: CloudFrontFunction, path: str, sent: str) -> None:
    request, _ = function.call(path, {}, HANDSHAKE)
    assert request["querystring"] == {"nitro_path": {"value": sent}}


@pytest.mark.parametrize("name", ["nitro_path", "nitro%5Fpath", "%6eitro_path"])
def test_path_that_a_client_chose_is_replaced(function: CloudFrontFunction, name: str) -> None:
    request, _ = function.call("/chat", {name: "/admin", "bad%": "kept"}, HANDSHAKE)
    assert request["querystring"] == {"bad%": {"value": "kept"}, "nitro_path": {"value": "%2Fchat"}}


@pytest.mark.parametrize("socket", [True, False])
def test_headers_that_a_client_forged_are_replaced(function: CloudFrontFunction, socket: bool) -> None:
    forged = {
        "x-nitro-host": "evil.test",
        "x-nitro-address": "8.8.8.8",
        "x-nitro-origin-secret": "guess",
        "host": "d1.cloudfront.net",
    }
    request, _ = function.call("/chat", {}, (HANDSHAKE if socket else {}) | forged)
    assert request["headers"]["x-nitro-host"] == {"value": "d1.cloudfront.net"}
    assert request["headers"]["x-nitro-address"] == {"value": VIEWER}
    assert "x-nitro-origin-secret" not in request["headers"]


def test_plain_request_keeps_its_path_query_and_origin(function: CloudFrontFunction) -> None:
    query = {"nitro_path": "/mine", "x": "1"}
    request, origin = function.call("/api/ws/chat", query, {"host": "d1.cloudfront.net", "accept": "*/*"})
    assert origin is None
    assert request["uri"] == "/api/ws/chat"
    assert request["querystring"] == {name: {"value": value} for name, value in query.items()}
    assert request["headers"] == {
        "host": {"value": "d1.cloudfront.net"},
        "accept": {"value": "*/*"},
        "x-nitro-host": {"value": "d1.cloudfront.net"},
        "x-nitro-address": {"value": VIEWER},
    }


def test_plain_request_is_not_found_where_nothing_serves_http(tmp_path: Path) -> None:
    function = CloudFrontFunction(tmp_path, "websocket+cloudfront")
    answer, origin = function.call("/", {}, {"host": "d1.cloudfront.net"})
    assert (answer["statusCode"], origin) == (404, None)
    request, origin = function.call("/", {}, HANDSHAKE)
    assert (request["uri"], origin) == ("/prod", "websocket")


def test_without_sockets_there_is_no_other_origin(tmp_path: Path) -> None:
    function = CloudFrontFunction(tmp_path, "http-api+cloudfront")
    assert "cloudfront" not in function.code.replace("CloudFront", "")
    request, origin = function.call("/chat", {}, HANDSHAKE)
    assert (request["uri"], origin) == ("/chat", None)


@pytest.mark.parametrize("name", [name for name in OPTIONS if "cloudfront" in name])
def test_stack_has_the_origins_that_its_function_picks(tmp_path: Path, name: str) -> None:
    code = CloudFrontFunction(tmp_path, name).code
    assert len(code.encode()) <= MAX_CODE
    config = render_stack(OPTIONS[name])["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    origins = {origin["Id"]: origin for origin in config["Origins"]}
    # Without this CloudFront keeps each of these for ten seconds, and gives one user's answer to others.
    kept = {response["ErrorCode"]: response["ErrorCachingMinTTL"] for response in config["CustomErrorResponses"]}
    assert kept == dict.fromkeys(CACHED_ERRORS, 0)
    assert config["DefaultCacheBehavior"]["TargetOriginId"] in origins
    assert ("selectRequestOriginById('websocket')" in code) == ("websocket" in origins)
    assert ("{ originId: 'public' }, { originId: 'http' }" in code) == ("public" in origins)
    # The bucket is not told the secret: it knows CloudFront by its signature.
    assert "OriginCustomHeaders" not in origins.pop("public", {})
    for origin in origins.values():
        names = [header["HeaderName"] for header in origin["OriginCustomHeaders"]]
        assert names == ["x-nitro-origin-secret"]
