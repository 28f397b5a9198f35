"""Faults that the gateway injects."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields
from typing import Self

from nitro_py.errors import UsageError

_SHARES = frozenset(
    {
        "double_disconnect",
        "dynamodb_throttle",
        "early_disconnect",
        "kill",
        "lambda_throttle",
        "lost_answer",
        "lost_disconnect",
        "throttle",
    }
)


@dataclass(slots=True)
class Faults:
    """The faults to inject, and how often; none by default. They may be changed while the gateway runs.

    Args:
        throttle: Share of `@connections` calls that are answered with 429.
        lambda_throttle: Share of invocations that are refused, as if the account's concurrency were used up.
        dynamodb_throttle: Share of DynamoDB calls that are throttled, and of batches that are done by half.
        lost_answer: Share of DynamoDB calls that are done, and whose answer never comes.
        shuffle: The longest that a message is delayed, in seconds, so that messages overtake each other.
        lost_disconnect: Share of connections whose `$disconnect` never comes.
        double_disconnect: Share of connections whose `$disconnect` comes twice.
        early_disconnect: Share of connections that end at once, and whose `$disconnect` has ended before their
            `$connect` starts, as if the writes of `$connect` came late.
        kill: Share of invocations whose process is killed.
        kill_seconds: The longest that such an invocation runs, in seconds.
        slow: The longest that an invocation or an `@connections` call is delayed, in seconds.
        seed: The seed of the random choices.

    Example:
        >>> Faults(throttle=1.0).hits("throttle")
        True
    """

    throttle: float = 0.0
    lambda_throttle: float = 0.0
    dynamodb_throttle: float = 0.0
    lost_answer: float = 0.0
    shuffle: float = 0.0
    lost_disconnect: float = 0.0
    double_disconnect: float = 0.0
    early_disconnect: float = 0.0
    kill: float = 0.0
    kill_seconds: float = 0.05
    slow: float = 0.0
    seed: int | None = None
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in FAULT_NAMES:
            value = getattr(self, name)
            if name == "seed":
                continue
            if value < 0 or (name in _SHARES and value > 1):
                expected = "a share from 0 to 1" if name in _SHARES else "seconds, 0 or more"
                raise UsageError(f"The fault `{name}` is {value}: expected {expected}.")
        self._random = random.Random(self.seed)

    @classmethod
    def parse(cls, settings: list[str]) -> Self:
        """Read `name=value` settings.

        Raises:
            UsageError: A name is unknown, or a value is not a number in its range.

        Example:
            >>> Faults.parse(["kill=0.1", "shuffle=0.5"]).kill
            0.1
        """
        values: dict[str, float] = {}
        for setting in settings:
            name, _, text = setting.partition("=")
            if name not in FAULT_NAMES:
                choices = ", ".join(f"`{choice}`" for choice in FAULT_NAMES)
                raise UsageError(f"There is no fault `{name}`.", hint=f"Choose from {choices}.")
            try:
                values[name] = int(text) if name == "seed" else float(text)
            except ValueError:
                raise UsageError(f"The fault `{name}` needs a number, got `{text}`.") from None
        return cls(**values)  # type: ignore[arg-type]

    def hits(self, name: str) -> bool:
        """Return at random whether a fault with a share happens now."""
        share: float = getattr(self, name)
        return share > 0 and self._random.random() < share

    def draw(self, name: str) -> float:
        """Return a random number of seconds up to that of a fault."""
        return self._random.uniform(0.0, getattr(self, name))


FAULT_NAMES = tuple(sorted(item.name for item in fields(Faults) if item.init))
