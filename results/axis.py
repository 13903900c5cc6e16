"""The axis from zeroth to second order, and outer steps: tables and figures from the runs of results/axis.sh.

    python results/axis.py --time      how long an iteration of each method takes
    python results/axis.py             after results/axis.sh: all else; prints the table of the README
    python results/axis.py --redraw    the figures, from the committed tables

returns.csv   one row per family, method, seed and gradient step: mean return on 40 unseen tasks in the end
training.csv  one row per family, method, seed and iteration: environment steps, return after adaptation
seconds.csv   one row per family and method: seconds of an iteration, the median of three, alone on one core

Runs that are in the tables already stay there, whether their directories are at hand or not. They may have
shared the machine, so the time of a curve is iterations times the seconds of seconds.csv.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.charts.draw import draw
from meta_rl.evaluation.statistics import t_quantile

FAMILIES = {"point_mass": "Point mass", "ant_dir": "Ant, direction"}
ALGORITHMS = {
    "es_maml": "ES-MAML",
    "reptile": "Reptile",
    "fomaml": "FOMAML",
    "anil": "ANIL",
    "meta_sgd": "Meta-SGD",
    "maml": "MAML",
    "maml_ratio": "MAML, ratio",
    "maml_loaded_dice": "MAML, Loaded DiCE",
}
OUTER = {
    "fomaml": "FOMAML, TRPO",
    "fomaml_ppo": "FOMAML, PPO",
    "fomaml_adam": "FOMAML, Adam",
    "maml_ratio": "MAML, TRPO",
    "maml_ppo": "MAML, PPO",
    "maml_adam": "MAML, Adam",
}
CAPTION = (
    "Return after adaptation while training, means of five iterations, with the 95 % interval over seeds. It "
    "is that after one gradient step, of Reptile after two; of ES-MAML it is that of perturbed policies."
)
SMOOTHED = 5  # iterations
ITERATIONS = 4  # timed, the first of them not counted


def runs_of(runs: Path, family: str) -> list[tuple[str, int, Path]]:
    """Method, seed and directory of every evaluated run of a family."""
    found = []
    for path in sorted((runs / f"axis_{family}").glob("*-seed*")):
        method, seed = path.name.rsplit("-seed", 1)
        if (path / "evaluation/adaptation.csv").exists():
            found.append((method, int(seed), path))
    return found


def collect(runs: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of returns.csv and training.csv for the runs that are at hand."""
    returns, training = [], []
    for family in FAMILIES:
        for method, seed, path in runs_of(runs, family):
            key = {"family": family, "method": method, "seed": seed}
            means = (
                pd.read_csv(path / "evaluation/adaptation.csv").groupby("gradient_step")["return_mean"].mean()
            )
            returns.append(pd.DataFrame({**key, "gradient_step": means.index, "return": means.round(2)}))
            metrics = pd.read_csv(path / "metrics.csv")
            columns = {"iteration": metrics["step"], "env_steps": metrics["env_steps"]}
            training.append(pd.DataFrame({**key, **columns, "return_post": metrics["return_post"].round(2)}))
    return pd.concat(returns), pd.concat(training)


def added(path: Path, new: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """A committed table with new rows, which take the place of those with the same key."""
    old = [pd.read_csv(path)] if path.exists() else []
    table = (
        pd.concat([*old, new], ignore_index=True)
        .drop_duplicates(key, keep="last")
        .sort_values(key, kind="stable")
    )
    table.to_csv(path, index=False)
    return table


def curves_of(training: pd.DataFrame, seconds: pd.DataFrame) -> pd.DataFrame:
    """By family, method and iteration: the mean over seeds with its interval, and time on one core."""
    by_run = training.groupby(["family", "method", "seed"])["return_post"]
    smooth = training.assign(
        return_post=by_run.transform(lambda x: x.rolling(SMOOTHED, min_periods=1).mean())
    )
    by_iteration = smooth.groupby(["family", "method", "iteration"], sort=False)
    table = by_iteration.agg(
        env_steps=("env_steps", "mean"),
        y=("return_post", "mean"),
        std=("return_post", "std"),
        seeds=("seed", "nunique"),
    ).reset_index()
    half = table["std"] * t_quantile(table["seeds"].to_numpy() - 1) / np.sqrt(table["seeds"])
    half = half.where(table["seeds"] > 2)  # of two seeds it would hide all else
    table["low"], table["high"] = table["y"] - half, table["y"] + half
    table = table.merge(seconds[["family", "method", "seconds"]], how="left", on=["family", "method"])
    return table.assign(seconds=table["seconds"] * table["iteration"])


def summary(returns: pd.DataFrame, seconds: pd.DataFrame) -> str:
    """The rows of the README's table: means over seeds, and the range of them after one step."""
    lines = []
    for method, name in (ALGORITHMS | {m: n for m, n in OUTER.items() if m not in ALGORITHMS}).items():
        cells = [name]
        for family in FAMILIES:
            own = returns[(returns["family"] == family) & (returns["method"] == method)]
            by_step = own.groupby("gradient_step")["return"]
            means, low, high = by_step.mean(), by_step.min(), by_step.max()
            digits = 1 if family == "point_mass" else 0
            values = [f"{value:.{digits}f}" for value in means]
            values[1] += f" ({low[1]:.{digits}f} to {high[1]:.{digits}f})"
            time = seconds[(seconds["family"] == family) & (seconds["method"] == method)]["seconds"].item()
            cells += [str(own["seed"].nunique()), *values, f"{time:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def chart(curves: pd.DataFrame, methods: dict[str, str], key: str, title: str) -> Chart:
    """Return against environment steps, and against time, for every family."""
    axes = {"env_steps": ("million environment steps", 1e6), "seconds": ("minutes on one core", 60)}
    panels = []
    for family, name in FAMILIES.items():
        for column, (label, unit) in axes.items():
            own = curves[curves["family"] == family]
            rows = {method: own[own["method"] == method] for method in methods}
            series = tuple(
                Series(methods[m], series_data(r[column] / unit, r["y"], r["low"], r["high"]))
                for m, r in rows.items()
                if len(r) and r[column].notna().all()
            )
            if series:
                panels.append(Panel("", label, f"{name}: return after adaptation", series))
    return Chart(key, title, CAPTION, tuple(panels))


def arguments_of(family: str) -> dict[str, list[str]]:
    """By method, the arguments of train.py that results/axis.sh gives."""
    script = Path("results/axis.sh").read_text()
    lines = re.search(r"<<'END'\n(.*?)\nEND", script, re.DOTALL)
    assert lines is not None
    found = {}
    for method, config, _, _, *arguments in map(str.split, lines[1].splitlines()):
        threads = ["--data.env.num_threads=1"] if family == "ant_dir" else []
        found[method] = ["--config", f"conf/{config}_{family}.yaml", *arguments, *threads]
    return found


def time_all(output: Path, scratch: Path) -> pd.DataFrame:
    """Seconds of an iteration of every method, one after the other on one thread."""
    rows = []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    for family in FAMILIES:
        for method, arguments in arguments_of(family).items():
            name = f"{family}-{method}"
            command = [sys.executable, "train.py", *arguments, f"--runs_dir={scratch}", f"--name={name}"]
            command += [f"--trainer.max_steps={ITERATIONS}", "--model.curvature_every_n_steps=0"]
            if method in ("reptile", "es_maml"):
                command.pop()
            subprocess.run(command, check=True, env=environment, capture_output=True)
            metrics = pd.read_csv(scratch / name / "metrics.csv").iloc[1:]
            whole = (metrics["time_sampling"] + metrics["time_update"]).median()
            steps = metrics["env_steps"].diff().median()
            rows.append({"family": family, "method": method, "seconds": whole, "env_steps": steps})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).round(3)
    table.to_csv(output / "seconds.csv", index=False)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path, default=Path("results/axis"))
    parser.add_argument("--time", action="store_true", help="time iterations, into seconds.csv")
    parser.add_argument("--redraw", action="store_true", help="draw the figures from the tables")
    parser.add_argument("--scratch", type=Path, default=Path("runs/axis_time"), help="runs of --time")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if args.time:
        time_all(args.output, args.scratch)
        return
    tables = args.output / "returns.csv", args.output / "training.csv"
    if not args.redraw:
        returns, training = collect(args.runs)
        added(tables[0], returns, ["family", "method", "seed", "gradient_step"])
        added(tables[1], training, ["family", "method", "seed", "iteration"])
    times = args.output / "seconds.csv"
    seconds = pd.read_csv(times) if times.exists() else pd.DataFrame(columns=["family", "method", "seconds"])
    curves = curves_of(pd.read_csv(tables[1]), seconds)
    print(summary(pd.read_csv(tables[0]), seconds))
    draw(chart(curves, ALGORITHMS, "axis", "From zeroth to second order"), args.output / "axis.png")
    draw(chart(curves, OUTER, "outer", "Outer steps, first and second order"), args.output / "outer.png")


if __name__ == "__main__":
    main()
