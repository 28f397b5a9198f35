"""All rows, in the order of the table."""

from __future__ import annotations

import importlib

from tests.benchmarks.rows import Row

MODULES: tuple[str, ...] = (
    "sockets",
    "backplanes",
    "storages",
    "web",
    "lambda_warm",
    "lambda_cold",
    "aws_posts",
    "builds",
    "first_day",
)


def load_rows() -> tuple[Row, ...]:
    """Return the rows of every module named here."""
    modules = [importlib.import_module(f"tests.benchmarks.{name}") for name in MODULES]
    return tuple(row for module in modules for row in module.ROWS)
