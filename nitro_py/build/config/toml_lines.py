"""Finding the line of each key in a TOML text, which `tomllib` does not report."""

from __future__ import annotations

import re
import tomllib

KeyPath = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_STRING = re.compile(
    r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:\\.|[^"\\])*"|'[^']*\'''', re.DOTALL
)
_BARE = re.compile(r"[^,\]}#\r\n]*")


def find_lines(text: str) -> dict[KeyPath, int]:
    r"""Map each key and list item of a TOML text to the line it stands on.

    Args:
        text: TOML that `tomllib` has accepted; anything else gives a wrong answer.

    Returns:
        Lines from 1, by path: strings for keys, integers for list items. A table that is opened more than
        once has the line of its first mention.

    Example:
        >>> find_lines("[dev]\\nhmr = { port = 1 }")[("dev", "hmr", "port")]
        2
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.scan()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[KeyPath, int] = {}
        # How often each [[table]] has been opened: a later [table.key] belongs to the last one.
        self._opened: dict[KeyPath, int] = {}

    def scan(self) -> None:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text[self.position] == "[":
                table = self._read_header()
            else:
                self._read_pair(table)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return self.position

    def _take(self, symbol: str) -> bool:
        taken = self.text.startswith(symbol, self.position)
        if taken:
            self.position += len(symbol)
        return taken

    def _note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, self.position) + 1)

    def _read_header(self) -> KeyPath:
        listed = self._take("[[")
        if not listed:
            self._take("[")
        path: KeyPath = ()
        keys = self._read_key()
        for number, key in enumerate(keys, start=1):
            path = (*path, key)
            self._note(path)
            if listed and number == len(keys):
                self._opened[path] = self._opened.get(path, 0) + 1
            if path in self._opened:
                path = (*path, self._opened[path] - 1)
                self._note(path)
        self._take("]]" if listed else "]")
        return path

    def _read_key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            start = self.position
            part = self.text[start : self._skip(_KEY)]
            parts.append(str(tomllib.loads(f"key = {part}")["key"]) if part[:1] in {'"', "'"} else part)
            self._skip(_SPACE)
            if not self._take("."):
                return parts

    def _read_pair(self, table: KeyPath) -> None:
        path = table
        for key in self._read_key():
            path = (*path, key)
            self._note(path)
        self._take("=")
        self._skip(_SPACE)
        self._read_value(path)

    def _read_value(self, path: KeyPath) -> None:
        if self._take("["):
            self._read_list(path)
        elif self._take("{"):
            self._read_inline_table(path)
        elif self.text[self.position] in {'"', "'"}:
            self._skip(_STRING)
        else:
            self._skip(_BARE)

    def _read_list(self, path: KeyPath) -> None:
        number = 0
        self._skip(_BLANK)
        while not self._take("]"):
            self._note((*path, number))
            self._read_value((*path, number))
            number += 1
            self._skip(_BLANK)
            self._take(",")
            self._skip(_BLANK)

    def _read_inline_table(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        while not self._take("}"):
            self._read_pair(path)
            self._skip(_BLANK)
            self._take(",")
            self._skip(_BLANK)
