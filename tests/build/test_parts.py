from __future__ import annotations

import pytest

from nitro_py.build.bundle.templates import fill_part, join_parts, quote, read_part
from tests.presets.aws_lambda.deploy.stacks import read_template

PART = """
a: 1  # when big
b:  # when not big
  c: <<size>>

  d: 4
- e: 5  # when big
  f: 6

g:
  # <<lines>>
""".lstrip()


def test_condition_drops_the_line_and_all_under_it() -> None:
    assert fill_part(PART, {"big"}, {}, {"lines": "h: 1\n\ni: 2\n"}) == (
        "a: 1\n\n- e: 5\n  f: 6\n\ng:\n  h: 1\n\n  i: 2\n"
    )
    assert fill_part(PART, set(), {"size": "3"}, {"lines": ""}) == "b:\n  c: 3\n\n  d: 4\n\ng:\n"


def test_condition_may_stand_in_javascript() -> None:
    assert fill_part("f();  // when big\ng();\n", set(), {}, {}) == "g();\n"


def test_mark_that_nobody_fills_is_an_error() -> None:
    with pytest.raises(KeyError, match="size"):
        fill_part("a: <<size>>", set(), {}, {})


def test_sections_of_parts_are_joined() -> None:
    parts = ["Version: 1\n\nA:\n  a: 1\n\nB:\n  b: 1\n", "B:\n  c: 1\n", "C:\n", "A:\n  d: 1\n"]
    assert join_parts(parts) == "Version: 1\n\nA:\n  a: 1\n\n  d: 1\n\nB:\n  b: 1\n\n  c: 1\n"


@pytest.mark.parametrize("text", ["", "a: b # c", '"\\', "\x00\x7f\x85\u2028\ufeff", "naïve 👋", "\n\t ", "yes"])
def test_quoted_text_is_read_back(text: str) -> None:
    written = quote(text)
    assert written.isascii()
    assert read_template(f"a: {written}\n") == {"a": text}


def test_part_that_is_not_there_is_an_error() -> None:
    assert read_part("nitro_presets.aws_lambda", "aws", "cloudfront-function.js").startswith("import")
    with pytest.raises(FileNotFoundError):
        read_part("nitro_presets.aws_lambda", "aws", "nothing.yaml")
