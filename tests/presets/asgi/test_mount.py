"""An existing FastAPI application answers the same on its own and mounted in a bundle."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.bundles import build_project, run_bundle, run_server, write_files
from tests.presets.asgi.shop import FILES, MOUNT

# What two servers say about themselves, and not about the answer.
OWN_HEADERS = ("date", "server")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, for both applications."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None


JSON = {"content-type": "application/json"}
CALLS = {
    "root": Call("GET", "/"),
    "head": Call("HEAD", "/items/7"),
    "path parameter": Call("GET", "/items/7?q=caf%C3%A9"),
    "text for a number": Call("GET", "/items/seven"),
    "number too low": Call("GET", "/items/-1"),
    "not found": Call("GET", "/items/404"),
    "own exception": Call("GET", "/items/410"),
    "dependency": Call("GET", "/items"),
    "trailing slash": Call("GET", "/items/"),
    "query": Call("GET", "/items?page=2&size=3"),
    "invalid query": Call("GET", "/items?page=0"),
    "body": Call("POST", "/items", JSON, '{"name": "fig", "price": 2, "tags": ["a"]}'),
    "invalid body": Call("POST", "/items", JSON, '{"name": "f", "price": -2}'),
    "broken body": Call("POST", "/items", JSON, "{"),
    "no body": Call("POST", "/items"),
    "wrong method": Call("DELETE", "/items"),
    "router": Call("GET", "/admin/stats", {"x-token": "let-me-in"}),
    "router with query": Call("GET", "/admin/stats?verbose=yes", {"x-token": "let-me-in"}),
    "wrong token": Call("GET", "/admin/stats", {"x-token": "guess"}),
    "no token": Call("GET", "/admin/stats"),
    "stream": Call("GET", "/stream"),
    "background task": Call("POST", "/jobs/sweep"),
    "redirect": Call("GET", "/old/7"),
    "redirect with query": Call("GET", "/old/7?q=1"),
    "cookies": Call("PUT", "/session"),
    "cookies sent": Call("PUT", "/session", {"cookie": "visits=4; theme=light"}),
    "lifespan state": Call("GET", "/rates"),
    "unknown path": Call("GET", "/nowhere"),
    "options": Call("OPTIONS", "/items"),
    "socket route": Call("GET", "/rooms/lobby"),
}


@pytest.fixture(scope="module")
def unbuilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the application as it stands, on uvicorn."""
    root = write_files(tmp_path_factory.mktemp("unbuilt"), FILES)
    command = [sys.executable, "-m", "uvicorn", "shop.main:app", "--port", "0", "--ws", "wsproto"]
    announcement = "Uvicorn running on "
    with run_server(command, log=root / "log", announcement=announcement) as server:
        yield server.url


@pytest.fixture(
    scope="module", params=[("[...].py", ""), ("legacy.py", "/legacy"), ("old/shop/[...].py", "/old/shop")]
)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build the application, mounted at the root or below it, and return the URL of the mount."""
    file, prefix = request.param
    root = write_files(tmp_path_factory.mktemp("built"), FILES | {f"handlers/{file}": MOUNT})
    with run_bundle(build_project(root)) as server:
        yield server.url + prefix


def ask(base: str, call: Call) -> dict[str, object]:
    """Send a request and return the whole answer, with `BASE` for the place of the application."""
    # Nothing is encrypted here, and loading certificates takes longer than all the rest.
    with httpx.Client(verify=False) as client:
        answer = client.request(call.method, base + call.path, headers=call.headers, content=call.body)
    fields = [(name, value.replace(base, "BASE")) for name, value in answer.headers.multi_items()]
    return {
        "status": answer.status_code,
        "headers": sorted(item for item in fields if item[0] not in OWN_HEADERS),
        "body": answer.text.replace(base, "BASE"),
    }


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_route_answers_the_same(unbuilt: str, built: str, call: Call) -> None:
    expected = ask(unbuilt, call)
    assert expected["status"] != 500
    assert ask(built, call) == expected


def test_expected_answers_are_not_all_errors(unbuilt: str) -> None:
    assert {ask(unbuilt, call)["status"] for call in CALLS.values()} == {
        200,
        201,
        202,
        307,
        308,
        401,
        404,
        405,
        410,
        422,
    }


def test_background_task_runs(built: str) -> None:
    name = str(time.monotonic_ns())
    httpx.post(f"{built}/jobs/{name}").raise_for_status()
    deadline = time.monotonic() + 60
    while name not in httpx.get(f"{built}/jobs").json():
        assert time.monotonic() < deadline, "The task did not run."
        time.sleep(0.02)


def test_stream_comes_in_pieces(built: str) -> None:
    with httpx.stream("GET", f"{built}/stream") as answer:
        assert len(list(answer.iter_raw())) > 1


def test_schema_names_the_place_of_the_mount(unbuilt: str, built: str) -> None:
    expected = httpx.get(f"{unbuilt}/openapi.json").json()
    prefix = httpx.URL(built).path.rstrip("/")
    if prefix:
        expected["servers"] = [{"url": prefix}]
    assert httpx.get(f"{built}/openapi.json").json() == expected
    assert f"url: '{prefix}/openapi.json'" in httpx.get(f"{built}/docs").text


def talk(base: str, path: str, lines: list[str]) -> dict[str, object]:
    """Open a socket, says lines, and return all that came back."""
    url = base.replace("http://", "ws://", 1) + path
    received = []
    with connect(url, subprotocols=[Subprotocol("chat.v1"), Subprotocol("chat.v2")], compression=None) as socket:
        received.append(socket.recv(60))
        try:
            for line in lines:
                socket.send(line)
                received.append(socket.recv(60))
        except ConnectionClosed:
            pass
        assert socket.response is not None
        room = socket.response.headers.get("x-room")
        protocol = socket.subprotocol
    return {
        "received": received,
        "protocol": protocol,
        "room": room,
        "code": socket.close_code,
        "reason": socket.close_reason,
    }


@pytest.mark.parametrize("lines", [["hello", "grüße"], ["hello", "bye"]], ids=["client closes", "server closes"])
def test_socket_behaves_the_same(unbuilt: str, built: str, lines: list[str]) -> None:
    expected = talk(unbuilt, "/rooms/lobby?name=ada", lines)
    assert expected["protocol"] == "chat.v1"
    assert expected["code"] == (4001 if "bye" in lines else 1000)
    assert talk(built, "/rooms/lobby?name=ada", lines) == expected


@pytest.mark.parametrize("path", ["/rooms/closed", "/nowhere"])
def test_socket_is_refused_the_same(unbuilt: str, built: str, path: str) -> None:
    statuses = []
    with ExitStack() as stack:
        for base in (unbuilt, built):
            with pytest.raises(InvalidStatus) as caught:
                stack.enter_context(connect(base.replace("http://", "ws://", 1) + path))
            statuses.append(caught.value.response.status_code)
    assert statuses == [403, 403]
