"""No route, because its name starts with a dot."""

from __future__ import annotations
