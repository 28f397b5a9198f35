"""Draws results as a chart: `python chart.py RESULTS CHART`, in the environment of the set `chart`."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLUMNS = 3
OURS = "nitropy-kit"
OUR_COLOR = "#1f6feb"
THEIR_COLOR = "#b8c0cc"
CURVE_COLORS = (OUR_COLOR, "#d9822b", "#6e7781")


def draw_chart(results: dict[str, Any], file: Path) -> None:
    """Draw one panel for each row.

    Args:
        results: What `--json` gives.
        file: The PNG to write.
    """
    rows = results["rows"]
    lines = math.ceil(len(rows) / COLUMNS)
    figure, panels = pyplot.subplots(
        lines, COLUMNS, figsize=(6 * COLUMNS, 2.8 * lines), squeeze=False, layout="constrained"
    )
    for panel, row in zip(panels.flat, rows.values(), strict=False):
        contenders = {name: found for name, found in row["contenders"].items() if found["median"] is not None}
        if contenders and all(found["size"] is not None for found in contenders.values()):
            draw_curves(panel, contenders)
            panel.set_ylabel(row["unit"])
        else:
            draw_bars(panel, contenders)
            panel.set_xlabel(row["unit"])
        panel.set_title(name_panel(row), fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(rows) :]:
        panel.set_axis_off()
    figure.suptitle(f"nitropy-kit beside its peers, less is better ({results['date']}, {results['processor']})")
    figure.savefig(file, dpi=110)


def name_panel(row: dict[str, Any]) -> str:
    """Return a row's title with its ratio."""
    ratio = "no ratio" if row["ratio"] is None else f"{row['ratio']:.2f} of {row['peer']}"
    return f"{row['title']}\n{ratio}"


def draw_bars(panel: Any, contenders: dict[str, Any]) -> None:
    """Draw a bar for each contender, with its figure."""
    names = list(contenders)[::-1]
    colors = [OUR_COLOR if name.startswith(OURS) else THEIR_COLOR for name in names]
    bars = panel.barh(names, [contenders[name]["median"] for name in names], color=colors)
    panel.bar_label(bars, fmt="{:.3g}", padding=3)
    panel.margins(x=0.15)


def draw_curves(panel: Any, contenders: dict[str, Any]) -> None:
    """Draw a line through the sizes of each contender, whose names end with the size."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for name, found in contenders.items():
        curves.setdefault(name.partition(", ")[0], []).append((found["size"], found["median"]))
    for color, (name, points) in zip(CURVE_COLORS, curves.items(), strict=False):
        sizes, values = zip(*sorted(points), strict=True)
        panel.plot(sizes, values, marker="o", color=color, label=name)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("connections")
    panel.legend(frameon=False)


if __name__ == "__main__":
    draw_chart(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
