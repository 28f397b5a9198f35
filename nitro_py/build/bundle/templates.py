"""Reading deployment templates, filling them in, and joining them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from importlib.resources import files
from pathlib import Path

_CONDITION = re.compile(r"(?P<text>.*?)\s*(?:#|//) when (?P<no>not )?(?P<name>\w+)")
_BLOCK = re.compile(r"(?P<indent> *)# <<(?P<name>\w+)>>")
_VALUE = re.compile(r"<<(\w+)>>")
_SECTION = re.compile(r"[A-Z]\w*:")


def read_part(package: str, folder: str, name: str) -> str:
    """Read a template of a preset.

    Args:
        package: The preset's package, such as `harbor`.
        folder: The preset's folder in `infra/`.
        name: A file's name in it.

    Returns:
        Its text: from the wheel, which carries the folder along, or from the checkout of an editable install.

    Raises:
        FileNotFoundError: There is no such file.
    """
    installed = files(package) / "infra" / name
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    checkout = Path(__file__).resolve().parents[3] / "infra" / folder / name
    return checkout.read_text(encoding="utf-8")


def fill_part(text: str, holds: Set[str], values: Mapping[str, str], blocks: Mapping[str, str]) -> str:
    r"""Fill in a part of a template: drop the lines whose condition does not hold, and replace the marks.

    Args:
        text: The part, with the marks that `CONTRIBUTING.md` lists.
        holds: The conditions that hold.
        values: What stands for `<<name>>` in a line.
        blocks: The lines that stand for `# <<name>>` on a line of its own, not indented yet.

    Raises:
        KeyError: The part has a mark that has no value.

    Example:
        >>> fill_part("a:  # when big\n  b: 1\nc: <<c>>\n", set(), {"c": "2"}, {})
        'c: 2\n'
    """
    filled: list[str] = []
    for line in _keep(text.splitlines(), holds):
        block = _BLOCK.fullmatch(line)
        if block is None:
            filled.append(_VALUE.sub(lambda found: values[found[1]], line))
            continue
        lines = blocks[block["name"]].strip("\n").splitlines()
        filled += [f"{block['indent']}{added}" if added else "" for added in lines]
    return "".join(f"{line}\n" for line in filled)


def join_parts(parts: Iterable[str]) -> str:
    r"""Join parts into one template, section by section, in the order in which the sections come up first.

    Example:
        >>> join_parts(["R:\n  a: 1\n", "R:\n  b: 2\nO:\n  c: 3\n"])
        'R:\n  a: 1\n\n  b: 2\n\nO:\n  c: 3\n'
    """
    head: list[str] = []
    sections: dict[str, list[str]] = {}
    for part in parts:
        section = head
        for line in part.splitlines():
            if _SECTION.fullmatch(line):
                section = sections.setdefault(line, [])
                if section:
                    section.append("")
            else:
                section.append(line)
        for lines in (head, *sections.values()):
            _strip(lines)
    paragraphs = [head, *([name, *lines] for name, lines in sections.items() if lines)]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines) + "\n"


def quote(text: str) -> str:
    r"""Write a text as a YAML scalar, in ASCII.

    Example:
        >>> quote("naïve \U0001f44b")
        '"na\\U000000efve \\U0001f44b"'
    """
    written = json.dumps(text, ensure_ascii=False)
    # Not JSON's own escapes: YAML knows no pairs of surrogates.
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", written)


def _keep(lines: Iterable[str], holds: Set[str]) -> Iterator[str]:
    dropped: int | None = None
    gap = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line:
            gap = True
        elif dropped is None or indent <= dropped:
            condition = _CONDITION.fullmatch(line)
            kept = condition is None or (condition["name"] in holds) != bool(condition["no"])
            dropped = None if kept else indent
            if kept:
                # What was dropped leaves no second empty line behind.
                if gap:
                    yield ""
                gap = False
                yield line if condition is None else condition["text"]


def _strip(lines: list[str]) -> None:
    while lines and not lines[-1]:
        lines.pop()
