"""No route, because the configuration ignores its folder: it need not even define a handler."""

from __future__ import annotations
