"""The axis from zeroth to second order, and outer steps: tables and figures from the runs of results/axis.sh.

    python results/axis.py --time      how long an iteration of each method takes
    python results/axis.py             after results/axis.sh: all else
    python results/axis.py --redraw    the figures, from the committed tables

returns.csv  one row per family, method, seed and gradient step: mean return on 40 unseen tasks in the end
curves.csv   one row per family, method and iteration: environment steps, seconds, return after adaptation
             while training, its 95 % interval over seeds
seconds.csv  one row per family and method: seconds of an iteration, the median of three, alone on one core

Runs may share the machine, so seconds of a curve are iterations times the seconds of seconds.csv.
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


def collect(runs: Path, seconds: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of returns.csv and curves.csv."""
    returns, curves = [], []
    for family in FAMILIES:
        for method, seed, path in runs_of(runs, family):
            metrics = pd.read_csv(path / "metrics.csv")
            evaluated = pd.read_csv(path / "evaluation/adaptation.csv")
            means = evaluated.groupby("gradient_step")["return_mean"].mean()
            key = {"family": family, "method": method, "seed": seed}
            done = {"iterations": len(metrics), "env_steps": int(metrics["env_steps"].iloc[-1])}
            returns += [{**key, **done, "gradient_step": k, "return": v} for k, v in means.items()]
            smooth = metrics["return_post"].rolling(SMOOTHED, min_periods=1).mean()
            curves.append(
                pd.DataFrame({"env_steps": metrics["env_steps"], "return_post": smooth}).assign(**key)
            )
            curves[-1]["iteration"] = np.arange(1, len(metrics) + 1)
    together = pd.concat(curves).groupby(["family", "method", "iteration"], sort=False)
    table = together.agg(
        env_steps=("env_steps", "mean"), return_post=("return_post", "mean"), std=("return_post", "std"),
        seeds=("seed", "nunique"),
    ).reset_index()  # fmt: skip
    half = table.pop("std") * t_quantile(table["seeds"].to_numpy() - 1) / np.sqrt(table["seeds"])
    table["low"], table["high"] = table["return_post"] - half, table["return_post"] + half
    table = table.merge(seconds[["family", "method", "seconds"]], how="left", on=["family", "method"])
    table["seconds"] *= table["iteration"]
    return pd.DataFrame(returns), table


def chart(curves: pd.DataFrame, methods: dict[str, str], key: str, title: str) -> Chart:
    """Return against environment steps, and against time, for every family."""
    axes = {"env_steps": ("million environment steps", 1e6), "seconds": ("minutes on one core", 60)}
    panels = []
    for family, name in FAMILIES.items():
        for column, (label, unit) in axes.items():
            own = curves[curves["family"] == family]
            rows = {method: own[own["method"] == method] for method in methods}
            series = tuple(
                Series(methods[m], series_data(r[column] / unit, r["return_post"], r["low"], r["high"]))
                for m, r in rows.items()
                if len(r) and r[column].notna().all()
            )
            if series:
                panels.append(Panel(name, label, "return after adaptation", series))
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
    if args.redraw:
        draw_all(pd.read_csv(args.output / "curves.csv"), args.output)
        return
    returns, curves = collect(args.runs, pd.read_csv(args.output / "seconds.csv"))
    returns.round(2).to_csv(args.output / "returns.csv", index=False)
    curves.round(3).to_csv(args.output / "curves.csv", index=False)
    draw_all(curves, args.output)


def draw_all(curves: pd.DataFrame, output: Path) -> None:
    """The figures, from the table of curves.csv."""
    draw(chart(curves, ALGORITHMS, "axis", "From zeroth to second order"), output / "axis.png")
    draw(chart(curves, OUTER, "outer", "Outer steps, first and second order"), output / "outer.png")


if __name__ == "__main__":
    main()
