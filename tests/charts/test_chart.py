"""A chart survives its CSV file."""

import numpy as np
import pytest
from samples import assert_same
from samples import report as sample_report

from meta_rl.charts.chart import Chart, Panel, Series, from_csv, series_data, to_csv


def hostile() -> Chart:
    """Everything that could go wrong in a CSV file."""
    numbers = series_data(
        [1.0, 2.5, 1e6], [1 / 3, np.nan, -2e-9], [0.1, np.nan, np.nan], 7.0, ["", "a, b", "5 seeds"]
    )
    names = series_data(["NA", "0.5, 0.25", "# no comment"], [1.0, 2.0, 3.0], note='"quoted"\nand broken')
    panels = (
        Panel(
            "one: two",
            "x # y",
            "y",
            (Series("a", numbers), Series("a", numbers, "points")),
        ),
        Panel(
            "",
            "",
            "",
            (Series("null", names, "bars"), Series("level", series_data([""], [1.0]), "level")),
            "category",
        ),
        Panel("empty", "x", "y", (Series("nothing", numbers.iloc[:0]),)),
    )
    return Chart(
        "key", "A title: with colon", "A caption,\n # with 'everything' \\ é " + "long " * 60, panels
    )


@pytest.mark.parametrize("chart", [hostile(), *sample_report().charts], ids=lambda c: c.key)
def test_a_chart_survives_its_file(chart: Chart) -> None:
    text = to_csv(chart)
    assert_same(from_csv(text), chart)
    assert to_csv(from_csv(text)) == text


def test_numbers_have_seven_digits() -> None:
    chart = Chart("k", "t", "c", (Panel("", "", "", (Series("s", series_data([0.1 + 0.2], [1 / 3])),)),))
    assert to_csv(chart).splitlines()[-2:] == ["panel,series,x,y,low,high,note", "1,1,0.3,0.3333333,,,"]
