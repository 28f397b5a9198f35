"""What the tests of the dev server share."""

from __future__ import annotations

import pytest

from tests.ports import find_port


@pytest.fixture
def unused_port() -> int:
    """Return a port that no process listens on right now."""
    return find_port()
