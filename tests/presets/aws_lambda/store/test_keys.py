"""Keys: the same in every process, short enough, and never two for one thing or one for two."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nitro_presets.aws_lambda.store.keys import (
    hash_if_long,
    namespace_prefix,
    pick_shard,
    read_subscriber,
    topic_partition,
    topic_sort,
)

LONG = "x" * 513
TEXTS = ["", "a", "\1", hash_if_long(LONG), "a\0b", "\0", "x" * 512, LONG, "x" * 5000, "ü" * 257, "a#0", "/a/b"]


def test_shard_is_the_same_in_every_process() -> None:
    ids = [f"{n}AMCKlQ=" for n in range(100)]
    code = f"from nitro_presets.aws_lambda.store.keys import pick_shard; print([pick_shard(i, 7) for i in {ids}])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str([pick_shard(id, 7) for id in ids])


def test_shards_are_about_as_full() -> None:
    counts = [0] * 4
    for n in range(4000):
        counts[pick_shard(f"BFHP{n:04}AMCKlQ=", 4)] += 1
    assert min(counts) > 800


def test_no_two_texts_have_one_key() -> None:
    assert len({hash_if_long(text) for text in TEXTS}) == len(TEXTS)
    assert len({topic_partition(text, shard) for text in TEXTS for shard in (0, 1)}) == 2 * len(TEXTS)
    prefixes = [namespace_prefix(text) for text in TEXTS]
    assert [prefix for prefix in prefixes if sum(other.startswith(prefix) for other in prefixes) > 1] == []


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_keys_are_short_enough(text: str) -> None:
    assert len(topic_partition(text, 999).encode()) <= 2048
    key = topic_sort(text, "BFHPhfCWIAMCKlQ=")
    assert len(key.encode()) <= 1024
    assert read_subscriber(key) == "BFHPhfCWIAMCKlQ="
