"""Where rows are in the table."""

from __future__ import annotations

import json
import zlib
from hashlib import sha256

# The index on when the sweep is to look at a connection is spread over this many partitions. More can be added;
# rows in those taken away would never be found.
INDEX_PARTITIONS = 8

CONNECTION_SORT = "c"
SEPARATOR = "\0"
# What a hash begins with, and no other text.
HASHED = "\1"
# Far below DynamoDB's 1,024 bytes of a sort key and 2,048 of a partition key.
MAX_KEY_PART = 512


def connection_partition(id: str) -> str:
    """Return the partition of a connection.

    Example:
        >>> connection_partition("BFHPhfCWIAMCKlQ=")
        'c#BFHPhfCWIAMCKlQ='
    """
    return f"c#{id}"


def topic_partition(topic: str, shard: int) -> str:
    """Return the partition of one shard of a topic.

    Example:
        >>> topic_partition("chat", 0)
        't#chat#0'
    """
    return f"t#{hash_if_long(topic)}#{shard}"


def namespace_prefix(namespace: str) -> str:
    """Return what the sort keys of a namespace's subscribers begin with, and no others."""
    return hash_if_long(namespace) + SEPARATOR


def topic_sort(namespace: str, id: str) -> str:
    """Return the sort key of a subscriber."""
    return namespace_prefix(namespace) + id


def read_subscriber(sort: str) -> str:
    """Read the connection's id out of a subscriber's sort key.

    Example:
        >>> read_subscriber(topic_sort("/chat", "BFHPhfCWIAMCKlQ="))
        'BFHPhfCWIAMCKlQ='
    """
    return sort.rpartition(SEPARATOR)[2]


def hash_if_long(text: str) -> str:
    """Return a text as a part of a key: as it is, or its hash where it is long or holds the separator.

    Example:
        >>> hash_if_long("/chat"), len(hash_if_long("x" * 5000))
        ('/chat', 65)
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= MAX_KEY_PART and SEPARATOR not in text and not text.startswith(HASHED):
        return text
    return HASHED + sha256(data).hexdigest()


def pick_shard(id: str, shards: int) -> int:
    """Pick the same shard for a connection in every process."""
    return zlib.crc32(id.encode()) % shards


def name_index_partition(number: int) -> str:
    """Name a partition of the index."""
    return f"x#{number}"


def pick_index_partition(id: str) -> str:
    """Pick the partition of the index for a connection."""
    return name_index_partition(pick_shard(id, INDEX_PARTITIONS))


def write_cursor(slot: int, due: int | None = None, partition: str | None = None) -> str:
    """Write down how far a walk along the index is."""
    return json.dumps([slot, due, partition])


def read_cursor(text: str | None) -> tuple[int, int | None, str | None]:
    """Read how far a walk along the index is; `None` for its start.

    Example:
        >>> read_cursor(write_cursor(1, 5, "c#1"))
        (1, 5, 'c#1')
    """
    if text is None:
        return 0, None, None
    slot, due, partition = json.loads(text)
    return slot, due, partition
