"""What the tests of deployments share: an AWS of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.presets.aws_lambda.store.database import run_database


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    """Run moto's server."""
    with run_database() as url:
        yield url


@pytest.fixture
def environ(cloud: str, tmp_path: Path) -> dict[str, str]:
    """Return the variables that point boto3 at the server, and away from whatever this machine knows of AWS."""
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": cloud,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }


@pytest.fixture
def account(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Point boto3 in this process at the server."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
