"""Errors as people see them in development: a real dev server, and pages in a headless Chromium."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.sync.client import connect

from tests.browser import WINDOW, find_pictures, open_browser, take_pictures
from tests.bundles import Server, build_project, run_bundle, write_files
from tests.cli.commands import make_project, serve_project
from tests.dev.pages import wait_for

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SECRET = "hunter2-hunter2"

PROJECT = {
    "handlers/orders/[id].get.py": """
        from nitro_py import Event, define_handler

        from . import _prices


        @define_handler
        async def handler(event: Event) -> dict[str, object]:
            \"\"\"Return an order with what it costs.\"\"\"
            order = {"id": event.params["id"], "items": ["tea", "pot"], "note": "<script>hacked = 1</script>"}
            api_key = "sk-live-0123456789"
            connection = "postgres://ada:lovelace@db/orders"
            return {"total": _prices.total_of(order, discount=0)}
    """,
    "handlers/orders/_prices.py": """
        PRICES = {"tea": 4}


        class Odd:
            def __repr__(self) -> str:
                raise ValueError("no repr")


        def total_of(order: dict, *, discount: float) -> float:
            odd = Odd()
            many = list(range(100_000))
            long = "x" * 100_000
            try:
                return sum(PRICES[item] for item in order["items"]) / discount
            except KeyError as error:
                raise LookupError(f"no price for {error} <script>window.hacked = 2</script>") from error
    """,
    "handlers/orders/index.post.py": """
        from nitro_py import Event, define_handler


        @define_handler
        async def handler(event: Event) -> None: ...
    """,
    "handlers/group.get.py": """
        import asyncio

        from nitro_py import Event, define_handler


        async def fetch(url: str) -> None:
            await asyncio.sleep(0)
            raise ConnectionError(f"{url} does not answer")


        @define_handler
        async def handler(event: Event) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(fetch("https://a.test"))
                group.create_task(fetch("https://b.test"))
    """,
    "handlers/mounted.py": """
        from starlette.applications import Starlette
        from starlette.requests import Request
        from starlette.routing import Route

        from nitro_py import mount_asgi


        async def fail(request: Request) -> None:
            raise RuntimeError("mounted and broken")


        handler = mount_asgi(Starlette(routes=[Route("/fail", fail)]))
    """,
    "handlers/live.py": """
        from nitro_py import Message, Peer, define_websocket_handler


        async def open(peer: Peer) -> None:
            peer.context["name"] = "Ada"
            await peer.subscribe("news")


        async def message(peer: Peer, message: Message) -> None:
            number = int(message.text())
            await peer.send(100 // number)


        handler = define_websocket_handler(open=open, message=message)
    """,
    "handlers/later.get.py": """
        import asyncio

        from nitro_py import Event, define_handler


        async def remind(name: str) -> None:
            await asyncio.sleep(0.05)
            raise TimeoutError(f"{name} was not reached")


        async def forget() -> None:
            raise OSError("nothing awaits this")


        @define_handler
        async def handler(event: Event) -> str:
            event.wait_until(remind("Ada"))
            asyncio.create_task(forget())
            return "accepted"
    """,
    "handlers/ticks.get.py": """
        from collections.abc import AsyncIterator

        from nitro_py import Event, EventStream, create_event_stream, define_handler


        async def count() -> AsyncIterator[str]:
            yield "one"
            raise RuntimeError("the clock stopped")


        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, count())
    """,
    "handlers/own.get.py": """
        from nitro_py import Event, HTTPError, define_handler


        @define_handler
        async def handler(event: Event) -> None:
            raise HTTPError(404, "no such page")
    """,
    "handlers/page.get.py": """
        from nitro_py import Event, Response, define_handler


        @define_handler
        async def handler(event: Event) -> Response:
            page = "<!doctype html><title>App</title><body style='font:16px sans-serif'><h1>My app</h1></body>"
            return Response(page, headers={"content-type": "text/html; charset=utf-8"})
    """,
    "public/404.html": "<!doctype html><title>Lost</title><p>Nothing is here.</p>\n",
    "public/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the project."""
    return make_project(tmp_path_factory.mktemp("errors") / "shop", PROJECT)


@pytest.fixture(scope="module")
def dev(root: Path) -> Iterator[Server]:
    """Serve the project in development."""
    environ = {"SHOP_PASSWORD": SECRET}
    with serve_project(root, "dev", "--port", "0", environ=environ) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the machine's Chromium."""
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for pictures."""
    return find_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a window."""
    context = browser.new_context(viewport=WINDOW)
    yield context.new_page()
    context.close()


def find_address() -> str:
    """Return an address of this machine by which its clients are not those of the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: the address is one for documentation (RFC 5737).
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def test_exception_has_a_page(dev: Server, page: Page, pictures: Path) -> None:
    page.set_extra_http_headers({"authorization": "Bearer abcdef-123456", "x-note": "hello"})
    page.context.add_cookies([{"name": "sid", "value": "cookie-value-1", "url": dev.url}])
    answer = page.goto(f"{dev.url}/orders/7?token=query-secret-1&sort=date")
    assert answer is not None
    assert answer.status == 500
    assert answer.headers["cache-control"] == "no-store"
    expect(page.locator("h1 .type").first).to_have_text("LookupError")
    expect(page.locator("h1 .message").first).to_have_text("no price for 'pot' <script>window.hacked = 2</script>")
    failed = page.locator(".source .failed")
    expect(failed.filter(has_text="_prices.total_of(order, discount=0)")).to_be_visible()
    marks = page.locator("mark").all_inner_texts()
    assert "_prices.total_of(order, discount=0)" in marks
    assert "PRICES[item]" in marks
    # The cause has frames of its own, and those of the framework are folded.
    expect(page.locator(".chained .type")).to_have_text("KeyError")
    expect(page.locator(".fold li").first).to_be_hidden()
    link = page.locator("a.place", has_text="handlers/orders/_prices.py:").first.get_attribute("href")
    assert link is not None
    assert re.fullmatch(r"vscode://file/.*/shop/handlers/orders/_prices\.py:\d+", link)

    take_pictures(page, pictures, "exception")
    page.get_by_text("local variables").first.click()
    expect(page.get_by_text("<Odd whose repr raised ValueError>").first).to_be_attached()
    take_pictures(page, pictures, "exception-variables")
    text = page.content()
    for secret in ("abcdef-123456", "cookie-value-1", "query-secret-1", "sk-live-0123456789", "lovelace"):
        assert secret not in text
    assert len(text) < 200_000
    expect(page.locator("td", has_text="hello")).to_be_attached()
    assert page.evaluate("window.hacked") is None


def test_page_is_copied_as_text(dev: Server, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=dev.url)
    page.goto(f"{dev.url}/orders/7")
    page.get_by_role("button", name="Copy as text").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("GET /orders/7 failed.\n\nTraceback (most recent call last):")
    assert "LookupError: no price for 'pot'" in text


def test_group_of_exceptions_has_a_page(dev: Server, page: Page, pictures: Path) -> None:
    page.goto(f"{dev.url}/group")
    expect(page.locator(".chained .message")).to_have_text(
        ["https://a.test does not answer", "https://b.test does not answer"]
    )
    take_pictures(page, pictures, "group")


def test_exception_of_a_mounted_application_has_a_page(dev: Server, page: Page) -> None:
    answer = page.goto(f"{dev.url}/mounted/fail")
    assert answer is not None
    assert answer.status == 500
    expect(page.locator("h1 .message").first).to_have_text("mounted and broken")


def test_page_goes_when_the_error_is_corrected(root: Path, dev: Server, page: Page) -> None:
    broken = "from nitro_py import define_handler\n\n@define_handler\ndef handler(event):\n    return 1 / 0\n"
    write_files(root, {"handlers/fresh.get.py": broken})
    wait_for(lambda: httpx.get(f"{dev.url}/fresh").status_code == 500)
    page.goto(f"{dev.url}/fresh")
    expect(page.locator("h1 .type")).to_have_text("ZeroDivisionError")
    write_files(root, {"handlers/fresh.get.py": broken.replace("1 / 0", "'corrected'")})
    expect(page.locator("body")).to_have_text("corrected", timeout=60_000)


def test_missing_route_lists_those_that_come_near(dev: Server, page: Page, pictures: Path) -> None:
    answer = page.goto(f"{dev.url}/order/7")
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("h1 .message")).to_have_text("No route serves GET /order/7")
    expect(page.locator(".near").first.locator("li").first).to_contain_text("/orders/[id]")
    expect(page.get_by_text("browsers get public/404.html")).to_be_visible()
    take_pictures(page, pictures, "missing")
    answer = page.goto(f"{dev.url}/orders")
    assert answer is not None
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    expect(page.locator(".near").first.locator("li").first).to_contain_text("other method")
    page.goto(f"{dev.url}/logo.sv")
    expect(page.get_by_role("link", name="/logo.svg")).to_be_visible()


def test_error_that_the_app_raises_is_answered_as_elsewhere(dev: Server, page: Page) -> None:
    page.goto(f"{dev.url}/own")
    expect(page.locator("body")).to_contain_text("Nothing is here.")
    assert httpx.get(f"{dev.url}/own").json()["message"] == "no such page"


def test_failures_of_all_kinds_come_to_the_open_page(dev: Server, page: Page, pictures: Path) -> None:
    page.goto(f"{dev.url}/page")
    overlay = page.locator("nitropy-error")
    message = overlay.locator("h1 .message")
    close = overlay.get_by_role("button", name="Close")

    page.evaluate("fetch('/orders/7').then(answer => answer.json()).then(it => window.answer = it)")
    expect(message.first).to_contain_text("no price for 'pot'")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("window.answer.status") == 500
    take_pictures(page, pictures, "overlay")
    close.click()
    expect(overlay).to_have_count(0)

    with connect(f"{dev.socket_url}/live") as peer:
        peer.send("0")
        expect(overlay.locator("h1 .type")).to_have_text("ZeroDivisionError")
    expect(overlay.locator(".label")).to_have_text("Hook message")
    connection = overlay.locator(".facts").first
    for text in ("/live", "127.0.0.1", "peer id", "news"):
        expect(connection).to_contain_text(text)
    take_pictures(page, pictures, "hook")
    page.keyboard.press("Escape")
    expect(overlay).to_have_count(0)

    assert httpx.get(f"{dev.url}/later").text == "accepted"
    expect(overlay.locator(".bar")).to_contain_text("1 of 2")
    seen = {message.inner_text()}
    overlay.get_by_role("button", name="Next error").click()
    seen.add(message.inner_text())
    assert seen == {"Ada was not reached", "nothing awaits this"}
    page.keyboard.press("Escape")

    with httpx.stream("GET", f"{dev.url}/ticks") as stream:
        stream.read()
    expect(message).to_have_text("the clock stopped")


def test_plugin_that_fails_comes_to_the_open_page_and_goes(
    root: Path, dev: Server, page: Page, pictures: Path
) -> None:
    page.goto(f"{dev.url}/page")
    overlay = page.locator("nitropy-error")
    plugin = """
        import os

        from nitro_py import define_plugin


        @define_plugin
        async def database():
            password = os.environ["SHOP_PASSWORD"]
            raise ConnectionRefusedError(f"no database for {password}")
            yield
    """
    try:
        write_files(root, {"handlers/plugins/database.py": plugin})
        expect(overlay.locator("h1 .type")).to_have_text("ConnectionRefusedError", timeout=60_000)
        expect(overlay.locator(".frame .place").first).to_contain_text("handlers/plugins/database.py:9")
        assert SECRET not in overlay.evaluate("host => host.shadowRoot.innerHTML")
        take_pictures(page, pictures, "plugin")
        write_files(
            root,
            {
                "handlers/plugins/database.py": plugin.replace("raise", "yield  #").replace(
                    "    yield\n", "    raise OSError('not stopped')\n"
                )
            },
        )
        expect(overlay).to_have_count(0, timeout=60_000)
    finally:
        (root / "handlers/plugins/database.py").unlink()
    # The old app stops its plugin.
    expect(overlay.locator("h1 .message")).to_have_text("not stopped", timeout=60_000)


def test_project_that_cannot_start_has_a_page_that_goes(tmp_path: Path, page: Page, pictures: Path) -> None:
    plugin = """
        from nitro_py import define_plugin


        @define_plugin
        async def queue():
            raise OSError("no queue")
            yield
    """
    guard = """
        from nitro_py import define_middleware


        @define_middleware
        async def guard(event, next):
            event.response.headers["content-security-policy"] = "default-src 'none'"
            if "fail" in event.query:
                raise PermissionError("middleware says no")
            return await next()
    """
    files = {**PROJECT, "handlers/plugins/queue.py": plugin, "handlers/middleware/guard.py": guard}
    root = make_project(tmp_path / "shop", files)
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "no queue" in server.read_log())
        answer = page.goto(f"{server.url}/ticks?fail")
        assert answer is not None
        assert answer.status == 503
        expect(page.locator("h1 .message")).to_have_text("no queue")
        take_pictures(page, pictures, "start")
        write_files(root, {"handlers/plugins/queue.py": plugin.replace("raise OSError", "print")})
        # The page of a middleware's exception, in spite of the app's own policy.
        expect(page.locator("h1 .message")).to_have_text("middleware says no", timeout=60_000)
        assert page.evaluate("getComputedStyle(document.querySelector('.frame')).borderTopStyle") == "solid"


def test_build_error_is_shown_with_its_line(root: Path, dev: Server, page: Page, pictures: Path) -> None:
    page.goto(f"{dev.url}/page")
    overlay = page.locator("nitropy-error")
    try:
        write_files(
            root, {"handlers/typo.get.py": "from nitro_py import Event\n\ndef handler(event: Event:\n    pass\n"}
        )
        expect(overlay.locator(".message")).to_contain_text("is not valid Python", timeout=60_000)
        expect(overlay.locator(".source .failed")).to_contain_text("def handler(event: Event:")
        take_pictures(page, pictures, "build")
    finally:
        (root / "handlers/typo.get.py").unlink()
    expect(overlay).to_have_count(0, timeout=60_000)


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ({"accept": "application/json"}, (500, 404)),
        ({"accept": "*/*"}, (500, 404)),
        ({**BROWSER, "sec-fetch-dest": "empty"}, (500, 404)),
        ({**BROWSER, "host": "shop.example"}, (403, 403)),
        ({**BROWSER, "x-forwarded-for": "127.0.0.1"}, (500, 404)),
    ],
)
def test_others_get_no_page_of_development(
    dev: Server, headers: dict[str, str], statuses: tuple[int, int]
) -> None:
    failed = httpx.get(f"{dev.url}/orders/7", headers=headers)
    assert (failed.status_code, failed.headers["content-type"]) == (statuses[0], "application/json")
    missing = httpx.get(f"{dev.url}/order/7", headers=headers)
    assert missing.status_code == statuses[1]
    assert "Shown by" not in missing.text
    assert "come near" not in missing.text


def test_client_of_another_machine_gets_no_page(tmp_path: Path) -> None:
    copy = make_project(tmp_path / "shop", PROJECT)
    address = find_address()
    with serve_project(copy, "dev", "--port", "0", "--host", address) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        answer = httpx.get(f"{server.url}/orders/7", headers=BROWSER)
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
        assert "Nothing is here." in httpx.get(f"{server.url}/order/7", headers=BROWSER).text


def test_bundle_has_no_page_of_development(root: Path) -> None:
    output = build_project(root)
    assert [file for file in output.rglob("*") if "dev" in file.parts or file.name == "error_view.py"] == []
    with run_bundle(output) as server:
        answer = httpx.get(f"{server.url}/orders/7", headers=BROWSER)
        assert answer.json() == {"status": 500, "message": "Internal Server Error", "data": None}
        assert "Nothing is here." in httpx.get(f"{server.url}/order/7", headers=BROWSER).text
    with serve_project(root, "preview", "--port", "0") as server:
        assert httpx.get(f"{server.url}/orders/7", headers=BROWSER).json()["data"] is None
        assert "Nothing is here." in httpx.get(f"{server.url}/order/7", headers=BROWSER).text
