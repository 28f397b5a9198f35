"""The distribution has one name, wherever it is written."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from nitro_py.errors import DISTRIBUTION
from tests.checkout import ROOT, list_files

# What may look like the name of the distribution: PyPI takes them all for one name.
OTHER_SPELLING = re.compile(
    r"nitro-py\b|nitro\.py\[|nitro_py\[|install (?:-\S+ )*[\"']?nitro_?py\b(?!-)", re.IGNORECASE
)
# Where another spelling stands, and why.
ALLOWED = {
    ("nitro_py/build/pipeline.py", "nitro-py"): "the key in a bundle's manifest: the contents of bundles stay",
    ("tests/presets/asgi/test_bundle.py", "nitro-py"): "the same key",
    ("README.md", "install nitropy"): "it warns of the other package",
    ("docs/decisions/name.md", "install nitropy"): "it warns of the other package",
    ("docs/decisions/name.md", "nitro-py"): "it tells which name is not to be had",
}


def read_project() -> dict[str, Any]:
    """Read the metadata of the distribution."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def test_distribution_is_called_as_errors_say() -> None:
    assert read_project()["name"] == DISTRIBUTION == "nitropy-kit"


def test_other_spellings_are_found() -> None:
    wrong = [
        "nitro-py",
        'pip install "nitro-py[aws]"',
        "pip install nitropy\n",
        "nitro_py[nats]",
        "pip install -q nitro_py",
    ]
    assert [text for text in wrong if OTHER_SPELLING.search(text) is None] == []
    right = [
        "import nitro_py",
        "nitropy build",
        'pip install "nitropy-kit[aws]"',
        "pip install PATH && nitropy init",
    ]
    assert [text for text in right if OTHER_SPELLING.search(text)] == []


def test_no_file_spells_it_otherwise() -> None:
    found = {
        (file.as_posix(), match[0].lower())
        for file in list_files()
        if file.as_posix() != "tests/docs/test_names.py"
        for match in OTHER_SPELLING.finditer((ROOT / file).read_text(encoding="utf-8", errors="replace"))
    }
    assert found == set(ALLOWED)


def test_every_extra_that_is_named_exists() -> None:
    extras = set(read_project()["optional-dependencies"])
    named = {
        extra
        for file in list_files()
        for names in re.findall(
            rf"{DISTRIBUTION}\[([a-z, ]+)\]", (ROOT / file).read_text(encoding="utf-8", errors="replace")
        )
        for extra in re.split(r",\s*", names)
    }
    assert {"aws", "metrics", "nats", "redis"} <= named <= extras
