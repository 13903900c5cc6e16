"""Charts to files, for papers and slides."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from meta_rl.charts.panel import handle, plot_panel
from meta_rl.report.looks import Look, legend, looks
from meta_rl.report.model import Chart, Panel

ROW = 4  # panels side by side at most
WIDTH, HEIGHT = 3.9, 3.2  # inches, of a panel
LINE = 0.21  # inches, of the legend
NAME = 40  # characters, of a name's line in the legend
# Names are data: a dollar sign in them begins no formula. The same input gives the same bytes.
RC: dict[Any, Any] = {
    "font.size": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "text.parse_math": False,
    "svg.fonttype": "none",
}
UNDATED: dict[str, dict[str, Any]] = {".png": {"Software": None}, ".pdf": {"CreationDate": None}}


def draw(chart: Chart, path: Path) -> None:
    """Write all panels of a chart in one figure, with one legend below them.

    Args:
        chart: With at least one panel.
        path: Of the figure; its suffix, .png or .pdf, gives the format.
    """
    with mpl.rc_context(RC):
        compose(chart)[0].savefig(path, dpi=150, metadata=UNDATED[path.suffix])


def compose(chart: Chart) -> tuple[Figure, list[Axes]]:
    """The figure of a chart and its axes, one a panel."""
    styles = looks(chart)
    figure, axes = _grid(chart.panels)
    for axis, panel in zip(axes, chart.panels, strict=True):
        plot_panel(axis, panel, styles)
        axis.set_title(fill(panel.title, 42), fontsize=11)
        place = axis.get_subplotspec()
        if _common(chart.panels) and place and not place.is_first_col():
            axis.set_ylabel("")
    _add_legend(figure, chart, styles)
    return figure, axes


def shared_limits(chart: Chart) -> tuple[float, float] | None:
    """Those of the y-axis where all panels have it in common, else None."""
    return compose(chart)[1][0].get_ylim() if _common(chart.panels) else None


def _common(panels: Sequence[Panel]) -> bool:
    return len({panel.y for panel in panels}) == 1


def _grid(panels: Sequence[Panel]) -> tuple[Figure, list[Axes]]:
    rows = ceil(len(panels) / ROW)
    columns = ceil(len(panels) / rows)
    figure = Figure(figsize=(0.6 + WIDTH * columns, HEIGHT * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, sharey=_common(panels), squeeze=False).flat)
    for spare in axes[len(panels) :]:
        spare.remove()
    return figure, axes[: len(panels)]


def _add_legend(figure: Figure, chart: Chart, styles: Mapping[str, Look]) -> None:
    """Beside a single panel or below several, where it covers no data; the figure grows by what it needs."""
    if not styles:
        return
    handles = [handle(series.kind, styles[name]) for name, series in legend(chart).items()]
    # A legend would leave out a name that begins with an underscore.
    labels = [fill(f"\u200b{name}" if name.startswith("_") else name, NAME) for name in styles]
    lines = max(label.count("\n") + 1 for label in labels)
    entry = 0.65 + 0.08 * max(len(line) for label in labels for line in label.split("\n"))  # inches
    width, height = figure.get_size_inches()
    columns = 1 if len(chart.panels) == 1 else min(len(labels), max(1, int(width / entry)))
    needed = 0.2 + LINE * lines * ceil(len(labels) / columns)
    if len(chart.panels) == 1:
        figure.set_size_inches(width + entry, max(height, needed))
        place = "outside right upper"
    else:
        figure.set_size_inches(width, height + needed)
        place = "outside lower center"
    figure.legend(handles, labels, loc=place, ncols=columns, frameon=False, fontsize=9.5)
