"""The HTTP methods that routes can serve: the one list of them."""

from __future__ import annotations

from typing import Final

# Sorted, in upper case. A file name such as `name.get.py` ends in one of them, `Allow` names them for a route that
# serves every method, and metrics have a series for each.
METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
