from __future__ import annotations

import pytest

from nitro_py.build.bundle.imports import find_imports
from nitro_py.errors import BuildError


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a, b.c", ["a", "b.c"]),
        ("from a.b import c", ["a.b"]),
        ("def f():\n  async def g():\n    import a", ["a"]),
        ("class A:\n  import a", ["a"]),
        ("match x:\n  case 1:\n    import a", ["a"]),
        ("if TYPE_CHECKING:\n  import a\nelse:\n  import b", ["b"]),
        ("if typing.TYPE_CHECKING:\n  import a\nelif x:\n  import b", ["b"]),
        ("if not TYPE_CHECKING:\n  import a", ["a"]),
        ("try:\n  import a\nexcept ImportError:\n  import b\nelse:\n  import c", ["a?", "b?", "c?"]),
        ("try:\n  import a\nexcept ImportError:\n  pass\nfinally:\n  import b", ["a?", "b"]),
        ("try:\n  import a\nexcept (KeyError, ModuleNotFoundError):\n  pass", ["a?"]),
        ("try:\n  import a\nexcept:\n  pass", ["a?"]),
        ("try:\n  import a\nexcept KeyError:\n  pass", ["a"]),
        ("try:\n  def f():\n    import a\nexcept ImportError:\n  pass", ["a?"]),
        ("with suppress(ImportError):\n  import a", ["a?"]),
        ("with contextlib.suppress(KeyError):\n  import a", ["a"]),
        ("if sys.version_info >= (3, 12):\n  import a\nelse:\n  import b", ["a?", "b?"]),
        ("if sys.platform == 'win32':\n  import a", ["a?"]),
        ("if x:\n  import a", ["a"]),
        ("'\\d'\nimport a", ["a"]),
        ("x = " + " + ".join(["'a'"] * 900) + "\nimport a", ["a"]),
    ],
)
def test_finds_imports(source: str, found: list[str]) -> None:
    imports = find_imports(source.encode(), "a.py")
    assert [item.module + "?" * item.optional for item in imports] == found


def test_says_names_level_and_line() -> None:
    (item,) = find_imports(b"\n\nfrom .. import a as b, c\n", "a.py")
    assert (item.module, item.names, item.level, item.line) == ("", ("a", "c"), 2, 3)


@pytest.mark.parametrize(("source", "line"), [(b"\ndef (:\n", 2), (b"a = '\xff'\n", None), (b"a\0b", None)])
def test_broken_file_is_named(source: bytes, line: int | None) -> None:
    with pytest.raises(BuildError, match=r"`a.py` is not valid Python") as caught:
        find_imports(source, "a.py")
    assert caught.value.file == "a.py"
    assert line is None or caught.value.line == line
