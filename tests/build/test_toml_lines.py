"""Every key of a TOML text is found on its own line."""

from __future__ import annotations

import tomllib

import pytest

from nitro_py.build.config.toml_lines import KeyPath, find_lines


def walk(value: object, path: KeyPath = ()) -> list[KeyPath]:
    """List every path of what `tomllib` read."""
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    paths = [found for key, inner in items for found in walk(inner, (*path, key))]
    return [path, *paths] if path else paths


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\nb = 2\n", ("b",), 2),
        ("# b = 1\n\n[t] # c\n  b = 2", ("t", "b"), 4),
        ("[t]\n[t.u]\nb = 1", ("t", "u", "b"), 3),
        ("[ t . 'u v' ]\nb = 1", ("t", "u v"), 1),
        ("x = 1\nt.u.b = 1", ("t", "u", "b"), 2),
        ('"a.b" = 1\n"\\u0041" = 2', ("A",), 2),
        ("\nt = { a = 1, u = { b = 2 } }", ("t", "u", "b"), 2),
        ("t = [\n  1,\n  # ]\n  { b = 2 },\n]\nc = 3", ("t", 1, "b"), 4),
        ("t = [\n  1,\n  # ]\n  { b = 2 },\n]\nc = 3", ("c",), 6),
        ('t = """\nb = 1\n\\""" ""\n"""""\nb = 2', ("b",), 5),
        ("t = '''\nb = 1\n\\'''\nb = 2", ("b",), 4),
        ('t = "\\" # ["\nb = 2', ("b",), 2),
        ("t = 'C:\\'\nb = 2", ("b",), 2),
        ("t = 1979-05-27 07:32:00\nb = 2", ("b",), 2),
        ("[[t]]\nb = 1\n[[t]]\nb = 2\n[t.u]\nc = 3", ("t", 1, "b"), 4),
        ("[[t]]\nb = 1\n[[t]]\nb = 2\n[t.u]\nc = 3", ("t", 1, "u", "c"), 6),
        ("a = 1\r\nb = 2\r\n", ("b",), 2),
    ],
)
def test_line_of_key(text: str, path: KeyPath, line: int) -> None:
    assert find_lines(text)[path] == line


def test_every_key_of_a_real_file_is_found() -> None:
    text = """
title = "x" # comment
[project]
dependencies = ["a>=1; sys_platform != 'win32'", "b"]
urls = { "Home page" = "https://x", nested.key = [[1, 2], [{ a = 1 }]] }
[[tool.mypy.overrides]]
module = ["a.*"]
[[tool.mypy.overrides]]
module = '''b'''
[tool.nitropy]
dev.port = 0x10
[tool.nitropy.production]
ignore = [
    "a", # why
    "b",
]
empty = {}
none = []
"""
    lines = find_lines(text)
    assert set(lines) == set(walk(tomllib.loads(text)))
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert path[-1] in text.splitlines()[line - 1]
