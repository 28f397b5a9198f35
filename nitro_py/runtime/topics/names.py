"""Checks of topics, namespaces and ids where they enter: they may be what a client has sent."""

from __future__ import annotations

from typing import Final

# The most bytes that a topic may have in UTF-8, and a namespace or an id. A namespace is a path by default, which
# the header's limit bounds.
MAX_TOPIC: Final = 4096
MAX_NAME: Final = 64 * 1024


def check_topic(topic: object) -> None:
    """Check that every broker and store takes a topic.

    Raises:
        TypeError: It is no text.
        ValueError: It is longer than `MAX_TOPIC`, or has half of a surrogate pair, which UTF-8 cannot express.
    """
    # Most topics are short and ASCII (row `broadcast-1000`).
    if type(topic) is not str or len(topic) > MAX_TOPIC or not topic.isascii():
        _check("topic", topic, MAX_TOPIC)


def check_namespace(namespace: object) -> None:
    """Check a namespace; `None` means all, and passes. See `check_topic`."""
    if namespace is not None:
        _check("namespace", namespace, MAX_NAME)


def check_peer_id(id: object) -> None:
    """Check the id of a peer. See `check_topic`."""
    _check("peer's id", id, MAX_NAME)


def _check(kind: str, value: object, most: int) -> None:
    if not isinstance(value, str):
        raise TypeError(f"A {kind} is text: expected `str`, got `{type(value).__name__}`.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"A {kind} is text that UTF-8 can express: got `{value[error.start]!a}`.") from None
    if size > most:
        raise ValueError(f"A {kind} has at most {most} bytes in UTF-8, got {size}.")
