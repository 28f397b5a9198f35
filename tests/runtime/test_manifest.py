"""How a manifest is read that is not as a build has written it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.errors import NitroError
from nitro_py.runtime.manifest import Manifest, Route, read_manifest

GOOD = Manifest(
    mode="production",
    routes=(Route("/", "http", ("GET",), "handlers/index.get.py"),),
    public={"/app.js": "0a1b"},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(GOOD.to_json())
    assert read_manifest(tmp_path) == GOOD


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is broken: JSONDecodeError: "),
        (GOOD.to_json()[:-20], "is broken: JSONDecodeError: "),
        ("[]", "is broken: TypeError: "),
        # Deeper than any Python reads, which some do to 10,000 and more.
        ("[" * 100_000, "is broken: RecursionError: "),
        ('{"version": 2}', "is broken: KeyError: 'mode'"),
        (GOOD.to_json().replace('"path"', '"pth"'), "is broken: TypeError: "),
        (GOOD.to_json().replace('"version": 2', '"version": 3'), "has another version: expected 2, got 3."),
    ],
)
def test_broken_manifest(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(NitroError) as caught:
        read_manifest(tmp_path)
    assert caught.value.message.startswith(f"The manifest {reason}")
    assert caught.value.file is not None
    assert caught.value.file.endswith("manifest.json")
    assert str(caught.value.hint).startswith("Build the bundle again")


def test_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NitroError) as caught:
        read_manifest(tmp_path)
    assert caught.value.message == "The manifest cannot be read: No such file or directory."


def test_manifest_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b"\xff")
    with pytest.raises(NitroError, match="is broken: UnicodeDecodeError"):
        read_manifest(tmp_path)
