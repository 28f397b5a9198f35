"""What goes wrong on purpose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields
from typing import Self

from nitro_py.errors import UsageError

_SHARES = frozenset({"double_disconnect", "early_disconnect", "kill", "lost_disconnect", "throttle"})


@dataclass(slots=True)
class Faults:
    """Says what goes wrong, and how often; nothing by default. It may be changed while the gateway runs.

    Args:
        throttle: Share of management calls that are answered 429.
        shuffle: Seconds that a message waits at most before it is handed on, so that messages overtake each other.
        lost_disconnect: Share of connections whose `$disconnect` never comes.
        double_disconnect: Share of connections whose `$disconnect` comes twice.
        early_disconnect: Share of connections that end at once, and whose `$disconnect` is over before their
            `$connect` starts, as if what that writes came late.
        kill: Share of invocations whose process is killed in the middle.
        kill_seconds: How long after its start an invocation is killed, at most.
        slow: Seconds that an invocation or a management call is held back at most.
        seed: Makes the same choices in the same order again.

    Example:
        >>> Faults(throttle=1.0).hits("throttle")
        True
    """

    throttle: float = 0.0
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
            UsageError: A name is unknown, or a value is no number that it takes.

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
        """Draw whether a fault with a share happens now."""
        share: float = getattr(self, name)
        return share > 0 and self._random.random() < share

    def draw(self, name: str) -> float:
        """Draw how many seconds a fault takes now, up to what is set."""
        return self._random.uniform(0.0, getattr(self, name))


FAULT_NAMES = tuple(sorted(item.name for item in fields(Faults) if item.init))
