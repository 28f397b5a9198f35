"""What the tests of the protocol share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Run every test on Python's own loop and on the one that bundles use: their transports differ."""
    return "asyncio", {"use_uvloop": request.param}
