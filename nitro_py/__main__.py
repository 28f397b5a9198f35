"""The command `nitropy`, as `python -m nitro_py`."""

from __future__ import annotations

from nitro_py.cli.main import main

if __name__ == "__main__":
    main()
