"""Figures: what their specifications show, and the same bytes for the same chart."""

import json
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
import samples
from PIL import Image

from meta_rl.charts.chart import Chart, Panel, Series
from meta_rl.charts.draw import draw, specification
from meta_rl.charts.looks import DASHED, GREY, Look, looks
from meta_rl.report.groups import ORDER

CHARTS = samples.report().charts


def layers(chart: Chart, panel: int, mark: str) -> list[dict[str, Any]]:
    """The layers of a panel with this mark."""
    return [one for one in specification(chart)["concat"][panel]["layer"] if one["mark"]["type"] == mark]


def rows(chart: Chart, layer: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of a layer."""
    return specification(chart)["datasets"][layer["data"]["name"]]


def test_the_same_chart_is_the_same_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        draw(samples.final(), *(tmp_path / folder / f"x{suffix}" for suffix in (".svg", ".png", ".pdf")))
    for suffix in (".svg", ".png"):
        first, second = ((tmp_path / folder / f"x{suffix}").read_bytes() for folder in ("a", "b"))
        assert first == second
    assert not re.search(rb"CreationDate|ModDate|Date:", (tmp_path / "a" / "x.pdf").read_bytes())


def test_a_png_has_no_metadata_but_its_resolution(tmp_path: Path) -> None:
    draw(samples.empty(), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert set(image.info) <= {"dpi"}


@pytest.mark.parametrize("chart", CHARTS, ids=[c.key for c in CHARTS])
def test_every_chart_is_drawn_with_all_its_names(chart: Chart, tmp_path: Path) -> None:
    draw(chart, tmp_path / "x.svg")
    svg = (tmp_path / "x.svg").read_text()
    assert "<script" not in svg
    if chart.key == "empty":
        assert "no data" in svg
    else:
        assert [name for name in looks(chart) if f">{escape(name, quote=False)}</text>" not in svg] == []


def test_methods_look_the_same_in_every_figure_and_published_ones_are_grey() -> None:
    everywhere = [looks(chart) for chart in CHARTS]
    assert {styles["MAML"] for styles in everywhere if "MAML" in styles} == {everywhere[0]["MAML"]}
    published = everywhere[0]["MAML, published"]
    assert (published.colour, published.dashes) == (GREY, DASHED)


def test_every_method_has_a_look_that_does_not_depend_on_the_others() -> None:
    def found(*names: str) -> dict[str, Look]:
        lines = tuple(Series(name, samples.frame([0], [0])) for name in names)
        return looks(Chart("x", "", "", (Panel("", "", "", lines),)))

    together = found(*ORDER)
    assert len({(look.colour, look.shape) for look in together.values()}) == len(ORDER)
    assert together == {name: found("first", name)[name] for name in ORDER}


def test_looks_differ_even_where_there_are_more_than_colours() -> None:
    lines = tuple(Series(f"method {i}", samples.frame([0], [0])) for i in range(12))
    chart = Chart("x", "", "", (Panel("", "", "", (*lines, Series("MAML", lines[0].data))),))
    found = list(looks(chart).values())
    assert len({(look.colour, look.shape) for look in found}) == len(found)
    assert [look.colour for look in found].count(looks(chart)["MAML"].colour) == 1


def test_colour_shape_and_dashes_of_each_name_are_in_the_legend() -> None:
    chart = samples.adaptation()
    encoding = layers(chart, 0, "line")[0]["encoding"] | layers(chart, 0, "point")[0]["encoding"]
    styles = looks(chart)
    for channel, attribute in (("color", "colour"), ("shape", "shape"), ("strokeDash", "dashes")):
        scale = encoding[channel]["scale"]
        assert scale["domain"] == list(styles)
        expected = [getattr(look, attribute) for look in styles.values()]
        assert scale["range"] == json.loads(json.dumps(expected))


def test_a_line_has_its_band_and_a_level_too() -> None:
    chart = samples.adaptation()
    (area,) = layers(chart, 0, "area")
    assert (area["encoding"]["y"]["field"], area["encoding"]["y2"]["field"]) == ("low", "high")
    first = [row for row in rows(chart, area) if row["series"] == "MAML"][3]
    assert (first["x"], first["y"], first["low"], first["high"]) == (3, -9.25, -10.75, -7.75)
    (band,), (level,) = layers(chart, 0, "rect"), layers(chart, 0, "rule")
    assert "x" not in band["encoding"] | level["encoding"]
    assert [row["series"] for row in rows(chart, level)] == ["oracle"]


def test_bars_stand_apart_and_have_intervals_where_they_are_known() -> None:
    chart = samples.final()
    (bars,) = layers(chart, 0, "bar")
    assert bars["encoding"]["xOffset"]["sort"] == ["MAML", "FOMAML", "Reptile"]
    interval = layers(chart, 0, "rule")[0]
    assert interval["transform"] == [{"filter": "isValid(datum.low)"}]
    assert interval["encoding"]["xOffset"] == bars["encoding"]["xOffset"]
    assert [row["low"] for row in rows(chart, interval)][:3] == [None] * 3
    assert bars["encoding"]["y"]["scale"]["zero"]


def test_a_long_line_has_few_markers_and_tells_its_values_there() -> None:
    chart = samples.learning()
    (points,) = layers(chart, 0, "point")
    marked = [row["x"] for row in rows(chart, points) if row["series"] == "MAML, before"]
    assert 12 <= len(marked) <= 14
    assert len(points["encoding"]["tooltip"]) == 6
    assert layers(chart, 0, "line")[0]["encoding"]["tooltip"] == {"value": None}
    assert layers(chart, 0, "point")[0]["encoding"]["x"]["axis"]["format"] == "~s"  # 2M is 2 million


def test_panels_share_the_y_axis_only_if_it_means_the_same() -> None:
    domains = [layers(samples.adaptation(), i, "line")[0]["encoding"]["y"]["scale"] for i in (0, 1)]
    assert domains[0] == domains[1]
    assert domains[0]["domain"] == pytest.approx([-45.5, -1.5])
    assert "domain" not in layers(samples.learning(), 0, "line")[0]["encoding"]["y"]["scale"]


def test_legends_bring_out_series_and_numeric_panels_zoom() -> None:
    params = {p["name"]: p for p in specification(samples.adaptation())["params"]}
    assert set(params) == {"pick", "zoom_panel0", "zoom_panel1"}
    assert params["pick"]["bind"] == "legend"
    assert params["pick"]["views"] == ["panel0_0", "panel1_1"]
    assert params["zoom_panel1"]["bind"] == "scales"
    assert {p["name"] for p in specification(samples.final())["params"]} == {"pick"}


def test_many_panels_wrap_into_rows() -> None:
    one = samples.final().panels[0]
    for panels, columns in ((1, 1), (3, 3), (4, 2), (9, 3)):
        assert specification(replace(samples.final(), panels=(one,) * panels))["columns"] == columns
