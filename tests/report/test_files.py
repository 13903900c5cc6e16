"""Charts and reports survive their files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from directories import config, write_evaluation, write_run, write_study
from samples import report as sample_report

from meta_rl.charts.chart_file import from_csv, to_csv
from meta_rl.errors import UserError
from meta_rl.report import files
from meta_rl.report.build import build
from meta_rl.report.curves import table
from meta_rl.report.model import Chart, Panel, Report, Series


def assert_same(a: Chart, b: Chart) -> None:
    assert (a.key, a.title, a.caption, len(a.panels)) == (b.key, b.title, b.caption, len(b.panels))
    for p, q in zip(a.panels, b.panels, strict=True):
        assert replace(p, series=()) == replace(q, series=())
        assert len(p.series) == len(q.series)
        for s, t in zip(p.series, q.series, strict=True):
            assert (s.name, s.kind, s.look, s.dashed) == (t.name, t.kind, t.look, t.dashed)
            pd.testing.assert_frame_equal(s.data, t.data, check_dtype=False, rtol=1e-6)


def hostile() -> Chart:
    """Everything that could go wrong in a CSV file."""
    numbers = table(
        [1.0, 2.5, 1e6], [1 / 3, np.nan, -2e-9], [0.1, np.nan, np.nan], 7.0, ["", "a, b", "5 seeds"]
    )
    names = table(["NA", "0.5, 0.25", "# no comment"], [1.0, 2.0, 3.0], note='"quoted"\nand broken')
    panels = (
        Panel(
            "one: two",
            "x # y",
            "y",
            (Series("a", numbers), Series("a", numbers, "points", "MAML", True)),
            "log",
        ),
        Panel(
            "",
            "",
            "",
            (Series("null", names, "bars"), Series("level", table([""], [1.0]), "level")),
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
    chart = Chart("k", "t", "c", (Panel("", "", "", (Series("s", table([0.1 + 0.2], [1 / 3])),)),))
    assert to_csv(chart).splitlines()[-2:] == ["panel,series,x,y,low,high,note", "1,1,0.3,0.3333333,,,"]


def test_a_report_survives_its_files(tmp_path: Path) -> None:
    report = build(
        [write_study(tmp_path / "runs")], "evaluation", {"command": "report.py", "versions": {"a": "1"}}
    )
    files.save(report, tmp_path / "out")
    loaded = files.load(tmp_path / "out")
    for a, b in zip(loaded.charts, report.charts, strict=True):
        assert_same(a, b)
    pd.testing.assert_frame_equal(loaded.summary, report.summary, check_dtype=False)
    plain = {"charts": (), "summary": None}
    assert replace(loaded, **plain) == replace(report, **plain)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    files.save(loaded, tmp_path / "out")
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}


@pytest.fixture
def small(tmp_path: Path) -> Report:
    """A report of one run with a video, quick to draw."""
    run = write_run(tmp_path / "runs" / "a", config())
    write_evaluation(run / "evaluation", [[1.0, 2.0]])
    (run / "evaluation" / "video").mkdir()
    (run / "evaluation" / "video" / "task-0.mp4").write_bytes(b"film")
    return build([run], "evaluation", {})


def test_an_earlier_report_makes_room(tmp_path: Path, small: Report) -> None:
    out = tmp_path / "out"
    files.save(small, out)
    (out / "figures").mkdir()
    for chart in small.charts:
        for suffix in (".png", ".pdf"):
            (out / "figures" / f"{chart.key}{suffix}").touch()
    mine = [out / "data" / "mine.csv", out / "figures" / "mine.png", out / "videos" / "mine.mp4"]
    for path in mine:
        path.touch()
    files.save(replace(small, charts=small.charts[:1], videos=()), out)
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    key = small.charts[0].key
    assert left == {f"data/{key}.csv", "data/mine.csv", "figures/mine.png", "videos/mine.mp4", "report.json"}


def test_nothing_outside_is_removed(tmp_path: Path, small: Report) -> None:
    out = tmp_path / "out"
    files.save(small, out)
    for name in ("outside.csv", "outside.mp4"):
        (tmp_path / name).touch()
    content = json.loads((out / "report.json").read_text())
    content |= {"charts": ["../../outside"], "videos": ["../outside.mp4", "videos/../../outside.mp4"]}
    (out / "report.json").write_text(json.dumps(content))
    files.save(small, out)
    assert (tmp_path / "outside.csv").exists()
    assert (tmp_path / "outside.mp4").exists()


def test_videos_are_kept(tmp_path: Path, small: Report) -> None:
    files.save(small, tmp_path / "out")
    (video,) = files.load(tmp_path / "out").videos
    assert video == tmp_path / "out" / "videos" / "1-a" / "task-0.mp4"
    assert video.read_bytes() == b"film"
    video.unlink()
    assert files.load(tmp_path / "out").videos == ()


def test_damaged_reports_are_refused(tmp_path: Path, small: Report) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"report.json: No such file or directory; report.py RUNS writes it"):
        files.load(out)
    files.save(small, out)
    (out / "data" / "adaptation.csv").write_text("panel\n")
    with pytest.raises(UserError, match=r"adaptation.csv: not written by this report.py, or damaged"):
        files.load(out)
    for text in ("", "[]", "{}", '{"charts": [], "format": 99}'):
        (out / "report.json").write_text(text)
        with pytest.raises(UserError, match=r"report.json: not written by this report.py, or damaged"):
            files.load(out)
