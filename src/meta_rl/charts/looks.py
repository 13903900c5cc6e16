"""Colour, marker and dashes: a method looks the same in every figure, whatever else is in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from meta_rl.charts.chart import Chart, Series

# Okabe and Ito's palette without the yellow: told apart with any colour vision, and in print by the markers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^Dvph"  # one more than the colours: a seventh curve has the first's colour, not its marker
GREY = "#595959"
STYLE = {"linewidth": 1.6, "markersize": 5}
PUBLISHED_STYLES = {  # marker and dashes
    "maml": ("x", "--"),
    "maml_batch20": ("+", "-."),
    "pretrained": ("s", (0, (1, 1))),
    "random": ("*", (0, (6, 2, 1, 2, 1, 2))),
}
PUBLISHED_NAMES = {"maml": "MAML", "maml_batch20": "MAML with 20 episodes"}  # in legends, where they differ

METHODS = ("maml", "fomaml", "reptile", "pretrained", "random", "oracle")
OTHER_MARKERS = "hP*X<>8"  # none of a method's, so that a colour that comes again has another marker


@dataclass(frozen=True)
class Look:
    """How a series looks. Its band or error bars have the same colour."""

    colour: str
    marker: str
    dashes: Any = "-"  # a matplotlib line style
    hollow: bool = False  # markers and bars without filling


FIXED = {name: Look(colour, marker) for name, colour, marker in zip(METHODS, COLOURS, MARKERS, strict=False)}


def legend(chart: Chart) -> dict[str, Series]:
    """The entries of a chart's legend: by name, the first series of that name."""
    entries: dict[str, Series] = {}
    for panel in chart.panels:
        for series in panel.series:
            entries.setdefault(series.name, series)
    return entries


def looks(chart: Chart) -> dict[str, Look]:
    """The look of each series, by its name and in the order of the legend."""
    entries = legend(chart)
    base = _base_looks(map(_look_of, entries.values()))
    found = {name: base[_look_of(series)] for name, series in entries.items()}
    return {name: _secondary(look) if entries[name].dashed else look for name, look in found.items()}


def _look_of(series: Series) -> str:
    return (series.look or series.name).strip().lower()


def _base_looks(names: Iterable[str]) -> dict[str, Look]:
    """Methods and published results have fixed looks; others take the colours that are left, in turn."""
    unique = list(dict.fromkeys(names))
    found = {name: FIXED[name] for name in unique if name in FIXED}
    found |= {name: _published(name) for name in unique if name.startswith("published")}
    taken = {look.colour for look in found.values()}
    rest = zip(cycle([c for c in COLOURS if c not in taken] or COLOURS), cycle(OTHER_MARKERS), strict=False)
    return found | {name: Look(*next(rest)) for name in unique if name not in found}


def _published(name: str) -> Look:
    method = name.removeprefix("published").strip(" _:-").replace(" ", "_")
    marker, dashes = PUBLISHED_STYLES.get(method, ("", ":") if method == "oracle" else ("P", "--"))
    return Look(GREY, marker, dashes)


def _secondary(look: Look) -> Look:
    return Look(look.colour, look.marker, "--" if look.dashes == "-" else look.dashes, hollow=True)
