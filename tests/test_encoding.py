"""How values become JSON and frames."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import pytest
from pydantic import BaseModel, HttpUrl
from pydantic_core import to_jsonable_python
from starlette.datastructures import URL

from nitro_py.encoding import encode_frame, encode_text, read_json, to_json, to_json_bytes


@dataclass
class Point:
    x: int
    tags: frozenset[str]


class User(BaseModel):
    name: str
    born: datetime.date


class Colour(Enum):
    RED = "red"


class Level(int, Enum):
    LOW = 1


HALF = chr(0xD83D)
ID = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("", ""),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (None, ""),
        (True, "true"),
        (0, "0"),
        (1.5, "1.5"),
        ([1, None, "a"], '[1,null,"a"]'),
        ((), "[]"),
        ({"user": "ädä", "n": {"x": [True]}}, '{"user":"ädä","n":{"x":[true]}}'),
        (Point(1, frozenset({"a"})), '{"x":1,"tags":["a"]}'),
        ([Point(1, frozenset())], '[{"x":1,"tags":[]}]'),
        (User(name="Ada", born=datetime.date(1815, 12, 10)), '{"name":"Ada","born":"1815-12-10"}'),
        ({"at": datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC)}, '{"at":"2024-01-02T03:00:00+00:00"}'),
        ({"id": ID, "sum": Decimal("1.10")}, f'{{"id":"{ID}","sum":"1.10"}}'),
        ([Colour.RED, Level.LOW], '["red",1]'),
        ({1}, "[1]"),
        (deque([1]), "[1]"),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (Path("/a"), '"/a"'),
        (datetime.timedelta(0), '"PT0S"'),
        (datetime.timedelta(days=400, seconds=3661, microseconds=500_000), '"P1Y35DT1H1M1.5S"'),
        (datetime.timedelta(seconds=-90), '"-PT1M30S"'),
        (HttpUrl("http://a.test/b"), '"http://a.test/b"'),
        (URL("http://a.test/b"), '"http://a.test/b"'),
        (
            {ID: 1, Colour.RED: {Decimal("1.5"): [{Level.LOW: None}]}},
            f'{{"{ID}":1,"red":{{"1.5":[{{"1":null}}]}}}}',
        ),
        (f"cut {HALF}", "cut \N{REPLACEMENT CHARACTER}"),
        ("\N{GRINNING FACE}"[:1] + HALF + chr(0xDE00), "\N{GRINNING FACE}\N{GRINNING FACE}"),
        ({HALF: f"é{HALF}"}, '{"\\ud83d":"é\\ud83d"}'),
    ],
)
def test_frames(value: object, text: str | bytes) -> None:
    frame = encode_frame(value)
    assert frame == text
    assert type(frame) is type(text)


def test_text_is_quoted_in_json_only() -> None:
    assert (encode_frame("a"), to_json("a")) == ("a", '"a"')
    assert json.loads(to_json("line\n\u2028\x00")) == "line\n\u2028\x00"


@pytest.mark.parametrize("seconds", [0, 0.25, 1, 59.5, 3600, 86_400, 31_536_000, 1e9 + 1, -1.5, -100_000])
def test_time_spans_are_written_as_pydantic_does(seconds: float) -> None:
    span = datetime.timedelta(seconds=seconds)
    assert json.loads(to_json(span)) == to_jsonable_python(span)


def test_half_a_surrogate_pair_is_valid_json() -> None:
    assert json.loads(to_json_bytes([HALF])) == [HALF]
    assert to_json_bytes([HALF]) == to_json([HALF]).encode()
    assert encode_text(HALF) == "\N{REPLACEMENT CHARACTER}".encode()


@pytest.mark.parametrize(
    "data",
    ["{", b"", b"\xff", "NaN", "[-Infinity]", "[1e999]", "-1e400", "1" * 400 + ".0", "[" * 100_000, "1" * 5000],
)
def test_what_is_no_json_is_a_value_error(data: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|line|decode|nested|digits|too large"):
        read_json(data)


def test_json_is_read() -> None:
    assert (read_json('{"a": [1.5, null]}'), read_json('"é"'.encode())) == ({"a": [1.5, None]}, "é")


HOLDS_ITSELF: list[object] = [1]
HOLDS_ITSELF.append(HOLDS_ITSELF)


@pytest.mark.parametrize(
    ("value", "error"),
    [(object(), TypeError), (float("nan"), ValueError), ([b"x"], TypeError), (HOLDS_ITSELF, ValueError)],
)
def test_what_json_cannot_hold(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode_frame(value)


@pytest.mark.anyio
async def test_forgotten_await_is_guessed() -> None:
    work = asyncio.sleep(0)
    with pytest.raises(TypeError, match=r"^A `coroutine` cannot be written as JSON\. Was an `await` forgotten\?$"):
        to_json({"body": work})
    await work
