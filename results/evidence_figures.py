"""The figures of the evidence, from the tables that git keeps: results/evidence/runs and verdicts.csv.

    python results/evidence_figures.py      after results/evidence.py

evidence/learning.png      score after adaptation while training, against environment steps
evidence/second_order.png  size of the second-order term while training
evidence/adaptation.png    score on the tasks of the outcome, against gradient steps
evidence/verdict.png       FOMAML's score minus MAML's with the interval of the latest look, once there is one
"""

from pathlib import Path

import numpy as np
import pandas as pd
from evidence import EVIDENCE, MARGIN, NAMES, SMOOTHED

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.charts.draw import draw
from meta_rl.evaluation.published import published_returns
from meta_rl.evaluation.scores import ScoreRange
from meta_rl.evaluation.statistics import mean_over_seeds, seeds_text

TITLES = {
    "ant_dir": "Ant, forward or backward",
    "ant_vel": "Ant, goal velocity",
    "cheetah_dir": "HalfCheetah, forward or backward",
    "cheetah_vel": "HalfCheetah, goal velocity",
}
SCORE = "normalised score"
POINTS = 80  # along a learning curve
SEEDS = "Means over seeds; bands: 95 % t-intervals of three seeds or more."
SCALE = "The score is 0 for the published random policy and 1 for the published oracle."


def learning_chart(runs: pd.DataFrame, folder: Path) -> Chart:
    """Scores while training, at equal environment steps."""
    caption = f"Score after one gradient step while training, means of {SMOOTHED} iterations. {SEEDS} {SCALE}"
    panels = training_panels(runs, folder, "return_post", SCORE)
    return Chart("learning", "Learning curves of the evidence", caption, panels)


def second_order_chart(runs: pd.DataFrame, folder: Path) -> Chart:
    """How much of MAML's gradient is second order, in MAML's own training and in FOMAML's."""
    caption = (
        "Length of the difference between MAML's and FOMAML's gradients of the same data, relative to the "
        f"length of MAML's; every tenth iteration, means of five. {SEEDS}"
    )
    panels = training_panels(runs, folder, "second_order_norm", "size of the second-order term")
    return Chart("second_order", "The second-order term of the evidence", caption, panels)


def training_panels(runs: pd.DataFrame, folder: Path, column: str, label: str) -> tuple[Panel, ...]:
    """A panel for each family: means over seeds of a column of metrics.csv, against environment steps."""
    panels = []
    for family, own in runs.groupby("family", sort=False):
        series = []
        for method, of_method in own[own["method"].isin(["maml", "fomaml"])].groupby("method", sort=False):
            curves = [curve_of(metrics_of(folder, row), column) for _, row in of_method.iterrows()]
            grid = np.linspace(max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves), POINTS)
            sample = np.stack([np.interp(grid, x, y) for x, y in curves])
            if label == SCORE:
                sample = ScoreRange.published(published_returns(str(family))).normalise(sample)
            data = series_data(grid, *mean_over_seeds(sample), note=seeds_text(len(curves)))
            series.append(Series(NAMES[str(method)], data))
        panels.append(Panel(TITLES[str(family)], "million environment steps", label, tuple(series)))
    return tuple(panels)


def metrics_of(folder: Path, row: pd.Series) -> pd.DataFrame:
    """The metrics of a row of runs.csv."""
    (path,) = folder.glob(f"evidence_*/seed{row['seed']}-{row['method']}_{row['family']}/metrics.csv.gz")
    return pd.read_csv(path)


def curve_of(metrics: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Million environment steps, which differ as Ants fall, and smoothed values of one run."""
    known = metrics[metrics[column].notna()]
    smooth = known[column].rolling(SMOOTHED if len(known) == len(metrics) else 5).mean().dropna()
    return metrics.loc[smooth.index, "env_steps"].to_numpy(float) / 1e6, smooth.to_numpy(float)


def adaptation_chart(runs: pd.DataFrame) -> Chart:
    """Scores before and after each gradient step on the tasks of the outcome; a level for the oracle."""
    panels = []
    for family, own in runs.groupby("family", sort=False):
        ends = ScoreRange.published(published_returns(str(family)))
        series = []
        for method, of_method in own.groupby("method", sort=False):
            returns = of_method[[f"return_{step}" for step in range(4)]].dropna(axis=1, how="all").dropna()
            if len(returns):
                sample = ends.normalise(returns.to_numpy(float))
                steps = np.arange(sample.shape[1], dtype=float)
                data = series_data(steps, *mean_over_seeds(sample), note=seeds_text(len(sample)))
                name = NAMES.get(str(method), str(method))
                series.append(Series(name, data, "line" if len(steps) > 1 else "level"))
        panels.append(Panel(TITLES[str(family)], "gradient steps", SCORE, tuple(series)))
    caption = f"Score on the 40 tasks of the outcome. {SEEDS} {SCALE}"
    return Chart("adaptation", "Adaptation of the evidence's policies", caption, tuple(panels))


def verdict_chart(verdicts: pd.DataFrame) -> Chart:
    """The difference between the methods with the interval that decides on equivalence, and the margin."""
    latest = verdicts.groupby("family", sort=False).tail(1)
    names = [TITLES[family] for family in latest["family"]]
    notes = [f"{row['seeds']} seeds each: {row['verdict']}" for _, row in latest.iterrows()]
    points = series_data(names, latest["difference"], latest["low"], latest["high"], notes)
    margin = series_data([""], [0.0], -MARGIN, MARGIN)
    series = (Series("FOMAML - MAML", points, "points"), Series("margin of the protocol", margin, "level"))
    caption = (
        "FOMAML's mean score minus MAML's, after one gradient step, with the interval of the latest look: "
        "within the margin, the methods are equivalent."
    )
    panel = Panel("", "", "difference in score", series, "category")
    return Chart("verdict", "What first order loses", caption, (panel,))


def main() -> None:
    runs = pd.read_csv(EVIDENCE / "runs.csv")
    draw(learning_chart(runs, EVIDENCE / "runs"), EVIDENCE / "learning.png")
    draw(second_order_chart(runs, EVIDENCE / "runs"), EVIDENCE / "second_order.png")
    draw(adaptation_chart(runs), EVIDENCE / "adaptation.png")
    if (verdicts := EVIDENCE / "verdicts.csv").exists():
        draw(verdict_chart(pd.read_csv(verdicts)), EVIDENCE / "verdict.png")


if __name__ == "__main__":
    main()
