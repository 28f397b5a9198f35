"""Runs a command and says what it and all its descendants took: `python -m tests.benchmarks.stopwatch COMMAND …`.

Prints one line of JSON with `cpu` and `wall` in seconds; ends with the command's status.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

# Descendants whose parents end become ours, and count once they have ended (Linux, `prctl(2)`).
PR_SET_CHILD_SUBREAPER = 36


def main(command: Sequence[str]) -> int:
    """Run the command; what it prints goes to standard error."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    begun = time.perf_counter()
    status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode
    wall = time.perf_counter() - begun
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "wall": wall}))
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
