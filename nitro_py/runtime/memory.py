"""Memory that a parent shares with its workers."""

from __future__ import annotations

import os
import tempfile


def make_memory(name: str, size: int) -> int:
    """Makes memory of zeros, and gives its descriptor, for workers to inherit.

    Args:
        name: What the system shows.
        size: In bytes; what nobody writes takes none.
    """
    if hasattr(os, "memfd_create"):
        # Not a file: a container may have no place to write.
        descriptor = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
