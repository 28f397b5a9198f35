"""The preset of `docs/presets.md` builds, runs, and passes the conformance suite as is told there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bundles import clean_environment, write_files
from tests.docs.pages import FENCE, read_page

PAGE = "docs/presets.md"
FILE = re.compile(r"`(harbor/\w+\.py|tests/test_harbor\.py)`")


def read_files() -> dict[str, str]:
    """Read the files of the page: each block belongs to the last file that the text before it names."""
    text = read_page(PAGE)
    files = {}
    for match in FENCE.finditer(text):
        paragraph = text[: match.start()].rstrip().rpartition("\n\n")[2]
        if match[1] == "python" and (named := FILE.findall(paragraph)):
            files[named[-1]] = match[2]
    return files


@pytest.mark.slow
def test_preset_of_the_page_keeps_the_contract(tmp_path: Path) -> None:
    files = read_files()
    assert set(files) == {"harbor/preset.py", "harbor/settings.py", "harbor/entry.py", "tests/test_harbor.py"}
    root = write_files(tmp_path, {**files, "harbor/__init__.py": ""})
    scripts = str(Path(sys.executable).parent)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=root,
        env={**clean_environment(), "PATH": scripts + os.pathsep + os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 100
    assert "skipped" not in done.stdout


def test_settings_of_the_preset_are_a_table_of_the_project(tmp_path: Path) -> None:
    own = {name: text for name, text in read_files().items() if name.startswith("harbor/")}
    handler = "from nitro_py import define_handler\n\n@define_handler\ndef handler(event): ...\n"
    settings = '[harbor]\nregion = "south"\n'
    root = write_files(
        tmp_path, {**own, "harbor/__init__.py": "", "handlers/a.py": handler, "nitro.toml": settings}
    )
    build = [str(Path(sys.executable).with_name("nitropy")), "build", "--preset", "./harbor"]
    subprocess.run(build, cwd=root, env=clean_environment(), check=True)
    assert (root / ".output/harbor.txt").read_text() == "run: python server in south\n"
