"""The health check of a container: exits with 0 if its server is alive, with 1 if it is not.

It runs by itself, every few seconds, without a shell or curl: it imports little, and nothing of the bundle.
"""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

LIVE_PATH = "/_nitro/live"
DEFAULT_PORT = 8080
# Below the time that the image's `HEALTHCHECK` gives, in seconds.
TIMEOUT = 2.5
# What is listened on at every address is asked at the nearest.
NEAREST = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def main() -> int:
    """Ask, and return the exit status."""
    host = os.environ.get("HOST", "")
    connection = HTTPConnection(
        NEAREST.get(host, host), int(os.environ.get("PORT") or DEFAULT_PORT), timeout=TIMEOUT
    )
    try:
        connection.request("GET", LIVE_PATH)
        answer = connection.getresponse()
    except (OSError, HTTPException) as error:
        print(f"{LIVE_PATH}: {error!r}")
        return 1
    print(f"{LIVE_PATH}: {answer.status}")
    return 0 if answer.status == HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
