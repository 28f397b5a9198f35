"""The preset `aws-lambda` keeps the contract: the built bundle behind the strict gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nitro_py.capabilities import CAPABILITIES, Capability
from nitro_py.testing.conformance import JOURNAL
from nitro_py.testing.conformance.suite import Conformance
from nitro_py.testing.conformance.suite.files import Files
from tests.presets.aws_lambda.gateways import EnvelopeTarget, build_suite, run_gateway

# What the contract's table says that AWS cannot do, whatever the settings; `test_denied.py` shows it.
LACKING: frozenset[Capability] = frozenset(
    {
        "http.length",
        "streaming.disconnect",
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
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvelopeTarget]:
    """Run the suite's app with every setting that adds a capability."""
    folder = tmp_path_factory.mktemp("aws")
    output = build_suite(
        folder / "app", streaming="function-url", binary="base64", ordered=True, keep_headers=("cookie",)
    )
    (folder / "journal").mkdir()
    with run_gateway(output, environment={JOURNAL: str(folder / "journal")}) as url:
        yield EnvelopeTarget(url, capabilities=frozenset(CAPABILITIES) - LACKING)


@pytest.fixture(scope="module")
def unordered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvelopeTarget]:
    """Run the suite's app without a queue and without an envelope: messages may overlap."""
    folder = tmp_path_factory.mktemp("plain")
    output = build_suite(folder / "app", streaming="function-url", keep_headers=("cookie",))
    (folder / "journal").mkdir()
    lacking: set[Capability] = {"websocket.binary", "websocket.ordered"}
    with run_gateway(output, environment={JOURNAL: str(folder / "journal")}) as url:
        yield EnvelopeTarget(url, capabilities=frozenset(CAPABILITIES) - LACKING - lacking)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvelopeTarget]:
    """Run the suite's app with its public files in a bucket."""
    folder = tmp_path_factory.mktemp("bucket")
    output = build_suite(folder / "app", streaming="function-url", public="s3")
    packaged = {path.name for path in (output / "server/public").rglob("*") if path.is_file()}
    assert packaged == {"404.html", "500.html"}
    (folder / "journal").mkdir()
    with run_gateway(output, environment={JOURNAL: str(folder / "journal")}) as url:
        yield EnvelopeTarget(url, capabilities=frozenset(CAPABILITIES) - LACKING | {"http.length"})


class TestPublicFilesInBucket(Files):
    """The suite's part about files, with `aws.public = "s3"`."""

    @pytest.fixture
    def target(self, bucket: EnvelopeTarget) -> EnvelopeTarget:
        """Return the running bundle."""
        return bucket


class TestWithEverySetting(Conformance):
    """The suite with a stream, an envelope and an order."""

    @pytest.fixture
    def target(self, everything: EnvelopeTarget) -> EnvelopeTarget:
        """Return the running bundle."""
        return everything


class TestUnordered(Conformance):
    """The suite without a queue."""

    @pytest.fixture
    def target(self, unordered: EnvelopeTarget) -> EnvelopeTarget:
        """Return the running bundle."""
        return unordered
