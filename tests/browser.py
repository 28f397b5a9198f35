"""How tests start a browser."""

from __future__ import annotations

# No sandbox: CI runs as root. No service of the vendor's: nothing leaves this machine.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
]
