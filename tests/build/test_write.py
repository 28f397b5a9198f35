from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nitro_py.build.write import write_bundle
from nitro_py.errors import BuildError
from tests.build.project_files import write_texts

BUNDLE = {"nitro.json": b"{}", "server/__main__.py": b"run()"}


def list_tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_writes_and_replaces(tmp_path: Path) -> None:
    output = tmp_path / "deep" / ".output"
    write_bundle(output, {**BUNDLE, "old.py": b""})
    write_bundle(output, {**BUNDLE, "new.py": b"new"})
    assert list_tree(output) == ["new.py", "nitro.json", "server/__main__.py"]
    assert (output / "new.py").read_bytes() == b"new"
    assert list(output.parent.iterdir()) == [output]


def test_modes_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write_texts(tree, {"pkg/a.py": "", "pkg/tool": ""})
    (tree / "pkg/a.py").chmod(0o600)
    (tree / "pkg/tool").chmod(0o700)
    before = os.umask(0o077)
    try:
        write_bundle(tmp_path / "out", BUNDLE, trees={"server": tree})
    finally:
        os.umask(before)
    names = (".", "server", "server/pkg", "nitro.json", "server/pkg/a.py", "server/pkg/tool")
    modes = [stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in names]
    assert modes == [0o755, 0o755, 0o755, 0o644, 0o644, 0o755]


def test_tree_goes_where_it_belongs(tmp_path: Path) -> None:
    write_texts(tmp_path / "tree", {"certifi/cacert.pem": "public", "a.py": ""})
    write_bundle(tmp_path / "out", BUNDLE, trees={"server/vendor": tmp_path / "tree"})
    assert list_tree(tmp_path / "out" / "server") == ["__main__.py", "vendor/a.py", "vendor/certifi/cacert.pem"]


def test_folder_that_no_build_wrote_is_kept(tmp_path: Path) -> None:
    write_texts(tmp_path, {"out/thesis.txt": "years of work"})
    with pytest.raises(BuildError, match=r"it has no `nitro.json`") as caught:
        write_bundle(tmp_path / "out", BUNDLE)
    assert caught.value.file == str(tmp_path / "out")
    assert list_tree(tmp_path) == ["out/thesis.txt"]


def test_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_bundle(tmp_path / "out", BUNDLE)
    assert list_tree(tmp_path / "out") == sorted(BUNDLE)


@pytest.mark.parametrize("kind", ["a file", "a link"])
def test_output_that_is_no_folder(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "out"
    if kind == "a file":
        output.write_text("mine")
    else:
        write_bundle(tmp_path / "elsewhere", BUNDLE)
        output.symlink_to("elsewhere")
    with pytest.raises(BuildError, match=f"The output folder `out` is {kind}") as caught:
        write_bundle(output, BUNDLE)
    assert caught.value.hint == "Move it away, or set `output_dir` to another folder."
    assert output.is_symlink() or output.read_text() == "mine"


def test_unwritable_output(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file" / "out", Path("/proc/nitro/out")):
        with pytest.raises(BuildError, match="The output folder `out` cannot be written: ") as caught:
            write_bundle(place, BUNDLE)
        assert "hint: Make it a folder that you may write" in str(caught.value)
    with pytest.raises(BuildError, match="cannot be written: File name too long"):
        write_bundle(tmp_path / ("a" * 300), BUNDLE)


@pytest.mark.parametrize(
    "path", ["/etc/a", "../a", "a/../../b", "a/..", "", ".", "a//b", "./a", "a/", "a\\b", "a\0b"]
)
def test_path_out_of_the_bundle(tmp_path: Path, path: str) -> None:
    write_bundle(tmp_path / "out", BUNDLE)
    with pytest.raises(BuildError, match="is not a path in the bundle"):
        write_bundle(tmp_path / "out", {"nitro.json": b"", path: b"new"})
    with pytest.raises(BuildError, match="is not a path in the bundle"):
        write_bundle(tmp_path / "out", {"nitro.json": b""}, trees={path: tmp_path / "out"})
    assert list_tree(tmp_path) == ["out/nitro.json", "out/server/__main__.py"]
    assert (tmp_path / "out/nitro.json").read_bytes() == b"{}"


@pytest.mark.parametrize("name", ["server/__main__.py", "server/__main__.py/deep", "server/lib"])
def test_files_in_each_others_way_leave_the_last_output(tmp_path: Path, name: str) -> None:
    output = tmp_path / "out"
    write_bundle(output, BUNDLE)
    tree = tmp_path / "tree"
    write_texts(tree, {Path(name).name: ""})
    with pytest.raises(BuildError, match=r"in each other's way|both a file and a folder"):
        write_bundle(
            output,
            {**BUNDLE, "server/lib/a.py": b"", "nitro.json": b"new"},
            trees={Path(name).parent.as_posix(): tree},
        )
    assert (output / "nitro.json").read_bytes() == b"{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tree"]


def test_link_out_of_a_tree_leaves_the_last_output(tmp_path: Path) -> None:
    write_bundle(tmp_path / "out", BUNDLE)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/passwords").symlink_to("/etc/passwd")
    with pytest.raises(BuildError, match="leaves the project"):
        write_bundle(tmp_path / "out", {"nitro.json": b"new"}, trees={"vendor": tmp_path / "tree"})
    assert list_tree(tmp_path / "out") == sorted(BUNDLE)


def test_failing_swap_puts_the_last_output_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    write_bundle(output, BUNDLE)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(16, "Device or resource busy", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BuildError, match="cannot be written: Device or resource busy"):
        write_bundle(output, {"nitro.json": b"new"})
    assert (output / "nitro.json").read_bytes() == b"{}"
    assert list(tmp_path.iterdir()) == [output]


def test_output_that_cannot_be_put_back_is_kept_beside_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    write_bundle(output, BUNDLE)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name in ("new", "old"):
            raise OSError(16, "Device or resource busy", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BuildError, match="cannot be written: Device or resource busy"):
        write_bundle(output, {"nitro.json": b"new"})
    assert not output.exists()
    (stage,) = tmp_path.iterdir()
    assert list_tree(stage / "old") == sorted(BUNDLE)


@pytest.mark.parametrize("there", [False, True])
def test_bundle_that_cannot_be_finished_leaves_nothing_behind(tmp_path: Path, there: bool) -> None:
    output = tmp_path / "out"
    if there:
        write_bundle(output, BUNDLE)

    def finish(bundle: Path) -> None:
        assert list_tree(bundle) == ["new.py", "nitro.json"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bundle(output, {"nitro.json": b"new", "new.py": b""}, finish=finish)
    assert list_tree(tmp_path) == ([f"out/{name}" for name in sorted(BUNDLE)] if there else [])
    assert list(tmp_path.iterdir()) == ([output] if there else [])
