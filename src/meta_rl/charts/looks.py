"""Colour, shape and dashes: a method looks the same in every figure, whatever else is in it."""

from itertools import cycle
from typing import NamedTuple

from meta_rl.charts.chart import Chart

# Okabe and Ito's palette without the yellow: told apart with any colour vision, and in print by the shapes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
METHODS = ("maml", "fomaml", "reptile", "pretrained", "random", "oracle", "es-maml")
METHOD_COLOURS = (*COLOURS, "#000000")
VERTICAL_BAR = "M-.4,-1L.4,-1L.4,1L-.4,1Z"
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", VERTICAL_BAR)
# None of a method's; 7, so that a colour that comes again has another shape.
OTHER_SHAPES = (
    "triangle-left",
    "triangle-right",
    "arrow",
    "wedge",
    "M-1,-1L1,-1L0,0L1,1L-1,1L0,0Z",  # hourglass
    "M-1,-1L0,0L1,-1L1,1L0,0L-1,1Z",  # bow
    "M-1,-.4L1,-.4L1,.4L-1,.4Z",  # bar
)
GREY = "#595959"  # of published results
SOLID, DASHED, DOTTED = (1, 0), (6, 4), (2, 3)
PUBLISHED = {  # by method, shape and dashes
    "maml": ("cross", DASHED),
    "maml_batch20": ("diamond", (6, 3, 2, 3)),
    "pretrained": ("square", DOTTED),
    "random": ("triangle-down", (6, 2, 1, 2, 1, 2)),
    "oracle": ("circle", DOTTED),
}


class Look(NamedTuple):
    """How a series looks. Its band and its intervals have the same colour."""

    colour: str
    shape: str
    dashes: tuple[int, ...] = SOLID  # lengths of strokes and gaps, in pixels


def looks(chart: Chart) -> dict[str, Look]:
    """The look of each series, by its name and in the order of the legend.

    Methods and published results have fixed looks. Others take the colours that are left, in turn.
    """
    series = [s for panel in chart.panels for s in panel.series]
    names = {s.name: (s.look or s.name).strip().lower() for s in series}
    found = {look: fixed for look in names.values() if (fixed := _fixed(look))}
    taken = {look.colour for look in found.values()}
    rest = zip(cycle([c for c in COLOURS if c not in taken] or COLOURS), cycle(OTHER_SHAPES), strict=False)
    found |= {look: Look(*next(rest)) for look in dict.fromkeys(names.values()) if look not in found}
    dashed = {s.name for s in series if s.dashed}
    return {n: found[k]._replace(dashes=DASHED) if n in dashed else found[k] for n, k in names.items()}


def _fixed(look: str) -> Look | None:
    if look in METHODS:
        return Look(METHOD_COLOURS[METHODS.index(look)], SHAPES[METHODS.index(look)])
    if look.startswith("published"):
        method = look.removeprefix("published").strip(" _:-").replace(" ", "_")
        return Look(GREY, *PUBLISHED.get(method, ("cross", DASHED)))
    return None
