"""How tests start a browser, and take pictures of what it shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.capabilities import require_program

# No sandbox: CI runs as root. No service of the vendor's: nothing leaves this machine.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
)
# How long a page may take to show something, in seconds: a busy machine draws late.
PATIENCE = 60.0
# Names the folder in which pictures stay after the run.
PICTURES = "TEST_PICTURES"
# A laptop's window, and a telephone's.
WINDOW: ViewportSize = {"width": 1000, "height": 720}
NARROW: ViewportSize = {"width": 390, "height": 720}


@contextmanager
def open_browser(*flags: str) -> Iterator[Browser]:
    """Start the machine's Chromium until the end of the block.

    Args:
        flags: Further options of its command line.
    """
    program = require_program("chromium")
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        yield browser
        browser.close()


def find_pictures(default: Path) -> Path:
    """Return the folder for pictures, the one that `TEST_PICTURES` names or else a default, and make it."""
    folder = Path(os.environ.get(PICTURES) or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def take_pictures(page: Page, folder: Path, name: str) -> None:
    """Take a picture of a page in light, in dark and in a narrow window."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=folder / f"{name}-{scheme}.png", full_page=True)
    page.set_viewport_size(NARROW)
    page.screenshot(path=folder / f"{name}-narrow.png", full_page=True)
    page.set_viewport_size(WINDOW)
    page.emulate_media(color_scheme="light")
