"""Reading the README and the pages of `docs/`: blocks, the files that they belong in, tables."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bundles import write_files
from tests.checkout import ROOT

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(handlers/[^`]+\.py)`")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Args:
        language: The word after the fence.
        text: What stands inside.
        file: The handler file that the paragraph before it names, if it does.
    """

    language: str
    text: str
    file: str | None


def read_page(file: str = "README.md") -> str:
    """Return the text of the README, or of another page."""
    return (ROOT / file).read_text(encoding="utf-8")


def find_blocks(language: str, file: str = "README.md") -> list[Block]:
    """Find the blocks of a language, in order."""
    text = read_page(file)
    blocks = []
    for match in FENCE.finditer(text):
        paragraph = text[: match.start()].rstrip().rpartition("\n\n")[2]
        named = FILE.findall(paragraph)
        if match[1] == language:
            blocks.append(Block(match[1], match[2], named[-1] if named else None))
    return blocks


def find_table(heading: str, file: str = "README.md") -> list[list[str]]:
    """Find the table whose first cell of the head is `heading`, and return its rows without the head."""
    lines = read_page(file).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|") and _cells(line)[0] == heading)
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(_cells(line))
    return rows


def run_tests(project: Path, block: Block) -> str:
    """Run the tests of a block in the project that they test, as their reader would; return what pytest prints."""
    mark = "import pytest\n\npytestmark = pytest.mark.anyio\n"
    fixture = "import pytest\n\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    write_files(project, {"tests/test_app.py": mark + block.text, "tests/conftest.py": fixture})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
