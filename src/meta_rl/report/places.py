"""Where on the x-axis the data of a panel stand: at its number, or side by side in its category."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from meta_rl.report.model import Panel, Series

FILLED = 0.8  # of the room that a category or a bar has


class Places(NamedTuple):
    """Positions on the x-axis.

    Attributes:
        x: For each series of the panel, the position of each of its rows.
        width: Of a bar.
        categories: The names on the axis, which stand at 0, 1, 2, ...; empty where x is a number.
    """

    x: list[NDArray[np.float64]]
    width: float
    categories: list[str]


def places(panel: Panel) -> Places:
    """Where the data of all series stand; a level's are all 0, which means nothing."""
    if panel.scale != "category":
        x = [_zeros(s) if s.kind == "level" else s.data["x"].to_numpy(float) for s in panel.series]
        return Places(x, FILLED * _smallest_gap(panel, x), [])
    names = [s.data["x"].astype(str).tolist() if s.kind != "level" else [] for s in panel.series]
    categories = list(dict.fromkeys(name for column in names for name in column))
    slots = {name: _slots(panel, names, name) for name in categories}
    width = FILLED / max([len(s) for s in slots.values()] + [1])
    x = []
    for series, column in zip(panel.series, names, strict=True):
        slot = _slot(series, panel)
        at = [categories.index(name) + width * _offset(slots[name], slot) for name in column]
        x.append(np.array(at, float) if series.kind != "level" else _zeros(series))
    return Places(x, width, categories)


def _zeros(series: Series) -> NDArray[np.float64]:
    return np.zeros(len(series.data))


def _slots(panel: Panel, names: list[list[str]], category: str) -> list[str]:
    """What stands side by side in a category, from left to right."""
    inside = [_slot(s, panel) for s, column in zip(panel.series, names, strict=True) if category in column]
    return [slot for slot in dict.fromkeys(inside) if slot]


def _slot(series: Series, panel: Panel) -> str:
    """A series has a slot of its own, but points stand on the bar of the same look; lines need no room."""
    if series.kind in ("line", "level"):
        return ""
    bars = [s for s in panel.series if s.kind == "bars" and s.look and s.look == series.look]
    same = [s.name for s in bars if s.dashed == series.dashed]
    return same[0] if series.kind == "points" and same else series.name


def _offset(slots: list[str], slot: str) -> float:
    return slots.index(slot) - (len(slots) - 1) / 2 if slot else 0.0


def _smallest_gap(panel: Panel, x: list[NDArray[np.float64]]) -> float:
    bars = [column for s, column in zip(panel.series, x, strict=True) if s.kind == "bars"]
    gaps = np.diff(np.unique(np.concatenate(bars))) if bars else np.array([])
    return float(gaps.min()) if gaps.size else 1.0
