"""Core serves every target alike: nothing in it names one, in code, comments, messages or templates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.checkout import ROOT, list_files

NAMED = re.compile(
    r"amazon|api ?gateway|app ?runner|(?<![a-z])aws|boto|cloud ?(?:formation|front|run)|docker|dynamo|fargate"
    r"|k8s|kube|(?-i:\bLambdas?\b)|nitro_presets|/var/task|\bsqs\b",
    re.IGNORECASE,
)
# What may name them all the same, and why.
EXCEPTIONS = {
    # Folders and files with credentials, which no bundle may have whatever it is built for.
    "nitro_py/build/bundle/exclude.py": {"aws", "boto", "docker", "kube"},
    # Python's syntax tree has a node of this name.
    "nitro_py/build/inspect/habits.py": {"lambda"},
    # A new project shows how a preset is configured.
    "nitro_py/cli/templates/nitro.toml.txt": {"aws", "lambda"},
}


def find_names(file: Path) -> set[str]:
    """Find the targets that a file names."""
    return {found.lower() for found in NAMED.findall((ROOT / file).read_text(encoding="utf-8"))}


def test_no_file_names_a_target() -> None:
    found = {file.as_posix(): names for file in list_files("nitro_py/*") if (names := find_names(file))}
    assert found == EXCEPTIONS


@pytest.mark.parametrize(
    "text",
    [
        "AWS_REGION",
        "the `aws` table",
        "/var/task",
        "A Lambda",
        "DynamoDB",
        "boto3",
        "Docker",
        "Kubernetes",
        "k8s/",
    ],
)
def test_name_of_a_target_is_found(text: str) -> None:
    assert NAMED.search(text)


@pytest.mark.parametrize("text", ["lambda event: None", "laws", "a container", "awaits", "drawstring"])
def test_other_words_are_not(text: str) -> None:
    assert NAMED.search(text) is None
