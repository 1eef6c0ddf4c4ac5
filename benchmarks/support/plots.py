"""Plots of a report as PNG and SVG, with matplotlib where that is installed."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_SIZE_INCHES: Final = (10, 4.5)
_DOTS_PER_INCH: Final = 110


def draw(plot: Mapping[str, Any], folder: Path, prefix: str) -> str | None:
    """Draws a plot of `Report.document` into PREFIX-NAME.png and .svg.

    Returns:
        The name of the PNG; None if no line has two points, or there is nothing to draw with.
    """
    lines = {name: points for name, points in plot["lines"].items() if len(points) > 1}
    if not lines or not can_draw():
        return None
    import matplotlib

    matplotlib.use("Agg")
    # The same numbers make the same file.
    matplotlib.rcParams["svg.hashsalt"] = "benchmarks"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=_SIZE_INCHES)
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axes.set(title=plot["title"], xlabel=plot["x"], ylabel=plot["y"])
    if plot["x_is_log"]:
        axes.set_xscale("log")
    if plot["y_is_log"]:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if plot["x_is_reversed"]:
        axes.invert_xaxis()
    axes.minorticks_off()
    axes.set_xticks(sorted({x for points in lines.values() for x, _ in points}))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.grid(True, which="both", alpha=0.3)
    # Beside the lines, and not upon them.
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1))
    figure.tight_layout()
    name = f"{prefix}-{plot['name']}"
    figure.savefig(folder / f"{name}.png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)
    return f"{name}.png"


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None
