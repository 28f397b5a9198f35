"""What every test shares."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Runs every `anyio` test on asyncio, the one loop that nitro-py serves on."""
    return "asyncio"
