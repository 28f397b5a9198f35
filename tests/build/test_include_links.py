"""Links that `include` names or meets: what leaves the project never travels."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.bundle.sources import collect_sources
from nitro_py.errors import BuildError
from tests.build.project_files import write_texts


@pytest.mark.parametrize(
    ("link", "target", "glob"),
    [
        ("notes.txt", "outside/notes.txt", "notes.txt"),
        ("notes.txt", "outside/notes.txt", "*.txt"),
        ("data/notes.txt", "outside/notes.txt", "data/notes.txt"),
        ("data/notes.txt", "outside/notes.txt", "data/**"),
        ("data", "outside", "data"),
        ("data", "outside", "data/*.txt"),
        ("data", "outside", "data/notes.txt"),
        ("data", "outside", "dat[a]/*"),
    ],
)
def test_include_of_a_link_out_of_the_project_is_refused(
    tmp_path: Path, link: str, target: str, glob: str
) -> None:
    root = tmp_path / "project"
    write_texts(tmp_path, {"outside/notes.txt": "not ours", "project/handlers/a.py": ""})
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(tmp_path / target)
    with pytest.raises(BuildError, match="is a link that leaves the project"):
        collect_sources(root, "handlers", include=(glob,))


def test_include_of_a_link_to_a_secret_is_refused(tmp_path: Path) -> None:
    write_texts(tmp_path, {"handlers/a.py": "", ".env": "KEY=1"})
    (tmp_path / "settings.txt").symlink_to(".env")
    with pytest.raises(BuildError, match=r"`settings\.txt` is a link to `\.env`"):
        collect_sources(tmp_path, "handlers", include=("settings.txt",))


def test_include_of_a_link_inside_the_project_travels(tmp_path: Path) -> None:
    write_texts(tmp_path, {"handlers/a.py": "", "shared/notes.txt": "ours"})
    (tmp_path / "notes.txt").symlink_to("shared/notes.txt")
    (tmp_path / "data").symlink_to("shared")
    found = collect_sources(tmp_path, "handlers", include=("notes.txt", "data/*"))
    assert dict(found.files) == {"handlers/a.py": b"", "notes.txt": b"ours", "data/notes.txt": b"ours"}
