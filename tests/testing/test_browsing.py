"""What the in-process client keeps and sends as a browser does: cookies, forms, files, redirects."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nitro_py.testing import Client, RedirectError, UpgradeRefused, client
from nitro_py.testing.cookies import Cookies
from tests.bundles import write_files
from tests.checkout import ROOT

pytestmark = pytest.mark.anyio

PROJECT = {
    "nitro.toml": "experimental.websocket = true\n",
    "handlers/seen.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> dict[str, object]:
            return {
                "method": event.method,
                "cookie": event.headers.get("cookie"),
                "type": event.headers.get("content-type"),
                "query": dict(event.query),
                "url": str(event.url),
                "body": (await event.body()).decode(),
            }
        """,
    "handlers/area/seen.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> object:
            return event.headers.get("cookie")
        """,
    "handlers/set.get.py": """
        from nitro_py import Event, Response, define_handler

        @define_handler
        async def handler(event: Event) -> Response:
            response = Response("set")
            for field in event.query.getlist("field"):
                response.headers.append("set-cookie", field)
            return response
        """,
    "handlers/form.post.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> list[object]:
            async with event.request.form() as form:
                return [
                    [name, value] if isinstance(value, str)
                    else [name, value.filename, value.content_type, (await value.read()).decode()]
                    for name, value in form.multi_items()
                ]
        """,
    "handlers/go/[status].py": """
        from nitro_py import Event, Response, define_handler

        @define_handler
        async def handler(event: Event) -> Response:
            headers = {"location": event.query["to"], "set-cookie": "went=yes; Path=/"}
            return Response("elsewhere", status=int(event.params["status"]), headers=headers)
        """,
    "handlers/circle.get.py": """
        from nitro_py import Event, Response, define_handler

        @define_handler
        async def handler(event: Event) -> Response:
            return Response(status=307, headers={"location": "/circle"})
        """,
    "handlers/feed.get.py": """
        from nitro_py import Event, EventStream, create_event_stream, define_handler

        @define_handler
        async def handler(event: Event) -> EventStream:
            async def source():
                yield event.headers.get("cookie", "none")

            event.response.headers["set-cookie"] = "streamed=1"
            return create_event_stream(event, source())
        """,
    "handlers/room.py": """
        from nitro_py import HTTPError, Response, Upgrade, define_websocket_handler

        async def upgrade(request):
            if "no" in request.query:
                return Response("no", status=401, headers={"set-cookie": "refused=1"})
            return Upgrade(headers={"set-cookie": "joined=1"})

        async def open(peer):
            headers = peer.request.headers
            await peer.send({"cookie": headers.get("cookie"), "key": headers.get("x-key")})

        handler = define_websocket_handler(upgrade=upgrade, open=open)
        """,
}


@pytest.fixture(scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with client(write_files(tmp_path_factory.mktemp("app"), PROJECT)) as started:
        yield started


@pytest.fixture
def app(started: Client) -> Client:
    return started.new_client()


async def see(app: Client, path: str = "/seen", **options: Any) -> Any:
    answer = await app.get(path, **options)
    return answer.json()["cookie"] if path == "/seen" else answer.text


async def set_cookies(app: Client, *fields: str) -> None:
    assert (await app.get("/set", params={"field": fields})).text == "set"


async def test_cookies_come_back(app: Client) -> None:
    assert await see(app) is None
    await set_cookies(app, "a=1", "b=2=3; Path=/; HttpOnly")
    assert (dict(app.cookies), await see(app)) == ({"a": "1", "b": "2=3"}, "a=1; b=2=3")
    await set_cookies(app, "a=4")
    assert app.cookies["a"] == "4"
    assert await see(app, cookies={"b": "mine", "c": "5"}) == "b=mine; c=5; a=4"
    assert await see(app, headers={"cookie": "only=this"}) == "only=this"
    assert "c" not in app.cookies


async def test_cookies_end_by_age_date_and_order(app: Client) -> None:
    await set_cookies(app, "a=1", "b=1", "c=1; Max-Age=100", "d=1")
    await set_cookies(app, "a=; Max-Age=0", "b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "e=1; Max-Age=-1")
    assert await see(app) == "c=1; d=1"
    del app.cookies["d"]
    with pytest.raises(KeyError):
        del app.cookies["d"]
    assert await see(app) == "c=1"
    app.cookies.clear()
    assert await see(app) is None


async def test_cookies_keep_to_their_path(app: Client) -> None:
    await set_cookies(app, "a=1; Path=/area", "a=2; Path=/", "b=3; Path=/are")
    assert await see(app) == "a=2"
    assert await see(app, "/area/seen") == "a=1; a=2"


async def test_secure_cookies_need_tls_but_on_localhost(app: Client) -> None:
    for base, sent in [("http://localhost", "a=1"), ("https://app.example", "a=1"), ("http://app.example", None)]:
        other = app.new_client(base_url=base)
        await set_cookies(other, "a=1; Secure", "b=2; Domain=elsewhere.example")
        answer = (await other.get("/seen")).json()
        assert (answer["cookie"], answer["url"]) == (sent, f"{base}/seen")


async def test_clients_have_cookies_of_their_own(app: Client) -> None:
    app.cookies["name"] = "ada"
    other = app.new_client(cookies={"name": "bob"})
    assert (await see(app), await see(other), await see(app.new_client())) == ("name=ada", "name=bob", None)
    with pytest.raises(ValueError, match="`name` cannot contain"):
        app.cookies["name"] = "a; b"


async def test_sockets_and_streams_have_the_cookies_and_set_some(app: Client) -> None:
    app.cookies["a"] = "1"
    async with app.connect("/room", headers={"x-key": "k"}, cookies={"b": "2"}) as socket:
        assert await socket.receive_json() == {"cookie": "b=2; a=1", "key": "k"}
    with pytest.raises(UpgradeRefused, match="401"):
        async with app.connect("/room", params={"no": 1}):
            pass
    assert dict(app.cookies) == {"a": "1", "joined": "1", "refused": "1"}
    async with app.stream("GET", "/feed") as stream:
        assert (await anext(stream.events())).data == "a=1; joined=1; refused=1"
    assert app.cookies["streamed"] == "1"


def test_expired_cookies_are_not_counted() -> None:
    cookies = Cookies("http://localhost")
    cookies.store("http://localhost/", ["a=1; Max-Age=100", "b=2"])
    for cookie in cookies.jar:
        if cookie.name == "a":
            cookie.expires = 1
    assert (len(cookies), list(cookies), "a" in cookies) == (1, ["b"], False)
    assert repr(cookies) == "Cookies({'b': '2'})"


async def test_files_are_parts_of_a_form(app: Client) -> None:
    file = io.BytesIO(b"from a file")
    file.name = "folder/named.bin"
    several: list[tuple[str, Any]] = [
        ("a", ("ü.txt", "text", "text/x-mine")),
        ("a", ("two.html", b"<p>")),
        ("b", b"bare"),
        ("c", file),
        ("d", io.StringIO("text")),
    ]
    answer = await app.post("/form", data={"x": ["1", "2"], "y": 3}, files=several)
    assert answer.json() == [
        ["x", "1"],
        ["x", "2"],
        ["y", "3"],
        ["a", "ü.txt", "text/x-mine", "text"],
        ["a", "two.html", "text/html", "<p>"],
        ["b", "upload", "application/octet-stream", "bare"],
        ["c", "named.bin", "application/octet-stream", "from a file"],
        ["d", "upload", "application/octet-stream", "text"],
    ]
    assert (await app.post("/form", files={"a": b"1"})).json() == [
        ["a", "upload", "application/octet-stream", "1"]
    ]
    with pytest.raises(ValueError, match="one body"):
        await app.post("/form", json={}, files={"a": b"1"})


async def test_unknown_option_is_named(app: Client) -> None:
    with pytest.raises(TypeError, match="`jsn` is no option of a request: expected one of `content`, `cookies`,"):
        await app.post("/seen", jsn={})  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="`jsn`"):
        async with app.stream("GET", "/feed", jsn=1):  # type: ignore[call-arg]
            pass
    for url in ("localhost", "ftp://localhost", "http://localhost/app"):
        with pytest.raises(ValueError, match="is no base URL"):
            app.new_client(base_url=url)


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (302, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "GET", "GET"),
        (307, "POST", "POST"),
        (308, "DELETE", "DELETE"),
    ],
)
async def test_redirects_are_followed_if_asked(app: Client, status: int, method: str, then: str) -> None:
    path = f"/go/{status}?to=/seen%3Fa%3D1%23end"
    first = await app.request(method, path, content="text")
    assert (first.status, first.headers["location"], first.history) == (status, "/seen?a=1#end", ())
    answer = await app.request(method, path, content="text", follow_redirects=True)
    kept = then == method and status != 303
    assert answer.json() == {
        "method": then,
        "cookie": "went=yes",
        "type": "text/plain; charset=utf-8" if kept else None,
        "query": {"a": "1"},
        "url": "http://localhost/seen?a=1",
        "body": "text" if kept else "",
    }
    assert [(redirect.status, redirect.text) for redirect in answer.history] == [(status, "elsewhere")]


async def test_redirects_are_bounded_and_stay_here(app: Client) -> None:
    following = app.new_client(follow_redirects=True)
    assert (await following.get("/go/302?to=../seen")).json()["method"] == "GET"
    assert (await following.get("/go/302?to=http://localhost/seen")).json()["method"] == "GET"
    assert (await following.get("/go/302?to=/seen", follow_redirects=False)).status == 302
    assert (await following.head("/go/303?to=/seen")).status == 200
    with pytest.raises(RedirectError, match="is redirect number 21"):
        await following.get("/circle")
    with pytest.raises(RedirectError, match=r"`https://login\.example/`, which is not this app") as caught:
        await following.get("/go/302?to=https://login.example/")
    assert caught.value.answer.headers["location"] == "https://login.example/"
    async with following.stream("GET", "/go/307?to=/feed") as stream:
        assert (await anext(stream.events())).data == "went=yes"
    async with app.stream("GET", "/go/307?to=/feed") as stream:
        assert stream.status == 307


@pytest.mark.slow
def test_options_are_typed_for_users(tmp_path: Path) -> None:
    code = """
        from nitro_py.testing import client


        async def test_typed() -> None:
            async with client(".", raise_errors=False) as app:
                answer = await app.post("/", data={"a": 1}, files=[("b", ("c", b"d"))], cookies={"e": "f"})
                assert answer.status == 200
                await app.post("/", jsn={})
                await app.get("/", cookies=1)
                async with app.connect("/", subprotocols=["a"], headers={"b": "c"}) as socket:
                    reveal_type(socket.subprotocol)
        """
    write_files(tmp_path, {"test_typed.py": code})
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", tmp_path / "test_typed.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.partition(".py:")[2] for line in done.stdout.splitlines()]
    assert [line for line in lines if "error" in line] == [
        '8: error: Unexpected keyword argument "jsn" for "post" of "Client"; did you mean "json"?  [call-arg]',
        '9: error: Argument "cookies" to "get" of "Client" has incompatible type "int"; '
        'expected "Mapping[str, str] | None"  [arg-type]',
    ]
    assert 'Revealed type is "str | None"' in done.stdout
