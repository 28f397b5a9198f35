"""The steps of a first day, in a real terminal and a real browser, with a picture of each."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.browser import WINDOW, open_browser, take_pictures
from tests.bundles import clean_environment
from tests.capabilities import require_program
from tests.checkout import ROOT, list_files
from tests.docs.pages import find_blocks
from tests.first_day.terminal import Terminal, open_terminal
from tests.ports import find_port

# How long a clone may take to answer: it installs packages first, in seconds.
INSTALLATION = 240.0
PATIENCE = 60.0
BROKEN_ROUTE = """\
from nitro_py import Event, define_handler

PRICES = {"tea": 4, "cup": 9}


def find_price(item: str) -> int:
    return PRICES[item]


@define_handler
async def handler(event: Event) -> dict[str, int]:
    session_token = "0123456789abcdef"
    return {"price": find_price(event.query["item"])}
"""


@dataclass(frozen=True, slots=True)
class FirstDay:
    """A newcomer's desk: a folder, a terminal and a browser.

    Args:
        folder: Where the checkout and the app are.
        pictures: Where screenshots go.
        terminal: The terminal.
        browser: The browser.
        times: How long things took, in seconds.
    """

    folder: Path
    pictures: Path
    terminal: Terminal
    browser: Browser
    times: dict[str, float] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        """The folder of the clone."""
        return self.folder / "nitropy-kit"

    @property
    def app(self) -> Path:
        """The folder of the newcomer's own app."""
        return self.folder / "chat"

    @contextmanager
    def open_page(self, url: str) -> Iterator[Page]:
        """Open a page in a window that shares nothing with others."""
        with self.browser.new_context(viewport=WINDOW) as context:
            page = context.new_page()
            page.set_default_timeout(PATIENCE * 1000)
            page.goto(url)
            yield page

    def take_pictures(self, page: Page, name: str) -> None:
        """Take a picture of a page in light, in dark and in a narrow window."""
        take_pictures(page, self.pictures, name)


@contextmanager
def sit_down(folder: Path, pictures: Path) -> Iterator[FirstDay]:
    """Prepare a first day.

    Args:
        folder: An empty folder to work in.
        pictures: Where screenshots go; made if it is not there.
    """
    for program in ("scrot", "tmux", "xterm", "Xvfb"):
        require_program(program)
    pictures.mkdir(parents=True, exist_ok=True)
    with open_terminal(folder, pictures, make_environment()) as terminal, open_browser() as browser:
        yield FirstDay(folder, pictures, terminal, browser)


def make_environment() -> Mapping[str, str]:
    """Return the environment of a shell that knows nothing of the tests."""
    kept = clean_environment()
    for name in ("CI", "VIRTUAL_ENV", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        kept.pop(name, None)
    return kept


def run_day(folder: Path, pictures: Path) -> Mapping[str, float]:
    """Go through the whole day.

    Args:
        folder: An empty folder to work in.
        pictures: Where screenshots go.

    Returns:
        How long things took, in seconds.
    """
    with sit_down(folder, pictures) as day:
        clone_and_chat(day)
        url = start_own_app(day)
        save_and_ask(day, url)
        with day.open_page(url) as page:
            say(page, "Hello from my own app")
            save_and_watch(day, page)
            day.take_pictures(page, "app")
            break_hook(day, page)
        day.terminal.take_picture("terminal-dev")
        break_route(day, url)
        miss_route(day, url)
        with day.open_page(url) as page:
            break_build(day, page)
        debug(day, url)
        day.terminal.press("C-c")
        show_settings(day)
        ask_for_help(day)
    return day.times


def clone_and_chat(day: FirstDay) -> None:
    """Clone the project, type the README's first line, and say something in the browser."""
    port = find_port()
    start = time.perf_counter()
    for file in list_files():
        copy = day.checkout / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, copy)
    day.terminal.type(f"cd {day.checkout} && clear")
    # The line as it stands there, on a port that is free here.
    day.terminal.type(f"export PORT={port}")
    day.terminal.type(find_blocks("sh")[0].text.strip())
    day.terminal.wait_for(f"http://127.0.0.1:{port}", INSTALLATION)
    with day.open_page(f"http://127.0.0.1:{port}") as page:
        say(page, "Hello from the first day")
        day.times["clone to chat"] = time.perf_counter() - start
        day.take_pictures(page, "demo")
    day.terminal.take_picture("terminal-demo")
    day.terminal.press("C-c")
    day.terminal.wait_for("$ ", PATIENCE)
    day.terminal.type("unset PORT")


def start_own_app(day: FirstDay) -> str:
    """Write a project of one's own with `nitropy init`, and serve it with `nitropy dev`.

    Returns:
        The URL of the running app.
    """
    commands = day.checkout / ".venv/bin"
    port, reload_port = find_port(), find_port()
    day.terminal.type(f"export PATH={commands}:$PATH && cd {day.folder} && clear")
    day.terminal.type(f"nitropy init {day.app.name} && cd {day.app.name}")
    day.terminal.type(f"nitropy dev --port {port} --hmr-port {reload_port}")
    url = f"http://127.0.0.1:{port}"
    day.terminal.wait_for(url)
    wait_for_answer(f"{url}/api/hello", lambda answer: answer.json() == {"message": "hello"})
    return url


def save_and_ask(day: FirstDay, url: str) -> None:
    """Change a handler, and ask until the new answer comes."""
    file = day.app / "handlers/api/hello.get.py"
    text = file.read_text(encoding="utf-8")
    start = time.perf_counter()
    file.write_text(text.replace('"hello"', '"good morning"'), encoding="utf-8")
    wait_for_answer(f"{url}/api/hello", lambda answer: answer.json() == {"message": "good morning"})
    day.times["save to new answer"] = time.perf_counter() - start


def save_and_watch(day: FirstDay, page: Page) -> None:
    """Change the page that is open, and watch it reload by itself."""
    file = day.app / "public/index.html"
    text = file.read_text(encoding="utf-8")
    start = time.perf_counter()
    file.write_text(text.replace("<h1>Chat</h1>", "<h1>Our chat</h1>"), encoding="utf-8")
    expect(page.locator("h1")).to_have_text("Our chat", timeout=PATIENCE * 1000)
    day.times["save to page reloaded"] = time.perf_counter() - start


def break_hook(day: FirstDay, page: Page) -> None:
    """Make a mistake in a hook, say what runs into it, and mend it."""
    file = day.app / "handlers/api/ws/chat.py"
    right = file.read_text(encoding="utf-8")
    hook = "async def message(peer: Peer, message: Message) -> None:\n"
    assert hook in right
    file.write_text(right.replace(hook, hook + '    assert "please" in message.text()\n'), encoding="utf-8")
    day.terminal.wait_for("chat.py in ")
    expect(page.locator("#log")).to_contain_text("Welcome", timeout=PATIENCE * 1000)
    page.get_by_label("Message").fill("Give me the salt")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("AssertionError").first).to_be_visible(timeout=PATIENCE * 1000)
    day.take_pictures(page, "overlay-hook")
    # What a hook failed on is not sent again, or it would fail for ever.
    expect(page.locator("#log .failed")).to_contain_text("Give me the salt")
    expect(page.locator("#state")).to_have_text("Connected")
    file.write_text(right, encoding="utf-8")
    expect(page.get_by_text("AssertionError")).to_have_count(0, timeout=PATIENCE * 1000)


def break_route(day: FirstDay, url: str) -> None:
    """Make a mistake in a route, and look at the page of the error."""
    (day.app / "handlers/api/price.get.py").write_text(BROKEN_ROUTE, encoding="utf-8")
    wait_for_status(f"{url}/api/price?item=pot", 500)
    with day.open_page(f"{url}/api/price?item=pot") as page:
        expect(page.get_by_text("KeyError").first).to_be_visible()
        day.take_pictures(page, "error-page")


def miss_route(day: FirstDay, url: str) -> None:
    """Mistype a path, and look at the routes that come near."""
    with day.open_page(f"{url}/api/helo") as page:
        expect(page.get_by_text("/api/hello").first).to_be_visible()
        day.take_pictures(page, "not-found")


def break_build(day: FirstDay, page: Page) -> None:
    """Save a file that Python cannot read, look at terminal and page, and mend it."""
    file = day.app / "handlers/api/hello.get.py"
    right = file.read_text(encoding="utf-8")
    day.terminal.clear()
    file.write_text(right.replace("}", ""), encoding="utf-8")
    expect(page.get_by_text("never closed").first).to_be_visible(timeout=PATIENCE * 1000)
    day.terminal.wait_for("never closed")
    day.terminal.take_picture("terminal-build-error")
    day.take_pictures(page, "overlay-build")
    file.write_text(right, encoding="utf-8")
    expect(page.get_by_text("never closed")).to_have_count(0, timeout=PATIENCE * 1000)


def debug(day: FirstDay, url: str) -> None:
    """Stop in a handler, look at a variable, and go on."""
    file = day.app / "handlers/api/hello.get.py"
    right = file.read_text(encoding="utf-8")
    day.terminal.clear()
    file.write_text(right.replace("    return {", "    breakpoint()\n    return {"), encoding="utf-8")
    day.terminal.wait_for("hello.get.py in ")
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(httpx.get, f"{url}/api/hello", timeout=PATIENCE)
        day.terminal.wait_for("(Pdb)")
        day.terminal.type("p event.path")
        day.terminal.wait_for("'/api/hello'")
        day.terminal.take_picture("terminal-debugger")
        day.terminal.type("continue")
        assert asked.result().json() == {"message": "good morning"}
    file.write_text(right, encoding="utf-8")


def show_settings(day: FirstDay) -> None:
    """Ask where the settings come from."""
    (day.app / ".env").write_text("NITRO_DEV__PORT=4000\n", encoding="utf-8")
    day.terminal.type("clear && nitropy config show | head -24")
    day.terminal.wait_for(".env:1")
    day.terminal.take_picture("terminal-config")


def ask_for_help(day: FirstDay) -> None:
    """Ask the command what it can do."""
    start = time.perf_counter()
    day.terminal.type("clear && nitropy --help")
    # The last line of the help, and the prompt after it.
    shown = day.terminal.wait_for("config ")
    day.times["`nitropy --help`"] = time.perf_counter() - start
    assert "…" not in shown, shown
    day.terminal.take_picture("terminal-help")


def say(page: Page, text: str) -> None:
    """Write a message into the chat of a page, and wait until it stands there."""
    page.get_by_label("Message").fill(text)
    # Until the socket is open, the page keeps the text.
    expect(page.locator("#log")).to_contain_text("Welcome", timeout=PATIENCE * 1000)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#log")).to_contain_text(text)


def wait_for_status(url: str, status: int) -> None:
    """Ask until an answer has a status."""
    deadline = time.monotonic() + PATIENCE
    while (found := httpx.get(url, timeout=PATIENCE).status_code) != status:
        if time.monotonic() > deadline:
            raise TimeoutError(f"The status {status} has not come; the last one was {found}.")
        time.sleep(0.05)


def wait_for_answer(url: str, right: Callable[[httpx.Response], bool]) -> None:
    """Ask until an answer is right."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = httpx.get(url, timeout=PATIENCE)
        if answer.status_code == 200 and right(answer):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"The right answer has not come; the last one was {answer.text!r}.")
        time.sleep(0.005)
