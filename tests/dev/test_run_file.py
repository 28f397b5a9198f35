"""The file by which a running server is found."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nitro_py.dev.run_file import RunningServer, read_run_file, remove_run_file, write_run_file


def test_file_is_the_servers_that_wrote_it_last(tmp_path: Path) -> None:
    other = RunningServer("http://127.0.0.1:1", "token", os.getpid() + 1)
    write_run_file(tmp_path, other)
    remove_run_file(tmp_path)
    assert read_run_file(tmp_path) == other
    write_run_file(tmp_path, RunningServer("http://127.0.0.1:2", "token", os.getpid()))
    remove_run_file(tmp_path)
    assert read_run_file(tmp_path) is None
    remove_run_file(tmp_path)


def test_nobody_else_reads_the_token(tmp_path: Path) -> None:
    write_run_file(tmp_path, RunningServer("http://127.0.0.1:1", "token", 1))
    assert stat.S_IMODE((tmp_path / ".nitro/run.json").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / ".nitro").iterdir()) == [".gitignore", "run.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "http://a", "token": "b", "pid": "c"}', "[" * 9000])
def test_broken_file_is_none(tmp_path: Path, text: str) -> None:
    write_run_file(tmp_path, RunningServer("http://127.0.0.1:1", "token", 1))
    (tmp_path / ".nitro/run.json").write_text(text)
    assert read_run_file(tmp_path) is None
