"""Draws the scaling curves: ``python plot.py results.json curves.svg``."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

PANELS = (
    ("frames", "frames", "log", "log"),
    ("pixels", "Mpx of a frame", "log", "log"),
    ("memory", "--memory, GB", "log", "linear"),
    ("threads", "--threads", "linear", "linear"),
)
"""Curve, label and scale of x, scale of y."""


def main() -> None:
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "curves"})
    curves = read(sys.argv[1])
    panels = [panel for panel in PANELS if panel[0] in curves]
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.6), squeeze=False)
    for axis, (name, label, *scales) in zip(axes[0], panels, strict=True):
        draw(axis, curves[name], label, *scales)
    figure.tight_layout()
    dated = {"metadata": {"Date": None}} if sys.argv[2].endswith(".svg") else {}
    figure.savefig(sys.argv[2], dpi=150, **dated)


def read(path: str) -> dict[str, dict[str, Any]]:
    with open(path) as file:
        kept = json.load(file).values()
    (tables,) = (k["tables"] for k in kept if k["section"] == "curves")
    return {t["data"]["curve"]: t["data"] for t in tables if t["data"].get("x")}


def draw(axis: Any, curve: dict[str, Any], label: str, x_scale: str, y_scale: str) -> None:
    for name, values in curve["series"].items():
        points = [
            (x, y) for x, y in zip(curve["x"], values, strict=True) if y is not None and y > 0
        ]
        style = "--" if name == "med, less start-up" else "-"
        axis.plot(*zip(*points, strict=True), style, marker="o", markersize=3, label=name)
    axis.axhline(curve["startup"], color="0.6", linewidth=0.8, linestyle=":", label="start-up")
    axis.set_xscale(x_scale)
    axis.set_yscale(y_scale)
    if y_scale == "linear":
        axis.set_ylim(bottom=0)
    axis.set_xticks(curve["x"], [f"{x:g}" for x in curve["x"]], fontsize=6, rotation=45)
    axis.minorticks_off()
    axis.set_xlabel(label)
    axis.set_ylabel("seconds")
    axis.set_title(curve["title"].replace("`", ""), fontsize=8)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)


if __name__ == "__main__":
    main()
