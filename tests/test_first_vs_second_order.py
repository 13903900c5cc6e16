"""The arithmetic of the benchmark of first against second order; its times are not tested."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from timing_summary import charts, high, low, summarise

CASE = {"family": "ant", "inner_steps": 1, "tasks": 2, "episodes": 3}
PARTS = ("gradient", "step", "iteration")


@pytest.fixture
def summary() -> pd.DataFrame:
    """Three rounds in which the machine slows down: MAML takes 2, 3 and 4 times as long as FOMAML."""
    seconds = {"FOMAML": (1.0, 10.0, 100.0), "MAML": (2.0, 30.0, 400.0)}
    rounds = [
        {**CASE, "algorithm": name, "round": i, "part": part, "seconds": value}
        for part in PARTS
        for name, values in seconds.items()
        for i, value in enumerate(values)
    ]
    memory = [
        {**CASE, "algorithm": name, "start_mb": 100.0, "peak_mb": peak}
        for name, peak in {"MAML": 400.0, "FOMAML": 150.0}.items()
    ]
    return summarise(pd.DataFrame(rounds), pd.DataFrame(memory))


def test_ratios_are_paired_by_round(summary: pd.DataFrame) -> None:
    rows = summary.set_index(["algorithm", "part"])
    assert rows.loc[("FOMAML", "step"), "ratio"] == 3.0
    assert rows.loc[("MAML", "step"), "ratio"] == 1.0
    assert rows.loc[("MAML", "iteration"), "seconds"] == 30.0
    assert rows.added_mb.unstack().step.to_dict() == {"MAML": 300.0, "FOMAML": 50.0}


def test_interval_of_a_median() -> None:
    """Of 9 values the second and the eighth: 1 - 2 (1 + 9) / 2^9 = 96.1 %, while a third would give 82 %."""
    values = pd.Series([5.0, 1.0, 9.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0])
    assert (low(values), high(values)) == (2.0, 8.0)
    assert (low(values[:6]), high(values[:6])) == (1.0, 9.0)
    assert pd.isna(low(values[:5]))
    assert pd.isna(high(values[:5]))


def test_a_panel_for_each_family_and_part_and_memory(summary: pd.DataFrame) -> None:
    for chart in charts(summary, rounds=3):
        assert len(chart.panels) == 4
        for panel in chart.panels:
            assert [series.name for series in panel.series] == ["MAML", "FOMAML"]
            assert all(len(series.data) == 1 for series in panel.series)
    assert [s.data.y[0] for s in chart.panels[3].series] == [300.0, 50.0]
