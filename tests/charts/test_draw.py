"""Figures: what they show, that nothing covers it, and the same bytes for the same chart."""

import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import samples
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from PIL import Image

from meta_rl.charts.chart import Chart, Panel
from meta_rl.charts.draw import MOST, compose, draw, panel_svg, shared_limits
from meta_rl.charts.looks import GREY, looks

CHARTS = samples.report().charts
MAKERS = pytest.mark.parametrize("chart", CHARTS, ids=[c.key for c in CHARTS])


def artists(axis: Axes, chart: Chart, name: str, kind: type) -> list:
    gid = f"series-{list(looks(chart)).index(name)}"
    return [a for a in axis.get_children() if a.get_gid() == gid and isinstance(a, kind)]


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_the_same_chart_is_the_same_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for i, file in enumerate(files):
        monkeypatch.setattr(time, "time", lambda: 1e9 + 1e6 * i)  # noqa: B023
        draw(samples.adaptation(), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not re.search(rb"CreationDate|ModDate|Date:", files[0].read_bytes())


def test_a_png_has_no_metadata_but_its_resolution(tmp_path: Path) -> None:
    draw(samples.empty(), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert set(image.info) == {"dpi"}


@MAKERS
def test_the_legend_covers_no_panel_and_lies_inside_the_figure(chart: Chart) -> None:
    figure, axes = compose(chart)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert not any(box.overlaps(tight) for axis in axes if (tight := axis.get_tightbbox()))
    assert figure.bbox.x0 <= box.x0
    assert figure.bbox.y0 <= box.y0
    assert box.x1 <= figure.bbox.x1 + 0.5
    assert box.y1 <= figure.bbox.y1 + 0.5
    texts = [text.get_text().replace("\n", " ").strip("\u200b") for text in figure.legends[0].get_texts()]
    assert texts == list(looks(chart))


def test_methods_look_the_same_in_every_figure_and_published_ones_are_grey() -> None:
    everywhere = [looks(chart) for chart in CHARTS]
    assert {styles["MAML"] for styles in everywhere if "MAML" in styles} == {everywhere[0]["MAML"]}
    before, after = (everywhere[1][f"MAML, {when}"] for when in ("before", "after adaptation"))
    assert (before.colour, before.marker) == (after.colour, after.marker)
    assert before != after
    published = everywhere[0]["MAML, published"]
    assert (published.colour, published.marker, published.dashes) == (GREY, "x", "--")


def test_looks_differ_even_where_there_are_more_than_colours() -> None:
    lines = tuple(samples.series(f"method {i}", samples.frame([0], [0])) for i in range(12))
    chart = Chart("x", "", "", (Panel("", "", "", (*lines, samples.series("MAML", lines[0].data))),))
    found = list(looks(chart).values())
    assert len({(look.colour, look.marker) for look in found}) == len(found)
    assert [look.colour for look in found].count(looks(chart)["MAML"].colour) == 1


def test_a_line_has_its_band() -> None:
    chart = samples.adaptation()
    axis = compose(chart)[1][0]
    (band,) = [a for a in axis.collections if a.get_gid() == "series-0"]
    corners = band.get_paths()[0].vertices
    data = chart.panels[0].series[0].data
    for row in data.itertuples():
        assert {row.low, row.high} <= set(corners[corners[:, 0] == row.x, 1])


def test_bars_stand_apart_and_points_on_the_bar_of_their_method() -> None:
    chart = samples.final()
    axis = compose(chart)[1][0]
    bars = sorted((p.get_x(), p.get_x() + p.get_width()) for p in axis.patches if isinstance(p, Rectangle))
    assert len(bars) == 18
    assert all(right < left for (_, right), (left, _) in pairwise(bars))
    own = artists(axis, chart, "MAML, last iteration", Rectangle)
    (points,) = [line for line in axis.lines if len(line.get_xdata()) == 9]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in own]
    np.testing.assert_allclose(points.get_xdata(), np.repeat(middles, 3))


def test_intervals_are_drawn_where_they_are_known() -> None:
    chart = samples.final()
    axis = compose(chart)[1][0]
    (known,) = artists(axis, chart, "MAML, last iteration", LineCollection)
    assert [segment[:, 1].round(3).tolist() for segment in known.get_segments()] == [
        [0.84, 0.96],
        [0.64, 0.76],
        [0.44, 0.56],
    ]
    (unknown,) = artists(axis, chart, "MAML, before", LineCollection)
    assert not unknown.get_segments()


def test_panels_share_the_y_axis_only_if_it_means_the_same() -> None:
    assert shared_limits(samples.learning()) is None
    assert len({axis.get_ylim() for axis in compose(samples.learning())[1]}) == 3
    low, high = shared_limits(samples.adaptation()) or (0, 0)
    assert low < -45.5
    assert high > -1.5
    axes = compose(samples.adaptation())[1]
    assert [axis.get_ylim() for axis in axes] == [(low, high)] * 2
    assert [axis.get_ylabel() for axis in axes] == ["mean episode return", ""]


def test_many_panels_wrap_into_rows() -> None:
    one = samples.final().panels[0]
    figure, axes = compose(replace(samples.final(), panels=(one,) * 9))
    figure.draw_without_rendering()
    rows = [round(axis.get_position().y0, 2) for axis in axes]
    assert len(axes) == 9
    assert max(rows.count(y) for y in rows) <= 4


@pytest.mark.parametrize("chart", [samples.adaptation(), samples.cost()], ids=["line", "log"])
def test_hover_positions_are_where_the_markers_are(chart: Chart) -> None:
    svg, points = panel_svg(chart.panels[0], looks(chart), "label", shared_limits(chart))
    svg = svg.replace("xlink:", "")
    for entry in (p for p in points if not p["level"]):
        uses = ElementTree.fromstring(svg).findall(f".//g[@data-series='{entry['series']}']//use")
        drawn = [(use.get("x"), use.get("y")) for use in uses if "stroke" in use.get("style", "")]  # no band
        data = [(x, y) for x, y, *_ in entry["data"]]
        np.testing.assert_allclose(np.array(drawn, float), data, atol=0.06)


def test_what_the_page_tells_of_a_datum() -> None:
    chart = samples.adaptation()
    _, points = panel_svg(chart.panels[0], looks(chart), "label")
    assert points[0]["name"] == "MAML"
    assert points[0]["data"][3][2:] == ["3", "-9.25", "-10.75 to -7.75", "5 seeds"]
    level = next(p for p in points if p["level"])
    assert [row[2:] for row in level["data"]] == [["", "-2.3", "-3.1 to -1.5", ""]]


def test_names_in_an_svg_are_text_and_no_formulas() -> None:
    panel = replace(samples.cost().panels[0], x=samples.HOSTILE)
    chart = replace(samples.cost(), panels=(panel,))
    svg, _ = panel_svg(panel, looks(chart), f'a "{samples.HOSTILE}"')
    assert "<script" not in svg
    assert svg.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x$</text>") == 1
    assert 'aria-label="a &quot;&lt;script&gt;' in svg


def test_long_lines_are_thinned_on_the_page_with_both_ends() -> None:
    chart = samples.learning()
    svg, points = panel_svg(chart.panels[0], looks(chart), "label")
    x = [row[2] for row in points[0]["data"]]
    assert (len(x), x[0], x[-1]) == (MOST, "0", "1,996,000")
    assert len(svg) < 100_000


def test_an_svg_is_the_same_each_time() -> None:
    chart = samples.cost()
    first, second = (panel_svg(chart.panels[0], looks(chart), "label") for _ in range(2))
    assert first == second
