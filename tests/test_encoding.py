"""How values become JSON and frames."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import pytest
from pydantic import BaseModel

from nitro_py.encoding import encode_frame, to_json


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
    ],
)
def test_frames(value: object, text: str | bytes) -> None:
    frame = encode_frame(value)
    assert frame == text
    assert type(frame) is type(text)


def test_text_is_quoted_in_json_only() -> None:
    assert (encode_frame("a"), to_json("a")) == ("a", '"a"')
    assert json.loads(to_json("line\n\u2028\x00")) == "line\n\u2028\x00"


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
