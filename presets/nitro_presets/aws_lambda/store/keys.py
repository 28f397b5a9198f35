"""The keys of rows in the table."""

from __future__ import annotations

import json
import zlib
from hashlib import sha256

# The partitions that the index is spread over, because one alone limits the rate of writes. More can be added;
# rows in those taken away would never be found.
INDEX_PARTITIONS = 8

CONNECTION_SORT = "c"
SEPARATOR = "\0"
# Begins a hash, and no other text.
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
    """Return the prefix of the sort keys of a namespace's subscribers."""
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
    """Return a text as a part of a key: as it is, or its hash if it is long or holds the separator.

    Example:
        >>> hash_if_long("/chat"), len(hash_if_long("x" * 5000))
        ('/chat', 65)
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= MAX_KEY_PART and SEPARATOR not in text and not text.startswith(HASHED):
        return text
    return HASHED + sha256(data).hexdigest()


def pick_shard(id: str, shards: int) -> int:
    """Return the shard of a connection, which is the same in every process."""
    return zlib.crc32(id.encode()) % shards


def name_index_partition(number: int) -> str:
    """Return the name of an index partition of connections."""
    return f"x#{number}"


def pick_index_partition(id: str) -> str:
    """Return the name of a connection's index partition."""
    return name_index_partition(pick_shard(id, INDEX_PARTITIONS))


def write_cursor(slot: int, due: int | None = None, partition: str | None = None) -> str:
    """Write the position of a walk along the index."""
    return json.dumps([slot, due, partition])


def read_cursor(text: str | None) -> tuple[int, int | None, str | None]:
    """Read the position of a walk along the index; `None` is its start.

    Example:
        >>> read_cursor(write_cursor(1, 5, "c#1"))
        (1, 5, 'c#1')
    """
    if text is None:
        return 0, None, None
    slot, due, partition = json.loads(text)
    return slot, due, partition
