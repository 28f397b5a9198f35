"""What the tests of the gateway share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.presets.aws_lambda.gateway.bundles import OpenSite, open_site

SOCKETS: dict[str, dict[str, Any]] = {"websocket": {"timeout": 10}}


@pytest.fixture
def open_gateway(tmp_path: Path, database: str) -> OpenSite:
    """Return what runs a gateway; by default around a WebSocket function alone."""
    return lambda functions=SOCKETS, **options: open_site(tmp_path, database, functions, **options)
