"""Storages: what is kept, for how long, and who wins."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from nitro_py.testing.conformance.suite.steps import make_key
from nitro_py.testing.conformance.target import Target, requires

# How long a value lives that a test waits for, and how far clocks may be apart, in seconds.
SHORT, SKEW = 1.0, 30.0


async def call(target: Target, method: str, *args: object, name: str = "default", **options: object) -> Any:
    """Call a storage once, in whichever process takes the request."""
    return (await call_all(target, [(method, args, options)], name=name))[0]


async def call_all(
    target: Target, calls: list[tuple[str, tuple[object, ...], dict[str, object]]], **order: object
) -> list[Any]:
    """Call a storage several times in one process."""
    listed = [{"method": method, "args": args, "options": options} for method, args, options in calls]
    answer = await target.request("POST", "/storage", json={"calls": listed, **order})
    assert answer.status == 200, answer.text
    found: list[Any] = answer.json()
    return found


@pytest.mark.anyio
class Storages:
    """Tests of the contract's paragraph "Storage"."""

    @requires("storage")
    async def test_value_is_kept_between_requests_and_apart_from_other_storages(self, target: Target) -> None:
        """Check K1 and K3 of the contract."""
        key = make_key()
        for value in (None, False, 2**60, 1.5, "é", [1, {"a": None}], {"hex": "00ff"}, {"hex": ""}):
            assert len(await call(target, "set", key, value)) == 24
            assert await call(target, "get", key, "missing") == value
            assert await call(target, "has", key) is True
            assert await call(target, "get", key, name="other") is None
        await call(target, "set", key, "there", name="other")
        await call(target, "delete", key)
        assert await call(target, "get", key, "missing") == "missing"
        assert await call(target, "get", key, name="other") == "there"

    @requires("storage")
    async def test_limits_hold_everywhere(self, target: Target) -> None:
        """Check K2 of the contract."""
        key = make_key().ljust(512, "k")
        assert await call(target, "set", key, "x" * (256 * 1024 - 2))
        assert len(await call(target, "get", key)) == 256 * 1024 - 2
        for wrong in ("", "a\x00b"):
            assert await call(target, "get", wrong) == {"error": "ValueError"}
        assert await call(target, "get", 1) == {"error": "TypeError"}
        assert await call(target, "set", "k" * 5000, 1) == {"error": "StorageError"}

    @requires("storage")
    async def test_value_is_gone_when_its_time_has_passed(self, target: Target) -> None:
        """Check K4 of the contract."""
        key = make_key()
        start = time.time()
        await call(target, "set", f"{key}:long", 1, ttl=3600)
        await call(target, "set", f"{key}:short", 1, ttl=SHORT)
        entry = await call(target, "get_entry", f"{key}:long")
        assert abs(entry["expires_at"] - start - 3600) < SKEW
        await asyncio.sleep(SHORT + 0.5)
        assert await call(target, "get_many", [f"{key}:long", f"{key}:short"]) == {f"{key}:long": 1}
        assert await call(target, "keys", key) == [f"{key}:long"]
        assert await call(target, "set", f"{key}:short", 2, if_absent=True)

    @requires("storage")
    async def test_condition_is_met_by_one_writer(self, target: Target) -> None:
        """Check K5 of the contract."""
        key = make_key()
        made = await asyncio.gather(*(call(target, "set", key, n, if_absent=True) for n in range(8)))
        (first,) = [version for version in made if version is not None]
        entry = await call(target, "get_entry", key)
        assert (entry["value"], entry["version"]) == (made.index(first), first)
        made = await asyncio.gather(*(call(target, "set", key, n, if_version=first) for n in range(8)))
        (second,) = [version for version in made if version is not None]
        assert await call(target, "get", key) == made.index(second)
        assert await call(target, "set", key, 9, if_version=first) is None

    @requires("storage")
    async def test_each_increment_counts(self, target: Target) -> None:
        """Check K6 of the contract."""
        key = make_key()
        orders = [call_all(target, [("increment", (key,), {})] * 5, at_once=True) for _ in range(8)]
        sums = [number for numbers in await asyncio.gather(*orders) for number in numbers]
        assert sorted(sums) == list(range(1, 41))
        assert await call(target, "get", key) == 40
        await call(target, "set", key, "text")
        assert await call(target, "increment", key) == {"error": "StorageError"}
        assert await call(target, "get", key) == "text"

    @requires("storage")
    async def test_keys_are_listed_by_segments_and_cleared(self, target: Target) -> None:
        """Check K7 and K8 of the contract."""
        key = make_key()
        names = [f"{key}:{number:02}" for number in range(30)]
        await call(target, "set_many", {key: 0, f"{key}s:1": 0, **dict.fromkeys(names, 1)})
        assert await call(target, "keys", key) == names
        assert await call(target, "keys", f"{key}:", after=names[9], limit=5) == names[10:15]
        await call(target, "delete", *names[:10])
        assert await call(target, "get_many", names) == dict.fromkeys(names[10:], 1)
        assert await call(target, "clear", key) == 20
        assert await call(target, "get_many", [key, f"{key}s:1"]) == {key: 0, f"{key}s:1": 0}
