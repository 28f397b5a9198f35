"""Values that JSON cannot hold as they are, and what is written of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from uuid import UUID

from pydantic import HttpUrl
from starlette.datastructures import URL


class Colour(Enum):
    RED = "red"


# Half a surrogate pair, as a client that cuts an emoji sends it: `"\ud83d"`.
HALF = chr(0xD83D)

VALUES: list[object] = [
    UUID(int=7),
    date(2024, 1, 2),
    datetime(2024, 1, 2, 3, tzinfo=UTC),
    time(4, 5),
    timedelta(days=1, seconds=90),
    Decimal("1.10"),
    PurePosixPath("/a/b"),
    Colour.RED,
    HttpUrl("https://a.example/b"),
]
RICH: dict[str, object] = {
    "values": [*VALUES, URL("http://c.example/d")],
    "keys": dict.fromkeys(VALUES, 1),
    "half": HALF,
}
