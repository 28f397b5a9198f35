"""Who gets which tests where several processes share them."""

from __future__ import annotations

from tests.order import find_group


def find_groups(*tests: str) -> set[str]:
    return {find_group(f"tests/{test}") for test in tests}


def test_tests_with_shared_fixtures_stay_together() -> None:
    assert find_groups("dev/test_dev.py::test_a", "dev/test_watch.py::test_b[x::y]") == {"tests/dev"}
    assert find_groups("presets/container/test_oci.py::test_a") == {"tests/presets/container"}


def test_file_without_shared_fixtures_stays_together() -> None:
    assert find_groups("test_sse.py::test_a[1]", "test_sse.py::test_b") == {"tests/test_sse.py"}
    assert find_groups("presets/asgi/test_stop.py::test_a") == {"tests/presets/asgi/test_stop.py"}
