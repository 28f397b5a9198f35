"""DynamoDB, for what is to be tried on it too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.presets.aws_lambda.store.database import run_database


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """Run DynamoDB."""
    with run_database() as url:
        yield url
