"""What every load client does: it answers lines of JSON, and says how busy it was (see `programs.py`)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

# How long nothing may arrive before something counts as lost, in seconds.
PATIENCE = 10.0


class LostError(Exception):
    """The error for what did not arrive."""


def answer_questions(
    answers: Mapping[str, Callable[..., None]], figures: Mapping[str, float] | None = None
) -> None:
    """Call what each question names under `do`, until there are no more; answer with the time that it took.

    Args:
        answers: What can be asked, called with the rest of the question.
        figures: What the answers found out besides, if they change it.
    """
    for line in sys.stdin:
        question = json.loads(line)
        busy, begun = time.process_time(), time.perf_counter()
        try:
            answers[question.pop("do")](**question)
        except Exception as error:
            _print({"error": f"{type(error).__name__}: {error}"})
            continue
        wall = time.perf_counter() - begun
        _print({"wall": wall, "load": (time.process_time() - busy) / wall, **(figures or {})})


def _print(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), flush=True)
