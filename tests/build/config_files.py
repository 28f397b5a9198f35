"""Configuration files that cannot be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from nitro_py.build.config.load import Mode, load_config
from nitro_py.errors import ConfigError


def fail_to_load(
    root: Path,
    text: str = "",
    *,
    file: str = "nitro.toml",
    mode: Mode = "production",
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> ConfigError:
    """Write a file, checks that loading it fails, and return the error."""
    (root / file).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(root, mode=mode, overrides=overrides or {}, environ=environ or {})
    return caught.value
