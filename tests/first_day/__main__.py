"""Spends a newcomer's first day and prints how long things took: `python -m tests.first_day`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.checkout import ROOT
from tests.first_day.day import run_day

PICTURES = ROOT / "reports/first-day"


def main() -> None:
    """Read the command line, and run the day."""
    parser = argparse.ArgumentParser(
        "python -m tests.first_day", description="A newcomer's first day, with pictures."
    )
    parser.add_argument("--pictures", type=Path, default=PICTURES, metavar="FOLDER", help="where screenshots go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = run_day(Path(folder), options.pictures)
    for name, seconds in times.items():
        print(f"{name:<22} {seconds:6.2f} s")
    print(f"{len(list(options.pictures.glob('*.png')))} pictures in {options.pictures}")


if __name__ == "__main__":
    main()
