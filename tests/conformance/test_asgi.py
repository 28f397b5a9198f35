"""The preset `asgi` keeps the contract, on its own server."""

from __future__ import annotations

import pytest

from nitro_py.testing.conformance import ServerTarget
from nitro_py.testing.conformance.suite import Conformance
from nitro_py.testing.conformance.suite.limits import Limits


@pytest.fixture(scope="session")
def target(suite_server: ServerTarget) -> ServerTarget:
    """Return the running bundle."""
    return suite_server


class TestAsgi(Conformance, Limits):
    """The whole suite: the preset declares every capability."""


def test_no_part_of_the_suite_hides_a_test_of_another() -> None:
    names = [name for part in (*Conformance.__bases__, Limits) for name in vars(part) if name.startswith("test_")]
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))
