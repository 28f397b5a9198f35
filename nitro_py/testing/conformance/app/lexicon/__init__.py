"""A package of the project's own, beside the handlers."""

from __future__ import annotations

WORD = "lexicon"
