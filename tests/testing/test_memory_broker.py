"""The broker for tests keeps the contract that real ones keep."""

from __future__ import annotations

import pytest

from nitro_py.testing.backplanes import BackplaneConformance, MakeBackplane, MemoryBroker


@pytest.fixture
def make_backplane() -> MakeBackplane:
    """Make backplanes of one broker."""
    return MemoryBroker().make_backplane


class TestMemory(BackplaneConformance):
    """The suite, on the broker in memory."""
