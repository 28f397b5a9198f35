"""The part of `aws.*` that ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple


class AwsSettings(NamedTuple):
    """Holds what the functions need of `aws.*`.

    Args:
        binary: How binary messages travel.
        ordered: Whether messages come through a queue that keeps their order.
        shards: Parts that a topic's subscribers are spread over.
        fan_out_threshold: Subscribers above which publishing is spread over invocations.
        keep_headers: Headers with secrets that are kept nevertheless.
    """

    binary: Literal["none", "base64"] = "none"
    ordered: bool = False
    shards: int = 1
    fan_out_threshold: int = 500
    keep_headers: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AwsSettings:
        """Reads the settings of a manifest; what the build alone needs is left out."""
        return cls(
            binary=data.get("binary", "none"),
            ordered=data.get("ordered", False),
            shards=data.get("shards", 1),
            fan_out_threshold=data.get("fan_out_threshold", 500),
            keep_headers=tuple(data.get("keep_headers", ())),
        )
