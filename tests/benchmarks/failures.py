"""What goes wrong in a benchmark."""

from __future__ import annotations


class BenchmarkError(Exception):
    """Why there is no figure: a peer that does not start, a message that did not arrive."""
