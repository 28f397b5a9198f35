"""The portable contract as tests, for authors of presets and servers.

The suite drives a running build of the app in `APP` over real sockets. Subclass `Conformance` in a test module
and define a fixture named `target`:

    from nitro_py.testing.conformance import APP, ServerTarget
    from nitro_py.testing.conformance.suite import Conformance

    @pytest.fixture(scope="module")
    def target() -> Iterator[ServerTarget]:
        with run_my_build_of(APP) as url:
            yield ServerTarget(url, capabilities=MY_CAPABILITIES)

    class TestMyTarget(Conformance):
        pass

The app runs with `CONFORMANCE_JOURNAL` set to a folder that it may write into. Needs pytest, httpx and websockets,
which the extra `dev` installs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.testing.conformance.server import ServerTarget
from nitro_py.testing.conformance.target import Socket, Stream, Target, requires

# pytest rewrites only test modules by itself, and a bare `AssertionError` says nothing.
pytest.register_assert_rewrite("nitro_py.testing.conformance.suite")

# The project that the suite drives.
APP = Path(__file__).parent / "app"
# The variable that names the folder of its journals.
JOURNAL = "CONFORMANCE_JOURNAL"

__all__ = ["APP", "JOURNAL", "ServerTarget", "Socket", "Stream", "Target", "requires"]
