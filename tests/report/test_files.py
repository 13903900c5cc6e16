"""Reports survive their files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from directories import config, write_evaluation, write_run, write_study
from samples import assert_same

from meta_rl.errors import UserError
from meta_rl.report import files
from meta_rl.report.build import build
from meta_rl.report.files import Report


def test_a_report_survives_its_files(tmp_path: Path) -> None:
    report = build(
        [write_study(tmp_path / "runs")], "evaluation", {"command": "report.py", "versions": {"a": "1"}}
    )
    files.save(report, tmp_path / "out")
    loaded = files.load(tmp_path / "out")
    for a, b in zip(loaded.charts, report.charts, strict=True):
        assert_same(a, b)
    assert replace(loaded, charts=()) == replace(report, charts=())
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
        for suffix in files.FIGURES:
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
    for text in ("", "[]", "{}", '{"charts": [], "format": 99}', '{"charts": [], "format": 2, "notes": [1]}'):
        (out / "report.json").write_text(text)
        with pytest.raises(UserError, match=r"report.json: not written by this report.py, or damaged"):
            files.load(out)
