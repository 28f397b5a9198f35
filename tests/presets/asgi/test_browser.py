"""The demo as people see it: two pages in a headless Chromium."""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect

from tests.browser import open_browser
from tests.bundles import run_bundle
from tests.checkout import ROOT
from tests.ports import find_port

NAMES = ("Calm Otter", "Quick Fox")
# Draws a picture on a canvas and counts its colours, and its pixels that have not the commonest colour.
COUNT_COLOURS = """async (data) => {
  const picture = await createImageBitmap(await (await fetch(data)).blob());
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, picture.width, picture.height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  return { colours: counts.size, drawn: pixels.length - Math.max(...counts.values()), all: pixels.length };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the machine's Chromium."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def problems() -> list[str]:
    """Collect what pages complain about."""
    return []


@pytest.fixture
def pages(browser: Browser, demo_server: str, problems: list[str]) -> Iterator[tuple[Page, Page]]:
    """Open the demo twice, as two people who share nothing; the second comes once the first is in."""
    contexts = [browser.new_context(viewport={"width": 800, "height": 600}) for _ in range(2)]
    ada, ben = (open_demo(context, demo_server, name) for context, name in zip(contexts, NAMES, strict=True))
    for page in (ada, ben):
        page.on("console", lambda message: note_console(message, problems))
        page.on("pageerror", lambda error: note_error(error, problems))
    yield ada, ben
    for context in contexts:
        context.close()


def open_demo(context: BrowserContext, url: str, name: str) -> Page:
    """Open the demo as a page that comes back by a name, and wait until it is in the chat."""
    page = context.new_page()
    page.add_init_script(f"sessionStorage.me ??= {json.dumps(json.dumps(name))}")
    page.goto(url)
    expect(page.locator("#state")).to_have_text("Connected")
    expect(page.locator("#log")).to_contain_text(f"Welcome {name}!")
    return page


def note_console(message: ConsoleMessage, problems: list[str]) -> None:
    """Note what a page's console calls an error or a warning."""
    if message.type in ("error", "warning"):
        problems.append(message.text)


def note_error(error: Error, problems: list[str]) -> None:
    """Note an exception that a page did not catch."""
    problems.append(str(error))


def say(page: Page, text: str) -> None:
    """Write into a page's chat."""
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def test_two_pages_chat(pages: tuple[Page, Page], problems: list[str], tmp_path: Path) -> None:
    ada, ben = pages
    # Ben came second, so Ada sees him join, and he does not see her.
    expect(ada.locator("#log li")).to_have_text(["Welcome Calm Otter!", "Quick Fox joined!"])
    say(ada, "Hello Ben")
    expect(ada.locator("#log li.mine")).to_have_text(["youHello Ben"])
    expect(ben.locator("#log li").last).to_have_text("Calm OtterHello Ben")
    say(ben, "ping")
    expect(ben.locator("#log li").last).to_have_text("pong")
    say(ben, "Hello Ada <b>not bold</b>")
    expect(ada.locator("#log li").last).to_have_text("Quick FoxHello Ada <b>not bold</b>")
    expect(ada.locator("#log")).not_to_contain_text("pong")

    picture = tmp_path / "chat.png"
    ada.screenshot(path=picture)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")

    ben.close()
    expect(ada.locator("#log li").last).to_have_text("Quick Fox left!")
    assert problems == []


def test_screenshot_shows_the_page(pages: tuple[Page, Page], problems: list[str], tmp_path: Path) -> None:
    page = pages[0]
    say(page, "Hello everybody")
    expect(page.locator("#log li.mine")).to_have_count(1)
    data = page.screenshot(path=tmp_path / "page.png")
    found = page.evaluate(COUNT_COLOURS, "data:image/png;base64," + base64.b64encode(data).decode())
    assert found["all"] == 800 * 600
    # Text alone gives dozens of shades; a blank page has one colour.
    assert found["colours"] > 20
    assert found["drawn"] > 2000
    assert problems == []


def test_clock_ticks(pages: tuple[Page, Page], problems: list[str]) -> None:
    clock = pages[0].get_by_label("Clock")
    expect(clock).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    for _ in range(2):
        shown = clock.inner_text()
        expect(clock).not_to_have_text(shown)
        expect(clock).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    assert problems == []


def test_new_page_gets_a_name_and_keeps_it(browser: Browser, demo_server: str) -> None:
    page = browser.new_page()
    page.goto(demo_server)
    who = page.locator("#who")
    expect(who).to_have_text(re.compile(r"^You are [A-Z][a-z]+ [A-Z][a-z]+\."))
    name = who.inner_text()
    page.get_by_label("Message").fill("half a sen")
    page.reload()
    expect(who).to_have_text(name)
    expect(page.get_by_label("Message")).to_have_value("half a sen")
    page.context.close()


@pytest.mark.slow
def test_page_comes_back_and_loses_nothing(browser: Browser, demo_bundle: Path) -> None:
    port = str(find_port())
    context = browser.new_context()
    with run_bundle(demo_bundle, "--port", port) as server:
        ada, ben = (open_demo(context, server.url, name) for name in NAMES)
        say(ada, "before")
        expect(ben.locator("#log li").last).to_have_text("Calm Otterbefore")
        server.stop()
    for page in (ada, ben):
        expect(page.locator("#state")).to_have_text("Reconnecting…")
    say(ada, "while it was away")
    say(ada, "ping")
    expect(ada.locator("#log li.waiting .text")).to_have_text(["while it was away", "ping"])
    ada.get_by_label("Message").fill("half a sen")
    with run_bundle(demo_bundle, "--port", port):
        for page in (ada, ben):
            expect(page.locator("#state")).to_have_text("Connected", timeout=30_000)
        expect(ada.locator("#log li.waiting")).to_have_count(0)
        # Ben may come back after it.
        expect(ada.locator("#log li.server").filter(has_text=re.compile(r"^pong$"))).to_have_count(1)
        expect(ada.get_by_label("Message")).to_have_value("half a sen")
        say(ada, "after")
        expect(ben.locator("#log li").last).to_have_text("Calm Otterafter")
        expect(ada.locator("#log li.mine .text")).to_have_text(["before", "while it was away", "ping", "after"])
        expect(ada.get_by_label("Clock")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    context.close()


def test_page_that_is_offline_says_so_and_comes_back_at_once(browser: Browser, demo_server: str) -> None:
    context = browser.new_context()
    page = open_demo(context, demo_server, NAMES[0])
    context.set_offline(True)
    expect(page.locator("#state")).to_have_text("Offline")
    context.set_offline(False)
    expect(page.locator("#state")).to_have_text("Connected")
    context.close()


def test_page_of_new_projects_is_the_page_of_the_demo() -> None:
    ours = (ROOT / "handlers/_index.html").read_text(encoding="utf-8").splitlines()
    theirs = (ROOT / "nitro_py/cli/templates/public/index.html.txt").read_text(encoding="utf-8").splitlines()
    differing = [line.strip() for line in difflib.ndiff(ours, theirs) if line.startswith("+ ")]
    assert [line.removeprefix("+").strip() for line in differing] == [
        "<title>Chat</title>",
        "<h1>Chat</h1>",
        '<input id="text" autocomplete="off" placeholder="Say something" aria-label="Message" maxlength="1000">',
        'const CLOCK = "/api/clock";',
        "// Each message of ours comes back, in order.",
        "const mine = user === me && message === outbox[0]?.message;",
        "return;",
    ]
