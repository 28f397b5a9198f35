"""The programs that tests need from the machine, declared where they are used."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL = {
    "buildah": "apt-get install --no-install-recommends buildah",
    "cdk-python": "python3 -m venv cdk && cdk/bin/pip install aws-cdk-lib, and a program that calls its Python",
    "checkov": "uv tool install checkov",
    "chromium": "apt-get install --no-install-recommends chromium",
    "debootstrap": "apt-get install --no-install-recommends debootstrap",
    "git": "apt-get install --no-install-recommends git",
    "nginx": "apt-get install --no-install-recommends nginx-light",
    "node": "apt-get install --no-install-recommends nodejs",
    "pgbouncer": "apt-get install --no-install-recommends pgbouncer",
    "podman": "apt-get install --no-install-recommends podman",
    "postgres": "apt-get install --no-install-recommends postgresql",
    "runc": "apt-get install --no-install-recommends runc",
    "sam": "uv tool install aws-sam-cli",
    "scrot": "apt-get install --no-install-recommends scrot",
    "skopeo": "apt-get install --no-install-recommends skopeo",
    "tmux": "apt-get install --no-install-recommends tmux",
    "xterm": "apt-get install --no-install-recommends xterm fonts-dejavu-core",
    "Xvfb": "apt-get install --no-install-recommends xvfb",
}

# How the conformance suite begins when it skips a test.
UNDECLARED = "the target does not declare"


def require_program(name: str) -> Path:
    """Find a program of the machine, or say how to install it.

    Args:
        name: The program as a shell would call it, one of `INSTALL`.

    Returns:
        Where it is. Without it the test is skipped, but fails where `CI` is `true`: a check that CI
        doesn't run is no check at all.

    Example:
        >>> require_program("git").name
        'git'
    """
    hint = INSTALL[name]
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    lack(f"`{name}` is missing; install it with `{hint}`")


def lack(message: str) -> NoReturn:
    """Skip the test for something that the machine lacks; fail it where `CI` is `true`.

    Args:
        message: What is lacking.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def summarize_skips(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Write one line for each thing that the machine lacks, and one for each other reason.

    Args:
        reports: The reports of the tests that were skipped.

    Returns:
        The lines, those with the most tests first.
    """
    counts: Counter[str] = Counter()
    for report in reports:
        assert isinstance(report.longrepr, tuple)
        reason = report.longrepr[2].removeprefix("Skipped: ")
        # What a target of the conformance suite has not is no lack of the machine.
        counts[UNDECLARED if reason.startswith(UNDECLARED) else reason] += 1
    return [_summarize(reason, count) for reason, count in counts.most_common()]


def _summarize(reason: str, count: int) -> str:
    what, separator, hint = reason.partition("; ")
    return f"{what}: {count} {'test' if count == 1 else 'tests'} skipped{separator}{hint}"
