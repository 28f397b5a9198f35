"""The page of the first ten minutes works, step by step, from an empty folder."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import PATIENCE, open_browser
from tests.bundles import Server
from tests.checkout import ROOT
from tests.docs.first_app import SERVERS, make_environment, read_steps, run_step, serve_step, write_step

# The packages are installed first.
pytestmark = pytest.mark.timeout(600)
CONTAINER = 7
# Whether the page's socket is open.
IS_OPEN = "socket.readyState === WebSocket.OPEN"


def test_page_has_the_steps_that_it_promises() -> None:
    steps = read_steps()
    assert [step.file or step.text.splitlines()[0] for step in steps] == [
        "python3 -m venv .venv",
        "handlers/api/hello.get.py",
        "nitropy dev",
        "nitro.toml",
        "handlers/api/chat.py",
        "public/index.html",
        "tests/test_chat.py",
        "pip install pytest",
        "nitropy build",
        "nitropy preview",
        'pip install "PATH[redis]"',
        "nitropy build --preset container --oci chat.tar --base base",
    ]
    assert [len(step.answers) for step in steps if step.text.strip() in SERVERS] == [1, 1]


@pytest.mark.slow
def test_every_step_works_from_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    folder.mkdir()
    # Compiling what is installed would take longest.
    environ = make_environment(PIP_CONSTRAINT=str(ROOT / "constraints.txt"), PIP_NO_COMPILE="1")
    server: Server | None = None
    with ExitStack() as running:
        for step in read_steps():
            if "--oci" in step.text:
                # It needs a base image, and has a test of its own.
                continue
            if step.heading == CONTAINER:
                running.close()
                assert not [*folder.glob(".venv/lib/*/site-packages/redis")]
            if step.heading == 5 and step.file is not None:
                assert server is not None
                chat_in_the_browser(server)
                running.close()
            if step.file is not None:
                write_step(folder, step)
            elif step.text.strip() in SERVERS:
                server = running.enter_context(serve_step(folder, step, environ))
            else:
                shown = run_step(folder, step, environ)
                assert "pytest" not in step.text or "2 passed" in shown, shown
            if step.text.strip() == "nitropy preview":
                assert server is not None
                chat_in_the_browser(server)
    assert "redis==" in (folder / ".output/server/requirements.txt").read_text(encoding="utf-8")


def chat_in_the_browser(server: Server) -> None:
    """Chat as two people, each in a window of their own."""
    with open_browser() as browser:
        ada, bob = browser.new_page(), browser.new_page()
        # The first requests may still come before what was saved last is served.
        ada.goto(f"{server.url}/?name=Ada")
        while "Chat" not in ada.title():
            ada.reload()
        # Who comes later is heard from then on.
        ada.wait_for_function(IS_OPEN, timeout=PATIENCE * 1000)
        bob.goto(f"{server.url}/?name=Bob")
        bob.wait_for_function(IS_OPEN, timeout=PATIENCE * 1000)
        expect(ada.locator("#log li")).to_have_text(["chat: Bob is here."])
        bob.get_by_label("Message").fill("Hello <b>Ada</b>!")
        bob.get_by_role("button", name="Send").click()
        for page in (ada, bob):
            expect(page.locator("#log li").last).to_have_text("Bob: Hello <b>Ada</b>!")
