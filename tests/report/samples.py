"""A report by hand, with every kind of series, hostile names and missing intervals."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from meta_rl.charts.chart import Chart, Panel, Series
from meta_rl.evaluation.equivalence import Comparison, Verdict, Word
from meta_rl.report.files import Report
from meta_rl.report.tables import RunRecord, Table

HOSTILE = "<script>alert(1)</script> & $x$"
METHODS = ("MAML", "FOMAML", "Reptile", "pretrained", "random")


def frame(
    x: Sequence[float] | Sequence[str], y: Sequence[float], half: float = np.nan, note: str = ""
) -> pd.DataFrame:
    """Rows with the interval y ± half."""
    y_ = np.array(y, float)
    return pd.DataFrame({"x": x, "y": y_, "low": y_ - half, "high": y_ + half, "note": note})


def adaptation() -> Chart:
    """Returns against gradient steps: two panels with a common y-axis, a level and published results."""
    panels = []
    for title, shift in (("Navigation from the origin", 0.0), (f"Start {HOSTILE}", -4.0)):
        lines = [
            Series(
                name, frame([0, 1, 2, 3], [-40 + shift, -20 + 3 * i, -12 + 2 * i, -9.25 + i], 1.5, "5 seeds")
            )
            for i, name in enumerate(METHODS[:4])
        ]
        oracle = Series("oracle", frame([0], [-2.3], 0.8), "level")
        published = Series("MAML, published", frame([0, 1, 2, 3], [-41, -19, -11, -8], 2.0))
        panels.append(Panel(title, "gradient steps", "mean episode return", (*lines, oracle, published)))
    caption = "Mean over five seeds; bands are 95 % intervals."
    return Chart("adaptation", "Return after adaptation to new tasks", caption, tuple(panels))


def learning() -> Chart:
    """Long noisy lines before and after adaptation, in three panels of different units."""
    stream, steps, panels = np.random.default_rng(0), np.arange(500), []
    for task, top in (("ant_dir", 900), ("ant_vel", 100), ("cheetah_dir", 1500)):
        lines = []
        for i, name in enumerate(METHODS[:3]):
            level = top * (1 - np.exp(-steps / (80 + 40 * i)))
            for when, share in (("after adaptation", 1.0), ("before", 0.3)):
                y = (level * share + stream.normal(0, top / 40, len(steps))).tolist()
                data = frame((steps * 4000).tolist(), y, top / 15)
                lines.append(Series(f"{name}, {when}", data))
        panels.append(Panel(task, "environment steps", f"return of {task}", tuple(lines)))
    return Chart("learning", "Learning curves", "Bands: 95 % over seeds.", tuple(panels))


def final() -> Chart:
    """Bars in categories, with and without intervals, and a level."""
    tasks, parts = ["point mass", "ant", "half cheetah"], []
    for i, name in enumerate(METHODS[:3]):
        half = 0.06 if i else np.nan
        parts.append(Series(name, frame(tasks, [0.9 - i / 9, 0.7, 0.5 + i / 9], half), "bars"))
    parts.append(Series("oracle", frame([""], [1.0]), "level"))
    panel = Panel("Final score", "task", "normalised score", tuple(parts), "category")
    return Chart("final", "Final scores", "Bars: means over seeds.", (panel,))


def cost() -> Chart:
    """Points, one a series, and a hostile name."""
    names = [*METHODS, HOSTILE, "_hidden"]
    dots = [
        Series(name, frame([30.0 * 3**i], [100.0 * i + 12345], 300, "one run" if i % 2 else ""), "points")
        for i, name in enumerate(names)
    ]
    return Chart("cost", "Cost", "", (Panel("", "seconds of an iteration", "return", tuple(dots)),))


def empty() -> Chart:
    """No data at all."""
    nothing = pd.DataFrame({"x": [], "y": [], "low": [], "high": [], "note": []})
    return Chart("empty", "Nothing yet", "", (Panel("", "x", "y", (Series("MAML", nothing),)),))


def report(runs: int = 6, videos: tuple[Path, ...] = ()) -> Report:
    """Everything together."""
    scores = tuple(f"score on task family {i}" for i in range(8))
    summary = Table(
        ("method", "steps", "return", *scores),
        tuple((method, "3", "-3.0 ± 0.8", *["0.98 ± 0.01"] * 8) for method in METHODS[:4]),
    )
    words: tuple[Word, ...] = ("worse", "equivalent", "better", "undecided")
    return Report(
        title="What first-order methods lose, and save",
        summary=summary,
        verdicts=tuple(verdict(m, w, i) for i, (m, w) in enumerate(zip(METHODS[1:], words, strict=True))),
        charts=(adaptation(), learning(), final(), cost(), empty()),
        runs=tuple(run(i) for i in range(runs)),
        skipped=(f"runs/broken: no metrics.csv {HOSTILE}",),
        videos=videos,
        notes=("Intervals are t-intervals over seeds at 95 %.", f"A name cannot break the page: {HOSTILE}"),
        made={
            "command": "python report.py runs/*",
            "date": "2026-01-01",
            "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
        },
    )


def verdict(method: str, word: Word, i: int) -> Verdict:
    """A verdict with made-up numbers; without any if it is undecided."""
    if word == "undecided":
        return Verdict(method, "MAML", word, remark=f"no spread {HOSTILE}")
    result = Comparison(0.01 * i, (-0.01, 0.03 * i), (-0.02, 0.04 * i), 0.01, 0.05, (5, 5))
    return Verdict(method, "MAML", word, result, f"remark {i}")


def run(i: int) -> RunRecord:
    """The i-th run; the first has a hostile name."""
    method = METHODS[i % len(METHODS)]
    facts = {
        "method": f"{method}, {i % 3}",
        "seed": str(i),
        "iterations": "500",
        "environment steps": "4,000,000",
        "wall time": "12 min",
    }
    command = f"python train.py --config conf/{method.lower()}_point_mass.yaml --name '{HOSTILE}' --seed {i}"
    config = "seed_everything: 0\nmodel:\n  inner_lr: 0.1  # " + HOSTILE + "\n" + "  key: value\n" * 60
    name = HOSTILE if i == 0 else f"{method.lower()}_point_mass_seed{i}"
    return RunRecord(
        name, method, facts | {"machine": "16 cores, H100"}, (command, "python evaluate.py"), config
    )


def assert_same(a: Chart, b: Chart) -> None:
    """Two charts are the same but for the rounding of a CSV file."""
    assert (a.key, a.title, a.caption, len(a.panels)) == (b.key, b.title, b.caption, len(b.panels))
    for p, q in zip(a.panels, b.panels, strict=True):
        assert replace(p, series=()) == replace(q, series=())
        assert len(p.series) == len(q.series)
        for s, t in zip(p.series, q.series, strict=True):
            assert (s.name, s.kind) == (t.name, t.kind)
            pd.testing.assert_frame_equal(s.data, t.data, check_dtype=False, rtol=1e-6)
