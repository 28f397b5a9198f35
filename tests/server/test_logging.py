"""Records as lines of text or JSON, whatever they hold."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from nitro_py.server.logging import JsonFormatter, TextFormatter


def write(**fields: object) -> dict[str, Any]:
    """Write a record, and read the line."""
    line = JsonFormatter().format(logging.makeLogRecord({"msg": "sold", **fields}))
    assert line.isascii()
    assert "\n" not in line
    read: dict[str, Any] = json.loads(line, parse_constant=pytest.fail)
    return read


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (7, 7),
        ({"a": [1, None, "ö"]}, {"a": [1, None, "ö"]}),
        (Path("a/b"), "a/b"),
        ([Path("a/b")], ["a/b"]),
        (float("nan"), "nan"),
        ([float("inf")], "[inf]"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        ("two\nlines", "two\nlines"),
        ("\udcff", "\udcff"),
    ],
)
def test_extra_is_written_as_json_can_hold_it(value: object, written: object) -> None:
    assert write(order=value)["order"] == written


def test_extra_that_holds_itself() -> None:
    order: list[object] = []
    order.append(order)
    assert write(order=order)["order"] == "[[...]]"


def test_extra_does_not_replace_what_a_record_says() -> None:
    record = write(levelname="INFO", name="shop", level="none", logger="other", exception="none", price=7)
    record.pop("time")
    assert record == {"level": "INFO", "logger": "shop", "message": "sold", "exception": "none", "price": 7}


def test_traceback_and_stack_stand_in_one_line() -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        record = write(exc_info=(ValueError, error, error.__traceback__), stack_info="Stack:\n  here")
    assert record["exception"].splitlines()[-1] == "ValueError: no"
    assert record["stack"] == "Stack:\n  here"


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/a\nERROR:    /b", "/a\\nERROR:    /b"),
        ("/a\r\x1b[2J", "/a\\r\\x1b[2J"),
        ("/a\x85\x9b\u2028b", "/a\\x85\\x9b\\u2028b"),
        ("/é\tb", "/é\tb"),
    ],
)
def test_text_of_a_client_cannot_begin_a_line(path: str, written: str) -> None:
    record = logging.makeLogRecord({"msg": "GET %s failed.", "args": (path,), "levelname": "ERROR"})
    formatter = TextFormatter("%(levelprefix)s %(message)s", use_colors=False)
    assert formatter.format(record) == f"ERROR:    GET {written} failed."
