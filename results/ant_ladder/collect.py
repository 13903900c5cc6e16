"""From the runs of train.sh to learning.csv, and from that table to learning.png and summary.md.

    python results/ant_ladder/collect.py RUNS_DIR    reads the runs, then draws
    python results/ant_ladder/collect.py             draws from the committed table alone

Runs are directories RUNG-seedS with metrics.csv.
"""

import re
import sys
from pathlib import Path

import pandas as pd

from meta_rl.plotting import plot_learning_panels
from meta_rl.statistics import summarise

RUN = re.compile(r"(?P<rung>.+)-seed(?P<seed>\d+)")
BLOCK = 10  # iterations averaged into one row
MEANS = [
    "return_pre", "return_post", "episode_length_post", "entropy_pre", "saturation_post",
    "explained_variance_pre", "kl", "gradient_norm",
]  # fmt: skip
PANELS = {
    "1. one direction": {"direction": "max_kl 0.03", "direction-01": "max_kl 0.01"},
    "2. oracle, both directions": {"oracle-dir": "max_kl 0.03", "oracle-dir-01": "max_kl 0.01"},
    "2. oracle, velocities": {"oracle-vel": "max_kl 0.03"},
    "3. FOMAML, both directions": {"fomaml": "FOMAML"},
}


def main(runs_dir: Path | None) -> None:
    folder = Path(__file__).parent
    if runs_dir is not None:
        collect(runs_dir).to_csv(folder / "learning.csv", index=False, float_format="%.6g")
    table = pd.read_csv(folder / "learning.csv")
    panels = {
        title: {label: seeds(table, rung) for rung, label in rungs.items() if rung in set(table["rung"])}
        for title, rungs in PANELS.items()
    }
    plot_learning_panels(panels, folder / "learning.png", sharey=False)
    (folder / "summary.md").write_text("\n".join(summary(table)) + "\n")


def collect(runs_dir: Path) -> pd.DataFrame:
    """One row for each block of iterations of each run."""
    parts = []
    for run in sorted(runs_dir.iterdir()):
        match = RUN.fullmatch(run.name)
        if match and (run / "metrics.csv").exists():
            parts.append(thin(pd.read_csv(run / "metrics.csv")).assign(**match.groupdict()))
    if not parts:
        sys.exit(f"error: {runs_dir} has no runs RUNG-seedS with metrics.csv")
    table = pd.concat(parts)
    columns = ["rung", "seed", *table.columns.drop(["rung", "seed"])]
    return table[columns].sort_values(["rung", "seed", "step"])


def thin(log: pd.DataFrame) -> pd.DataFrame:
    """Means over blocks of iterations, with the last step, the steps so far and the seconds so far."""
    log = log.assign(hours=(log["time_sampling"] + log["time_update"]).cumsum() / 3600)
    block = log.groupby((log["step"] - 1) // BLOCK)
    return pd.concat([block[["step", "env_steps", "hours"]].max(), block[MEANS].mean()], axis=1).reset_index(
        drop=True
    )


def seeds(table: pd.DataFrame, rung: str) -> list[pd.DataFrame]:
    return [part for _, part in table[table["rung"] == rung].groupby("seed")]


def summary(table: pd.DataFrame) -> list[str]:
    """A Markdown table of the last block of iterations that all seeds of a rung have."""
    head = ["rung", "seeds", "iterations", "million env steps", "hours", "return before", "return after"]
    head += ["episode length", "entropy", "saturation", "explained variance"]
    names = ["return_pre", "return_post", "episode_length_post", "entropy_pre", "saturation_post"]
    rows = [head, ["---"] * len(head)]
    for rung, part in table.groupby("rung"):
        last = part.groupby("seed")["step"].max().min()
        end = part[part["step"] == last]
        results = [summarise(end, "step", name).iloc[0] for name in [*names, "explained_variance_pre"]]
        cells = [f"{r['mean']:.3g}" + (f" ± {r['half_width']:.2g}" if r["n"] > 1 else "") for r in results]
        costs = [f"{end['env_steps'].mean() / 1e6:.1f}", f"{end['hours'].mean():.2f}"]
        rows.append([str(rung), str(len(end)), str(last), *costs, *cells])
    text = "Means over the last 10 iterations, ± half the 95 % t-interval over seeds."
    return [f"# Ant: the first rungs\n\n{text}\n", *(f"| {' | '.join(row)} |" for row in rows)]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
