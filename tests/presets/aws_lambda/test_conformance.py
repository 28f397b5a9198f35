"""The preset `aws-lambda` keeps the contract: the built bundle behind the strict gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nitro_py.capabilities import CAPABILITIES, Capability
from nitro_py.testing.conformance import JOURNAL
from nitro_py.testing.conformance.suite import Conformance
from tests.presets.aws_lambda.gateways import EnvelopeTarget, build_suite, run_gateway

# What the contract's table says that AWS cannot do, whatever the settings.
LACKING: frozenset[Capability] = frozenset(
    {
        "streaming.disconnect",
        "http.length",
        "topics.ordered",
        "topics.sse",
        "websocket.buffering",
        "websocket.close-code",
        "websocket.mounted",
        "websocket.ping",
        "websocket.refusal-body",
        "websocket.upgrade-headers",
    }
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvelopeTarget]:
    """Runs the suite's app."""
    folder = tmp_path_factory.mktemp("aws")
    settings = {"streaming": "function-url", "binary": "base64", "keep_headers": ("cookie",)}
    output = build_suite(folder / "app", ordered=True, **settings)
    journal = folder / "journal"
    journal.mkdir()
    with run_gateway(output, environment={JOURNAL: str(journal)}) as url:
        yield EnvelopeTarget(url, capabilities=frozenset(CAPABILITIES) - LACKING)


class TestAws(Conformance):
    """Runs the suite with messages in order."""
