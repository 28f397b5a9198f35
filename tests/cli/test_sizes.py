"""What a build says of its size."""

from __future__ import annotations

import pytest

from nitro_py.build.preset import Bundle, SizeLimit
from nitro_py.cli.build import list_warnings


def make_bundle(*limits: SizeLimit) -> Bundle:
    """Make a bundle with limits."""
    return Bundle(files={}, entry="server/main.py", manifest="manifest.json", preview=("python",), limits=limits)


@pytest.mark.parametrize(("size", "warned"), [(799, False), (800, True), (1_200, True)])
def test_limit_is_near_from_80_percent_on(size: int, warned: bool) -> None:
    bundle = make_bundle(SizeLimit("server", 1_000, "what Lambda unpacks"))
    sizes = {"server/a.py": size - 100, "server/vendor/b.py": 100, "serverless.txt": 5_000, "function.zip": 5_000}
    warnings = list_warnings(bundle, sizes)
    assert len(warnings) == warned
    assert all(f"{round(size / 10)}% of what Lambda unpacks" in warning for warning in warnings)


def test_limit_of_a_file() -> None:
    bundle = make_bundle(SizeLimit("function.zip", 1_000, "what Lambda takes without a bucket"))
    assert list_warnings(bundle, {"function.zip": 900, "server/a.py": 9_000}) == [
        "`function.zip` has 900 B, 90% of what Lambda takes without a bucket (1.0 kB)."
    ]
