"""From trained and evaluated runs to the committed tables; from the tables to the figures and the summary.

    python results/point_mass/collect.py RUNS_DIR    reads the runs, then draws
    python results/point_mass/collect.py             draws from the committed tables alone

Runs are directories ALGORITHM-SETTING-seedS with metrics.csv and evaluation-NAME/adaptation.csv, where NAME
is the number of iterations, with `-lower` behind it for lower rates of the later steps.
Written: learning.csv, adaptation.csv, summary.md, and adaptation-SETTING.png, learning-SETTING.png.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from meta_rl.plotting import plot_adaptation_panels, plot_learning
from meta_rl.reference import published_returns
from meta_rl.statistics import summarise, summarise_adaptation

ALGORITHMS = {"maml": "MAML", "fomaml": "FOMAML", "reptile": "Reptile"}
SETTINGS = {
    "origin05": "from the origin, inner rate 0.5",
    "start05": "from a random start, inner rate 0.5",
    "origin01": "from the origin, inner rate 0.1",
    "origin05adam": "from the origin, inner rate 0.5, Adam as meta-optimizer",
}
EVALUATIONS = {
    "100": "100 iterations",
    "400": "400 iterations",
    "400-lower": "400 iterations, third rate 0.1",
}
RUN = re.compile(r"(?P<algorithm>[^-]+)-(?P<setting>[^-]+)-seed(?P<seed>\d+)")
BLOCK = 10  # iterations averaged into one row of learning.csv
MEANS = ["return_pre", "return_post", "kl", "entropy_pre", "second_order_norm", "second_order_cosine"]
TIMES = ["time_sampling", "time_update"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs_dir", type=Path, nargs="?", help="Where the runs are; none: draw only.")
    parser.add_argument("--evaluations", nargs="+", default=list(EVALUATIONS), help="Names to compare.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="Of tables and figures.")
    args = parser.parse_args(argv)
    if args.runs_dir:
        args.output.mkdir(parents=True, exist_ok=True)
        collect(args.runs_dir, args.evaluations, args.output)
    draw(args.output)
    return 0


def collect(runs_dir: Path, evaluations: list[str], output: Path) -> None:
    """Write learning.csv and adaptation.csv. A file that a run lacks is reported and passed over."""
    learning, adaptation = [], []
    for run in sorted(runs_dir.iterdir()):
        match = RUN.fullmatch(run.name)
        if not match:
            continue
        who = {**match.groupdict(), "seed": int(match["seed"])}
        log = _read(run / "metrics.csv")
        if log is not None:
            learning.append(thin(log).assign(**who))
        for name in evaluations:
            tasks = _read(run / f"evaluation-{name}" / "adaptation.csv")
            if tasks is not None:
                adaptation.append(over_tasks(tasks).assign(**who, evaluation=name))
    if not learning or not adaptation:
        sys.exit(f"error: {runs_dir} lacks runs with metrics.csv and evaluation-NAME/adaptation.csv")
    order = ["setting", "algorithm", "seed"]
    _write(pd.concat(learning), [*order, "step"], output / "learning.csv")
    _write(pd.concat(adaptation), [*order, "evaluation", "gradient_step"], output / "adaptation.csv")


def thin(log: pd.DataFrame) -> pd.DataFrame:
    """One row for each block of iterations: its last step, env_steps so far, means, and median times."""
    block = log.groupby((log["step"] - 1) // BLOCK)
    means = block[[name for name in MEANS if name in log]].mean()
    parts = [block[["step", "env_steps"]].max(), means, block[TIMES].median()]
    return pd.concat(parts, axis=1).reset_index(drop=True)


def over_tasks(tasks: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and number of the tasks' mean returns after each gradient step."""
    table = tasks.groupby("gradient_step")["return_mean"].agg(["mean", "std", "count"]).reset_index()
    return table.set_axis(["gradient_step", "return_mean", "return_std_over_tasks", "tasks"], axis=1)


def draw(folder: Path) -> None:
    """Figures and summary from the tables in `folder`."""
    learning, adaptation = (
        pd.read_csv(folder / f"{name}.csv", dtype={"evaluation": str}) for name in ("learning", "adaptation")
    )
    published = published_returns("point_mass").query("method in ['maml', 'oracle']")
    text = ["# Point mass: return on unseen tasks after 0, 1, 2, ... gradient steps", ""]
    text += [
        "Mean over seeds ± half the 95 % t-interval over seeds (± standard error for published figures)."
    ]
    for setting in sorted(adaptation["setting"].unique(), key=[*SETTINGS, *adaptation["setting"]].index):
        runs, logs = (table[table["setting"] == setting] for table in (adaptation, learning))
        overlay = published if setting.startswith("origin") else None  # the published task
        panels = {
            EVALUATIONS.get(name, name): by_algorithm(part) for name, part in runs.groupby("evaluation")
        }
        plot_adaptation_panels(panels, overlay, folder / f"adaptation-{setting}.png")
        curves = {label: [log for _, log in t.groupby("seed")] for label, t in by_algorithm(logs).items()}
        plot_learning(curves, folder / f"learning-{setting}.png")
        text += ["", f"## {SETTINGS.get(setting, setting).capitalize()}", "", *summary(runs, logs, overlay)]
    (folder / "summary.md").write_text("\n".join(text) + "\n")


def by_algorithm(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The parts of a table, in the order of ALGORITHMS and then of the table, so that colours are stable."""
    names = sorted(table["algorithm"].unique(), key=[*ALGORITHMS, *table["algorithm"]].index)
    return {ALGORITHMS.get(name, name): table[table["algorithm"] == name] for name in names}


def summary(runs: pd.DataFrame, logs: pd.DataFrame, published: pd.DataFrame | None) -> list[str]:
    """Lines of a Markdown table: one row per evaluation and algorithm, and the published ones."""
    steps = range(runs["gradient_step"].max() + 1)
    head = ["algorithm", "trained", "seeds", *map(str, steps), "million env steps", "s/iteration"]
    rows = [head, ["---"] * len(head)]
    for name, part in runs.groupby("evaluation"):
        for label, table in by_algorithm(part).items():
            result = summarise_adaptation(table)
            log = by_algorithm(logs[logs["step"] <= int(str(name).partition("-")[0])]).get(label)
            cost = ["", ""] if log is None else _cost(log)
            cells = [_cell(result.get("mean").get(s), result["half_width"].get(s)) for s in steps]
            rows.append(
                [label, EVALUATIONS.get(str(name), str(name)), str(table["seed"].nunique()), *cells, *cost]
            )
    for method, table in published.groupby("method") if published is not None else []:
        given = table.set_index("gradient_steps")
        cells = [_cell(given["mean_return"].get(s), given["standard_error"].get(s)) for s in steps]
        rows.append([f"{ALGORITHMS.get(method, method)}, published", "", "", *cells, "", ""])
    return [f"| {' | '.join(row)} |" for row in rows]


def _cost(log: pd.DataFrame) -> list[str]:
    """Million environment steps, mean over seeds, and the median seconds of an iteration."""
    steps = summarise(log, "step", "env_steps")["mean"].iloc[-1]
    return [f"{steps / 1e6:.1f}", f"{log[TIMES].sum(axis=1).median():.2f}"]


def _cell(mean: float | None, half_width: float | None) -> str:
    if mean is None:
        return ""
    return f"{mean:.2f}" if half_width is None or pd.isna(half_width) else f"{mean:.2f} ± {half_width:.2f}"


def _read(path: Path) -> pd.DataFrame | None:
    if path.exists():
        return pd.read_csv(path)
    print(f"missing: {path}", file=sys.stderr)
    return None


def _write(table: pd.DataFrame, keys: list[str], path: Path) -> None:
    table = table.sort_values(keys)[[*keys, *table.columns.difference(keys, sort=False)]]
    table.to_csv(path, index=False, float_format="%.6g")


if __name__ == "__main__":
    sys.exit(main())
