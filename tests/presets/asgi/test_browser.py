"""The demo as people see it: two pages in a headless Chromium."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.browser import FLAGS
from tests.capabilities import require_program

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
    program = require_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def problems() -> list[str]:
    """Collect what pages complain about."""
    return []


@pytest.fixture
def pages(browser: Browser, demo_server: str, problems: list[str]) -> Iterator[tuple[Page, Page]]:
    """Open the demo twice, as two people who share nothing; the second comes once the first is in."""
    contexts = [browser.new_context(viewport={"width": 800, "height": 600}) for _ in range(2)]
    opened = []
    for context in contexts:
        page = context.new_page()
        page.on("console", lambda message: note_console(message, problems))
        page.on("pageerror", lambda error: note_error(error, problems))
        page.goto(demo_server)
        expect(page.locator("#log")).to_contain_text("Welcome")
        opened.append(page)
    yield opened[0], opened[1]
    for context in contexts:
        context.close()


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


def read_name(page: Page) -> str:
    """Read the name by which others see a page."""
    status = page.locator("#status").inner_text()
    found = re.match(r"Connected as (\w+)\.", status)
    assert found is not None, status
    return found[1]


def test_two_pages_chat(pages: tuple[Page, Page], problems: list[str], tmp_path: Path) -> None:
    ada, ben = pages
    # Ben came second, so Ada sees him join, and he does not see her.
    expect(ada.locator("#log li")).to_have_text([re.compile("Welcome"), f"server{read_name(ben)} joined!"])
    say(ada, "Hello Ben")
    expect(ada.locator("#log li.mine")).to_have_text(["youHello Ben"])
    expect(ben.locator("#log li").last).to_have_text(f"{read_name(ada)}Hello Ben")
    say(ben, "ping")
    expect(ben.locator("#log li").last).to_have_text("serverpong")
    say(ben, "Hello Ada <b>not bold</b>")
    expect(ada.locator("#log li").last).to_have_text(f"{read_name(ben)}Hello Ada <b>not bold</b>")
    expect(ada.locator("#log")).not_to_contain_text("pong")

    picture = tmp_path / "chat.png"
    ada.screenshot(path=picture)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")

    name = read_name(ben)
    ben.close()
    expect(ada.locator("#log li").last).to_have_text(f"server{name} left!")
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
