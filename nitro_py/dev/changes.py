"""What has changed in a project, in the words of a person."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# How many changes are named; the others are counted.
MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Changes:
    """The files that have changed, by their paths relative to the project.

    Args:
        modified: Files with other content.
        added: New files and folders; a folder ends with `/`.
        removed: Files and folders that are gone.
        renamed: The new path of each file or folder that has moved, by the old one.
        inside: How many files each folder of the above has.
    """

    modified: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: Mapping[str, str] | None = None
    inside: Mapping[str, int] | None = None

    def __bool__(self) -> bool:
        return bool(self.modified or self.added or self.removed or self.renamed)

    @property
    def paths(self) -> set[str]:
        """All paths, old and new; folders without their `/`."""
        moved = (self.renamed or {}).items()
        names = [*self.modified, *self.added, *self.removed, *(name for pair in moved for name in pair)]
        return {name.rstrip("/") for name in names}

    def describe(self) -> str:
        """Name the first changes and count the others.

        Example:
            >>> Changes(modified=("b.py", "a.py"), added=("c.py",), renamed={"d.py": "e.py"}).describe()
            'd.py → e.py, c.py (new), a.py and 1 more'
        """
        moved = [f"{old} → {new}" for old, new in sorted((self.renamed or {}).items())]
        new = [self._note(name, "new") for name in sorted(self.added)]
        gone = [self._note(name, "removed") for name in sorted(self.removed)]
        named = [*moved, *new, *gone, *sorted(self.modified)]
        more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
        return ", ".join(named[:MAX_NAMED]) + more

    def count(self) -> str:
        """Count the files.

        Example:
            >>> Changes(modified=("a.py", "b.py")).count()
            '2 files'
        """
        names = [*self.modified, *self.added, *self.removed, *(self.renamed or {}).values()]
        count = sum((self.inside or {}).get(name, 1) for name in names)
        return f"{count} file{'' if count == 1 else 's'}"

    def _note(self, name: str, word: str) -> str:
        count = (self.inside or {}).get(name)
        return f"{name} ({word})" if not count else f"{name} ({word}, {count} file{'' if count == 1 else 's'})"


def compare(before: Mapping[str, Hashable], after: Mapping[str, Hashable], touched: Iterable[str]) -> Changes:
    """Find what has changed between two looks at a project.

    Args:
        before: What each path was at the first look, such as its inode, which it keeps when it moves. The path of
            a folder ends with `/`.
        after: The same at the second look.
        touched: The files that the system reported as changed.

    Example:
        >>> compare({"a.py": 1, "b.py": 2}, {"c.py": 1, "b.py": 2}, ["b.py"])
        Changes(modified=('b.py',), added=(), removed=(), renamed={'a.py': 'c.py'}, inside={})
    """
    gone = {before[name]: name for name in before.keys() - after.keys()}
    new = {after[name]: name for name in after.keys() - before.keys()}
    # A folder that has moved has moved its files; of the others, the outermost is named.
    moved = {gone[inode]: new[inode] for inode in gone.keys() & new.keys() if _is_alike(gone[inode], new[inode])}
    renamed = {old: name for old, name in moved.items() if not _is_below(old, moved)}
    added = set(new.values()) - set(moved.values())
    removed = set(gone.values()) - moved.keys()
    top = [name for name in (*added, *removed, *renamed.values()) if name.endswith("/")]
    counted = {**before, **after}
    inside = {
        folder: sum(name.startswith(folder) and not name.endswith("/") for name in counted) for folder in top
    }
    modified = {name for name in touched if name in before and name in after}
    return Changes(
        modified=tuple(sorted(modified)),
        added=tuple(sorted(name for name in added if not _is_below(name, added))),
        removed=tuple(sorted(name for name in removed if not _is_below(name, removed))),
        renamed=renamed,
        inside=inside,
    )


def read_branch(root: Path) -> str | None:
    """Return the branch or the commit that git has checked out; `None` without git.

    Args:
        root: The project's folder, in a repository or the top of one.
    """
    for folder in (root, *root.parents):
        git = folder / ".git"
        try:
            if git.is_file():
                # A further working tree, or a submodule.
                git = folder / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            head = (git / "HEAD").read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            continue
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref:") else head[:10]
    return None


def _is_alike(old: str, new: str) -> bool:
    return old.endswith("/") == new.endswith("/")


def _is_below(name: str, folders: Collection[str]) -> bool:
    return any(f"{parent}/" in folders for parent in PurePosixPath(name).parents)
