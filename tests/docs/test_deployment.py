"""The page about deployments is true: the settings that it shows are settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.config.load import load_config
from tests.bundles import write_files
from tests.docs.pages import find_blocks

PAGE = "docs/deployment.md"
BLOCKS = [block.text for block in find_blocks("toml", PAGE) if "[aws." in block.text]


def test_page_shows_variables_statements_and_secrets() -> None:
    text = "".join(BLOCKS)
    assert all(table in text for table in ("[aws.environment]", "[[aws.statements]]", "[aws.secrets]"))


@pytest.mark.parametrize("block", BLOCKS)
def test_settings_of_the_page_are_accepted(tmp_path: Path, block: str) -> None:
    root = write_files(tmp_path, {"nitro.toml": f'preset = "aws-lambda"\n{block}'})
    load_config(root, mode="production", overrides={}, environ={})
