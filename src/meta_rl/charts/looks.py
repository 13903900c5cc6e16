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
PUBLISHED = {  # by name, shape and dashes
    "maml, published": ("cross", DASHED),
    "maml with 20 episodes, published": ("diamond", (6, 3, 2, 3)),
    "pretrained, published": ("square", DOTTED),
    "random, published": ("triangle-down", (6, 2, 1, 2, 1, 2)),
    "oracle, published": ("circle", DOTTED),
}


class Look(NamedTuple):
    """How a series looks. Its band and its intervals have the same colour."""

    colour: str
    shape: str
    dashes: tuple[int, ...] = SOLID  # lengths of strokes and gaps, in pixels


FIXED = {
    **dict(zip(METHODS, map(Look, METHOD_COLOURS, SHAPES), strict=True)),
    **{name: Look(GREY, *how) for name, how in PUBLISHED.items()},
}


def looks(chart: Chart) -> dict[str, Look]:
    """The look of each series, by its name and in the order of the legend.

    Methods and published results have fixed looks. Others take the colours that are left, in turn.
    """
    names = dict.fromkeys(series.name for panel in chart.panels for series in panel.series)
    fixed = {name: FIXED[name.lower()] for name in names if name.lower() in FIXED}
    taken = {look.colour for look in fixed.values()}
    left = [colour for colour in COLOURS if colour not in taken] or COLOURS
    others = map(Look, cycle(left), cycle(OTHER_SHAPES))
    return {name: fixed[name] if name in fixed else next(others) for name in names}
